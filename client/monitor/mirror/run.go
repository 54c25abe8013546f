// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// RunOptions say how Run keeps a copy.
type RunOptions struct {
	// Poll is the pause after an Update. 0: 1 second.
	Poll time.Duration
	// CheckEvery is the pause between two Checks, and CheckFiles how many files one of them reads
	// back at most. 0: a minute, and 64 files.
	CheckEvery time.Duration
	CheckFiles int
	// Failed is called with the error of an Update, unless the last one failed in the same words,
	// with nil once an Update works again, and with each error of a Check. nil: errors are dropped.
	Failed func(error)
}

// checkTime ends a Check of Run: an Update must not wait for files that a source serves slowly.
const checkTime = 2 * time.Second

// Run updates the copy, and checks a share of it from time to time, until the context ends.
func (m *Mirror) Run(ctx context.Context, o RunOptions) {
	every, files := cmp.Or(o.CheckEvery, time.Minute), cmp.Or(o.CheckFiles, 64)
	failed := o.Failed
	if failed == nil {
		failed = func(error) {}
	}
	tick := time.NewTicker(cmp.Or(o.Poll, time.Second))
	defer tick.Stop()
	said, checked := "", time.Now()
	for {
		_, err := m.Update(ctx)
		if ctx.Err() != nil {
			return
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != said {
			failed(err)
		}
		said = text
		if err == nil && time.Since(checked) >= every {
			if err := m.checkShare(ctx, files); err != nil && ctx.Err() == nil {
				failed(err)
			}
			checked = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// checkShare checks some files, one at a time, so that one slow file ends the check.
func (m *Mirror) checkShare(ctx context.Context, files int) error {
	var errs []error
	var upstream []*SourceError
	begun := time.Now()
	for n := 0; n < files && uint64(n) < m.Files() && time.Since(begun) < checkTime; n++ {
		r, err := m.Check(ctx, 1)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r != nil {
			upstream = append(upstream, r.Upstream...)
			for _, t := range r.Repaired {
				m.c.Warn(fmt.Errorf("%s of the copy was damaged, and is repaired", t.Path()))
			}
		}
		if err != nil && len(errs) < maxErrors {
			errs = append(errs, err)
		}
	}
	if n := len(upstream); n > 0 {
		errs = append(errs, fmt.Errorf("sources have %d files that are not the copy's; the first: %w", n, upstream[0]))
	}
	return errors.Join(errs...)
}
