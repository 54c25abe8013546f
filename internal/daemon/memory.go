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

// The collector may let memory grow to leastLimit as usual, to twice what is live.
// Beyond that, where what is live is what is open in a log, half of it has to do.
const (
	leastLimit = 192 << 20
	spareLimit = 32 << 20
)

// memoryLimit returns the limit for so many live bytes on the heap.
func memoryLimit(live uint64) int64 {
	return int64(max(leastLimit, min(live, math.MaxInt64/2)/2*3+spareLimit))
}

// bounding counts who bounds the memory of this process; the last one leaves it as the
// first one found it.
var bounding struct {
	sync.Mutex
	n      int
	before int64
}

// boundMemory keeps the runtime's memory limit in proportion to what is live, until
// ctx ends. Who sets GOMEMLIMIT or GOGC knows better.
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
