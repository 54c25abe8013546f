// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bytes"
	"encoding/csv"
	"slices"
	"testing"
)

// TestNoFormula: no cell of an export is a formula, or hides what it says.
func TestNoFormula(t *testing.T) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	record(w, "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u202e=1", "|x", "police", "")
	w.Flush()
	got, err := csv.NewReader(&b).Read()
	if want := []string{"'=1+1", "'+1", "'-1", "'@SUM(A1)", "\ufffd=1", "\ufffd=1", "\ufffd=1", "'|x", "police", ""}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
