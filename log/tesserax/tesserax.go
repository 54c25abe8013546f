// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package tesserax is the log's default engine: Tessera's POSIX storage, one
// directory of files on one machine. The x in its name marks a heavy dependency, which
// no other package may link.
//
// The package uses Tessera as a store only and gives it no key: after a restore from a
// backup, or without its state directory, Tessera would sign a fork without an error.
// Tessera's own checkpoint, which it makes once, has a signature of 64 zero bytes and is
// never served. The engine doesn't know whether its tree is the right one. The log's
// publisher checks that.
//
// A batch of up to 1 MiB is one synced record of a journal, .state/journal, and the engine keeps its
// tiles in memory. Tessera gets many batches at once ([Engine.Show]), since each call costs it a dozen
// files. The engine compares the files that Tessera builds upon, and those that it wrote, with its own
// tiles; then it drops these and the records. A start replays the journal, and the next Show gives
// Tessera its entries as usual. A tree of an earlier version has no journal.
//
// Tessera panics, and ends the process, if it can't open its lock file. So the engine
// opens that file itself before each write, and gives Tessera nothing to write if the
// directory is gone or read-only.
//
// A file keeps some room of the disk ([Engine.Writable]), which [Engine.UseReserve] frees
// when the disk is full.
//
// BUG(tesserax): an earlier version does not read the journal. It lacks the entries that were not
// published when the log stopped.
//
// BUG(tesserax): between the engine's own attempt and Tessera's, the process can run out of
// file descriptors, and then Tessera panics. Acknowledged entries stay durable.
package tesserax

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/tlog"
)

// Engine is a [log.Engine] over a directory.
type Engine struct {
	dir      string
	appender *tessera.Appender
	reader   tessera.LogReader
	lock     *durable.Lock
	cancel   context.CancelFunc // of Tessera
	closing  sync.Once

	moving sync.Mutex // held while Tessera may write; taken before adding
	// untidy: files beyond the right edge may exist. Set with moving held.
	untidy atomic.Bool
	// used: the caller has added entries or shown a tree, so this is the right one. Until then
	// Salvage may need the files beyond its edge. Guarded by moving.
	used bool
	// doubt: Tessera's state may be readable but not durable, since writing it
	// failed or its last owner crashed. Guarded by moving.
	doubt bool

	adding  sync.Mutex       // held while the journal changes; taken before mu
	journal *durable.Journal // guarded by adding
	tree    *chain.Tree      // with the staged entries; nil: not read yet. Guarded by adding
	lost    atomic.Bool      // the journal must be replayed: it may have more than the tree. Set with adding held

	mu     sync.RWMutex
	stage  stage
	damage error // a file of Tessera is wrong or unreadable; nil once a later move finds all right
	stuck  error // why the last move failed
}

var (
	_ log.Engine  = (*Engine)(nil)
	_ log.Reserve = (*Engine)(nil)
)

const (
	// batchAge is how long Tessera's queue waits for the rest of a batch. If handing a
	// batch over (1 µs for an entry) takes more than half of that, it is written in two
	// steps.
	batchAge = 20 * time.Millisecond
	// never is the interval of Tessera's housekeeping, which would go on for a moment
	// after Close, and does not say when it has ended. [Engine.sweep] does its work.
	never = math.MaxInt64
)

// state is Tessera's state file. Without it, Tessera starts a new log. lockFile is the
// file that it locks for each write.
const (
	state    = ".state/treeState"
	lockFile = ".state/treeState.lock"
)

// ballast keeps room for what must be logged on a full disk: each such event needs some
// ten kilobytes, in tiles, bundles and the log's own state.
const (
	ballast     = ".state/ballast"
	ballastSize = 8 << 20
)

// ErrMissing: a directory holds no tree. That of a log was deleted, so the error is
// never a reason to start an empty tree.
var ErrMissing = fmt.Errorf("%w; the tree's state is %w", log.ErrTreeBehind, durable.Like(fs.ErrNotExist, "missing"))

// Create makes an empty tree in dir, which must not hold one.
func Create(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, state)); err == nil {
		return durable.Like(fs.ErrExist, "%s has a tree already; nothing was changed", dir)
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating a tree: %w", err)
	}
	e, err := open(ctx, dir)
	if err != nil {
		return err
	}
	return e.Close(ctx)
}

// Open opens the tree in dir for one writer.
func Open(ctx context.Context, dir string) (*Engine, error) {
	if _, err := os.Stat(filepath.Join(dir, state)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the tree in %s: %w", dir, ErrMissing)
	} else if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	return open(ctx, dir)
}

func open(ctx context.Context, dir string) (*Engine, error) {
	// Tessera's own lock allows a second instance in one process.
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	if err := durable.RemoveTemps(filepath.Dir(filepath.Join(dir, state))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("opening the tree: %w", err), lock.Close())
	}
	if err = tryLock(dir); err == nil {
		err = durable.Probe(filepath.Join(dir, filepath.Dir(lockFile)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the tree: %w", err), lock.Close())
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the tree in %s: %w", dir, err), lock.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	appender, _, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(noKey{}).
		WithCheckpointInterval(never).
		WithCheckpointRepublishInterval(never).
		WithGarbageCollectionInterval(0). // none
		WithBatching(mostEntries+1, batchAge))
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("opening the tree in %s: %w", dir, err), lock.Close())
	}
	e := &Engine{dir: dir, appender: appender, reader: reader, lock: lock, cancel: cancel, doubt: true}
	e.untidy.Store(true)
	e.lost.Store(true)
	e.moving.Lock()
	err = e.settle(ctx)
	e.moving.Unlock()
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("opening the tree in %s: %w", dir, err), lock.Close())
	}
	return e, nil
}

// Writable implements log.Reserve: it makes the ballast again if that was used, and
// returns why the directory can't be written to.
func (e *Engine) Writable(ctx context.Context) error {
	if _, _, stuck := e.now(); stuck != nil {
		if err := e.move(ctx); err != nil {
			return err
		}
	}
	if err := removeLitter(filepath.Join(e.dir, filepath.Dir(state))); err != nil {
		return err
	}
	name := filepath.Join(e.dir, ballast)
	if info, err := os.Stat(name); err != nil || info.Size() != ballastSize {
		return durable.WriteFile(name, make([]byte, ballastSize), 0o644)
	}
	return durable.Probe(filepath.Dir(name))
}

// UseReserve implements log.Reserve.
func (e *Engine) UseReserve() error {
	err := os.Remove(filepath.Join(e.dir, ballast))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// noKey makes zero signatures, under a name that can't exist.
type noKey struct{}

func (noKey) Name() string                { return "unsigned.invalid" }
func (noKey) KeyHash() uint32             { return 0 }
func (noKey) Sign([]byte) ([]byte, error) { return make([]byte, 64), nil }

// Add implements [log.Engine]. The entries are durable in the journal, and Tessera gets them later.
// Add goes on when ctx ends.
func (e *Engine) Add(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, errors.New("adding no entries")
	}
	if err := e.ready(ctx); err != nil {
		return 0, err
	}
	if e.untidy.Load() {
		e.moving.Lock()
		e.used = true
		err := e.tidy(ctx)
		e.moving.Unlock()
		if err != nil {
			return 0, err
		}
	}
	for i, part := range slices.Collect(cut(entries)) {
		if s, _, _ := e.now(); s.crowded(len(part)) {
			if err := e.move(ctx); err != nil {
				return 0, err
			}
		}
		at, err := e.put(ctx, part)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			first = at
		}
	}
	return first, nil
}

// Wait implements [log.Engine]. It does nothing, since Add returns only once the entries can be read.
func (e *Engine) Wait(context.Context, uint64) error { return nil }

// Tree implements [log.Engine].
func (e *Engine) Tree(ctx context.Context) (size uint64, root [32]byte, err error) {
	if err := e.ready(ctx); err != nil {
		return 0, root, err
	}
	if s, _, _ := e.now(); s.entries() > 0 {
		return s.edge.Size, s.edge.Root, nil
	}
	if size, err = e.reader.IntegratedSize(ctx); err != nil {
		return 0, root, fmt.Errorf("reading the size of the tree: %w", err)
	}
	if root, err = prover.New(e, 0).Root(ctx, size, size); err != nil {
		return 0, root, fmt.Errorf("reading the right edge of the tree: %w", err)
	}
	return size, root, nil
}

// Show implements [log.Engine].
func (e *Engine) Show(ctx context.Context, size uint64) error {
	e.moving.Lock()
	e.used = true
	e.moving.Unlock()
	if err := e.move(ctx); err != nil {
		return err
	}
	e.moving.Lock()
	defer e.moving.Unlock()
	s, _, _ := e.now()
	return e.makeEdge(ctx, size, s.moved)
}

// ready returns why the tree is not known, or which of Tessera's files is wrong. It first replays a
// lost journal, and repeats a move that found damage.
func (e *Engine) ready(ctx context.Context) error {
	if e.lost.Load() {
		e.moving.Lock()
		err := e.settle(ctx)
		e.moving.Unlock()
		if err != nil {
			return err
		}
	}
	if _, damage, _ := e.now(); damage != nil {
		e.move(ctx)
		_, damage, _ = e.now()
		return damage
	}
	return nil
}

// ReadTile implements [log.Engine].
func (e *Engine) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	key := t
	key.Width = 0
	e.mu.RLock()
	b, moved, size := e.stage.tiles[key], e.stage.moved, e.stage.edge.Size
	e.mu.RUnlock()
	if b == nil {
		return files{e.reader, moved}.ReadTile(ctx, t)
	}
	if t.Width > widthOf(t, size) {
		return nil, fmt.Errorf("%s: %w", t.Path(), fs.ErrNotExist)
	}
	return t.Cut(b)
}

// Close implements [log.Engine]. It moves nothing, since Tessera goes on for a moment after a move and
// does not say when it has ended. Entries that were not moved stay in the journal.
func (e *Engine) Close(context.Context) (err error) {
	e.closing.Do(func() {
		e.cancel()
		e.adding.Lock()
		defer e.adding.Unlock()
		e.lost.Store(true)
		e.journal.Close()
		err = e.lock.Close()
	})
	return err
}

// Salvage yields the entries in a tree's directory, in any state, from an index up to
// the first gap: first those in files, then those in the journal. It verifies nothing.
func Salvage(dir string, from uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for entry := range salvageFiles(dir, from) {
			if !yield(entry) {
				return
			}
			from++
		}
		salvageJournal(dir, from, yield)
	}
}

// salvageFiles yields the entries in the files of the tree.
func salvageFiles(dir string, from uint64) iter.Seq[[]byte] {
	return tiles.Entries(from, func(n uint64) [][]byte {
		width := widest(dir, n)
		if width == 0 {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, tlog.Tile{Level: tlog.Entries, Index: n, Width: width}.Path()))
		if err != nil {
			return nil
		}
		entries, _ := tlog.ParseBundle(b, width)
		return entries
	})
}
