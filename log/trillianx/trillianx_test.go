// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/trillianx"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place is a tree in Trillian and the directory of its tiles.
type place struct {
	trillianx.Config
	dir string
}

func newPlace(t testing.TB, tr *trilliantest.Trillian) *place {
	t.Helper()
	p := &place{dir: filepath.Join(t.TempDir(), "tiles")}
	p.Addr, p.Logger, p.Timeout = tr.Addr(), slog.New(slog.DiscardHandler), time.Minute // for busy machines
	p.Tiles = tileDir(t, p.dir)
	var err error
	p.Tree, err = trillianx.NewTree(t.Context(), p.Config)
	check(t, err)
	return p
}

func tileDir(t testing.TB, dir string) *trillianx.Dir {
	t.Helper()
	d, err := trillianx.OpenDir(dir)
	check(t, err)
	return d
}

func (p *place) open(t testing.TB) *trillianx.Engine {
	t.Helper()
	e, err := trillianx.Open(t.Context(), p.Config)
	check(t, err)
	t.Cleanup(func() { e.Close(t.Context()) })
	return e
}

// add adds entries, and waits until they are in the tree.
func add(ctx context.Context, e log.Engine, entries [][]byte) (first uint64, err error) {
	if first, err = e.Add(ctx, entries); err == nil {
		err = e.Wait(ctx, first+uint64(len(entries)))
	}
	return first, err
}

// eventually polls until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still after five minutes: %v", err)
		}
	}
}

// TestTrillian runs all that needs nothing but a healthy Trillian, on one.
func TestTrillian(t *testing.T) {
	db := trilliantest.StartPostgres(t)
	tr := trilliantest.StartTrillian(t, db)
	t.Run("Contract", func(t *testing.T) {
		engines.Run(t, func(t *testing.T) func() (log.Engine, error) {
			p := newPlace(t, tr)
			return func() (log.Engine, error) { return trillianx.Open(t.Context(), p.Config) }
		})
	})
	for name, test := range map[string]func(*testing.T, *trilliantest.Trillian){
		"Lies": testLies, "LongLies": testLongLies, "LostAnswers": testLostAnswers, "Writers": testWriters,
		"Pipe": testPipe, "Show": testShow, "TileFaults": testTileFaults, "OtherTiles": testOtherTiles,
		"Unread":       func(t *testing.T, tr *trilliantest.Trillian) { testUnread(t, tr, db) },
		"UnreadLost":   func(t *testing.T, tr *trilliantest.Trillian) { testUnreadLost(t, tr, db) },
		"UnreadOutage": func(t *testing.T, tr *trilliantest.Trillian) { testUnreadOutage(t, tr, db) },
		"LostTiles":    func(t *testing.T, tr *trilliantest.Trillian) { testLostTiles(t, tr, db) },
	} {
		t.Run(name, func(t *testing.T) { test(t, tr) })
	}
}
