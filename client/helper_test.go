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
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/tlog"
)

const origin = written.Origin

// fileLog is a log of entries that are no events.
type fileLog struct {
	*written.Log
	t     testing.TB
	entry func(i uint64) []byte
}

// newLog returns a log with its charter. The test fails if it can't be written.
func newLog(t testing.TB) *written.Log {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

func newFileLog(t testing.TB) *fileLog {
	l := &fileLog{t: t, Log: written.Empty(t.TempDir(), people.New(origin, ""))}
	return l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "entry %d", i) })
}

// branch is the same log, under the same keys, that has other entries.
func (l *fileLog) branch(entry func(i uint64) []byte) *fileLog {
	b := &fileLog{t: l.t, Log: written.Empty(l.t.TempDir(), l.People), entry: entry}
	l.t.Cleanup(func() { b.Report(l.t.Error) })
	return b
}

func (l *fileLog) policy() *tlog.Policy { return l.ParsePolicy(1, "w") }

func (l *fileLog) write(name string, b []byte) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.Dir, name), b, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// grow appends entries up to a size, and publishes the head.
func (l *fileLog) grow(size uint64) *tlog.Checkpoint {
	for l.Size() < size {
		l.Append(l.entry(l.Size()))
	}
	return l.publish(1_700_000_000 + size)
}

// publish publishes the tree as it is.
func (l *fileLog) publish(time uint64) *tlog.Checkpoint {
	l.Now = int64(time)
	return l.Publish("w")
}

// serve serves the directory over HTTP.
func (l *fileLog) serve() *httptest.Server {
	s := httptest.NewServer(http.FileServer(http.Dir(l.Dir)))
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
		"dir":  l.Dir,
		"file": "file://" + filepath.ToSlash(l.Dir),
	}
}
