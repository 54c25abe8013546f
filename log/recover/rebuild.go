// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package recover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// plan is the tree that a recovery makes: the entries of reader up to base, then those
// of tail up to end.
type plan struct {
	reader    tlog.TileReader
	base, end *tiles.Frontier
	tail      func() iter.Seq[[]byte]
}

// build makes a tree of every entry of the copy and of the entries that are left beyond
// it. It checks all of them before it writes any.
func (r *recovery) build(ctx context.Context) (_ *Result, rerr error) {
	old, sound, err := r.openTree(ctx)
	if err != nil {
		return nil, err
	}
	closeOld := func() {
		if old != nil {
			rerr = errors.Join(rerr, old.Close(ctx))
			old = nil
		}
	}
	defer closeOld()
	done, from := &Result{Rebuilt: r.OpenTo == nil && sound == nil}, &tiles.Frontier{}
	var engine log.Engine
	if r.OpenTo != nil {
		to, err := r.OpenTo(ctx)
		if err != nil {
			return nil, fmt.Errorf("the new place: %w", err)
		}
		defer func() { rerr = errors.Join(rerr, to.Close(ctx)) }()
		if from, err = r.readTree(ctx, to, "checking what is in the new place"); err != nil {
			return nil, fmt.Errorf("the new place: %w", err)
		}
		engine = to
	} else if sound != nil {
		engine, from = old, sound
	}
	p, err := r.plan(ctx, old, sound, from)
	if err != nil {
		return nil, err
	}
	fresh := r.TreeDir + ".new"
	if done.Rebuilt {
		if err := errors.Join(os.RemoveAll(fresh), r.CreateTree(ctx, fresh)); err != nil {
			return nil, err
		}
		if engine, err = r.OpenTree(ctx, fresh); err != nil {
			return nil, err
		}
	}
	done.Size, err = r.write(ctx, engine, from, p)
	if done.Rebuilt {
		err = errors.Join(err, engine.Close(ctx))
	}
	if err != nil {
		return nil, err
	}
	done.Added, done.Salvaged = p.base.Size()-min(from.Size(), p.base.Size()), done.Size-p.base.Size()
	if closeOld(); rerr == nil && done.Rebuilt {
		done.Old, rerr = r.swapTrees(fresh)
	}
	return done, rerr
}

// openTree opens the present tree. If the tree is sound, it returns its verified right
// edge: one of tree and copy contains the other, and the tree has no files beyond its
// size, as after a rollback of its state. From a tree that is not sound, entries can only
// be salvaged.
func (r *recovery) openTree(ctx context.Context) (log.Engine, *tiles.Frontier, error) {
	// The tree must be usable as it is.
	must := r.Source == nil || r.InPlace && r.OpenTo == nil
	engine, err := r.OpenTree(ctx, r.TreeDir)
	if err != nil {
		// Never give up a tree for an error that the next try may not meet.
		if must || errors.Is(err, durable.ErrLocked) || errors.Is(err, fs.ErrPermission) || ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, nil
	}
	f, err := r.readTree(ctx, engine, "checking the tree")
	if err == nil {
		err = r.related(ctx, engine, f)
	}
	switch {
	case err == nil && (r.OpenTo != nil || r.InPlace || !r.more(f.Size())):
		return engine, f, nil
	case ctx.Err() != nil:
		return nil, nil, errors.Join(ctx.Err(), engine.Close(ctx))
	case must:
		return nil, nil, errors.Join(err, engine.Close(ctx))
	}
	return engine, nil, nil
}

// readTree reads all of an engine's tree.
func (r *recovery) readTree(ctx context.Context, engine log.Engine, what string) (*tiles.Frontier, error) {
	size, root, err := engine.Tree(ctx)
	if err != nil {
		return nil, chain.TreeError(err)
	}
	f, err := (&tiles.Frontier{}).Extend(ctx, engine, size, r.progress(what, size))
	if err != nil {
		return nil, chain.TreeError(err)
	}
	if f.Root() != root {
		return nil, fmt.Errorf("%w (its entries have the root %x, and the engine says %x)", chain.ErrTreeConflict, f.Root(), root)
	}
	return f, nil
}

// more returns whether the directory of the tree has entries beyond its size.
func (r *recovery) more(size uint64) bool {
	for range r.Salvage(r.TreeDir, size) {
		return true
	}
	return false
}

// rootAt returns the root at a size of the tree of f, which reader has.
func rootAt(ctx context.Context, reader tlog.TileReader, size uint64, f *tiles.Frontier) (tiles.Hash, error) {
	return chain.ProvenRoot(ctx, prover.New(reader, 0), size, chain.Edge{Size: f.Size(), Root: f.Root()})
}

// related checks that one of the tree and the copy contains the other.
func (r *recovery) related(ctx context.Context, engine log.Engine, f *tiles.Frontier) error {
	var root, want tiles.Hash
	var err error
	switch {
	case f.Size() >= r.copy.Size:
		want = r.copy.Root
		root, err = rootAt(ctx, engine, r.copy.Size, f)
	case r.Source == nil:
		return fmt.Errorf("%w (the tree has %d entries, the head %d)", chain.ErrTreeBehind, f.Size(), r.copy.Size)
	default:
		want = f.Root()
		root, err = chain.ProvenRoot(ctx, prover.New(r.Source, 0), f.Size(), chain.EdgeOf(&r.copy.Head))
	}
	if err == nil && root != want {
		err = fmt.Errorf("%w (neither it nor the copy extends the other; make an empty tree, and name that)", chain.ErrTreeConflict)
	}
	return chain.TreeError(err)
}

// plan checks the copy from the right edge of a sound tree on, and what is left beyond
// both. from, where the tree to be written to ends, must be a part of it.
func (r *recovery) plan(ctx context.Context, old log.Engine, sound, from *tiles.Frontier) (_ *plan, err error) {
	p := &plan{reader: old, base: sound}
	if sound == nil || sound.Size() < r.copy.Size {
		if sound == nil {
			sound = &tiles.Frontier{}
		}
		p.reader = r.Source
		if p.base, err = sound.Extend(ctx, r.Source, r.copy.Size, r.progress("checking the copy", r.copy.Size)); err != nil {
			return nil, fmt.Errorf("checking the copy: %w", err)
		}
		if p.base.Root() != r.copy.Root {
			return nil, errors.New("the entries of the copy do not have the root of its checkpoint")
		}
	}
	p.tail = func() iter.Seq[[]byte] { return r.tail(ctx, old, p.base.Size()) }
	// The sizes at which roots must match: of the part already written, and of the heads signed or published.
	roots := map[uint64]tiles.Hash{from.Size(): {}}
	for _, cp := range []*tlog.Checkpoint{r.head, r.published} {
		if cp != nil {
			roots[cp.Size] = tiles.Hash{}
		}
	}
	for size := range roots {
		if size <= p.base.Size() {
			if roots[size], err = rootAt(ctx, p.reader, size, p.base); err != nil {
				return nil, chain.TreeError(err)
			}
		}
	}
	if err := r.checkTail(ctx, p, roots); err != nil {
		return nil, err
	}
	if r.head != nil && roots[r.head.Size] != r.head.Root {
		return nil, fmt.Errorf("the copy has %d entries, this log has signed a head of %d, and the entries in between are not left in the tree; find a later copy",
			r.copy.Size, r.head.Size)
	}
	r.contained = r.published != nil && roots[r.published.Size] == r.published.Root
	if roots[from.Size()] != from.Root() {
		return nil, fmt.Errorf("the new place has %d entries, and they are not the first of this log; give an empty one", from.Size())
	}
	return p, nil
}

// checkTail adds to the plan the entries that the rules let follow, and fills in the
// roots beyond its base.
func (r *recovery) checkTail(ctx context.Context, p *plan, roots map[uint64]tiles.Hash) error {
	p.end = p.base.Clone()
	var check *tailCheck
	var err error
	for entry := range p.tail() {
		if check == nil {
			if check, err = newTailCheck(ctx, r.record.Settings().Origin, p.reader, p.base); err != nil {
				return err
			}
		}
		if !check.admits(entry) {
			return nil
		}
		if err := p.end.Append(tiles.LeafHash(entry), func(tlog.Tile, []byte) error { return nil }); err != nil {
			return err
		}
		if _, ok := roots[p.end.Size()]; ok {
			roots[p.end.Size()] = p.end.Root()
		}
	}
	return nil
}

// tailCheck decides by the rules which entries may follow those of a tree.
type tailCheck struct {
	pages  *entries.Pages
	ledger *ledger.Ledger
}

// newTailCheck reads all entries of base.
func newTailCheck(ctx context.Context, origin string, reader tlog.TileReader, base *tiles.Frontier) (*tailCheck, error) {
	t, pages := chain.Of(base), entries.NewPages(reader)
	pages.Reset(t)
	c := &tailCheck{pages, ledger.New(origin, pages)}
	if err := entries.Replay(ctx, c.ledger, reader, t.Edge(), t.Size(), nil); err != nil {
		return nil, fmt.Errorf("reading what the entries mean: %w", err)
	}
	return c, nil
}

func (c *tailCheck) admits(entry []byte) bool {
	e := ledger.Read(c.ledger.Size(), entry)
	if v, err := c.ledger.Admit(e); v != nil || err != nil {
		return false
	}
	if _, _, err := c.ledger.Apply(e); err != nil {
		return false
	}
	c.pages.Add(entry)
	return true
}

// tail yields the entries from an index on that the old tree still has.
func (r *recovery) tail(ctx context.Context, old log.Engine, from uint64) iter.Seq[[]byte] {
	if old != nil {
		if size, _, err := old.Tree(ctx); err == nil && size > from {
			return tiles.Entries(from, func(n uint64) [][]byte {
				entries, _ := tiles.ReadBundle(ctx, old, n, size) // up to the first that can't be read
				return entries
			})
		}
	}
	return r.Salvage(r.TreeDir, from)
}

// write adds to the engine's tree of right edge from what the plan has, reads it, and
// checks that it then is the plan's.
func (r *recovery) write(ctx context.Context, engine log.Engine, from *tiles.Frontier, p *plan) (size uint64, err error) {
	w := &batchWriter{engine: engine, next: from.Size()}
	at := p.base.Size()
	if from.Size() < at {
		progress := r.progress("copying", at)
		_, err = from.Extend(ctx, p.reader, at, func(i uint64, entry []byte, leaf tiles.Hash) error {
			return errors.Join(w.add(ctx, entry), progress(i, entry, leaf))
		})
	}
	for entry := range p.tail() {
		if err != nil || at == p.end.Size() {
			break
		}
		if at++; at > from.Size() {
			err = w.add(ctx, entry)
		}
	}
	if err == nil {
		err = w.show(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("copying entries: %w", err)
	}
	size, _, err = engine.Tree(ctx)
	if err != nil {
		return 0, err
	}
	if size != p.end.Size() {
		return 0, fmt.Errorf("after copying, the tree has %d entries, and it should have %d", size, p.end.Size())
	}
	// Every tile and bundle, as they are now; those before from were read before.
	got, err := from.Extend(ctx, engine, size, r.progress("reading what was copied", size))
	if err != nil {
		return 0, fmt.Errorf("reading what was copied: %w", err)
	}
	if got.Root() != p.end.Root() {
		return 0, fmt.Errorf("after copying, the tree has the root %x, and it should have %x", got.Root(), p.end.Root())
	}
	return size, nil
}

// batchWriter adds entries to an engine in batches. Like the sequencer it ends one with
// each charter: the next head to publish may be the one that ends with it.
type batchWriter struct {
	engine log.Engine
	next   uint64
	batch  [][]byte
}

func (w *batchWriter) add(ctx context.Context, entry []byte) error {
	w.batch = append(w.batch, append([]byte(nil), entry...))
	if isCharter(entry) {
		return w.show(ctx)
	}
	if len(w.batch) < log.DefaultMaxBatch {
		return nil
	}
	return w.flush(ctx)
}

// show adds what is left, and makes the tree readable to other processes.
func (w *batchWriter) show(ctx context.Context) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := w.engine.Wait(ctx, w.next); err != nil {
		return err
	}
	return w.engine.Show(ctx, w.next)
}

func isCharter(entry []byte) bool {
	env, err := event.ParseEnvelope(entry)
	return err == nil && env.Event.Type == event.TypeCharter
}

func (w *batchWriter) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	first, err := w.engine.Add(ctx, w.batch)
	if err == nil && first != w.next {
		err = fmt.Errorf("the engine put a batch at index %d instead of %d", first, w.next)
	}
	if err == nil {
		err = w.engine.Wait(ctx, first) // until the tree has the batch before
	}
	w.next += uint64(len(w.batch))
	w.batch = nil
	return err
}

func (r *recovery) progress(what string, total uint64) func(uint64, []byte, tiles.Hash) error {
	return func(i uint64, _ []byte, _ tiles.Hash) error {
		if r.Progress != nil && (i%tlog.TileWidth == tlog.TileWidth-1 || i+1 == total) {
			r.Progress(what, i+1, total)
		}
		return nil
	}
}

// swapTrees puts the rebuilt tree in place, and returns where the old one went.
// Between the two steps there is none, and Run can be run again.
func (r *recovery) swapTrees(fresh string) (old string, err error) {
	// A call still under way in the closed engine can make the directory again.
	for try := range 5 {
		aside := fmt.Sprintf("%s.old-%s-%d", r.TreeDir, time.Now().UTC().Format("20060102T150405.000Z"), try)
		if err := os.Rename(r.TreeDir, aside); err == nil && old == "" {
			old = aside
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return old, fmt.Errorf("putting the old tree aside: %w", err)
		}
		if err = os.Rename(fresh, r.TreeDir); err == nil {
			// Of a directory that is there, this makes the name durable.
			return old, durable.MkdirAll(r.TreeDir, 0o755)
		} else if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return old, fmt.Errorf("putting the new tree in place: %w; run this again", err)
}
