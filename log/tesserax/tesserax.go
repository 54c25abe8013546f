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
// Tessera panics, and ends the process, if it can't open its lock file. So the engine
// opens that file itself before each write, and gives Tessera nothing to write if the
// directory is gone or read-only.
//
// A file keeps some room of the disk ([Engine.Writable]), which [Engine.UseReserve] frees
// when the disk is full.
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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// Engine is a [log.Engine] over a directory.
type Engine struct {
	dir      string
	appender *tessera.Appender
	reader   tessera.LogReader
	lock     *durable.Lock
	cancel   context.CancelFunc

	adding sync.Mutex // held while Tessera may write
	untidy bool       // files beyond the right edge may exist; guarded by adding
	// doubt: Tessera's state may be readable but not durable, since writing it
	// failed or its last owner crashed. Set with adding held.
	doubt atomic.Bool
}

var (
	_ log.Engine  = (*Engine)(nil)
	_ log.Reserve = (*Engine)(nil)
)

const (
	// batchAge is how long Tessera's queue waits for the rest of a batch. If Add
	// needs more than half of that to hand a batch over (1 µs for an entry), it
	// writes the batch in two steps.
	batchAge = 3 * time.Millisecond
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
	e, err := open(ctx, dir, 1)
	if err != nil {
		return err
	}
	return e.Close(ctx)
}

// Open opens the tree in dir for one writer. maxBatch is the greatest number of
// entries in one Add; a batch of that size is written without waiting.
func Open(ctx context.Context, dir string, maxBatch int) (*Engine, error) {
	if _, err := os.Stat(filepath.Join(dir, state)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the tree in %s: %w", dir, ErrMissing)
	} else if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	return open(ctx, dir, maxBatch)
}

func open(ctx context.Context, dir string, maxBatch int) (*Engine, error) {
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
		WithBatching(uint(maxBatch), batchAge))
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("opening the tree in %s: %w", dir, err), lock.Close())
	}
	e := &Engine{dir: dir, appender: appender, reader: reader, lock: lock, cancel: cancel, untidy: true}
	e.doubt.Store(true)
	return e, nil
}

// tryLock opens Tessera's lock file as Tessera will, which panics if it can't.
func tryLock(dir string) error {
	name := filepath.Join(dir, lockFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// Writable implements log.Reserve: it makes the ballast again if that was used, and
// returns why the directory can't be written to.
func (e *Engine) Writable(context.Context) error {
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

// removeLitter removes the temporary files that Tessera leaves in its state directory when
// a write fails, as on a full disk.
func removeLitter(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name, number := strings.CutPrefix(f.Name(), "treeState")
		if _, err := strconv.ParseUint(name, 10, 32); !number || err != nil {
			continue
		}
		// Tessera may be about to rename one that is younger.
		if info, err := f.Info(); err != nil || time.Since(info.ModTime()) < 2*time.Second {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// noKey makes zero signatures, under a name that can't exist.
type noKey struct{}

func (noKey) Name() string                { return "unsigned.invalid" }
func (noKey) KeyHash() uint32             { return 0 }
func (noKey) Sign([]byte) ([]byte, error) { return make([]byte, 64), nil }

// Add implements [log.Engine]. Like Tessera, it goes on when ctx ends.
func (e *Engine) Add(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, errors.New("adding no entries")
	}
	e.adding.Lock()
	defer e.adding.Unlock()
	if err := tryLock(e.dir); err != nil {
		return 0, fmt.Errorf("writing to the tree: %w", err)
	}
	if err := e.persistState(); err != nil {
		return 0, err
	}
	if err := e.tidy(ctx); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			e.doubt.Store(true)
			e.untidy = true
		}
	}()
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
				return 0, fmt.Errorf("adding entries to the tree: %w", err)
			}
			began = time.Now()
		}
		futures[i] = e.appender.Add(context.WithoutCancel(ctx), entry)
	}
	var errs error
	for i, f := range futures {
		index, err := f()
		switch {
		case err != nil:
			if errs == nil { // the later errors are the same
				errs = fmt.Errorf("adding entries to the tree: %w", err)
			}
		case i == 0:
			first = index.Index
		case errs == nil && index.Index != first+uint64(i):
			errs = fmt.Errorf("adding entries to the tree: entry %d of the batch is at index %d, and the first is at %d", i, index.Index, first)
		}
	}
	if errs == nil {
		e.sweep(first, first+uint64(len(entries)))
	}
	return first, errs
}

// sweep removes the partial tiles that a batch has filled: readers cut the full ones. What
// can't be removed is found by the next sweep, as is what a crash has left. adding must be held.
func (e *Engine) sweep(from, to uint64) {
	partials := func(level int, index uint64) string {
		return filepath.Join(e.dir, tlog.Tile{Level: level, Index: index, Width: tlog.TileWidth}.Path()+".p")
	}
	n := from / tlog.TileWidth
	for ; n > 0; n-- {
		if _, err := os.Stat(partials(tlog.Entries, n-1)); err != nil {
			break
		}
	}
	for ; n < to/tlog.TileWidth; n++ {
		last := n
		for level := 0; ; level++ {
			os.RemoveAll(partials(level, last))
			if last%tlog.TileWidth != tlog.TileWidth-1 {
				break
			}
			last /= tlog.TileWidth
		}
		os.RemoveAll(partials(tlog.Entries, n)) // last: it tells that others may be left
	}
}

// tidy removes the files of a failed batch beyond the right edge, so that [Salvage]
// never returns entries that were not added. It also makes missing partial tiles of
// the right edge: if only a full tile is left there, because the state was rolled
// back, Tessera would append to it as it is. adding must be held.
func (e *Engine) tidy(ctx context.Context) error {
	if !e.untidy {
		return nil
	}
	size, err := e.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("reading the size of the tree: %w", err)
	}
	bundle := tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}
	edge := tiles.Edge(size)
	if bundle.Width > 0 {
		edge = append(edge, bundle)
	}
	for _, t := range edge {
		if err := e.makePartial(ctx, t); err != nil {
			return fmt.Errorf("repairing the right edge of the tree: %w", err)
		}
	}
	if err := removeBeyond(e.dir, bundle); err != nil {
		return fmt.Errorf("tidying the right edge of the tree: %w", err)
	}
	e.untidy = false
	return nil
}

func (e *Engine) makePartial(ctx context.Context, t tlog.Tile) error {
	name := filepath.Join(e.dir, t.Path())
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := e.ReadTile(ctx, t)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(name, b, 0o644)
}

// persistState makes the readable state durable. It writes a new file, since a second
// fsync of the old one could succeed without effect. adding must be held.
func (e *Engine) persistState() error {
	if !e.doubt.Load() {
		return nil
	}
	name := filepath.Join(e.dir, state)
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the state of the tree: %w", err)
	}
	if err := durable.WriteFile(name, b, 0o644); err != nil {
		return fmt.Errorf("making the state of the tree durable: %w", err)
	}
	e.doubt.Store(false)
	return nil
}

// Tree implements [log.Engine].
func (e *Engine) Tree(ctx context.Context) (size uint64, root [32]byte, err error) {
	if e.doubt.Load() {
		e.adding.Lock()
		err := e.persistState()
		e.adding.Unlock()
		if err != nil {
			return 0, root, err
		}
	}
	if size, err = e.reader.IntegratedSize(ctx); err != nil {
		return 0, root, fmt.Errorf("reading the size of the tree: %w", err)
	}
	if root, err = prover.New(e, 0).Root(ctx, size, size); err != nil {
		return 0, root, fmt.Errorf("reading the right edge of the tree: %w", err)
	}
	return size, root, nil
}

// ReadTile implements [log.Engine].
func (e *Engine) ReadTile(ctx context.Context, t tlog.Tile) (b []byte, err error) {
	width := uint8(t.Width % tlog.TileWidth) // 0 means full
	if t.Level == tlog.Entries {
		b, err = e.reader.ReadEntryBundle(ctx, t.Index, width)
	} else {
		b, err = e.reader.ReadTile(ctx, uint64(t.Level), t.Index, width)
	}
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// Close implements [log.Engine].
func (e *Engine) Close(context.Context) error {
	e.cancel()
	return e.lock.Close()
}

// Salvage yields the entries in a tree's directory, in any state, from an index up to
// the first gap. It reads the files unverified.
func Salvage(dir string, from uint64) iter.Seq[[]byte] {
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

// widest returns the width of the widest file of the bundle with index n, 0 if no
// file exists.
func widest(dir string, n uint64) (width int) {
	full := tlog.Tile{Level: tlog.Entries, Index: n, Width: tlog.TileWidth}
	if _, err := os.Stat(filepath.Join(dir, full.Path())); err == nil {
		return tlog.TileWidth
	}
	files, err := os.ReadDir(filepath.Join(dir, full.Path()+".p"))
	if err != nil {
		return 0
	}
	for _, f := range files {
		width = max(width, partialWidth(f.Name()))
	}
	return width
}

// partialWidth returns the width in the name of a partial tile, 0 for another name.
func partialWidth(name string) int {
	w, err := strconv.Atoi(name)
	if err != nil || w < 1 || w >= tlog.TileWidth || strconv.Itoa(w) != name {
		return 0
	}
	return w
}

// removeBeyond removes the files of the bundle t that are wider than t, and all
// bundles after it. It removes the last first, so that an interrupted removal can be
// repeated.
func removeBeyond(dir string, t tlog.Tile) error {
	last := t.Index
	for widest(dir, last+1) > 0 {
		last++
	}
	for n := last; n > t.Index; n-- {
		if err := removeWider(dir, tlog.Tile{Level: tlog.Entries, Index: n}); err != nil {
			return err
		}
	}
	return removeWider(dir, t)
}

// removeWider removes the files of a bundle that have more entries than t.Width.
func removeWider(dir string, t tlog.Tile) error {
	full := t
	full.Width = tlog.TileWidth
	name := filepath.Join(dir, full.Path())
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := os.ReadDir(name + ".p")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, f := range files {
		if partialWidth(f.Name()) > t.Width {
			if err := os.Remove(filepath.Join(name+".p", f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
