// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Up to leastLimit the collector works as usual, with twice the live memory. Beyond it,
// when most of the heap is a log's open state, memory is half more than the live part,
// plus spareLimit.
const (
	leastLimit = 192 << 20
	spareLimit = 32 << 20
)

// memoryLimit returns the limit for a number of live bytes on the heap.
func memoryLimit(live uint64) int64 {
	return int64(max(leastLimit, min(live, math.MaxInt64/2)/2*3+spareLimit))
}

// bounding counts the running calls of boundMemory. The last one restores the limit that
// was set before the first one.
var bounding struct {
	sync.Mutex
	n      int
	before int64
}

// boundMemory keeps the runtime's memory limit in proportion to live memory until ctx
// ends. It does nothing if the operator has set GOMEMLIMIT or GOGC.
func boundMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	bounding.Lock()
	if bounding.n++; bounding.n == 1 {
		bounding.before = debug.SetMemoryLimit(-1)
	}
	bounding.Unlock()
	defer func() {
		bounding.Lock()
		defer bounding.Unlock()
		if bounding.n--; bounding.n == 0 {
			debug.SetMemoryLimit(bounding.before)
		}
	}()
	for {
		metrics.Read(live)
		if v := live[0].Value; v.Kind() == metrics.KindUint64 {
			debug.SetMemoryLimit(memoryLimit(v.Uint64()))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
