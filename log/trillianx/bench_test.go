// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
)

// entrySize is that of a warrant's envelope.
const entrySize = 1000

func randomBatch(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, entrySize)
		_, _ = rand.Read(out[i]) // never fails
	}
	return out
}

// bare adds leaves by the same call as the engine, with nothing around it: in
// batches of the same length, one after the other, until all are integrated.
type bare struct {
	client trillian.TrillianLogClient
	tree   int64
	next   int64
}

func newBare(t testing.TB, tr *trilliantest.Trillian) *bare {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+tr.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return &bare{client: trillian.NewTrillianLogClient(conn), tree: newPlace(t, tr).Tree}
}

func (b *bare) add(ctx context.Context, t testing.TB, batch [][]byte) {
	t.Helper()
	req := &trillian.AddSequencedLeavesRequest{LogId: b.tree}
	for _, v := range batch {
		req.Leaves = append(req.Leaves, &trillian.LogLeaf{LeafValue: v, LeafIndex: b.next})
		b.next++
	}
	_, err := b.client.AddSequencedLeaves(ctx, req)
	check(t, err)
}

func (b *bare) integrated(ctx context.Context, t testing.TB) {
	t.Helper()
	for {
		resp, err := b.client.GetLatestSignedLogRoot(ctx, &trillian.GetLatestSignedLogRootRequest{LogId: b.tree})
		check(t, err)
		var root types.LogRootV1
		check(t, root.UnmarshalBinary(resp.SignedLogRoot.LogRoot))
		if int64(root.TreeSize) >= b.next {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// pipe adds batches as the log does: each while earlier batches are integrated. It returns once the
// batches' tiles are durable.
func pipe(b *testing.B, e log.Engine, work [][][]byte) {
	var g errgroup.Group
	g.SetLimit(2)
	for _, w := range work {
		first, err := e.Add(b.Context(), w)
		check(b, err)
		g.Go(func() error { return e.Wait(b.Context(), first+uint64(len(w))) })
	}
	check(b, g.Wait())
}

// BenchmarkAdd compares the engine with a bare generator of the same calls, in turns on one
// Trillian.
func BenchmarkAdd(b *testing.B) {
	tr := trilliantest.StartTrillian(b, trilliantest.StartPostgres(b))
	const batches = 8
	for _, n := range []int{1, 64, log.DefaultMaxBatch, 4 * log.DefaultMaxBatch} {
		b.Run(fmt.Sprint("batch=", n), func(b *testing.B) {
			e := newPlace(b, tr).open(b)
			g := newBare(b, tr)
			var ours, theirs, acked []float64
			var sumOurs, sumTheirs time.Duration
			total := float64(batches * n)
			for b.Loop() {
				work := make([][][]byte, batches)
				for i := range work {
					work[i] = randomBatch(n)
				}
				began := time.Now()
				pipe(b, e, work)
				took := time.Since(began)
				sumOurs += took
				ours = append(ours, total/took.Seconds())
				began = time.Now()
				for _, w := range work {
					g.add(b.Context(), b, w)
				}
				acked = append(acked, total/time.Since(began).Seconds())
				g.integrated(b.Context(), b)
				took = time.Since(began)
				sumTheirs += took
				theirs = append(theirs, total/took.Seconds())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours), "ours/s")
			b.ReportMetric(median(theirs), "integrated/s")
			b.ReportMetric(median(acked), "acked/s")
			b.ReportMetric(sumTheirs.Seconds()/sumOurs.Seconds(), "ratio")
		})
	}
}
