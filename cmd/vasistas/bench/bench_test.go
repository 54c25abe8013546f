// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun measures a little of everything but Tessera, with real processes.
func TestRun(t *testing.T) {
	var progress bytes.Buffer
	r, err := Run(t.Context(), Config{
		Dir: filepath.Join(t.TempDir(), "bench"), NoTessera: true,
		Events: 64, Rounds: 1, Connections: 4, Streams: 2, Idle: 2, Fill: 40, FillOwed: 30, Progress: &progress,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	if n := uint64(64 + 64 + 32 + 2 + 40 + 30 + 64 + 1 + 1); r.Entries < n { // with the charter, and the log adds anchors
		t.Errorf("the log has %d entries; want %d", r.Entries, n)
	}
	for _, rate := range r.Rates {
		if rate.PerSecond <= 0 || len(rate.Rounds) != 1 || rate.Ratio != 0 {
			t.Errorf("%+v", rate)
		}
	}
	if len(r.Rates) != 3 || r.IdleMS.Max <= 0 || r.IdleMS.Median > r.IdleMS.Max || len(r.Memory) != 5 || r.Memory["vasistas-log, started again"] <= 0 {
		t.Errorf("%+v", r)
	}
	var text bytes.Buffer
	r.WriteText(&text)
	if !strings.Contains(text.String(), "Idle log") {
		t.Error(text.String())
	}
}
