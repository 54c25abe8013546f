// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/transparency-dev/tessera"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/tlog"
)

// The journal has the entries that Tessera may lack. A record is
//
//	8 bytes   index of the first entry, big-endian
//	32 bytes  root of the tree before that entry
//	4 bytes   number of entries, big-endian
//	entries   as in an entry bundle
//
// The root ties a record to its tree. Each record continues the one before.
const (
	journalName  = ".state/journal"
	markName     = ".state/journaled" // exists once there was a journal, so a lost one is noticed
	journalLabel = "vasistas-tesserax"
	recordHead   = 8 + 32 + 4
	maxRecord    = 1 << 20 // a longer batch is several records
)

// When so much is staged, Add waits for a move. Usually Show moves it earlier.
const (
	mostEntries = 8192
	mostBytes   = 8 << 20
)

// stage is what a tree has beyond Tessera's.
type stage struct {
	edge  chain.Edge           // of all entries; without a root if nothing was staged since the start
	moved uint64               // Tessera has the entries below, durable and compared; the journal has the others
	bytes int64                // of the journal
	tiles map[tlog.Tile][]byte // those that the journal's entries change, as wide as edge has them; Width is 0
}

// entries is the number of entries that Tessera lacks.
func (s stage) entries() uint64 { return s.edge.Size - s.moved }

// crowded reports whether n more entries must wait for a move.
func (s stage) crowded(n int) bool { return s.entries()+uint64(n) > mostEntries || s.bytes > mostBytes }

// widthOf returns the width of t's tile in a tree of the given size.
func widthOf(t tlog.Tile, size uint64) int { return tiles.Width(max(t.Level, 0), t.Index, size) }

// files reads Tessera's tree of a size. It cuts a tile from the one width that surely has a file.
type files struct {
	tessera tessera.LogReader
	size    uint64
}

func (f files) ReadTile(ctx context.Context, t tlog.Tile) (b []byte, err error) {
	width := widthOf(t, f.size)
	if t.Width > width {
		return nil, fmt.Errorf("%s: %w", t.Path(), fs.ErrNotExist)
	}
	partial := uint8(width % tlog.TileWidth) // 0 means full
	if t.Level == tlog.Entries {
		b, err = f.tessera.ReadEntryBundle(ctx, t.Index, partial)
	} else {
		b, err = f.tessera.ReadTile(ctx, uint64(t.Level), t.Index, partial)
	}
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// record returns the record of entries that begin at an edge.
func record(at chain.Edge, entries [][]byte) []byte {
	n := recordHead
	for _, e := range entries {
		n += 2 + len(e)
	}
	rec := binary.BigEndian.AppendUint64(make([]byte, 0, n), at.Size)
	rec = append(rec, at.Root[:]...)
	rec = binary.BigEndian.AppendUint32(rec, uint32(len(entries)))
	for _, e := range entries {
		rec = tlog.AppendEntry(rec, e)
	}
	return rec
}

// parseRecord returns where a record's entries begin, and the entries, which share its memory.
func parseRecord(rec []byte) (at chain.Edge, entries [][]byte, err error) {
	if len(rec) < recordHead {
		return at, nil, errors.New("a record is cut off")
	}
	at = chain.Edge{Size: binary.BigEndian.Uint64(rec), Root: tiles.Hash(rec[8:40])}
	entries, err = tlog.ParseBundle(rec[recordHead:], int(binary.BigEndian.Uint32(rec[40:])))
	return at, entries, err
}

// cut splits entries into what one record takes.
func cut(entries [][]byte) iter.Seq[[][]byte] {
	return func(yield func([][]byte) bool) {
		for len(entries) > 0 {
			n, size := 0, recordHead
			for n < min(len(entries), mostEntries) && (n == 0 || size+2+len(entries[n]) <= maxRecord) {
				size += 2 + len(entries[n])
				n++
			}
			if !yield(entries[:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}

// grow adds entries to a tree, and puts the tiles that they change into staged.
func grow(t *chain.Tree, entries [][]byte, staged map[tlog.Tile][]byte) error {
	leaves := make([]tiles.Hash, len(entries))
	for i, e := range entries {
		leaves[i] = tiles.LeafHash(e)
	}
	return t.Grow(entries, leaves, func(t tlog.Tile, b []byte) error {
		t.Width = 0
		staged[t] = b
		return nil
	})
}

// put makes entries durable and readable, and returns the index of the first.
func (e *Engine) put(ctx context.Context, entries [][]byte) (first uint64, err error) {
	e.adding.Lock()
	defer e.adding.Unlock()
	if e.tree == nil {
		s, _, _ := e.now()
		if e.tree, err = load(ctx, files{e.reader, s.moved}); err != nil {
			return 0, fmt.Errorf("reading the right edge of the tree: %w", err)
		}
	}
	at := e.tree.Edge()
	if err := e.journal.Append(record(at, entries)); err != nil {
		e.lost.Store(true)
		return 0, fmt.Errorf("adding entries to the tree's journal: %w", err)
	}
	grown := make(map[tlog.Tile][]byte)
	if err := grow(e.tree, entries, grown); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.Copy(e.stage.tiles, grown)
	e.stage.edge, e.stage.bytes = e.tree.Edge(), e.journal.Size()
	return at.Size, nil
}

// now returns the stage, whose tiles may only be read with mu held, and why the last move failed.
func (e *Engine) now() (s stage, damage, stuck error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.stage, e.damage, e.stuck
}

// settle replays the journal if it failed: only its file knows what it holds. moving must be held.
func (e *Engine) settle(ctx context.Context) error {
	e.adding.Lock()
	defer e.adding.Unlock()
	if !e.lost.Load() {
		return nil
	}
	if e.journal != nil {
		e.journal.Close()
	}
	if err := e.replay(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	e.lost.Store(false)
	return nil
}

// replay makes tree and stage of what Tessera and the journal have, and opens the journal. moving
// and adding must be held.
func (e *Engine) replay(ctx context.Context) error {
	if err := e.persistState(); err != nil {
		return err
	}
	size, err := e.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("reading the size of the tree: %w", err)
	}
	have := files{e.reader, size}
	var tree *chain.Tree
	s := stage{moved: size, tiles: make(map[tlog.Tile][]byte)}
	journal, err := e.openJournal(func(rec []byte) error {
		at, entries, err := parseRecord(rec)
		if err != nil {
			return err
		}
		if tree == nil {
			if at.Size > size {
				return fmt.Errorf("%w (its files have %d entries, and its journal goes on at %d)", log.ErrTreeBehind, size, at.Size)
			}
			if tree, err = chain.Load(ctx, have, &tlog.Head{Size: at.Size, Root: at.Root}); err != nil {
				return err
			}
			s.moved = at.Size
		}
		if tree.Edge() != at {
			return fmt.Errorf("%w (a record of its journal is for a tree of size %d, and does not follow the one before)", log.ErrTreeConflict, at.Size)
		}
		return grow(tree, entries, s.tiles)
	})
	if err != nil {
		return err
	}
	s.edge = chain.Edge{Size: size}
	if tree != nil && tree.Size() < size {
		if err := overtaken(ctx, have, tree, s, journal); err != nil {
			return errors.Join(fmt.Errorf("comparing the tree with its journal: %w", err), journal.Close())
		}
		s.moved, tree = size, nil
		clear(s.tiles)
	}
	if tree != nil {
		s.edge = tree.Edge()
	}
	s.bytes = journal.Size()
	e.tree, e.journal = tree, journal
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stage = s
	return nil
}

// openJournal opens the journal, and makes the one that a tree of an earlier program lacks.
func (e *Engine) openJournal(replay func(rec []byte) error) (*durable.Journal, error) {
	name, mark := filepath.Join(e.dir, journalName), filepath.Join(e.dir, markName)
	_, unmarked := os.Stat(mark)
	if unmarked != nil && !errors.Is(unmarked, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the tree's journal: %w", unmarked)
	}
	journal, err := durable.OpenJournal(name, journalLabel, maxRecord+1<<16, replay)
	switch missing := errors.Is(err, durable.ErrMissing); {
	case missing && unmarked == nil:
		return nil, fmt.Errorf("%w: the tree's journal is missing; restore %s, or recover the tree", log.ErrTreeBehind, name)
	case missing:
		journal, err = durable.CreateJournal(name, journalLabel, maxRecord+1<<16)
	}
	if err == nil && unmarked != nil {
		if err = durable.CreateFile(mark, []byte("1\n"), 0o644); err != nil {
			err = errors.Join(err, journal.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tree's journal: %w", err)
	}
	return journal, nil
}

// overtaken compares Tessera's tree with that of the journal, which has fewer entries, and empties the
// journal. A backup of a running log may have copied it before the files.
func overtaken(ctx context.Context, have files, known *chain.Tree, s stage, journal *durable.Journal) error {
	if err := compare(ctx, have, s.tiles, known.Size()); err != nil {
		return err
	}
	return journal.Rewrite(func(func([]byte, error) bool) {})
}

// load returns Tessera's tree.
func load(ctx context.Context, have files) (*chain.Tree, error) {
	f, err := tiles.ReadFrontier(ctx, have, have.size)
	if err != nil {
		return nil, err
	}
	return chain.Load(ctx, have, &tlog.Head{Size: have.size, Root: f.Root()})
}

// compare compares the files with the staged tiles that belong to a tree of the given size.
func compare(ctx context.Context, have files, staged map[tlog.Tile][]byte, size uint64) error {
	for t, b := range staged {
		if t.Width = widthOf(t, size); t.Width == 0 {
			continue
		}
		want, err := t.Cut(b)
		if err != nil {
			return err
		}
		got, err := have.ReadTile(ctx, t)
		if err != nil {
			return fmt.Errorf("reading %s: %w", t.Path(), err)
		}
		if !bytes.Equal(got, want) {
			return &tlog.CorruptError{Tile: t, Reason: "it is not what the log wrote"}
		}
	}
	return nil
}

// move hands the staged entries to Tessera, and forgets them once Tessera's files have them. After a
// crash at any moment, move can begin again.
func (e *Engine) move(ctx context.Context) error {
	e.moving.Lock()
	defer e.moving.Unlock()
	if err := e.settle(ctx); err != nil {
		return err
	}
	e.mu.RLock()
	s := e.stage
	s.tiles = maps.Clone(s.tiles)
	e.mu.RUnlock()
	if !e.used || s.entries() == 0 {
		return nil
	}
	damage, err := e.hand(context.WithoutCancel(ctx), s)
	if err = errors.Join(damage, err); err == nil {
		err = e.forget(ctx, s.edge)
	}
	e.mu.Lock()
	e.damage, e.stuck = damage, err
	e.mu.Unlock()
	if err == nil {
		e.sweep(s.moved, s.edge.Size)
	}
	return err
}

// hand has Tessera add what it lacks of s. The files that Tessera builds upon, and those that it
// wrote, must be as s has them: a wrong or unreadable one is damage. moving must be held.
func (e *Engine) hand(ctx context.Context, s stage) (damage, err error) {
	if err := tryLock(e.dir); err != nil {
		return nil, fmt.Errorf("writing to the tree: %w", err)
	}
	if err := e.persistState(); err != nil {
		return nil, err
	}
	if err := e.tidy(ctx); err != nil {
		return nil, err
	}
	size, err := e.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("reading the size of the tree: %w", err), nil
	}
	switch {
	case size < s.moved:
		return fmt.Errorf("%w (its files have %d entries, and had %d)", log.ErrTreeBehind, size, s.moved), nil
	case size > s.edge.Size:
		return fmt.Errorf("%w (its files have %d entries, and the log gave them %d: another program writes to it)", log.ErrTreeConflict, size, s.edge.Size), nil
	}
	if damage = compare(ctx, files{e.reader, size}, s.tiles, size); damage != nil || size == s.edge.Size {
		return damage, nil
	}
	if err := e.add(ctx, size, e.entries(ctx, size, s.edge.Size)); err != nil {
		e.doubt = true
		e.untidy.Store(true)
		return nil, fmt.Errorf("adding entries to the tree's files: %w", err)
	}
	return compare(ctx, files{e.reader, s.edge.Size}, s.tiles, s.edge.Size), nil
}

// entries returns the staged entries from an index up to another.
func (e *Engine) entries(ctx context.Context, from, to uint64) [][]byte {
	return slices.Collect(tiles.Entries(from, func(n uint64) [][]byte {
		if widthOf(tlog.Tile{Index: n}, to) == 0 {
			return nil
		}
		entries, err := tiles.ReadBundle(ctx, e, n, to)
		if err != nil { // the caller finds that entries are missing
			return nil
		}
		return entries
	}))
}

// add has Tessera add entries at first.
func (e *Engine) add(ctx context.Context, first uint64, entries [][]byte) error {
	// Hash first, so that handing over is quick, see batchAge.
	batch := make([]*tessera.Entry, len(entries))
	for i, b := range entries {
		batch[i] = tessera.NewEntry(b)
	}
	futures := make([]tessera.IndexFuture, len(entries))
	began := time.Now()
	for i, entry := range batch {
		// If Tessera may have started to write the first entries, wait for that: two
		// flushes of its queue can overtake each other.
		if i > 0 && time.Since(began) > batchAge/2 {
			if _, err := futures[i-1](); err != nil {
				return err
			}
			began = time.Now()
		}
		futures[i] = e.appender.Add(ctx, entry)
	}
	for i, f := range futures {
		if index, err := f(); err != nil {
			return err
		} else if index.Index != first+uint64(i) {
			return fmt.Errorf("entry %d is at index %d", first+uint64(i), index.Index)
		}
	}
	return nil
}

// forget drops what is below at from the journal and from memory. moving must be held.
func (e *Engine) forget(ctx context.Context, at chain.Edge) error {
	e.adding.Lock()
	defer e.adding.Unlock()
	err := e.journal.Rewrite(e.records(ctx, at))
	if errors.Is(err, durable.ErrFailed) {
		e.lost.Store(true)
	}
	if err != nil {
		return fmt.Errorf("shortening the tree's journal: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stage.moved, e.stage.bytes = at.Size, e.journal.Size()
	maps.DeleteFunc(e.stage.tiles, func(t tlog.Tile, _ []byte) bool { return widthOf(t, at.Size) == widthOf(t, e.stage.edge.Size) })
	return nil
}

// records yields the records of the entries from at on. adding must be held.
func (e *Engine) records(ctx context.Context, at chain.Edge) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		to := e.tree.Size()
		if at.Size == to {
			return
		}
		t, err := chain.Load(ctx, e, &tlog.Head{Size: at.Size, Root: at.Root})
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range cut(e.entries(ctx, at.Size, to)) {
			if !yield(record(t.Edge(), part), nil) {
				return
			}
			if err = grow(t, part, make(map[tlog.Tile][]byte)); err != nil {
				break
			}
		}
		if err == nil && t.Edge() != e.tree.Edge() {
			err = errors.New("the staged entries are not those of the tree")
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// salvageJournal yields the entries in the journal from an index on.
func salvageJournal(dir string, from uint64, yield func([]byte) bool) {
	end := errors.New("enough")
	durable.ReadJournal(filepath.Join(dir, journalName), journalLabel, func(rec []byte) error {
		at, entries, err := parseRecord(rec)
		if err != nil || at.Size > from {
			return end
		}
		for i, entry := range entries {
			if at.Size+uint64(i) < from {
				continue
			}
			if !yield(bytes.Clone(entry)) {
				return end
			}
			from++
		}
		return nil
	})
}
