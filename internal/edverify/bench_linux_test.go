// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package edverify

import (
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkVerify measures processor time in turns with crypto/ed25519: of keys with a
// table, few and many, and of keys that come once.
func BenchmarkVerify(b *testing.B) {
	for _, keys := range []int{1, 8, 50, 1000} {
		for _, size := range []int{500, 1000} {
			b.Run(fmt.Sprintf("keys=%d/bytes=%d", keys, size), func(b *testing.B) { compare(b, keys, size, usesIfRoom) })
		}
	}
	b.Run("fresh", func(b *testing.B) { compare(b, 20_000, 500, 0) })
}

func compare(b *testing.B, keys, size, uses int) {
	all := make([]*signed, keys)
	v := new(verifier)
	for i := range all {
		all[i] = sign(i, make([]byte, size))
		for range uses {
			v.verify(all[i].key, all[i].msg, all[i].sig)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const turn = 100
	measure := func(i int, verify func(key ed25519.PublicKey, msg, sig []byte) bool) time.Duration {
		var from, to unix.Timespec
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &from)
		for j := range turn {
			s := all[(i*turn+j)%len(all)]
			if !verify(s.key, s.msg, s.sig) {
				b.Fatal("a signature does not verify")
			}
		}
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &to)
		return time.Duration(to.Nano()-from.Nano()) / turn
	}
	var ratios []float64
	var ours, theirs []time.Duration
	i := 0
	for b.Loop() {
		theirs = append(theirs, measure(i, ed25519.Verify))
		ours = append(ours, measure(i, v.verify))
		ratios = append(ratios, float64(theirs[len(theirs)-1])/float64(ours[len(ours)-1]))
		i++
	}
	slices.Sort(ratios)
	slices.Sort(ours)
	slices.Sort(theirs)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ratios[len(ratios)/10], "ratio-p10")
	b.ReportMetric(ratios[len(ratios)*9/10], "ratio-p90")
	b.ReportMetric(float64(ours[len(ours)/2]), "ours-ns")
	b.ReportMetric(float64(theirs[len(theirs)/2]), "stdlib-ns")
}
