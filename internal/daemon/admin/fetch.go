// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vasistas/vasistas/internal/problem"
)

// Fetch returns what a running daemon answers to GET, at most limit bytes. The error of an answer
// that is not 200 is a [problem.Problem].
func Fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, problem.Read(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("the answer of %s has more than %d bytes", url, limit)
	}
	return b, err
}

// FetchStatus reads the status of a running daemon of a role, such as "gate", into v.
func FetchStatus(ctx context.Context, role, url string, limit int64, v any) error {
	b, err := Fetch(ctx, strings.TrimSuffix(url, "/")+"/status", limit)
	if err != nil {
		return fmt.Errorf("asking the %s: %w", role, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("the %s's status can't be read: %w", role, err)
	}
	return nil
}
