// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"fmt"
	"sync"
	"time"
)

// maxBehind is how far in seconds the clock may be behind the last timestamp.
const maxBehind = 60

// ClockError reports that the clock is more than a minute behind the last timestamp of a
// cosignature. If the clock was ahead then, wait or use a new key.
type ClockError struct {
	Behind uint64 // seconds
}

func (e *ClockError) Error() string {
	return fmt.Sprintf("the witness's clock is %d seconds behind its last timestamp", e.Behind)
}

// clock gives timestamps that never go back.
type clock struct {
	mu   sync.Mutex
	last uint64 // POSIX seconds; the largest given or observed
}

// observe notes a timestamp given in an earlier run.
func (c *clock) observe(t uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, t)
}

func (c *clock) latest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *clock) now() (uint64, error) {
	now := time.Now().Unix()
	if now <= 0 {
		return 0, &ClockError{Behind: c.last}
	}
	if t := uint64(now); t+maxBehind < c.last {
		return 0, &ClockError{Behind: c.last - t}
	}
	return max(uint64(now), c.last), nil
}

// stamp returns the next timestamp, which counts as given even if recording it fails.
func (c *clock) stamp() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.now()
	if err != nil {
		return 0, err
	}
	c.last = t
	return t, nil
}
