// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package audit_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"fmt"
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
	raw, pae []byte
	sigs     []signature // the event's, and those of an anchor's or a release's checkpoint
}

type signature struct {
	key      ed25519.PublicKey
	msg, sig []byte
}

// sampleWork parses entries from the middle of a log.
func sampleWork(b *testing.B, w *written.Log, policy *tlog.Policy) []work {
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		b.Fatal(err)
	}
	audits, err := tlog.ParsePolicy([]byte(w.Charter.Envelope.Event.Body.(*event.Charter).AuditPolicy))
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
		x := work{raw: e.Bytes, pae: event.AppendPAE(nil, event.PayloadType, env.Payload)}
		spki := w.Lookup(env.Signatures[0].KeyID).SPKI()
		x.sigs = []signature{{spki[len(spki)-ed25519.PublicKeySize:], x.pae, env.Signatures[0].Sig}}
		switch body := env.Event.Body.(type) {
		case *event.Anchor:
			x.sigs = append(x.sigs, lines(b, body.Checkpoint, policy)...)
		case *event.Release:
			x.sigs = append(x.sigs, lines(b, body.Audit, audits)...)
		}
		if out = append(out, x); len(out) == 1<<14 {
			break
		}
	}
	return out
}

// lines returns the signatures of a checkpoint by the keys of a policy.
func lines(b *testing.B, checkpoint string, policy *tlog.Policy) (out []signature) {
	cp, err := tlog.ParseCheckpoint([]byte(checkpoint))
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range policy.Logs {
		if s := cp.Find(l.Key); s != nil {
			out = append(out, signature{l.Key.Key, cp.Text(), s.Bytes})
		}
	}
	for _, w := range policy.Witnesses {
		if s := cp.Find(w.Key); s != nil {
			msg := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(s.Bytes), cp.Text())
			out = append(out, signature{w.Key.Key, msg, s.Bytes[8:]})
		}
	}
	return out
}

// primitives does the necessary work n times: the leaf hash, a node of the tree, the
// hash of the event, and its signatures by crypto/ed25519, on all cores.
func primitives(sample []work, n uint64) {
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
					for _, s := range x.sigs {
						if !ed25519.Verify(s.key, s.msg, s.sig) {
							panic("a signature of the sample does not verify")
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
	bytes, sigs := 0, 0
	for i := range sample {
		bytes += len(sample[i].raw)
		sigs += len(sample[i].sigs)
	}
	var least, took, leastCPU, tookCPU time.Duration
	measure := func(wall, cpu *time.Duration, f func()) {
		start, used := time.Now(), cpuTime(b)
		f()
		*wall += time.Since(start)
		*cpu += cpuTime(b) - used
	}
	for b.Loop() {
		measure(&least, &leastCPU, func() { primitives(sample, n/2) })
		var r *audit.Report
		measure(&took, &tookCPU, func() { r = run(b, w.Dir, policy, audit.Config{}) })
		measure(&least, &leastCPU, func() { primitives(sample, n-n/2) })
		if r.Result() != audit.Clean || r.Audited != n || r.Signatures.Valid != n+1 {
			b.Fatal(text(b, r))
		}
	}
	total := float64(n) * float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n), "events")
	b.ReportMetric(float64(bytes)/float64(len(sample)), "B/event")
	b.ReportMetric(float64(sigs)/float64(len(sample)), "signatures/event")
	b.ReportMetric(total/took.Seconds(), "events/s")
	b.ReportMetric(total/least.Seconds(), "primitives/s")
	b.ReportMetric(least.Seconds()/took.Seconds(), "ratio")
	b.ReportMetric(leastCPU.Seconds()/tookCPU.Seconds(), "cpu-ratio")
}
