// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// BenchmarkCosign measures the answer for a head with 256 new events, and in the same run its
// primitives: the signatures that it verifies and makes, the hashes of entries, and the durable
// writes of the register and of the copy's files. The answer also reads the log's round, audited head and tiles over HTTP.
func BenchmarkCosign(b *testing.B) {
	w := newTestbed(b, 1, nil)
	a := w.Auditors[0]
	a.Config.Poll = time.Hour
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	if got := w.ask(a, cp); got.status != http.StatusOK {
		b.Fatalf("%d %s", got.status, got.body)
	}
	var primitives time.Duration
	old, n := cp.Size, 0
	for b.Loop() {
		b.StopTimer()
		w.grow(256)
		cp := w.head()
		w.name(cp)
		body := w.request(old, cp)
		b.StartTimer()
		got := w.post(a, body)
		b.StopTimer()
		if got.status != http.StatusOK {
			b.Fatalf("%d %s", got.status, got.body)
		}
		primitives += w.primitives(b, old, cp)
		old, n = cp.Size, n+1
		b.StartTimer()
	}
	b.ReportMetric(float64(primitives.Nanoseconds())/float64(n), "primitives-ns/op")
	b.ReportMetric(float64(b.Elapsed())/float64(primitives), "ratio")
}

// primitives returns how long the primitives of an answer take.
func (w *testbed) primitives(b *testing.B, old uint64, cp *tlog.Checkpoint) time.Duration {
	tree, err := w.client.Tree(client.TreeOptions{})
	check(b, err)
	_, err = tree.Update(b.Context())
	check(b, err)
	var entries [][]byte
	for i := old; i < cp.Size; i++ {
		e, err := tree.Entry(b.Context(), i)
		check(b, err)
		entries = append(entries, e)
	}
	begun := time.Now()
	for _, raw := range entries {
		tiles.LeafHash(raw)
		env, err := event.ParseEnvelope(raw)
		check(b, err)
		env.Hash()
		check(b, env.Verify(w.Lookup))
	}
	policy, err := w.World.Policy(2)
	check(b, err)
	_, err = policy.Verify(cp, origin)
	check(b, err)
	for _, s := range w.Auditors[0].Keys {
		_, err := s.Sign(&cp.Head, 1)
		check(b, err)
	}
	dir := b.TempDir()
	check(b, durable.WriteFile(filepath.Join(dir, "head"), cp.Bytes(), 0o600))
	// The copy: two bundles, two tiles of leaf hashes, one above, and the checkpoint.
	batch := durable.NewBatch(dir)
	bundle := bytes.Join(entries, nil)
	for i, file := range [][]byte{bundle[:len(bundle)/2], bundle[len(bundle)/2:], make([]byte, 8192), make([]byte, 4096), cp.Root[:]} {
		check(b, batch.WriteFile(filepath.Join(dir, fmt.Sprint(i)), file, 0o644))
	}
	check(b, batch.Sync())
	check(b, durable.WriteFile(filepath.Join(dir, "checkpoint"), cp.Bytes(), 0o644))
	return time.Since(begun)
}
