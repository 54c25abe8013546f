// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package trillianx is the engine of a log that outgrows one machine. The entries are
// leaves of a Trillian tree in a SQL database. Readers get tiles from a directory or a
// bucket and never reach the database. The x in its name marks a heavy dependency,
// which no other package may link.
//
// The tree is a PREORDERED_LOG: the engine, its only writer, gives each leaf its
// index, so the order of admission is the order of the log. Trillian's servers store
// the leaves, and its signer integrates them. The engine then checks that the root that
// Trillian states is the root of these leaves, and writes entry bundles and tiles
// durably. Only then do [Engine.Wait] and [Engine.Tree] return.
//
// Trillian is not trusted. A root other than that of the leaves, a tree that shrinks or
// doesn't extend the one before: each is an error, on which the engine writes nothing.
// (Despite its name, Trillian's signed root has no signature.) The engine reads the
// leaves' values back later, at most 512 a second, and takes no entry while more than
// [Config.MaxUnread] are unread. A missing or changed leaf is an error of each call of
// [Engine.Add] and [Engine.Tree] until the leaf is right. Leaves that this process did
// not write are read before their tiles are written. As with any engine, the log's
// publisher checks that the tree is the right one.
//
// Two writers can't own one index: the database takes the first leaf, and the second
// writer gets [ErrContested]. Each leaf carries a mark of the process that wrote it, so
// after an unknown outcome (a time-out, a lost connection) the engine can tell its own
// leaves from another's. It sends the same leaves to the same indices until it gets an
// answer, which resolves the outcome. It reads the leaves back unless the tree's root is
// that of its own leaves. The engine sends a leaf only once all leaves below it are stored,
// and are the engine's own or known to its caller.
//
// The engine keeps no state of its own. After a restart it continues from the tiles.
// It makes lost tiles again from Trillian's leaves, and the log checks them against its
// recorded head.
//
// BUG(trillianx): if the database loses a batch that it has stored, the next batch can be stored
// beyond the gap. The engine can't see the loss: Trillian returns no leaf that is not in the tree.
package trillianx

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config describes an engine.
type Config struct {
	// Addr is the host:port of a log server, or of several, separated by commas.
	// All must share one database. None may read from a replica that lags behind,
	// since its tree would seem to shrink.
	Addr string
	// Tree is the number of a tree of type PREORDERED_LOG.
	Tree int64
	// TLS, if not nil, secures the connections. Without it, the network must be the
	// operator's own.
	TLS *tls.Config
	// Tiles stores the tiles.
	Tiles Tiles

	// Timeout bounds one call of Trillian or of Tiles. 0: 10 s.
	Timeout time.Duration
	// Patience bounds how long Add waits for an unknown outcome, and Wait for Trillian's
	// signer. 0: 20 s.
	Patience time.Duration
	// MaxUnread bounds how many of the newest entries may have values in Trillian that
	// were not read back. One batch may be longer. 0: 262,144.
	MaxUnread int
	// CacheBytes bounds the tiles in memory. 0: 64 MiB.
	CacheBytes int
	// Progress, if not nil, is called while Open makes missing tiles, with the
	// number of entries that have their tiles and the number of all entries.
	Progress func(done, total uint64)
	// Logger gets messages for the operator. nil: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Patience = cmp.Or(c.Patience, 20*time.Second)
	c.MaxUnread = cmp.Or(c.MaxUnread, 1<<18)
	c.CacheBytes = cmp.Or(c.CacheBytes, 64<<20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c *Config) check() error {
	switch {
	case c.Addr == "":
		return errors.New("the address of a Trillian log server is missing")
	case c.Tree <= 0:
		return fmt.Errorf("%d is not the number of a tree", c.Tree)
	case c.Tiles == nil:
		return errors.New("the place for tiles is missing")
	case c.Timeout < 0 || c.Patience < 0 || c.MaxUnread < 0 || c.CacheBytes < 0:
		return errors.New("a limit or a duration is negative")
	}
	return nil
}

// ErrMissing: Trillian has no such tree, or the tree is not initialized. The log's
// database was lost, so the error is never a reason to start an empty tree.
var ErrMissing = fmt.Errorf("%w; Trillian has no such tree", log.ErrTreeBehind)

// ErrContested: another writer's leaf has the index of one of this engine's leaves.
var ErrContested = errors.New("another program writes to this tree in Trillian; one log must have one writer")

// Engine is a [log.Engine] over a tree in Trillian.
type Engine struct {
	cfg    Config
	conn   *grpc.ClientConn
	client trillian.TrillianLogClient
	cache  *cache
	writer [16]byte // the mark of this process in its leaves

	written atomic.Pointer[tiles.Frontier] // edge.frontier, for readers
	unread  unread

	adding  sync.Mutex // held by Add and Tree; taken before mu
	pending pending
	mu      sync.Mutex    // held while the tree may change
	edge    edge          // of the tree that is read, checked and written; guarded by mu
	swept   chan struct{} // closed when the last sweep has ended; guarded by mu
}

var _ log.Engine = (*Engine)(nil)

// NewTree makes an empty tree in Trillian for [Open] and returns its number. It uses
// cfg.Addr and cfg.TLS.
func NewTree(ctx context.Context, cfg Config) (tree int64, err error) {
	cfg = cfg.withDefaults()
	conn, err := dial(cfg)
	if err == nil {
		tree, err = newTree(ctx, cfg, conn)
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return 0, fmt.Errorf("making a tree in Trillian: %w", err)
	}
	return tree, nil
}

// Open opens the tree for one writer. It makes missing tiles, which may take long. ctx
// bounds only the opening.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("opening the tree in Trillian: %w", err)
	}
	conn, err := dial(cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the tree in Trillian: %w", err)
	}
	e := &Engine{cfg: cfg, conn: conn, client: trillian.NewTrillianLogClient(conn), cache: newCache(cfg.CacheBytes)}
	_, _ = rand.Read(e.writer[:]) // never fails
	if err := e.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the tree %d in Trillian: %w", cfg.Tree, err), conn.Close())
	}
	return e, nil
}

// load finds the right edge in the tiles and follows the tree from there.
func (e *Engine) load(ctx context.Context) error {
	if err := e.checkTree(ctx); err != nil {
		return err
	}
	h, err := e.head(ctx)
	if err != nil {
		return err
	}
	f, err := e.lastFull(ctx, h.size)
	if err != nil {
		return err
	}
	e.edge = edge{frontier: f}
	if err := e.follow(ctx, h); err != nil {
		return err
	}
	// The last process may have crashed before it wrote these.
	bundles, hashes := e.edge.partial()
	if err := errors.Join(e.write(ctx, bundles), e.write(ctx, hashes)); err != nil {
		return err
	}
	e.setEdge(e.edge)
	e.pending.reset(h.size)
	e.readBehind()
	return nil
}

// Tree implements [log.Engine]. It first waits until the tree has all stored entries.
func (e *Engine) Tree(ctx context.Context) (size uint64, root [32]byte, err error) {
	e.adding.Lock()
	defer e.adding.Unlock()
	if err := e.resolve(ctx); err != nil && !errors.Is(err, ErrContested) {
		return 0, root, err
	}
	_, unread, err := e.reach(ctx, math.MaxUint64)
	if err = errors.Join(unread, err); err == nil {
		err = e.keepUp(ctx, 0)
	}
	if err != nil {
		return 0, root, err
	}
	f := e.written.Load()
	e.pending.reset(f.Size())
	return f.Size(), f.Root(), nil
}

// Show implements [log.Engine]. If Trillian integrated several batches at once, Show stores the
// partial tiles of a size between them.
func (e *Engine) Show(ctx context.Context, size uint64) error {
	edge := tiles.Edge(size)
	if w := int(size % tlog.TileWidth); w > 0 {
		edge = append(edge, tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w})
	}
	for _, t := range edge {
		if tiles.Width(max(t.Level, 0), t.Index, e.written.Load().Size()) == tlog.TileWidth {
			continue // readers cut t out of the full one
		}
		_, err := e.cfg.Tiles.Get(ctx, t.Path())
		if errors.Is(err, fs.ErrNotExist) {
			var b []byte
			if b, err = e.ReadTile(ctx, t); err == nil {
				err = e.write(ctx, []tileBytes{{t, b}})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close implements [log.Engine].
func (e *Engine) Close(context.Context) error {
	e.adding.Lock()
	defer e.adding.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unread.stop()
	if e.swept != nil {
		<-e.swept
	}
	return e.conn.Close()
}
