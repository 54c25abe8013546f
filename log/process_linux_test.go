// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk checks that when files can't grow, events are not acknowledged, the
// answer says why, and the log goes on by itself when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	d := w.spawn()
	w.ready()
	limit := func(most uint64) {
		t.Helper()
		check(t, unix.Prlimit(d.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}, nil))
	}
	// Small files, such as the state's and the tree's journal, can still be written; a bundle of many
	// entries can't. In the last round, small files can't either.
	for round, most := range []uint64{12 << 10, 12 << 10, 1 << 10} {
		w.stream(w.warrants(20), "cosigned")
		limit(most)
		entry := w.warrant()
		_, err := w.sequence(entry)
		var p *problem
		if full := most < 2<<10; err != nil || full {
			if !errors.As(err, &p) || p.code != "storage" || p.status != 507 || !strings.Contains(p.Detail, "file too large") {
				t.Fatalf("round %d: with a full disk: %v", round, err)
			}
		}
		for range 3 {
			if _, err := w.sequence(entry); err != nil && !isProblem(err, "storage") {
				t.Errorf("round %d: again: %v", round, err)
			}
		}
		limit(unix.RLIM_INFINITY)
		var at uint64
		eventually(t, func() (err error) {
			at, err = w.sequence(entry)
			return err
		})
		w.published(at + 1)
	}
	if n := len(w.audit()); n != 64 {
		t.Errorf("the log has %d entries; want 64", n)
	}
	if err := d.end(t, unix.SIGTERM); err != nil {
		t.Errorf("it ended with %v\n%s", err, &d.stderr)
	}
	w.goesOn()
}
