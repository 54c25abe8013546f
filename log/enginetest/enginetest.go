// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package enginetest is the contract of [log.Engine] as tests, which every engine
// passes. It is for tests only.
package enginetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxBatch is the longest batch that the tests add.
const MaxBatch = log.DefaultMaxBatch

// New makes an empty tree, and returns a function that opens it. One engine at a
// time is open.
type New func(t testing.TB) (open func() (log.Engine, error))

// Run runs the tests, each with a tree of its own.
func Run(t *testing.T, create New) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, func() (log.Engine, error))
	}{
		{"Add", testAdd},
		{"Refused", testRefused},
		{"Widths", testWidths},
		{"LargeEntries", testLargeEntries},
		{"SameEntries", testSameEntries},
		{"Readers", testReaders},
		{"Cancelled", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, create(t)) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, open func() (log.Engine, error)) log.Engine {
	t.Helper()
	e, err := open()
	check(t, err)
	return e
}

// Batch returns n entries, the first of which says from.
func Batch(from, n int) [][]byte {
	var out [][]byte
	for i := range n {
		out = append(out, fmt.Appendf(nil, "entry %d", from+i))
	}
	return out
}

// Holds checks that the tree holds just these entries, that every tile and bundle
// is that of their tree, and that the engine says so. It returns their root.
func Holds(t testing.TB, e log.Engine, entries [][]byte) [32]byte {
	t.Helper()
	size, root, err := e.Tree(t.Context())
	check(t, err)
	if size != uint64(len(entries)) {
		t.Fatalf("the tree has %d entries; want %d", size, len(entries))
	}
	var f tiles.Frontier
	next, err := f.Extend(t.Context(), e, size, func(i uint64, entry []byte, _ tiles.Hash) error {
		if !bytes.Equal(entry, entries[i]) {
			return fmt.Errorf("%.40q at %d; want %.40q", entry, i, entries[i])
		}
		return nil
	})
	check(t, err)
	if root != next.Root() {
		t.Fatalf("the tree has the root %x; want %x", root, next.Root())
	}
	return root
}

// testAdd: batches of all sizes are contiguous and in order, and the tree is that
// of their entries, whatever was open and closed in between.
func testAdd(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	Holds(t, e, nil)
	check(t, e.Close(t.Context()))
	var all [][]byte
	for _, n := range []int{1, 254, 1, 1, 255, 300, MaxBatch, 3} {
		e := mustOpen(t, open)
		Holds(t, e, all)
		batch := Batch(len(all), n)
		first, err := e.Add(t.Context(), batch)
		check(t, err)
		if first != uint64(len(all)) {
			t.Fatalf("a batch is at %d; want %d", first, len(all))
		}
		all = append(all, batch...)
		Holds(t, e, all)
		check(t, e.Close(t.Context()))
	}
	e = mustOpen(t, open)
	for range 3 { // without a restart in between
		batch := Batch(len(all), 100)
		_, err := e.Add(t.Context(), batch)
		check(t, err)
		all = append(all, batch...)
	}
	Holds(t, e, all)
	check(t, e.Close(t.Context()))
}

// testRefused: what can't be added or read is an error, and changes nothing.
func testRefused(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer e.Close(t.Context())
	if _, err := e.Add(t.Context(), nil); err == nil {
		t.Error("nothing was added")
	}
	batch := Batch(0, 3)
	_, err := e.Add(t.Context(), batch)
	check(t, err)
	for _, tile := range []tlog.Tile{{Level: 0, Index: 0, Width: 4}, {Level: 0, Index: 0, Width: 256}, {Level: 0, Index: 99, Width: 256},
		{Level: tlog.Entries, Index: 0, Width: 4}, {Level: tlog.Entries, Index: 1, Width: 256}, {Level: 1, Index: 0, Width: 1}} {
		if b, err := e.ReadTile(t.Context(), tile); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, which is not there: %d bytes, %v", tile.Path(), len(b), err)
		}
	}
	Holds(t, e, batch)
}

// testWidths: a tile can be read in each width that a tree has shown, also when it
// is wider by now.
func testWidths(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer func() { check(t, e.Close(t.Context())) }()
	shown := make(map[tlog.Tile][]byte)
	var all [][]byte
	for _, n := range []int{1, 2, 250, 3, 1, 200, 500} {
		batch := Batch(len(all), n)
		_, err := e.Add(t.Context(), batch)
		check(t, err)
		all = append(all, batch...)
		Holds(t, e, all)
		size := uint64(len(all))
		edge := tiles.Edge(size)
		if w := int(size % tlog.TileWidth); w > 0 {
			edge = append(edge, tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w})
		}
		for _, tile := range edge {
			b, err := e.ReadTile(t.Context(), tile)
			check(t, err)
			shown[tile] = bytes.Clone(b)
		}
	}
	for range 2 {
		for tile, want := range shown {
			if b, err := e.ReadTile(t.Context(), tile); err != nil || !bytes.Equal(b, want) {
				t.Errorf("%s: %d bytes, %v; want %d bytes", tile.Path(), len(b), err, len(want))
			}
		}
		check(t, e.Close(t.Context()))
		e = mustOpen(t, open)
	}
}

// testLargeEntries: a batch of entries of the greatest length that a log admits.
func testLargeEntries(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer e.Close(t.Context())
	var all [][]byte
	for i := range 300 {
		b := make([]byte, 48_000-i%2*47_999) // and short ones between
		_, _ = rand.Read(b)                  // never fails
		all = append(all, b)
	}
	_, err := e.Add(t.Context(), all)
	check(t, err)
	Holds(t, e, all)
}

// testSameEntries: an entry may be there more than once. Whether it should be, is
// for the log to say.
func testSameEntries(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer e.Close(t.Context())
	all := [][]byte{[]byte("a"), []byte("b"), []byte("a"), []byte("a")}
	_, err := e.Add(t.Context(), all)
	check(t, err)
	first, err := e.Add(t.Context(), all)
	check(t, err)
	if first != 4 {
		t.Errorf("a batch is at %d; want 4", first)
	}
	Holds(t, e, slices.Concat(all, all))
}

// testReaders: while a batch is written, readers see whole trees only, each an
// extension of the one before.
func testReaders(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer e.Close(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			seen := &tiles.Frontier{}
			for ctx.Err() == nil {
				size, root, err := e.Tree(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("the tree: %v", err)
					}
					return
				}
				next, err := seen.Extend(t.Context(), e, size, nil)
				if err != nil || next.Root() != root {
					t.Errorf("the tree of size %d does not extend that of size %d: %v", size, seen.Size(), err)
					return
				}
				seen = next
			}
		})
	}
	var all [][]byte
	for i := range 20 {
		batch := Batch(len(all), 1+i*17%100)
		_, err := e.Add(t.Context(), batch)
		check(t, err)
		all = append(all, batch...)
	}
	cancel()
	wg.Wait()
	Holds(t, e, all)
}

// testCancelled: whatever becomes of a call that is given up, the tree is whole,
// has its entries in order if it has them, and can be added to.
func testCancelled(t *testing.T, open func() (log.Engine, error)) {
	e := mustOpen(t, open)
	defer e.Close(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all := Batch(0, 10)
	lost := Batch(100, 10)
	_, err := e.Add(t.Context(), all)
	check(t, err)
	_, err = e.Add(ctx, lost)
	size, _, terr := e.Tree(t.Context())
	check(t, terr)
	switch {
	case size == uint64(len(all)) && err != nil:
	case size == uint64(len(all)+len(lost)):
		all = append(all, lost...)
	default:
		t.Fatalf("after a call that was given up (%v), the tree has %d entries", err, size)
	}
	Holds(t, e, all)
	more := Batch(200, 10)
	_, err = e.Add(t.Context(), more)
	check(t, err)
	Holds(t, e, append(all, more...))
}
