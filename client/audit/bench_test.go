// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package audit_test

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

var benchEvents = flag.Uint64("audit.events", 200_000, "events of the log of BenchmarkAudit")

// work is the necessary work for one entry, with all other work done before.
type work struct {
	raw, pae   []byte
	key        *event.PublicKey
	sig        []byte
	checkpoint *tlog.Checkpoint // of an anchor; or nil
}

// sampleWork parses entries from the middle of a log.
func sampleWork(b *testing.B, w *written.Log, policy *tlog.Policy) []work {
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		b.Fatal(err)
	}
	var out []work
	for e, err := range cl.Follow(b.Context(), client.FollowOptions{Start: w.Size() / 2, UntilHead: true}) {
		if err != nil {
			b.Fatal(err)
		}
		env, err := event.ParseEnvelope(e.Bytes)
		if err != nil {
			b.Fatal(err)
		}
		x := work{raw: e.Bytes, pae: event.AppendPAE(nil, event.PayloadType, env.Payload), key: w.Lookup(env.Signatures[0].KeyID), sig: env.Signatures[0].Sig}
		if a, ok := env.Event.Body.(*event.Anchor); ok {
			if x.checkpoint, err = tlog.ParseCheckpoint([]byte(a.Checkpoint)); err != nil {
				b.Fatal(err)
			}
		}
		if out = append(out, x); len(out) == 1<<14 {
			break
		}
	}
	return out
}

// primitives does the necessary work n times: the leaf hash, a node of the
// tree, the hash of the event, its signature and an anchor's, on all cores.
func primitives(sample []work, n uint64, policy *tlog.Policy) {
	var wg sync.WaitGroup
	var next atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var node tlog.Hash
			for {
				i := next.Add(tlog.TileWidth) - tlog.TileWidth
				if i >= n {
					return
				}
				for end := min(i+tlog.TileWidth, n); i < end; i++ {
					x := &sample[i%uint64(len(sample))]
					node = tiles.HashChildren(node, tiles.LeafHash(x.raw))
					_ = tiles.LeafHash(x.pae)
					if x.key.Verify(x.pae, x.sig) != nil {
						panic("a signature of the sample does not verify")
					}
					if x.checkpoint != nil {
						if _, err := policy.Verify(x.checkpoint, written.Origin); err != nil {
							panic(err)
						}
					}
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAudit audits a log on disk, and measures next to it what hashing and
// signatures alone allow: half before, half after, so that what else the machine
// does weighs on both. It gives the ratio of the two in time and in processor
// time; on a machine that does nothing else they are one.
func BenchmarkAudit(b *testing.B) {
	w := newLog(b)
	w.Live(*benchEvents)
	w.Publish("w1", "w2", "w3")
	n, policy := w.Size(), w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	sample := sampleWork(b, w, policy)
	bytes := 0
	for i := range sample {
		bytes += len(sample[i].raw)
	}
	var least, took, leastCPU, tookCPU time.Duration
	measure := func(wall, cpu *time.Duration, f func()) {
		start, used := time.Now(), cpuTime(b)
		f()
		*wall += time.Since(start)
		*cpu += cpuTime(b) - used
	}
	for b.Loop() {
		measure(&least, &leastCPU, func() { primitives(sample, n/2, policy) })
		var r *audit.Report
		measure(&took, &tookCPU, func() { r = run(b, w.Dir, policy, audit.Config{}) })
		measure(&least, &leastCPU, func() { primitives(sample, n-n/2, policy) })
		if r.Result() != audit.Clean || r.Audited != n || r.Signatures.Valid != n+1 {
			b.Fatal(text(b, r))
		}
	}
	total := float64(n) * float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n), "events")
	b.ReportMetric(float64(bytes)/float64(len(sample)), "B/event")
	b.ReportMetric(total/took.Seconds(), "events/s")
	b.ReportMetric(total/least.Seconds(), "primitives/s")
	b.ReportMetric(least.Seconds()/took.Seconds(), "ratio")
	b.ReportMetric(leastCPU.Seconds()/tookCPU.Seconds(), "cpu-ratio")
}
