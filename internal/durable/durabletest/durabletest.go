// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package durabletest injects faults into package durable, for the tests of packages
// that use it. A test first records the points of an operation, then lets the operation
// fail at each point in turn, checks all state, and restarts.
package durabletest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
)

// Point is one moment of an operation at which it can fail.
type Point struct {
	Op   durable.Op
	Path string
}

// String returns a text such as "before sync /path".
func (p Point) String() string {
	when := "before"
	if p.Op.After {
		when = "after"
	}
	return fmt.Sprintf("%s %s %s", when, p.Op.Step, p.Path)
}

// Injector records each point that the steps in its directories pass, and injects a
// fault at a chosen point. Its methods are safe for concurrent use. The zero Injector
// injects no fault.
type Injector struct {
	mu     sync.Mutex
	points []Point
	failAt int
	err    error
	hit    bool
	sticky bool
}

// FailAt makes the n-th point from now on (0 is the next) fail with err, once.
func (i *Injector) FailAt(n int, err error) { i.set(n, err, false) }

// FailFrom makes the n-th point from now on, and all later ones, fail with err, like a
// full or missing disk.
func (i *Injector) FailFrom(n int, err error) { i.set(n, err, true) }

func (i *Injector) set(n int, err error, sticky bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failAt, i.err, i.sticky = len(i.points)+n, err, sticky
	i.hit = false
}

// Hit reports whether the fault set last has happened.
func (i *Injector) Hit() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hit
}

// Points returns the points passed so far.
func (i *Injector) Points() []Point {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Point(nil), i.points...)
}

// Inject makes each step in dir and below pass i until the test ends or remove is
// called.
func (i *Injector) Inject(t testing.TB, dir string) (remove func()) { return Inject(t, dir, i.fault) }

// Inject is [durable.Inject] until the end of the test.
func Inject(t testing.TB, dir string, fault durable.Fault) (remove func()) {
	remove = durable.Inject(dir, fault)
	t.Cleanup(remove)
	return remove
}

func (i *Injector) fault(op durable.Op, path string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.points)
	i.points = append(i.points, Point{op, path})
	if i.err == nil || n < i.failAt || (n > i.failAt && !i.sticky) {
		return nil
	}
	i.hit = true
	return i.err
}

// Value returns the value in a register's file, of at most 1 MiB. It reads a copy, so another
// process may have the register open.
func Value(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	copied := filepath.Join(t.TempDir(), "register")
	if err := errors.Join(err, os.WriteFile(copied, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	r, err := durable.OpenRegister(copied, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.Load()
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return value
}

// Tear puts an incomplete record at the end of a journal or register, as a crash leaves one. Opening
// the file cuts it off.
func Tear(t testing.TB, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, append(b, "torn"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
