// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/edverify"
	"github.com/vasistas/vasistas/log/tlog"
)

// waiting is a transport that counts the time spent on the log: network and publication.
type waiting struct{ spent atomic.Int64 }

func (w *waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	defer func() { w.spent.Add(int64(time.Since(begun))) }()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &timedBody{resp.Body, w}
	return resp, nil
}

type timedBody struct {
	io.ReadCloser
	w *waiting
}

func (b *timedBody) Read(p []byte) (int, error) {
	begun := time.Now()
	defer func() { b.w.spent.Add(int64(time.Since(begun))) }()
	return b.ReadCloser.Read(p)
}

// newTestbedAt is newTestbed with the log's default interval between two heads.
func newTestbedAt(b *testing.B, threshold, n int) *testbed {
	b.Helper()
	w := prepare(b, n)
	w.LogConfig.Interval = 200 * time.Millisecond
	w.start(threshold, nil)
	return w
}

// BenchmarkRelease measures a release without network and publication wait (own-ms),
// and the sum of its primitives (primitives-ms): the signatures that are checked
// and made, the HPKE operations, and the synced writes, each as often as a release
// does it. Both are medians. They take turns, so that a busy machine is busy for both.
func BenchmarkRelease(b *testing.B) {
	w := newTestbedAt(b, 1, 1)
	s := w.gates[0]
	transport := new(waiting)
	s.Config.HTTPClient = &http.Client{Transport: transport}
	s.Config.Poll = time.Hour // no look at the log meanwhile
	w.runAll()
	var warrant *logged
	var own, sums []time.Duration
	var primitives func() time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		if n%8 == 0 {
			warrant = w.warrant(alice)
		}
		n++
		a := w.access(warrant, accessTerms{}, w.escrow(alice))
		sealed, err := a.request().Seal(origin, s.key.Public())
		check(b, err)
		if primitives == nil {
			primitives = w.primitives(b, a, sealed)
		}
		transport.spent.Store(0)
		b.StartTimer()
		begun := time.Now()
		_, err = s.Running.Release(b.Context(), sealed)
		own = append(own, time.Since(begun)-time.Duration(transport.spent.Load()))
		check(b, err)
		b.StopTimer()
		sums = append(sums, primitives())
		b.StartTimer()
	}
	slices.Sort(own)
	slices.Sort(sums)
	o, p := own[n/2], sums[n/2]
	b.ReportMetric(float64(o.Microseconds())/1000, "own-ms/op")
	b.ReportMetric(float64(p.Microseconds())/1000, "primitives-ms/op")
	b.ReportMetric(float64(o)/float64(p), "ratio")
}

// primitives returns a function that does all primitives of one release and returns how long
// they took.
func (w *testbed) primitives(b *testing.B, a *asked, sealed []byte) func() time.Duration {
	b.Helper()
	proof, err := tlog.ParseProof(a.proof)
	check(b, err)
	key := w.Signer("agency")
	msg := make([]byte, 1500)
	sig, err := key.Sign(msg)
	check(b, err)
	gateKey := w.gates[0].key.SecretKey
	info := requestInfo(gateKey.Public())
	part := sealTo(b, gateKey.Public(), info, make([]byte, 256))
	notice := make([]byte, 4096)
	dir := b.TempDir()
	j, err := durable.CreateJournal(filepath.Join(dir, "journal"), "bench", 1<<20)
	check(b, err)
	b.Cleanup(func() { check(b, j.Close()) })
	head := proof.Checkpoint.Bytes()
	turn := [2][]byte{append([]byte("0"), head...), append([]byte("1"), head...)}
	register, err := durable.CreateRegister(filepath.Join(dir, "head"), 1<<20, turn[0])
	check(b, err)
	logKey := w.LogKeys[0].Verifier()
	line, text := proof.Checkpoint.Find(logKey), proof.Checkpoint.Text()
	times := func(n int, f func()) {
		for range n {
			f()
		}
	}
	return func() time.Duration {
		begun := time.Now()
		// Of events: the two of the proofs, the agency's, two new entries, the gate's
		// own entry once more, and what was just signed, twice.
		times(8, func() { check(b, key.Public().Verify(msg, sig)) })
		// Of heads: for each of two proofs the log's to look, and the log's and the
		// three witnesses' to verify; for each of two new heads the same; the log's of
		// the proof that the log answers with.
		times(2*5+2*5+1, func() {
			if !edverify.Verify(logKey.Key, text, line.Bytes) { // logKey remembers the line
				b.Fatal("the log's line does not verify")
			}
		})
		times(2, func() { // release, answer
			_, err := key.Sign(msg)
			check(b, err)
		})
		_, err := gateKey.Open(escrow.ForRequest, info, sealed[32:])
		check(b, err)
		times(2, func() { // part one, part two
			_, err := gateKey.Open(escrow.ForNotice, info, part)
			check(b, err)
		})
		sealTo(b, gateKey.Public(), info, notice)
		sealTo(b, gateKey.Public(), info, notice[:32]) // the share
		check(b, j.Append(make([]byte, 9_000)))
		check(b, register.CompareAndSwap(turn[0], turn[1]))
		check(b, register.CompareAndSwap(turn[1], turn[0]))
		return time.Since(begun)
	}
}

// BenchmarkEndToEnd measures what an agency waits for: three gates on one machine, two
// of which must answer, log and witnesses included, at the default interval.
func BenchmarkEndToEnd(b *testing.B) {
	w := newTestbedAt(b, 2, 3)
	w.runAll()
	var warrant *logged
	n := 0
	for b.Loop() {
		b.StopTimer()
		if n%8 == 0 {
			warrant = w.warrant(alice)
		}
		n++
		f := w.escrow(alice)
		a := w.access(warrant, accessTerms{}, f)
		b.StartTimer()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var shares []*escrow.Share
		for _, s := range w.gates {
			wg.Go(func() {
				got, _ := w.shares(s, a)
				mu.Lock()
				defer mu.Unlock()
				shares = append(shares, got...)
			})
		}
		wg.Wait()
		if w.decrypt(f, shares...) != f.plain {
			b.Fatal("another plaintext")
		}
	}
}
