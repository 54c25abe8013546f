// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"
)

func TestRateText(t *testing.T) {
	for _, test := range []struct {
		done, left uint64
		took       time.Duration
		want       string
	}{
		{0, 100, time.Minute, "entries"},
		{50, 100, time.Second / 2, "entries"},
		{1000, 9000, 10 * time.Second, "entries, 100/s, 1m30s left"},
		{1000, 0, 10 * time.Second, "entries, 100/s, 0s left"},
		{1, 1 << 40, 10 * time.Second, "entries, 0/s, "},
	} {
		if got := rateText(test.done, test.left, test.took); got[:min(len(got), len(test.want))] != test.want {
			t.Errorf("%d done, %d left: %q", test.done, test.left, got)
		}
	}
}
