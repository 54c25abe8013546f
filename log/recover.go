// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Source is a copy of a log: a mirror, a directory, or the log itself under
// another address. It is not trusted.
type Source interface {
	tiles.Reader
	// ReadCheckpoint returns the copy's checkpoint as it is served.
	ReadCheckpoint(ctx context.Context) ([]byte, error)
}

// RecoverConfig configures [Recover].
type RecoverConfig struct {
	StateDir string
	// State, if not nil, is recovered instead of the files in StateDir. The
	// caller sees to it that no log uses it.
	State  State
	Keys   []*tlog.Signer
	Policy *tlog.Policy // that the copy's checkpoint must meet
	Source Source

	// TreeDir is the engine's directory.
	TreeDir string
	// OpenTree opens the engine in a directory, CreateTree makes an empty one.
	OpenTree   func(ctx context.Context, dir string) (Engine, error)
	CreateTree func(ctx context.Context, dir string) error
	// Salvage yields the entries from an index on that are left in a
	// directory, whatever its state, as far as they go. nil: there are none.
	Salvage func(dir string, from uint64) iter.Seq[[]byte]
	// InPlace is for an engine whose tree can't be put aside: it is completed,
	// or Recover fails. What Salvage yields is then what is stored beside it.
	InPlace bool

	// Progress, if not nil, is told how many of the entries have been checked
	// or copied.
	Progress func(done, total uint64)
	FS       durable.FS
}

// Recovered is what [Recover] did.
type Recovered struct {
	Size     uint64 // of the tree, at least that of the copy's checkpoint
	Added    uint64 // entries that came from the copy
	Salvaged uint64 // entries beyond the copy that came from the damaged tree
	Rebuilt  bool   // the tree was built anew
	Old      string // where the old tree was put, if it was of no use
}

// recovery is one call of Recover.
type recovery struct {
	RecoverConfig
	record   record
	caches   *stateDir
	head     *tlog.Checkpoint // recorded; nil: it is lost
	headTime uint64
	copy     *tlog.Checkpoint
}

// Recover brings back what a log lacks, from a copy whose checkpoint the log's
// key signed and a quorum of its witnesses cosigned. Every entry is checked
// against that checkpoint. A tree that is a part of the copy is completed; any
// other is put aside, and built anew. Entries beyond the copy that the old tree
// still has, as far as the rules let them follow, are kept: some of them were
// acknowledged. The log must not be running.
//
// Before the copy is known to be good and to have all that the log has signed
// for, nothing is changed. If Recover is cut off, it can be run again.
func Recover(ctx context.Context, cfg RecoverConfig) (_ *Recovered, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recovering the log: %w", err)
		}
	}()
	dir, err := openForRecovery(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	r := &recovery{RecoverConfig: cfg, record: record{cfg.State}, caches: dir}
	if cfg.State == nil {
		r.record.State = dir
	}
	if err := r.record.checkKeys(cfg.Keys); err != nil {
		return nil, err
	}
	if err := r.readCopy(ctx); err != nil {
		return nil, err
	}
	if err := r.readHead(ctx); err != nil {
		return nil, err
	}
	rec, err := r.completeTree(ctx)
	if err != nil {
		return nil, err
	}
	return rec, r.adopt(ctx)
}

// openForRecovery opens a state directory whose head may be lost.
func openForRecovery(cfg RecoverConfig) (*stateDir, error) {
	if cfg.State != nil {
		return openStateDir(cfg.StateDir, cfg.FS, true)
	}
	set, err := readSettings(filepath.Join(cfg.StateDir, "log.json"))
	if err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	s := &stateDir{dir: cfg.StateDir, fs: cfg.FS, lock: lock, settings: set}
	s.head, err = cfg.FS.OpenRegister(s.path("head"), tlog.MaxCheckpointSize)
	if errors.Is(err, durable.ErrMissing) || errors.Is(err, durable.ErrTooLarge) {
		return s, nil
	} else if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// readCopy reads the checkpoint of the copy.
func (r *recovery) readCopy(ctx context.Context) error {
	b, err := r.Source.ReadCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("reading the checkpoint of the copy: %w", err)
	}
	if r.copy, err = tlog.ParseCheckpoint(b); err != nil {
		return fmt.Errorf("the checkpoint of the copy: %w", err)
	}
	if origin := r.record.Settings().Origin; r.copy.Origin != origin {
		return fmt.Errorf("the copy is one of the log %q, and this is %q", r.copy.Origin, origin)
	}
	if _, err := r.Policy.Verify(r.copy, ""); err != nil {
		return fmt.Errorf("the checkpoint of the copy: %w", err)
	}
	return nil
}

// readHead reads the recorded head, and refuses a copy that conflicts with it. A
// head that is lost or damaged is replaced by the copy's; whether the log has
// signed a later one, its witnesses will say at the next start.
func (r *recovery) readHead(ctx context.Context) (err error) {
	r.head, r.headTime, err = r.record.head(ctx, verifiers(r.Keys))
	if errors.Is(err, errHeadDamaged) || errors.Is(err, durable.ErrMissing) {
		return nil
	} else if err != nil || r.head.Size > r.copy.Size {
		return err
	}
	root, err := provenRoot(ctx, prover.New(r.Source, 0), r.head.Size, &r.copy.Head)
	if err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	if root != r.head.Root {
		return fmt.Errorf("%w (the copy's root at size %d is another than the recorded one)", ErrForked, r.head.Size)
	}
	return nil
}

// completeTree makes the tree hold every entry of the copy, and those beyond it
// that are left. Nothing is written before all of it has been checked.
func (r *recovery) completeTree(ctx context.Context) (_ *Recovered, err error) {
	old, sound, err := r.openTree(ctx)
	if err != nil {
		return nil, err
	}
	engine := old
	closeOne := func(e *Engine) {
		if *e != nil {
			err = errors.Join(err, (*e).Close(ctx))
			*e = nil
		}
	}
	defer func() { closeOne(&engine); closeOne(&old) }()
	rec, from := &Recovered{Rebuilt: sound == nil}, &tiles.Frontier{}
	if rec.Rebuilt {
		engine = nil
	} else {
		old, from = nil, sound
	}
	tail, end, err := r.check(ctx, engine, from, old)
	if err != nil {
		return nil, err
	}
	fresh := r.TreeDir + ".new"
	if rec.Rebuilt {
		if err := errors.Join(os.RemoveAll(fresh), r.CreateTree(ctx, fresh)); err != nil {
			return nil, err
		}
		if engine, err = r.OpenTree(ctx, fresh); err != nil {
			return nil, err
		}
	}
	if rec.Size, err = r.write(ctx, engine, from, tail, end); err != nil {
		return nil, err
	}
	base := max(from.Size(), r.copy.Size)
	rec.Added, rec.Salvaged = base-from.Size(), rec.Size-base
	closeOne(&engine)
	closeOne(&old)
	if err == nil && rec.Rebuilt {
		rec.Old, err = r.swapTrees(fresh)
	}
	return rec, err
}

// openTree opens the present tree. It returns its verified right edge if it is
// sound, and a part of the copy or the other way round, and has no files beyond
// that, as it has when its state was rolled back; else it can at most be salvaged
// from.
func (r *recovery) openTree(ctx context.Context) (Engine, *tiles.Frontier, error) {
	engine, err := r.OpenTree(ctx, r.TreeDir)
	if err != nil {
		// What another try could mend must not cost the tree.
		if r.InPlace || errors.Is(err, durable.ErrLocked) || errors.Is(err, fs.ErrPermission) || ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, nil
	}
	size, root, err := engine.Tree(ctx)
	if err == nil {
		var f *tiles.Frontier
		f, err = (&tiles.Frontier{}).Extend(ctx, engine, size, r.progress(size+r.copy.Size, 0))
		if err == nil && f.Root() == root && r.related(ctx, engine, f) && (r.InPlace || !r.more(size)) {
			return engine, f, nil
		}
	}
	if ctx.Err() != nil {
		return nil, nil, errors.Join(ctx.Err(), engine.Close(ctx))
	}
	if r.InPlace {
		if err == nil {
			err = fmt.Errorf("%w (neither it nor the copy extends the other; make an empty tree, and name that)", ErrTreeConflict)
		}
		return nil, nil, errors.Join(err, engine.Close(ctx))
	}
	return engine, nil, nil
}

// more returns whether the directory of the tree has entries beyond its size.
func (r *recovery) more(size uint64) bool {
	if r.Salvage != nil {
		for range r.Salvage(r.TreeDir, size) {
			return true
		}
	}
	return false
}

// related returns whether one of the tree and the copy contains the other.
func (r *recovery) related(ctx context.Context, engine Engine, f *tiles.Frontier) bool {
	if f.Size() <= r.copy.Size {
		root, err := provenRoot(ctx, prover.New(r.Source, 0), f.Size(), &r.copy.Head)
		return err == nil && root == f.Root()
	}
	root, err := provenRoot(ctx, prover.New(engine, 0), r.copy.Size, &tlog.Head{Size: f.Size(), Root: f.Root()})
	return err == nil && root == r.copy.Root
}

// check checks the copy from the right edge of a sound tree on, and what is left
// beyond both. It returns that tail, and the tree that all of it makes, which has
// everything that the log has signed for.
func (r *recovery) check(ctx context.Context, engine Engine, from *tiles.Frontier, old Engine) (tail func() iter.Seq[[]byte], end *tiles.Frontier, err error) {
	base := from
	if from.Size() < r.copy.Size {
		if base, err = from.Extend(ctx, r.Source, r.copy.Size, r.progress(r.copy.Size, 0)); err != nil {
			return nil, nil, fmt.Errorf("checking the copy: %w", err)
		}
		if base.Root() != r.copy.Root {
			return nil, nil, errors.New("the entries of the copy do not have the root of its checkpoint")
		}
	}
	tail = func() iter.Seq[[]byte] { return r.tail(ctx, old, base.Size()) }
	end = base.Clone()
	signed := r.head == nil || r.head.Size < base.Size() || end.Root() == r.head.Root && end.Size() == r.head.Size
	var judge *tailJudge
	for entry := range tail() {
		if judge == nil {
			if judge, err = r.newTailJudge(ctx, engine, from, base); err != nil {
				return nil, nil, err
			}
		}
		if !judge.admits(entry) {
			break
		}
		if err := end.Append(tiles.LeafHash(entry), func(tlog.Tile, []byte) error { return nil }); err != nil {
			return nil, nil, err
		}
		if r.head != nil && end.Size() == r.head.Size {
			signed = end.Root() == r.head.Root
		}
	}
	if !signed {
		return nil, nil, fmt.Errorf("the copy has %d entries, this log has signed a head of %d, and the entries in between are not left in the tree; find a later copy",
			r.copy.Size, r.head.Size)
	}
	return tail, end, nil
}

// tailJudge says which entries the rules let follow those of a tree.
type tailJudge struct {
	pages  *pages
	ledger *ledger.Ledger
}

// newTailJudge reads all entries of base, the sound tree or that with the copy.
func (r *recovery) newTailJudge(ctx context.Context, engine Engine, from, base *tiles.Frontier) (*tailJudge, error) {
	reader := tiles.Reader(r.Source)
	if from.Size() >= r.copy.Size {
		reader = engine
	}
	t := &tree{frontier: base.Clone()}
	t.edge.Store(&edge{base.Size(), base.Root()})
	j := &tailJudge{pages: &pages{reader: reader, prover: prover.New(reader, 0), tree: t}}
	j.ledger = ledger.New(r.record.Settings().Origin, j.pages)
	o := &opened{ledger: j.ledger, deposits: make(map[uint64]*deposit)}
	if err := replay(ctx, o, reader, t.edge.Load()); err != nil {
		return nil, fmt.Errorf("reading what the entries mean: %w", err)
	}
	return j, nil
}

func (j *tailJudge) admits(entry []byte) bool {
	e := ledger.Read(j.ledger.Size(), entry)
	if v, err := j.ledger.Admit(e); v != nil || err != nil {
		return false
	}
	if _, err := j.ledger.Apply(e); err != nil {
		return false
	}
	j.pages.add(entry)
	return true
}

// tail yields the entries from an index on that the old tree still has.
func (r *recovery) tail(ctx context.Context, old Engine, from uint64) iter.Seq[[]byte] {
	if size := treeSize(ctx, old); size > from {
		return readEntries(ctx, old, from, size)
	}
	if r.Salvage != nil {
		return r.Salvage(r.TreeDir, from)
	}
	return func(func([]byte) bool) {}
}

func treeSize(ctx context.Context, e Engine) uint64 {
	if e == nil {
		return 0
	}
	size, _, err := e.Tree(ctx)
	if err != nil {
		return 0
	}
	return size
}

// readEntries yields entries of a tree, up to the first bundle that can't be
// read.
func readEntries(ctx context.Context, r tiles.Reader, from, size uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for from < size {
			entries, err := tiles.ReadBundle(ctx, r, from/tlog.TileWidth, size)
			if err != nil {
				return
			}
			for _, e := range entries[from%tlog.TileWidth:] {
				if !yield(e) {
					return
				}
				from++
			}
		}
	}
}

// write adds to the engine's tree of right edge from what the copy and the tail
// have, and checks that it then is end.
func (r *recovery) write(ctx context.Context, engine Engine, from *tiles.Frontier, tail func() iter.Seq[[]byte], end *tiles.Frontier) (size uint64, err error) {
	w := &batchWriter{engine: engine, next: from.Size()}
	if from.Size() < r.copy.Size {
		progress := r.progress(r.copy.Size, 0)
		_, err := from.Extend(ctx, r.Source, r.copy.Size, func(i uint64, entry []byte, leaf tiles.Hash) error {
			return errors.Join(w.add(ctx, entry), progress(i, entry, leaf))
		})
		if err != nil {
			return 0, fmt.Errorf("copying entries: %w", err)
		}
	}
	for entry := range tail() {
		if w.size() == end.Size() {
			break
		}
		if err := w.add(ctx, entry); err != nil {
			return 0, fmt.Errorf("copying entries: %w", err)
		}
	}
	if err := w.flush(ctx); err != nil {
		return 0, fmt.Errorf("copying entries: %w", err)
	}
	size, _, err = engine.Tree(ctx)
	if err != nil {
		return 0, err
	}
	if size != end.Size() {
		return 0, fmt.Errorf("after copying, the tree has %d entries, and it should have %d", size, end.Size())
	}
	// Every tile and bundle, as they are now.
	got, err := from.Extend(ctx, engine, size, nil)
	if err != nil {
		return 0, fmt.Errorf("reading what was copied: %w", err)
	}
	if got.Root() != end.Root() {
		return 0, fmt.Errorf("after copying, the tree has the root %x, and it should have %x", got.Root(), end.Root())
	}
	return size, nil
}

// batchWriter adds entries to an engine in batches. Like the sequencer it ends one with
// each charter: the next head to publish may be the one that ends with it.
type batchWriter struct {
	engine Engine
	next   uint64
	batch  [][]byte
}

func (w *batchWriter) size() uint64 { return w.next + uint64(len(w.batch)) }

func (w *batchWriter) add(ctx context.Context, entry []byte) error {
	w.batch = append(w.batch, append([]byte(nil), entry...))
	if len(w.batch) < DefaultMaxBatch && !isCharter(entry) {
		return nil
	}
	return w.flush(ctx)
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
	w.next += uint64(len(w.batch))
	w.batch = nil
	return err
}

func (r *recovery) progress(total, offset uint64) func(uint64, []byte, tiles.Hash) error {
	return func(i uint64, _ []byte, _ tiles.Hash) error {
		if r.Progress != nil && (i%tlog.TileWidth == tlog.TileWidth-1 || i+offset+1 == total) {
			r.Progress(i+offset+1, total)
		}
		return nil
	}
}

// swapTrees puts the rebuilt tree in place, and returns where the old one went.
// Between the two steps there is none, and Recover can be run again.
func (r *recovery) swapTrees(fresh string) (old string, err error) {
	// What the closed engine may still be doing can make the directory anew.
	for try := range 5 {
		aside := fmt.Sprintf("%s.old-%s-%d", r.TreeDir, time.Now().UTC().Format("20060102T150405.000Z"), try)
		if err := os.Rename(r.TreeDir, aside); err == nil && old == "" {
			old = aside
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return old, fmt.Errorf("putting the old tree aside: %w", err)
		}
		if err = os.Rename(fresh, r.TreeDir); err == nil {
			// Of a directory that is there, this makes the name durable.
			return old, r.FS.MkdirAll(r.TreeDir, 0o755)
		} else if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return old, fmt.Errorf("putting the new tree in place: %w; run this again", err)
}
