// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

const origin = "log.example/2026"

// fileLog writes a tiled log into a directory, entry by entry.
type fileLog struct {
	t        testing.TB
	dir      string
	key      *tlog.Signer
	witness  *tlog.Signer
	frontier tiles.Frontier
	bundle   []byte
	entry    func(i uint64) []byte
}

func newSigner(t testing.TB, name string, a tlog.Algorithm) *tlog.Signer {
	t.Helper()
	s, err := tlog.GenerateSigner(name, a)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newFileLog(t testing.TB) *fileLog {
	return &fileLog{
		t: t, dir: t.TempDir(),
		key:     newSigner(t, origin, tlog.Ed25519),
		witness: newSigner(t, "witness.example", tlog.CosignatureEd25519),
		entry:   func(i uint64) []byte { return fmt.Appendf(nil, "entry %d", i) },
	}
}

// branch is the same log, under the same keys, that tells another story.
func (l *fileLog) branch(entry func(i uint64) []byte) *fileLog {
	return &fileLog{t: l.t, dir: l.t.TempDir(), key: l.key, witness: l.witness, entry: entry}
}

func (l *fileLog) policy() *tlog.Policy {
	l.t.Helper()
	p, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s\nquorum w\n", l.key.Verifier(), l.witness.Verifier()))
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *fileLog) write(name string, b []byte) {
	l.t.Helper()
	name = filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *fileLog) writeTile(t tlog.Tile, b []byte) error {
	l.write(t.Path(), b)
	return nil
}

// grow appends entries up to a size, and publishes the head.
func (l *fileLog) grow(size uint64) *tlog.Checkpoint {
	l.t.Helper()
	for l.frontier.Size() < size {
		i := l.frontier.Size()
		e := l.entry(i)
		l.bundle = tlog.AppendEntry(l.bundle, e)
		if err := l.frontier.Append(tiles.LeafHash(e), l.writeTile); err != nil {
			l.t.Fatal(err)
		}
		if (i+1)%tlog.TileWidth == 0 {
			l.write(tlog.Tile{Level: tlog.Entries, Index: i / tlog.TileWidth, Width: tlog.TileWidth}.Path(), l.bundle)
			l.bundle = nil
		}
	}
	if err := l.frontier.Partial(l.writeTile); err != nil {
		l.t.Fatal(err)
	}
	if w := int(size % tlog.TileWidth); w > 0 {
		l.write(tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w}.Path(), l.bundle)
	}
	return l.publish(1_700_000_000 + size)
}

// publish signs the tree as it is.
func (l *fileLog) publish(time uint64) *tlog.Checkpoint {
	l.t.Helper()
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: origin, Size: l.frontier.Size(), Root: l.frontier.Root()}}
	for _, s := range []*tlog.Signer{l.key, l.witness} {
		line, err := s.Sign(&cp.Head, time)
		if err != nil {
			l.t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, line)
	}
	l.write("checkpoint", cp.Bytes())
	return cp
}

// serve serves the directory over HTTP.
func (l *fileLog) serve() *httptest.Server {
	s := httptest.NewServer(http.FileServer(http.Dir(l.dir)))
	l.t.Cleanup(s.Close)
	return s
}

func newClient(t testing.TB, c client.Config) *client.Client {
	t.Helper()
	cl, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// sources are the ways to read a log: each must do the same.
func (l *fileLog) sources() map[string]string {
	return map[string]string{
		"http": l.serve().URL,
		"dir":  l.dir,
		"file": "file://" + filepath.ToSlash(l.dir),
	}
}
