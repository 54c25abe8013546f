// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestMemoryLimit: the limit is always above live memory.
func TestMemoryLimit(t *testing.T) {
	for live, want := range map[uint64]int64{
		0: 112 << 20, 50 << 20: 112 << 20, 100 << 20: 182 << 20, 400 << 20: 632 << 20, math.MaxUint64: math.MaxInt64/2/2*3 + 32<<20,
	} {
		if got := memoryLimit(live); got != want {
			t.Errorf("%d live: %d; want %d", live, got, want)
		}
	}
}

// TestBoundMemory: the runtime's limit follows live memory while the daemon serves,
// unless the operator sets one.
func TestBoundMemory(t *testing.T) {
	none := debug.SetMemoryLimit(-1)
	percent := func() int {
		was := debug.SetGCPercent(100)
		debug.SetGCPercent(was)
		return was
	}
	limited := func() bool { return debug.SetMemoryLimit(-1) != none }
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			boundMemory(ctx)
		}()
		return func() { cancel(); <-done }
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("%s: the limit is %d", what, debug.SetMemoryLimit(-1))
			}
		}
	}
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	stop, other := run(), run()
	await("at the start", limited)
	other()
	await("when another one has stopped", limited)
	held := make([]byte, 300<<20)
	runtime.GC()
	await("with 300 MiB", func() bool { return debug.SetMemoryLimit(-1) >= 450<<20 })
	runtime.KeepAlive(held)
	if got := percent(); got != gcPercent {
		t.Errorf("while it runs, GOGC is %d", got)
	}
	stop()
	if limited() || percent() != 100 {
		t.Errorf("the limit stays, or GOGC does: %d", percent())
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	boundMemory(t.Context())
	if limited() {
		t.Error("the operator's limit was replaced")
	}
}
