// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package durabletest injects faults into package durable, for the tests of the
// packages that build on it: first trace what an operation does, then let it fail
// at each point in turn, look at the whole world, and restart.
package durabletest

import (
	"fmt"
	"sync"

	"github.com/vasistas/vasistas/internal/durable"
)

// Point is one moment of an operation at which it can fail.
type Point struct {
	Op   durable.Op
	Path string
}

// String says it as "before sync /path".
func (p Point) String() string {
	when := "before"
	if p.Op.After {
		when = "after"
	}
	return fmt.Sprintf("%s %s %s", when, p.Op.Step, p.Path)
}

// Injector is the source of an FS that records each point that it passes, and that
// fails where it was told to. Its methods are safe for concurrent use. The zero
// Injector never fails.
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

// FailFrom makes the n-th point from now on, and all later ones, fail with err, as a
// disk does that is full or gone.
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

// FS returns the FS to give to the code under test.
func (i *Injector) FS() durable.FS { return durable.FS{Fault: i.fault} }

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
