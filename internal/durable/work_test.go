// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

// TestAppendWith checks that each call does its work once, while an earlier commit is under way.
func TestAppendWith(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "journal")
	j, err := durable.CreateJournal(name, "label", 100)
	if err != nil {
		t.Fatal(err)
	}
	syncing, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	remove := durabletest.Inject(t, dir, func(op durable.Op, _ string) error {
		if op.Step == durable.AppendSync && op.After {
			first.Do(func() {
				close(syncing)
				<-release
			})
		}
		return nil
	})
	const calls = 20
	var all, working sync.WaitGroup
	call := func(i int, each func()) {
		all.Go(func() {
			worked := 0
			if err := j.AppendWith(fmt.Append(nil, i), func() { worked++; each() }); err != nil || worked != 1 {
				t.Errorf("call %d worked %d times: %v", i, worked, err)
			}
		})
	}
	call(0, func() {})
	<-syncing
	working.Add(calls)
	for i := range calls {
		call(1+i, working.Done)
	}
	working.Wait() // while the first call has not ended
	close(release)
	all.Wait()
	remove()
	var in durabletest.Injector
	remove = in.Inject(t, dir)
	in.FailFrom(0, syscall.EIO)
	if err := j.AppendWith([]byte("x"), func() {}); err == nil {
		t.Error("a failed append is acknowledged")
	}
	remove()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	j, err = durable.OpenJournal(name, "label", 100, func([]byte) error { n++; return nil })
	if err == nil {
		err = j.Close()
	}
	if err != nil || n < 1+calls {
		t.Errorf("%d records: %v", n, err)
	}
}
