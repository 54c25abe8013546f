// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/tlog"
)

// fileLog is a log of entries that are no events.
type fileLog struct {
	*written.Log
	t     testing.TB
	entry func(i uint64) []byte
}

func newFileLog(t testing.TB) *fileLog {
	l := &fileLog{t: t, Log: written.Empty("", people.New(written.Origin, ""))}
	return l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "entry %d", i) })
}

// branch is the same log, under the same keys, that has other entries.
func (l *fileLog) branch(entry func(i uint64) []byte) *fileLog {
	b := &fileLog{t: l.t, Log: written.Empty(l.t.TempDir(), l.People), entry: entry}
	l.t.Cleanup(func() { b.Report(l.t.Error) })
	return b
}

// copied is a directory with the same files as the log has now.
func (l *fileLog) copied() string {
	dir := l.t.TempDir()
	check(l.t, os.CopyFS(dir, os.DirFS(l.Dir)))
	return dir
}

// link is a directory with the same files as another, which are replaced and not changed.
func link(t testing.TB, from string) string {
	dir := t.TempDir()
	for _, name := range names(t, from) {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.Link(filepath.Join(from, name), filepath.Join(dir, name)))
	}
	return dir
}

func (l *fileLog) policy() *tlog.Policy { return l.ParsePolicy(1, "w") }

// grow appends entries up to a size, and publishes the head.
func (l *fileLog) grow(size uint64) *tlog.Checkpoint {
	for l.Size() < size {
		l.Append(l.entry(l.Size()))
	}
	l.Now++
	return l.Publish("w")
}

// serve serves a directory over HTTP, as far as hostile lets it.
func serve(t testing.TB, dir string, hostile func(w http.ResponseWriter, r *http.Request) bool) string {
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hostile == nil || !hostile(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// source is a source that tries once, and has no time-out of its own that matters.
func source(t testing.TB, name, url string) mirror.Source {
	c, err := client.New(client.Config{URL: url, Retries: -1, Timeout: time.Hour})
	check(t, err)
	return mirror.Source{Name: name, Source: c.Source()}
}

// warnings collects errors.
type warnings struct {
	mu   sync.Mutex
	list []error
}

func (w *warnings) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, err)
}

// about reports whether a warning names a source and wraps target, if it is not nil.
func (w *warnings) about(name string, target error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.list {
		if s, ok := errors.AsType[*mirror.SourceError](err); ok && s.Source == name && (target == nil || errors.Is(err, target)) {
			return true
		}
	}
	return false
}

func open(t testing.TB, c mirror.Config) *mirror.Mirror {
	t.Helper()
	m, err := mirror.Open(c)
	check(t, err)
	t.Cleanup(func() { check(t, m.Close()) })
	return m
}

// update updates a mirror, which must then have a size.
func update(t testing.TB, m *mirror.Mirror, size uint64) {
	t.Helper()
	v, err := m.Update(t.Context())
	check(t, err)
	if v.Checkpoint.Size != size || m.Head().Size != size {
		t.Fatalf("the head has size %d, the copy %d; want %d", v.Checkpoint.Size, m.Head().Size, size)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// whole checks that a directory is a copy of the log at one of its heads, and returns the
// head's size: that it can be followed, proves its entries, and has the log's bytes.
func (l *fileLog) whole(dir string) uint64 {
	l.t.Helper()
	c, err := client.New(client.Config{URL: dir, Policy: l.policy()})
	check(l.t, err)
	if _, err := client.Dir(dir).ReadCheckpoint(l.t.Context()); errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	tree, err := c.Tree(client.TreeOptions{Tiles: true})
	check(l.t, err)
	v, err := tree.Update(l.t.Context())
	check(l.t, err)
	var n uint64
	for b, err := range tree.Bundles(l.t.Context(), 0) {
		check(l.t, err)
		for _, e := range b.Entries {
			if !bytes.Equal(e, l.entry(n)) {
				l.t.Fatalf("entry %d is %q", n, e)
			}
			n++
		}
	}
	if n != v.Checkpoint.Size {
		l.t.Fatalf("%d entries, and the head has %d", n, v.Checkpoint.Size)
	}
	for t := range mirror.Files(n) {
		want, err := os.ReadFile(filepath.Join(l.Dir, t.Path()))
		check(l.t, err)
		have, err := os.ReadFile(filepath.Join(dir, t.Path()))
		if err != nil || !bytes.Equal(have, want) {
			l.t.Fatalf("%s of size %d: %d bytes, %v", t.Path(), n, len(have), err)
		}
	}
	return n
}

// names returns the files of a directory.
func names(t testing.TB, dir string) (list []string) {
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(filepath.ToSlash(name), filepath.ToSlash(dir)+"/"))
		}
		return err
	}))
	return list
}
