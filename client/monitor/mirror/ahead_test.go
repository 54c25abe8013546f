// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestAhead: while an update syncs files, only Ahead reads the update's entries. Reaches tells whether the copy has
// them in the end.
func TestAhead(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		l := newFileLog(t)
		l.grow(300)
		dir := t.TempDir()
		m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: client.Dir(l.Dir)}}, Policy: l.policy()})
		update(t, m, 300)
		l.grow(700)
		syncing, goOn := make(chan struct{}, 100), make(chan struct{})
		remove := durabletest.Inject(t, dir, func(op durable.Op, _ string) error {
			if op != (durable.Op{Step: durable.Sync}) {
				return nil
			}
			syncing <- struct{}{}
			<-goOn
			return fault
		})
		done := m.Begin(t.Context())
		<-syncing
		if m.Head().Size != 300 || m.Coming() == nil || m.Coming().Size != 700 {
			t.Fatalf("the head is %v, and %v is coming", m.Head(), m.Coming())
		}
		for _, tile := range []tlog.Tile{{Level: tlog.Entries, Index: 0, Width: 256}, {Level: tlog.Entries, Index: 1, Width: 256}, {Level: tlog.Entries, Index: 2, Width: 188},
			{Level: tlog.Entries, Index: 1, Width: 44}, {Level: 0, Index: 1, Width: 256}, {Level: 1, Index: 0, Width: 2}} {
			want, err := client.Dir(l.Dir).ReadTile(t.Context(), tile)
			check(t, err)
			if got, err := m.Ahead().ReadTile(t.Context(), tile); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s ahead: %d bytes, %v", tile.Path(), len(got), err)
			}
			if got, err := m.Source().ReadTile(t.Context(), tile); tile.In(300) != bytes.Equal(got, want) || !tile.In(300) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of the copy: %d bytes, %v", tile.Path(), len(got), err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Reaches(ended, 700); !errors.Is(err, context.Canceled) {
			t.Errorf("it does not wait: %v", err)
		}
		check(t, m.Reaches(ended, 300))
		close(goOn)
		if reached, err := m.Reaches(t.Context(), 700), done(); !errors.Is(err, fault) || (reached == nil) != (fault == nil) {
			t.Errorf("after the fault %v: %v, %v", fault, reached, err)
		}
		remove()
		update(t, m, 700)
		if m.Coming() != nil {
			t.Error("a head is coming after the update")
		}
	}
}

// wrongTiles is a source whose full tiles of leaf hashes are wrong. It counts the other full tiles that are read.
type wrongTiles struct{ counted }

func (s *wrongTiles) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := s.counted.ReadTile(ctx, t)
	if err == nil && t.Level == 0 && t.Width == tlog.TileWidth {
		b[0] ^= 1
	}
	return b, err
}

// TestAheadAsksNoSource: what is read ahead comes from the update's memory and from the copy. A source is asked for
// nothing, so none is blamed for what another has served.
func TestAheadAsksNoSource(t *testing.T) {
	l := newFileLog(t)
	l.grow(66_000)
	dir := t.TempDir()
	wrong := &wrongTiles{counted{Source: client.Dir(l.Dir)}}
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: wrong}}, Policy: l.policy(),
		Warn: func(err error) { t.Errorf("a warning: %v", err) }})
	goOn := make(chan struct{})
	durabletest.Inject(t, dir, func(op durable.Op, _ string) error {
		if op == (durable.Op{Step: durable.Sync}) {
			<-goOn
		}
		return nil
	})
	verified := make(chan func() error, 1)
	go func() { verified <- m.Begin(t.Context()) }()
	for m.Coming() == nil {
		<-m.Moved()
	}
	for _, tile := range []tlog.Tile{{Level: tlog.Entries, Index: 100, Width: 256}, // the others' hashes are no longer cached then
		{Level: 0, Index: 0, Width: 256}, {Level: 0, Index: 5, Width: 256}, {Level: 0, Index: 63, Width: 7}, {Level: 1, Index: 0, Width: 256}, {Level: 1, Index: 1, Width: 1}} {
		want, err := client.Dir(l.Dir).ReadTile(t.Context(), tlog.Tile{Level: tile.Level, Index: tile.Index, Width: tiles.Width(max(tile.Level, 0), tile.Index, 66_000)})
		check(t, err)
		want, err = tile.Cut(want)
		check(t, err)
		if got, err := m.Ahead().ReadTile(t.Context(), tile); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s ahead: %d bytes, %v", tile.Path(), len(got), err)
		}
	}
	late := make(chan error, 1)
	go func() {
		_, err := m.Ahead().ReadTile(t.Context(), tlog.Tile{Level: 0, Index: 200, Width: 256}) // not copied yet
		late <- err
	}()
	close(goOn)
	check(t, (<-verified)())
	check(t, <-late)
	for _, name := range wrong.names() {
		if strings.HasPrefix(name, "tile/0/") {
			t.Errorf("the source was asked for %s", name)
		}
	}
}
