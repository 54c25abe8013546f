// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
)

func BenchmarkAppend(b *testing.B) {
	rec := make([]byte, 500)
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			j := create(b, filepath.Join(b.TempDir(), "j"))
			defer j.Close()
			b.SetBytes(int64(len(rec)))
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := j.Append(rec); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkCompareAndSwap(b *testing.B) {
	v := make([]byte, 500)
	r, err := durable.CreateRegister(filepath.Join(b.TempDir(), "r"), 500, v)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.CompareAndSwap(v, v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	name := filepath.Join(b.TempDir(), "j")
	j := create(b, name)
	const n = 100_000
	if err := j.Rewrite(func(yield func([]byte, error) bool) {
		rec := make([]byte, 500)
		for range n {
			if !yield(rec, nil) {
				return
			}
		}
	}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(j.Size())
	j.Close()
	for b.Loop() {
		j, err := durable.OpenJournal(name, label, 1000, ignore)
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
}
