// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"log/slog"
	"sync"
	"time"
)

// clock tells the time as the witnesses have it: the logged-after time of the head
// that was published last, and what has passed since, by the machine's monotonic
// clock. So it doesn't matter to anything that the log does when somebody sets the
// machine's clock. It runs late by what it takes to publish a head.
//
// Before the first head that witnesses gave a time to, it is the machine's clock,
// which nothing is decided by.
type clock struct {
	logger *slog.Logger

	mu    sync.Mutex
	last  time.Time // witnessed before the start; zero: unknown
	after time.Time // witnessed; zero: none yet
	at    time.Time // when that came, with the monotonic clock
	odd   bool      // the machine's clock is another, and that was told
}

// oddClock is how far the machine's clock may be from the witnesses' before the
// log says so.
const oddClock = time.Minute

// now never goes back.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tell()
}

func (c *clock) tell() time.Time {
	if c.after.IsZero() {
		if now := time.Now(); now.After(c.last) {
			return now
		}
		return c.last
	}
	return c.after.Add(time.Since(c.at))
}

// remember takes the logged-after time of the head that was published last before
// the start: it is later than that.
func (c *clock) remember(after uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Unix(int64(after), 0)
}

// witness takes the logged-after time of a head that was just cosigned, in POSIX
// seconds; 0 if the policy asks for no witness.
func (c *clock) witness(after uint64) {
	if after == 0 {
		return
	}
	t := time.Unix(int64(after), 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.after.IsZero() || t.After(c.tell()) {
		c.after, c.at = t, time.Now()
	}
	wall := time.Now().Round(0)
	off := wall.Sub(c.tell())
	odd := off.Abs() > oddClock
	if odd != c.odd {
		c.odd = odd
		if odd {
			c.logger.Warn("this machine's clock is not that of the witnesses; nothing is decided by it, but set it right",
				"machine", wall.UTC().Format(time.RFC3339), "witnesses", c.tell().UTC().Format(time.RFC3339), "off", off.Round(time.Second).String())
		} else {
			c.logger.Info("this machine's clock is that of the witnesses again")
		}
	}
}
