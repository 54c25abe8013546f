// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// counting is a source that counts the bundles that are read.
type counting struct {
	mirror.Source
	bundles atomic.Int32
	read    func() // nil: not called
}

func (s *counting) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level == tlog.Entries {
		s.bundles.Add(1)
		if s.read != nil {
			s.read()
		}
	}
	return s.Source.ReadTile(ctx, t)
}

// TestUnprovenHead: a head that the log alone has signed costs its auditor a bounded number of entries,
// and once in a while; a head of the charter's witnesses has no such bound.
func TestUnprovenHead(t *testing.T) {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	for w.Size() < 5*tlog.TileWidth {
		w.Append([]byte("entry"))
	}
	w.Publish("w1", "w2", "w3")
	log := w.Log()
	cfg := Config{Dir: t.TempDir(), URL: "http://127.0.0.1:1", Origin: w.Origin, Founded: w.Charter.Leaf, Logger: slog.New(slog.DiscardHandler)}
	stored := &counting{Source: mirror.Source{Source: client.Dir(w.Dir)}}
	cfg.LogKeys = keys{log.Verifier()}
	c, err := openCopy(&cfg, nil, stored)
	if err != nil {
		t.Fatal(err)
	}
	c.unproven.Max = tlog.TileWidth / 2
	alone := w.Checkpoint()
	gone, cancel := context.WithCancel(t.Context())
	stored.read = cancel
	if err := c.advance(gone, alone); !errors.Is(err, context.Canceled) || !c.unproven.Rest.IsZero() {
		t.Fatalf("for a caller that has gone it rests until %v: %v", c.unproven.Rest, err)
	}
	stored.read = nil
	for i := range 3 {
		err := c.advance(t.Context(), alone)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != string(codeQuorum) || !strings.Contains(r.Error(), "no charter in 128 entries") || c.ledger.Size() != 0 {
			t.Fatalf("%d entries are applied, and the error is %v", c.ledger.Size(), err)
		}
		if i == 0 {
			c.unproven.Rest = time.Now().Add(time.Hour) // this test may be slow
			stored.bundles.Store(0)
		}
	}
	if n := stored.bundles.Load(); n > 0 {
		t.Errorf("while it rests the auditor has read %d bundles", n)
	}
	c.unproven.Rest = time.Time{}
	if err := c.advance(t.Context(), w.Checkpoint("w1", "w2", "w3")); err != nil || c.ledger.Size() != w.Size() {
		t.Errorf("%d entries are applied, and the error is %v", c.ledger.Size(), err)
	}
}

// TestLongWay: the first charter of an old log no longer accepts its heads, and the amendment whose policy
// does is further away than the auditor reads at first.
func TestLongWay(t *testing.T) {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	founded := w.Charter.Leaf
	for w.Size() < 3*tlog.TileWidth {
		w.Append([]byte("entry"))
	}
	w.Amend(func(c *event.Charter) { c.WitnessPolicy = w.Policy(2, "n1", "n2") })
	w.Append([]byte("entry"))
	w.Publish("n1", "n2")
	cfg := Config{Dir: t.TempDir(), URL: "http://127.0.0.1:1", Origin: w.Origin, Founded: founded, Logger: slog.New(slog.DiscardHandler)}
	cfg.LogKeys = keys{w.Log().Verifier()}
	c, err := openCopy(&cfg, nil, client.Dir(w.Dir))
	if err != nil {
		t.Fatal(err)
	}
	c.unproven.Max = tlog.TileWidth
	for range 3 {
		c.unproven.Rest = time.Time{}
		err = c.advance(t.Context(), w.Checkpoint("n1", "n2"))
	}
	if err != nil || c.ledger.Size() != w.Size() {
		t.Errorf("%d of %d entries are applied: %v", c.ledger.Size(), w.Size(), err)
	}
}
