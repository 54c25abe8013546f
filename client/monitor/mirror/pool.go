// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Source is a place from which a log can be read: the log itself or a mirror. It must keep
// the contract of [client.Source], bound what it returns, and obey the context.
type Source struct {
	Name string // for errors, such as its URL
	client.Source
}

// SourceError reports what one source did wrong. Err wraps a [tlog.CorruptError] for a
// wrong tile and [fs.ErrNotExist] for a missing one.
type SourceError struct {
	Source string // its name
	Err    error
}

func (e *SourceError) Error() string { return e.Source + ": " + e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

const (
	// local is the number of a pool's first sources that are on this machine.
	local = 2
	// remembered is how many tiles a pool can blame on a source. A [client.Tree] checks each
	// tile soon after reading it: it reads eight bundles ahead.
	remembered = 1024
)

// pool reads each tile from the first source that has it right. It can't judge a tile: a
// [client.Tree] over the pool does, and insist then asks the next source. It is safe for
// concurrent use, but only one tree may read from it at a time.
type pool struct {
	list    []Source // the copy and what follows from it, then Config.Sources
	timeout time.Duration
	warn    func(error)

	mu     sync.Mutex
	edge   int                         // source of the right edge: see offer
	served *lru.Cache[tlog.Tile, int]  // the source that last served a tile
	wrong  map[tlog.Tile]map[int]error // sources that served a tile wrong
	faults []int                       // by source: those with fewer are asked first
}

func newPool(c *Config, copied client.Source) *pool {
	served, err := lru.New[tlog.Tile, int](remembered)
	if err != nil {
		panic(err) // for a size below 1 only
	}
	list := append([]Source{{"the copy", copied}, {"the copy's hashes", derived{copied}}}, c.Sources...)
	p := &pool{list: list, timeout: c.Timeout, warn: c.Warn, served: served}
	p.forgive()
	return p
}

// forgive forgets what sources did wrong: they may be repaired.
func (p *pool) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served.Purge()
	p.wrong, p.faults = make(map[tlog.Tile]map[int]error), make([]int, len(p.list))
}

// ReadCheckpoint is not used: heads are read from each source, and offered to the tree.
func (p *pool) ReadCheckpoint(context.Context) ([]byte, error) {
	return nil, errors.New("a pool has no checkpoint")
}

// ReadTile reads a tile from the first source that answers with one. Partial tiles of
// hashes are those of a right edge, which only fits as a whole: they come from one source.
func (p *pool) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level != tlog.Entries && t.Width < tlog.TileWidth {
		p.mu.Lock()
		i := p.edge
		p.mu.Unlock()
		b, err := p.read(ctx, i, t)
		if err != nil && ctx.Err() == nil {
			err = &edgeError{err}
		}
		return b, err
	}
	var errs []error
	for _, i := range p.order() {
		err := p.wrongly(t, i)
		if err == nil {
			var b []byte
			if b, err = p.read(ctx, i, t); err == nil {
				p.served.Add(t, i)
				return b, nil
			}
			if ctx.Err() != nil {
				return nil, err
			}
			if i < local && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			p.fault(i)
			p.warn(err)
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("no source has %s: %w", t.Path(), fs.ErrNotExist)
	}
	return nil, errors.Join(errs...)
}

// read reads a tile from one source, within the time-out.
func (p *pool) read(ctx context.Context, i int, t tlog.Tile) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	b, err := p.list[i].ReadTile(within, t)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return b, nil
	case within.Err() != nil:
		err = fmt.Errorf("%s is not read within %v: %w", t.Path(), p.timeout, err)
	}
	return nil, &SourceError{p.list[i].Name, err}
}

// order returns the sources in the order in which they are asked: those on this machine,
// then those with the fewest faults.
func (p *pool) order() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]int, len(p.list))
	for i := range list {
		list[i] = i
	}
	slices.SortStableFunc(list[local:], func(a, b int) int { return cmp.Compare(p.faults[a], p.faults[b]) })
	return list
}

func (p *pool) fault(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[i]++
}

// wrongly returns the error with which a source served a tile wrong, or nil.
func (p *pool) wrongly(t tlog.Tile, i int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong[t][i]
}

// blame marks the source of a tile that does not fit, and reports whether it was found.
func (p *pool) blame(corrupt *tlog.CorruptError) bool {
	t := corrupt.Tile
	i, ok := p.served.Peek(t)
	if !ok {
		return false
	}
	p.served.Remove(t)
	err := &SourceError{p.list[i].Name, corrupt}
	p.mu.Lock()
	p.faults[i]++
	if p.wrong[t] == nil {
		p.wrong[t] = make(map[int]error)
	}
	p.wrong[t][i] = err
	p.mu.Unlock()
	p.warn(err)
	return true
}

// insist calls read, which reads from a tree over the pool. As long as the tree finds a
// tile corrupt, read is called again, and the tile comes from another source.
func (p *pool) insist(read func() error) error {
	for {
		err := read()
		corrupt, ok := errors.AsType[*tlog.CorruptError](err)
		if !ok || !p.blame(corrupt) {
			return err
		}
	}
}

// edgeError reports a tile of the right edge that can't be read.
type edgeError struct{ error }

func (e *edgeError) Unwrap() error { return e.error }

// offer offers a checkpoint to a tree over the pool, with the right edge of one source
// after the other.
func (p *pool) offer(ctx context.Context, t *client.Tree, checkpoint []byte) (v *tlog.Verified, err error) {
	var errs []error
	for i := range p.list {
		p.mu.Lock()
		p.edge = i
		p.mu.Unlock()
		err := p.insist(func() (err error) {
			v, err = t.Offer(ctx, checkpoint)
			return err
		})
		unread, ok := errors.AsType[*edgeError](err)
		corrupt, bad := errors.AsType[*tlog.CorruptError](err)
		switch bad = bad && corrupt.Tile.Level != tlog.Entries && corrupt.Tile.Width < tlog.TileWidth; {
		case i < local && ok && errors.Is(err, fs.ErrNotExist):
			continue // it has only heads that were copied
		case ok:
			err = unread.error
		case bad:
			err = &SourceError{p.list[i].Name, corrupt}
		default:
			return v, err
		}
		p.fault(i)
		p.warn(err)
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("no source has the right edge of the tree: %w", fs.ErrNotExist)
	}
	return nil, errors.Join(errs...)
}

// derived computes tiles of hashes from what is below them in a copy, where these tiles
// themselves are lost.
type derived struct{ from client.Source }

func (d derived) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return d.from.ReadCheckpoint(ctx)
}

func (d derived) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	var out []byte
	if t.Level == tlog.Entries {
		return nil, fmt.Errorf("%s: %w", t.Path(), fs.ErrNotExist)
	}
	if t.Level == 0 {
		t.Level = tlog.Entries
		b, err := d.from.ReadTile(ctx, t)
		if err != nil {
			return nil, err
		}
		entries, err := tlog.ParseBundle(b, t.Width)
		for _, e := range entries {
			h := tiles.LeafHash(e)
			out = append(out, h[:]...)
		}
		return out, err
	}
	for i := range uint64(t.Width) {
		below := tlog.Tile{Level: t.Level - 1, Index: t.Index*tlog.TileWidth + i, Width: tlog.TileWidth}
		hashes, err := tiles.ReadHashes(ctx, d.from, below)
		if err != nil {
			hashes, err = tiles.ReadHashes(ctx, d, below)
		}
		if err != nil {
			return nil, err
		}
		h := tiles.Subtree(hashes)
		out = append(out, h[:]...)
	}
	return out, nil
}
