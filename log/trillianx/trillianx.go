// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package trillianx is the engine of a log that outgrows one machine: the entries
// are leaves of a Trillian tree, in a SQL database, and readers are served tiles
// out of a directory or a bucket, so that they never touch the database. The x
// says that it links a heavy dependency, which nothing else may.
//
// The tree is a PREORDERED_LOG: the one writer, this engine, gives each leaf its
// index, so that the order of admission is the order of the log. Trillian's
// servers store the leaves, and its signer integrates them. The engine then reads
// the leaves back by their range, hashes them, checks that the tree that this
// makes has the root that Trillian states, and writes entry bundles and tiles
// durably. Only then does [Engine.Tree] tell of them.
//
// Trillian is trusted with nothing. A leaf that is missing or was changed, a root
// that is another than that of the leaves, a tree that shrank or that does not
// extend what was read before: each is an error that says so, nothing is written,
// and what was written stays. (Nothing is signed in what Trillian calls its signed
// root.) That it is the right tree, the log's publisher finds out by itself, as
// with any engine.
//
// Two writers can't own one index: the database admits the first, and the second
// gets [ErrContested]. Each leaf carries a mark of the process that wrote it, so
// that after an unknown outcome (a time-out, a lost connection) the engine can
// tell its own leaves from another's. It then sends the same leaves to the same
// indices until it gets an answer, which makes the outcome known whichever request
// came first, and reads back what is there.
//
// It keeps no state of its own. After a restart it goes on from the tiles; those
// that are lost are made again from Trillian's leaves, and the log checks them
// against its recorded head.
package trillianx

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
)

// Config says where Trillian and the tiles are.
type Config struct {
	// Addr is the host:port of a log server, or of several, separated by
	// commas. All must share one database; none may read from a replica that
	// lags behind, which would look like a tree that shrank.
	Addr string
	// Tree is the number of a tree of type PREORDERED_LOG.
	Tree int64
	// TLS, if not nil, secures the connections. Without it they are not, and
	// the network between must be the operator's own.
	TLS *tls.Config
	// Tiles is where tiles go.
	Tiles Tiles

	// Timeout is how long one call of Trillian or of Tiles may take. 0: 10 s.
	Timeout time.Duration
	// Patience is how long Add waits for an outcome that is unknown, or for
	// Trillian's signer, before it returns an error. 0: 20 s.
	Patience time.Duration
	// CacheBytes is how much of the tiles is kept in memory. 0: 64 MiB.
	CacheBytes int
	// Progress, if not nil, is told while Open makes tiles that are missing:
	// how many entries have their tiles, of how many.
	Progress func(done, total uint64)
	// Logger gets what the operator should know. nil: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Patience = cmp.Or(c.Patience, 20*time.Second)
	c.CacheBytes = cmp.Or(c.CacheBytes, 64<<20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c *Config) check() error {
	switch {
	case c.Addr == "":
		return errors.New("it needs the address of a log server of Trillian")
	case c.Tree <= 0:
		return fmt.Errorf("%d is not the number of a tree", c.Tree)
	case c.Tiles == nil:
		return errors.New("it needs a place for its tiles")
	case c.Timeout < 0 || c.Patience < 0 || c.CacheBytes < 0:
		return errors.New("a limit or a duration is negative")
	}
	return nil
}

// ErrMissing says that there is no such tree, or none that was begun. It is what
// is left of a log whose database was lost, and never a reason to begin a new one.
var ErrMissing = fmt.Errorf("%w; Trillian has no such tree", log.ErrTreeBehind)

// ErrContested says that another writer's leaf has the index that this engine gave
// to one of its own.
var ErrContested = errors.New("another program writes to this tree in Trillian; one log must have one writer")

// Engine is a [log.Engine] over a tree in Trillian.
type Engine struct {
	cfg    Config
	conn   *grpc.ClientConn
	client trillian.TrillianLogClient
	cache  *cache
	writer [16]byte // the mark of this process in its leaves

	written atomic.Pointer[tiles.Frontier] // that of edge, for readers

	mu      sync.Mutex    // held while the tree may change
	edge    edge          // of what was read, checked and written; guarded by mu
	pending *pending      // leaves whose outcome is unknown; guarded by mu
	swept   chan struct{} // closed when the last sweep has ended; guarded by mu
}

var _ log.Engine = (*Engine)(nil)

// NewTree makes a tree in Trillian, empty and ready for [Open], and returns its
// number. It uses cfg.Addr and cfg.TLS.
func NewTree(ctx context.Context, cfg Config) (tree int64, err error) {
	cfg = cfg.withDefaults()
	conn, err := dial(cfg)
	if err != nil {
		return 0, fmt.Errorf("making a tree in Trillian: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if tree, err = newTree(ctx, cfg, conn); err != nil {
		return 0, fmt.Errorf("making a tree in Trillian: %w", err)
	}
	return tree, nil
}

// Open opens the tree for one writer. It makes the tiles that are missing, so it
// may take long after they were lost. ctx bounds the opening only.
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

// load finds the right edge in the tiles, and reads on from there.
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
	if err := e.follow(ctx, h, nil); err != nil {
		return err
	}
	// The last process may have been cut off before it wrote these.
	bundles, hashes := e.edge.partial()
	if err := errors.Join(e.write(ctx, bundles), e.write(ctx, hashes)); err != nil {
		return err
	}
	e.setEdge(e.edge)
	return nil
}

// Tree implements [log.Engine]. It reads what Trillian has integrated since.
func (e *Engine) Tree(ctx context.Context) (size uint64, root [32]byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.settle(ctx); err != nil && !errors.Is(err, ErrContested) {
		return 0, root, err
	}
	h, err := e.head(ctx)
	if err != nil {
		return 0, root, err
	}
	if err := e.follow(ctx, h, nil); err != nil {
		return 0, root, err
	}
	return e.edge.frontier.Size(), e.edge.frontier.Root(), nil
}

// Close implements [log.Engine].
func (e *Engine) Close(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.swept != nil {
		<-e.swept
	}
	return e.conn.Close()
}
