// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
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
