// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"database/sql"
)

// Pragma sets a pragma of the writing connection.
func (x *Index) Pragma(text string) error {
	_, err := x.file.Load().conn.ExecContext(context.Background(), "PRAGMA "+text)
	return err
}

// Query runs a query in a view, and returns the last column of each row.
func (v *View) Query(ctx context.Context, query string) ([]string, error) {
	return list(ctx, v, lastColumn, query)
}

// Traced calls do with the text of each query that a view runs.
func (v *View) Traced(do func(query string, args []any)) { v.trace = do }

// Plan returns the steps of a query's plan.
func (v *View) Plan(ctx context.Context, query string, args []any) ([]string, error) {
	return list(ctx, v, lastColumn, "EXPLAIN QUERY PLAN "+query, args...)
}

func lastColumn(r *sql.Rows, out *string) error {
	columns, err := r.Columns()
	if err != nil {
		return err
	}
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(any)
	}
	into[len(into)-1] = out
	return r.Scan(into...)
}
