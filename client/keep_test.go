// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// counted is a source that counts what is asked of it.
type counted struct {
	client.Source
	mu    sync.Mutex
	asked map[string]int
}

func (c *counted) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	c.mu.Lock()
	c.asked[t.Path()]++
	c.mu.Unlock()
	return c.Source.ReadTile(ctx, t)
}

func TestKeep(t *testing.T) {
	w := newLog(t)
	w.Live(700)
	w.Publish("w1", "w2", "w3")
	policy, dir := w.ParsePolicy(3, "w1", "w2", "w3", "w4"), filepath.Join(t.TempDir(), "kept")
	source := &counted{Source: client.Dir(w.Dir), asked: make(map[string]int)}
	open := func() *client.Client {
		c, err := client.New(client.Config{Source: source, Keep: dir, Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	follow := func(c *client.Client) (n uint64, err error) {
		for _, err := range c.Follow(t.Context(), client.FollowOptions{UntilHead: true}) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	c := open()
	for range 2 {
		if n, err := follow(c); err != nil || n != w.Size() {
			t.Fatalf("%d entries, %v", n, err)
		}
	}
	for i := uint64(0); i < w.Size(); i += 97 {
		if _, err := c.Prove(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	for path, n := range source.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", path, n)
		}
	}
	// Another process asks only for what is partial.
	clear(source.asked)
	if _, err := follow(open()); err != nil {
		t.Fatal(err)
	}
	for path := range source.asked {
		if !strings.Contains(path, ".p/") {
			t.Errorf("%s was asked for again", path)
		}
	}
	// What is kept is believed no more than what is served.
	name := filepath.Join(dir, "tile/entries/001")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := follow(open()); err == nil || n != 256 {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := follow(open()); err != nil {
		t.Error(err)
	}
	// What can't be kept is no success. The directory is there before anything is read.
	dir += ".new"
	c = open()
	if err := os.WriteFile(filepath.Join(dir, "tile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := follow(c); err == nil {
		t.Error("nothing can be kept under a file")
	}
	if _, err := client.New(client.Config{Source: source, Keep: filepath.Join(dir, "tile", "x"), Policy: policy}); err == nil {
		t.Error("a file can't be the directory")
	}
}

// lying is a source that damages one tile, once.
type lying struct {
	client.Source
	mu   sync.Mutex
	path string
	lied bool
}

func (l *lying) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := l.Source.ReadTile(ctx, t)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && t.Path() == l.path && !l.lied {
		l.lied = true
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
	}
	return b, err
}

// What a server makes up is never kept: the next read gets what the tree has.
func TestKeepVerified(t *testing.T) {
	w := newLog(t)
	w.Live(700)
	w.Publish("w1", "w2", "w3")
	size, policy := w.Size(), w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	for _, tile := range []tlog.Tile{
		{Level: tlog.Entries, Index: 1, Width: tlog.TileWidth},
		{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)},
		{Level: 0, Index: 1, Width: tlog.TileWidth},
		{Level: 0, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)},
		{Level: 1, Index: 0, Width: int(size / tlog.TileWidth)},
	} {
		t.Run(tile.Path(), func(t *testing.T) {
			dir := t.TempDir()
			c, err := client.New(client.Config{Source: &lying{Source: client.Dir(w.Dir), path: tile.Path()}, Keep: dir, Policy: policy})
			if err != nil {
				t.Fatal(err)
			}
			// It reads everything, and proves an entry of the tile.
			read := func() error {
				tree, err := c.Tree(client.TreeOptions{Tiles: true})
				if err != nil {
					return err
				}
				if _, err := tree.Update(t.Context()); err != nil {
					return err
				}
				for _, err := range tree.Bundles(t.Context(), 0) {
					if err != nil {
						return err
					}
				}
				_, err = c.Prove(t.Context(), min(tile.Index*tlog.TileWidth, size-1))
				return err
			}
			var corrupt *tlog.CorruptError
			if err := read(); !errors.As(err, &corrupt) {
				t.Fatalf("a damaged tile: %v", err)
			}
			kept, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(tile.Path())))
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("it is kept: %d bytes, %v", len(kept), err)
			}
			if err := read(); err != nil {
				t.Fatalf("the next read: %v", err)
			}
			if tile.Width < tlog.TileWidth {
				return
			}
			want, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(tile.Path())))
			if err != nil {
				t.Fatal(err)
			}
			if kept, err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(tile.Path()))); err != nil || !bytes.Equal(kept, want) {
				t.Errorf("what is kept is not what the tree has (%v)", err)
			}
		})
	}
}

// swapped is a source that can be exchanged.
type swapped struct{ client.Source }

// What a fork has is not kept either: the tree that goes on is read, and kept.
func TestKeepFork(t *testing.T) {
	good := newFileLog(t)
	evil := good.branch(func(uint64) []byte { return []byte("lie") })
	source := &swapped{client.Dir(good.Dir)}
	c := newClient(t, client.Config{Source: source, Keep: t.TempDir(), Policy: good.policy()})
	tree, err := c.Tree(client.TreeOptions{Tiles: true})
	if err != nil {
		t.Fatal(err)
	}
	good.grow(300)
	if _, err := tree.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	evil.grow(600)
	source.Source = client.Dir(evil.Dir)
	var fork *client.ForkError
	if _, err := tree.Update(t.Context()); !errors.As(err, &fork) {
		t.Fatalf("a fork: %v", err)
	}
	good.grow(600)
	source.Source = client.Dir(good.Dir)
	if _, err := tree.Update(t.Context()); err != nil {
		t.Fatalf("the log after a fork: %v", err)
	}
	for _, err := range tree.Bundles(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Proofs keep no tile: a head that the policy accepts may still be a fork of the tree that is
// kept, and a proof does not show that.
func TestProveKeepsNoFork(t *testing.T) {
	good := newFileLog(t)
	evil := good.branch(func(i uint64) []byte {
		if i < 256 {
			return good.entry(i)
		}
		return []byte("lie")
	})
	evil.grow(700)
	dir := t.TempDir()
	fooled := newClient(t, client.Config{Source: client.Dir(evil.Dir), Keep: dir, Policy: good.policy()})
	if _, err := fooled.Prove(t.Context(), 300); err != nil {
		t.Fatal(err)
	}
	good.grow(800)
	for range 2 { // in another process, and in this one
		c := newClient(t, client.Config{Source: client.Dir(good.Dir), Keep: dir, Policy: good.policy()})
		for _, err := range c.Follow(t.Context(), client.FollowOptions{UntilHead: true}) {
			if err != nil {
				t.Fatalf("a log is unreadable after a proof from its fork: %v", err)
			}
		}
	}
}
