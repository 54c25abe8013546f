// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package scan_test

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

var (
	benchNotices = flag.Int("scan.notices", 6_000, "notices of the log of BenchmarkScan")
	benchKEM     = flag.String("scan.kem", string(event.KEMMLKEMX25519), "kind of key that the notices are for")
	benchMonths  = flag.Int("scan.months", 12, "months of keys that are tried")
)

// crowd is a log with notices of others, which are not told from random bytes but by
// whom they are for. An access has as many accounts as one disclosure can tell of.
type crowd struct {
	*world
	random *rand.ChaCha8
	length int // of a notice
	each   int // notices of a release
	sample [][]byte
}

func newCrowd(b testing.TB, kem event.KEM) *crowd {
	c := &crowd{world: newWorld(b), random: rand.NewChaCha8(sha256.Sum256([]byte("notices")))}
	c.length, c.each = 4096+48, 6
	if kem == event.KEMMLKEMX25519 {
		c.length, c.each = 4096+1136, 5
	}
	return c
}

func (c *crowd) notice() []byte {
	n := make([]byte, c.length)
	c.random.Read(n)
	if c.length == 4096+48 {
		n[31] &= 0x7f // as canonical keys are
	}
	if len(c.sample) < 512 {
		c.sample = append(c.sample, n)
	}
	return n
}

// grow logs cases until there are so many notices: all at once, and their disclosures
// once their time has come.
func (c *crowd) grow(notices int) {
	const group = 32
	beat := c.Now
	for done := 0; done < notices; {
		if c.Now-beat > 30*day {
			beat = c.Now
			for _, name := range []string{"c1", "c2", "c3"} {
				c.Heartbeat(name)
			}
		}
		var warrants, accesses []*written.Logged
		for range group {
			warrants = append(warrants, c.Warrant(c.Now+hour))
			accesses = append(accesses, c.Access(warrants[len(warrants)-1], c.Now+hour))
		}
		c.See()
		type release struct {
			*written.Logged
			notices [][]byte
		}
		var releases []release
		for _, a := range accesses {
			for _, name := range []string{"c1", "c2"} {
				r := release{notices: make([][]byte, c.each)}
				for i := range r.notices {
					r.notices[i] = c.notice()
				}
				done += c.each
				r.Logged = c.ReleaseWith(a, name, r.notices...)
				releases = append(releases, r)
			}
		}
		c.anchor()
		c.Now += 2 * hour
		c.anchor()
		for i, a := range accesses {
			c.Disclose(a)
			c.Disclose(warrants[i])
			c.Return(warrants[i])
		}
		for _, r := range releases {
			c.LogEvent(c.Event(&event.Disclosure{Event: r.Reference, Notices: r.notices}), "messenger")
		}
	}
	c.anchor()
}

// trials tries keys at the sample's notices n times on all cores, with crypto/hpke alone.
func (c *crowd) trials(keys []hpke.PrivateKey, n uint64) {
	var wg sync.WaitGroup
	var next atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
				k := keys[i%uint64(len(keys))]
				if _, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(escrow.ForSubject), c.sample[i%uint64(len(c.sample))]); err == nil {
					panic("a random notice opens")
				}
			}
		})
	}
	wg.Wait()
}

func usage(b *testing.B) (cpu time.Duration, peak float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), float64(u.Maxrss) / 1024
}

// BenchmarkScan scans a log on disk with its replay, and measures next to it how many
// trial decryptions a second crypto/hpke makes: half before, half after, so that what
// else the machine does weighs on both. peak-MB covers the whole process.
func BenchmarkScan(b *testing.B) {
	b.Run(fmt.Sprintf("%s/months=%d", *benchKEM, *benchMonths), scanAll)
}

func scanAll(b *testing.B) {
	kem := event.KEM(*benchKEM)
	c := newCrowd(b, kem)
	c.grow(*benchNotices)
	c.Publish("w1", "w2", "w3")
	// The last key is always that of the month after the head's.
	last := escrow.PeriodOf(nowOf(c.world)) + 1
	c.seed.First = last - escrow.Period(*benchMonths-1)
	suite := hpke.DHKEM(ecdh.X25519())
	if kem == event.KEMMLKEMX25519 {
		suite = hpke.MLKEM768X25519()
	}
	keys := make([]hpke.PrivateKey, *benchMonths)
	for i := range keys {
		var err error
		if keys[i], err = suite.GenerateKey(); err != nil {
			b.Fatal(err)
		}
	}
	var least, took, leastCPU, tookCPU time.Duration
	var trials, tries uint64
	measure := func(wall, cpu *time.Duration, f func()) {
		start := time.Now()
		before, _ := usage(b)
		f()
		*wall += time.Since(start)
		after, _ := usage(b)
		*cpu += after - before
	}
	n := uint64(*benchNotices**benchMonths) / 8
	for b.Loop() {
		measure(&least, &leastCPU, func() { c.trials(keys, n) })
		var r *scan.Report
		var err error
		measure(&took, &tookCPU, func() {
			r, err = scan.Run(b.Context(), c.config(nil))
		})
		if err != nil || r.Outcome() != scan.Nothing || r.Notices < uint64(*benchNotices) || r.Tries != r.Notices*uint64(len(keys)) {
			b.Fatalf("%v\n%s", err, text(b, r))
		}
		measure(&least, &leastCPU, func() { c.trials(keys, n) })
		trials, tries = trials+2*n, tries+r.Tries
	}
	_, peak := usage(b)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(c.Size()), "entries")
	b.ReportMetric(float64(tries)/float64(b.N), "tries")
	b.ReportMetric(float64(tries)/took.Seconds(), "tries/s")
	b.ReportMetric(float64(trials)/least.Seconds(), "trials/s")
	b.ReportMetric(float64(tries)/took.Seconds()/(float64(trials)/least.Seconds()), "ratio")
	b.ReportMetric(float64(tries)/tookCPU.Seconds()/(float64(trials)/leastCPU.Seconds()), "cpu-ratio")
	b.ReportMetric(peak, "peak-MB")
}
