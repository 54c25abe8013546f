// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit/audittest"
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
	w := audittest.New(t, nil)
	w.Live(700)
	w.Publish("w1", "w2")
	policy, dir := w.Policy(2, "w1", "w2", "w3"), filepath.Join(t.TempDir(), "kept")
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
	// What can't be kept is no success.
	if err := os.WriteFile(dir+".file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir += ".file"
	if _, err := follow(open()); err == nil {
		t.Error("nothing can be kept under a file")
	}
}
