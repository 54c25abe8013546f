// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package engines is the contract of [log.Engine] as checks, which every engine passes.
package engines

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxBatch is the longest batch that the checks add.
const MaxBatch = log.DefaultMaxBatch

// Run runs the checks. empty makes an empty tree, and returns a function that opens the tree's engine.
// Run has one engine open at a time.
func Run(t *testing.T, empty func(t *testing.T) (open func() (log.Engine, error))) {
	for name, check := range map[string]func(*tree){
		"Add": checkAdd, "Refused": checkRefused, "Widths": checkWidths, "LargeEntries": checkLargeEntries,
		"SameEntries": checkSameEntries, "Readers": checkReaders, "Cancelled": checkCancelled,
		"Pipeline": checkPipeline,
	} {
		t.Run(name, func(t *testing.T) {
			tree := &tree{TB: t, open: empty(t)}
			defer tree.close()
			tree.reopen()
			check(tree)
		})
	}
}

// Batch returns n entries, the first of which says from.
func Batch(from, n int) [][]byte {
	var out [][]byte
	for i := range n {
		out = append(out, fmt.Appendf(nil, "entry %d", from+i))
	}
	return out
}

// Holds returns the root of an engine's tree. The test fails unless the tree has just these entries, every
// tile and bundle is that of these entries, and the engine states the tree's size and root.
func Holds(t testing.TB, e log.Engine, entries [][]byte) [32]byte {
	t.Helper()
	size, root, err := e.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	if root != next.Root() {
		t.Fatalf("the tree has the root %x; want %x", root, next.Root())
	}
	return root
}

// tree is an open engine with the entries that its tree must have.
type tree struct {
	testing.TB
	log.Engine // nil: closed
	open       func() (log.Engine, error)
	entries    [][]byte
}

func (t *tree) check(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add adds a batch and checks the tree.
func (t *tree) add(batch [][]byte) {
	t.Helper()
	first, err := t.Add(t.Context(), batch)
	t.check(err)
	if first != uint64(len(t.entries)) {
		t.Fatalf("a batch is at %d; want %d", first, len(t.entries))
	}
	t.entries = append(t.entries, batch...)
	t.check(t.Wait(t.Context(), uint64(len(t.entries))))
	t.holds()
}

func (t *tree) holds() {
	t.Helper()
	Holds(t, t.Engine, t.entries)
}

func (t *tree) close() {
	if e := t.Engine; e != nil {
		t.Engine = nil
		t.check(e.Close(t.Context()))
	}
}

func (t *tree) reopen() {
	t.Helper()
	t.close()
	e, err := t.open()
	t.check(err)
	t.Engine = e
	t.holds()
}

// checkAdd: batches of all sizes are contiguous and in order, with and without a restart in
// between.
func checkAdd(t *tree) {
	for _, n := range []int{1, 254, 1, 1, 255, 300, MaxBatch, 3} {
		t.reopen()
		t.add(Batch(len(t.entries), n))
	}
	t.reopen()
	for range 3 {
		t.add(Batch(len(t.entries), 100))
	}
}

// checkRefused: what can't be added or read is an error, and changes nothing.
func checkRefused(t *tree) {
	if _, err := t.Add(t.Context(), nil); err == nil {
		t.Fatal("an empty batch was added")
	}
	t.add(Batch(0, 3))
	for _, tile := range []tlog.Tile{{Level: 0, Index: 0, Width: 4}, {Level: 0, Index: 0, Width: 256}, {Level: 0, Index: 99, Width: 256},
		{Level: tlog.Entries, Index: 0, Width: 4}, {Level: tlog.Entries, Index: 1, Width: 256}, {Level: 1, Index: 0, Width: 1}} {
		if b, err := t.ReadTile(t.Context(), tile); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s, which is not there: %d bytes, %v", tile.Path(), len(b), err)
		}
	}
	t.holds()
}

// checkWidths: a tile can be read in each width that a tree has shown, also when it is wider
// by now.
func checkWidths(t *tree) {
	shown := make(map[tlog.Tile][]byte)
	for _, n := range []int{1, 2, 250, 3, 1, 200, 500} {
		t.add(Batch(len(t.entries), n))
		size := uint64(len(t.entries))
		edge := tiles.Edge(size)
		if w := int(size % tlog.TileWidth); w > 0 {
			edge = append(edge, tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w})
		}
		for _, tile := range edge {
			b, err := t.ReadTile(t.Context(), tile)
			t.check(err)
			shown[tile] = bytes.Clone(b)
		}
	}
	for range 2 {
		for tile, want := range shown {
			if b, err := t.ReadTile(t.Context(), tile); err != nil || !bytes.Equal(b, want) {
				t.Fatalf("%s: %d bytes, %v; want %d bytes", tile.Path(), len(b), err, len(want))
			}
		}
		t.reopen()
	}
}

// checkLargeEntries: a batch of entries of the greatest length that a log admits.
func checkLargeEntries(t *tree) {
	var all [][]byte
	for i := range 300 {
		b := make([]byte, 48_000-i%2*47_999) // and short ones between
		rand.Read(b)
		all = append(all, b)
	}
	t.add(all)
}

// checkSameEntries: an entry may be there more than once; only the log knows whether it should.
func checkSameEntries(t *tree) {
	for range 2 {
		t.add([][]byte{[]byte("a"), []byte("b"), []byte("a"), []byte("a")})
	}
}

// checkReaders: while batches are written, readers see whole trees only, each an extension
// of the one before.
func checkReaders(t *tree) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	read := func() error {
		for seen := new(tiles.Frontier); ; {
			size, root, err := t.Tree(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			next, err := seen.Extend(t.Context(), t, size, nil)
			if err != nil || next.Root() != root {
				return fmt.Errorf("the tree of size %d does not extend that of size %d: %v", size, seen.Size(), err)
			}
			seen = next
		}
	}
	go func() { done <- read() }()
	go func() { done <- read() }()
	defer func() {
		cancel()
		t.check(errors.Join(<-done, <-done))
	}()
	for i := range 20 {
		t.add(Batch(len(t.entries), 1+i*17%100))
	}
}

// checkCancelled: after a call that is given up the tree is whole, has its entries in order
// or none of them, and can be added to.
func checkCancelled(t *tree) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.add(Batch(0, 10))
	lost := Batch(100, 10)
	_, given := t.Add(ctx, lost)
	size, _, err := t.Tree(t.Context())
	t.check(err)
	if size != uint64(len(t.entries)) {
		t.entries = append(t.entries, lost...) // holds compares the size
	} else if given == nil {
		t.Fatal("a batch was acknowledged, and is not in the tree")
	}
	t.holds()
	t.add(Batch(200, 10))
}

// checkPipeline adds batches while it waits for earlier ones. Their indices are contiguous, and the tree can
// be read and shown at the size after each batch.
func checkPipeline(t *tree) {
	ends := make(chan int, 3)
	done := make(chan error, 1)
	go func() {
		var err error
		for n := range ends {
			size := uint64(n)
			if err == nil {
				err = t.Wait(t.Context(), size)
			}
			if err == nil {
				_, err = new(tiles.Frontier).Extend(t.Context(), t, size, nil)
			}
			if err == nil {
				err = t.Show(t.Context(), size)
			}
		}
		done <- err
	}()
	var err error
	for i := 0; i < 30 && err == nil; i++ {
		batch := Batch(len(t.entries), 1+i*29%100)
		var first uint64
		if first, err = t.Add(t.Context(), batch); err == nil && first != uint64(len(t.entries)) {
			err = fmt.Errorf("a batch is at %d; want %d", first, len(t.entries))
		}
		t.entries = append(t.entries, batch...)
		ends <- len(t.entries)
	}
	close(ends)
	t.check(errors.Join(<-done, err))
	t.holds()
	t.reopen()
}
