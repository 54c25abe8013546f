// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/tlog"
)

// replayedTo replays a log, and returns the state at a bundle's end.
func replayedTo(t *testing.T, w *written.Log, size uint64) (out *replica.Replayed) {
	t.Helper()
	read, err := client.New(client.Config{URL: w.Dir, Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.New(replica.Config{Client: read, Origin: w.Origin, Use: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = r.Replay(t.Context(), replica.Observer{Applied: func() error {
		if l := r.Ledger(); l.Size() == size {
			out = &replica.Replayed{Snapshot: l.Snapshot(), Size: size, Root: l.Root()}
		}
		return nil
	}})
	if err != nil || out == nil {
		t.Fatalf("no state of size %d: %v", size, err)
	}
	return out
}

// TestLeap: an auditor that starts with another replay reads fewer bundles than one that replays all, and
// has the same ledger. A state that does not fit the head is not used. A head that the charter's policy
// does not accept, or another charter, is an error.
func TestLeap(t *testing.T) {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	w.Story(rand.New(rand.NewPCG(5, 5)), 4*tlog.TileWidth+10, false)
	w.Publish("w1", "w2", "w3")
	half := replayedTo(t, w, 3*tlog.TileWidth)
	fork := written.New(t.TempDir(), nil)
	for fork.Size() < 3*tlog.TileWidth {
		fork.Append([]byte("entry"))
	}
	fork.Publish("w1", "w2", "w3")
	open := func() (*replicated, *counting) {
		cfg := &Config{Dir: t.TempDir(), URL: "http://127.0.0.1:1", Origin: w.Origin, Founded: w.Charter.Leaf, Logger: slog.New(slog.DiscardHandler),
			LogKeys: keys{w.Log().Verifier()}}
		stored := &counting{Source: mirror.Source{Source: client.Dir(w.Dir)}}
		c, err := openCopy(cfg, nil, stored)
		if err != nil {
			t.Fatal(err)
		}
		return c, stored
	}
	all, whole := open()
	if err := all.advance(t.Context(), w.Checkpoint("w1", "w2", "w3")); err != nil {
		t.Fatal(err)
	}
	damaged := *half
	damaged.Snapshot = slices.Clone(half.Snapshot)
	damaged.Snapshot[len(damaged.Snapshot)/2] ^= 1
	for name, from := range map[string]*replica.Replayed{"right": half, "damaged": &damaged, "of another tree": replayedTo(t, fork, 3*tlog.TileWidth),
		"of another size": {Snapshot: half.Snapshot, Size: half.Size - 1, Root: half.Root}} {
		c, stored := open()
		c.ahead = from
		if err := c.advance(t.Context(), w.Checkpoint("w1", "w2", "w3")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(c.ledger.Snapshot(), all.ledger.Snapshot()) {
			t.Errorf("%s: the ledger is not that of a replay of all", name)
		}
		if n, all := stored.bundles.Load(), whole.bundles.Load(); from == half && n >= all { // it reads entries before its start, too
			t.Errorf("the auditor has read %d bundles, and a replay of all %d", n, all)
		}
	}
	c, _ := open()
	c.ahead = half
	if err := c.advance(t.Context(), w.Checkpoint()); err == nil || c.ledger.Size() != 0 {
		t.Errorf("at a head without witnesses %d entries are applied, and the error is %v", c.ledger.Size(), err)
	}
	c.cfg.Founded[0] ^= 1
	c.ahead = half
	if err := c.advance(t.Context(), w.Checkpoint("w1", "w2", "w3")); err == nil || c.ledger.Size() != 0 {
		t.Errorf("of a log with another charter %d entries are applied, and the error is %v", c.ledger.Size(), err)
	}
}
