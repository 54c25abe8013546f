// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices

import (
	"bytes"
	"crypto/hpke"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

const benchOrigin = "log.example/2026"

// strangers returns a seed's keys of one KEM, and notices to other people.
func strangers(tb testing.TB, kem event.KEM, n int) (*escrow.SecretKey, [][]byte) {
	tb.Helper()
	mine, err := escrow.GenerateKey(kem)
	if err != nil {
		tb.Fatal(err)
	}
	other, err := escrow.GenerateKey(kem)
	if err != nil {
		tb.Fatal(err)
	}
	o := &event.Openings{Public: []event.Opening{event.NewOpening("unit", event.Text("legal"))}}
	notice := &escrow.Notice{Origin: benchOrigin, Access: event.Reference{Index: 1}, Custodian: "c1", Seq: 1, Recipient: other.Public(), AccessOpenings: o}
	out := make([][]byte, n)
	for i := range out {
		if out[i], err = notice.Seal(other.Public()); err != nil {
			tb.Fatal(err)
		}
	}
	return mine, out
}

// BenchmarkTrial is what a scan does with notices that are not the subject's, on all
// cores. BenchmarkHPKE is the same decryptions and nothing else.
func BenchmarkTrial(b *testing.B) {
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		b.Run(string(kem), func(b *testing.B) {
			mine, list := strangers(b, kem, 64)
			t := newTrial(benchOrigin, []escrow.KeyHolder{mine}, 0)
			defer t.close()
			b.ResetTimer()
			for done := 0; done < b.N; {
				batch := make([]candidate, 0, batchSize)
				for len(batch) < batchSize && done < b.N {
					batch = append(batch, candidate{Ciphertext: list[done%len(list)]})
					done++
				}
				t.add(batch)
			}
			if found := t.drain(); len(found) > 0 {
				b.Fatal("a stranger's notice opens")
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notices/s")
		})
	}
}

func BenchmarkHPKE(b *testing.B) {
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		b.Run(string(kem), func(b *testing.B) {
			_, list := strangers(b, kem, 64)
			s := hpke.MLKEM768X25519()
			if kem == event.KEMX25519 {
				s, _ = hpke.NewKEM(0x0020)
			}
			k, err := s.GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			info := []byte("as long as the info of a notice, forty-two")
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, list[int(i)%len(list)]); err == nil {
							panic("a stranger's notice opens")
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notices/s")
		})
	}
}

// TestTrialMemory tries notices that would fill more memory than it may use, if they were
// held: what waits is bounded by the queue.
func TestTrialMemory(t *testing.T) {
	mine, list := strangers(t, event.KEMX25519, 1)
	tr := newTrial(benchOrigin, []escrow.KeyHolder{mine}, 0)
	defer tr.close()
	const n, limit = 8000, 20 << 20
	if n*len(list[0]) < 3*limit/2 {
		t.Fatal("they would all fit")
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	for i := 0; i < n; i += batchSize {
		batch := make([]candidate, batchSize)
		for j := range batch {
			batch[j].Ciphertext = bytes.Clone(list[0])
		}
		tr.add(batch)
		if i%(16*batchSize) == 0 {
			runtime.ReadMemStats(&during)
			peak = max(peak, during.HeapInuse)
		}
	}
	if found := tr.drain(); len(found) != 0 || tr.tried != n {
		t.Fatalf("%d found, %d tried", len(found), tr.tried)
	}
	if grown := int64(peak) - int64(before.HeapInuse); grown > limit {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
