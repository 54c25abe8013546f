// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/trillianx"
	"github.com/vasistas/vasistas/log/trillianx/s3store"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBucket: in a real S3 server, a stored tile is never replaced by another, also
// under a race, and an engine works as over files.
func TestBucket(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", trilliantest.S3Key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", trilliantest.S3Secret)
	server := trilliantest.StartS3(t)
	t.Run("Tiles", func(t *testing.T) { testTiles(t, server) })
	t.Run("Race", func(t *testing.T) { testRace(t, server) })
	t.Run("Wrong", func(t *testing.T) { testWrong(t, server) })
	t.Run("Engine", func(t *testing.T) {
		tr := trilliantest.StartTrillian(t, trilliantest.StartPostgres(t))
		engines.Run(t, func(t *testing.T) func() (log.Engine, error) {
			bucket, err := s3store.Open(t.Context(), server.URL(t.Name()))
			check(t, err)
			cfg := trillianx.Config{Addr: tr.Addr(), Tiles: bucket, Logger: slog.New(slog.DiscardHandler)}
			cfg.Tree, err = trillianx.NewTree(t.Context(), cfg)
			check(t, err)
			return func() (log.Engine, error) { return trillianx.Open(t.Context(), cfg) }
		})
	})
}

func testTiles(t *testing.T, server *trilliantest.S3) {
	ctx := t.Context()
	s, err := s3store.Open(ctx, server.URL("a/b"))
	check(t, err)
	if _, err := s.Get(ctx, "tile/0/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	for range 2 {
		check(t, s.Put(ctx, "tile/0/000.p/3", []byte("three")))
		check(t, s.Put(ctx, "tile/0/000", []byte("all")))
		check(t, s.Put(ctx, "tile/0/001.p/3", []byte("next")))
	}
	if err := s.Put(ctx, "tile/0/000", []byte("others")); !errors.Is(err, trillianx.ErrOtherTile) {
		t.Errorf("another tile was kept: %v", err)
	}
	check(t, s.RemovePartials(ctx, "tile/0/000"))
	check(t, s.RemovePartials(ctx, "tile/0/000"))
	for path, want := range map[string]string{"tile/0/000": "all", "tile/0/001.p/3": "next", "tile/0/000.p/3": ""} {
		b, err := s.Get(ctx, path)
		if string(b) != want || (want == "") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v; want %q", path, b, err, want)
		}
	}
	other, err := s3store.Open(ctx, server.URL("a"))
	check(t, err)
	if _, err := other.Get(ctx, "tile/0/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another prefix: %v", err)
	}
}

// testRace: of many writers of different tiles under one name, one succeeds.
func testRace(t *testing.T, server *trilliantest.S3) {
	for round := range 10 {
		path := fmt.Sprintf("tile/0/%03d", round)
		var mu sync.Mutex
		var won []string
		var wg sync.WaitGroup
		for i := range 8 {
			s, err := s3store.Open(t.Context(), server.URL("race"))
			check(t, err)
			wg.Go(func() {
				b := fmt.Sprint("writer ", i)
				switch err := s.Put(t.Context(), path, []byte(b)); {
				case err == nil:
					mu.Lock()
					won = append(won, b)
					mu.Unlock()
				case !errors.Is(err, trillianx.ErrOtherTile):
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		s, err := s3store.Open(t.Context(), server.URL("race"))
		check(t, err)
		b, err := s.Get(t.Context(), path)
		check(t, err)
		if len(won) != 1 || won[0] != string(b) {
			t.Errorf("%s: %q won, and %q is there", path, won, b)
		}
	}
}

func testWrong(t *testing.T, server *trilliantest.S3) {
	good := server.URL("x")
	for _, c := range []struct{ place, says string }{
		{"http://tiles/x", "is not s3://"},
		{"s3:///x", "is not s3://"},
		{"s3://u:p@tiles/x", "is not s3://"},
		{good + "&secret=1", `no option "secret"`},
		{"s3://tiles/x?endpoint=ftp://h", "is not http(s)"},
		{"s3://tiles/x?endpoint=http://h/path", "is not http(s)"},
		{strings.Replace(good, "s3://tiles", "s3://nothing", 1), `no bucket "nothing"`},
	} {
		if _, err := s3store.Open(t.Context(), c.place); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want one that says %q", c.place, err, c.says)
		}
	}
	s, err := s3store.Open(t.Context(), good)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "tile/0/000", []byte("x")); err == nil {
		t.Error("it was kept after it was given up")
	}
}
