// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"log/slog"
	"sync"
	"time"
)

// Clock tells the time as the witnesses have it: the logged-after time of the head
// that was published last, and what has passed since by the machine's monotonic clock.
// Setting the machine's clock changes nothing that the log does. Clock runs late by
// the time that publishing a head takes.
//
// Before the first head with a witnessed time, Clock is the machine's clock, and
// nothing is decided by it.
//
// It is safe for concurrent use.
type Clock struct {
	Logger *slog.Logger

	mu    sync.Mutex
	last  time.Time // witnessed before the start; zero: unknown
	after time.Time // witnessed; zero: none yet
	at    time.Time // when after came, with the monotonic clock
	odd   bool      // the operator was told that the machine's clock is wrong
}

// oddClock is how far the machine's clock may be from the witnesses' before the
// log says so.
const oddClock = time.Minute

// Now never goes back.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tell()
}

func (c *Clock) tell() time.Time {
	if c.after.IsZero() {
		if now := time.Now(); now.After(c.last) {
			return now
		}
		return c.last
	}
	return c.after.Add(time.Since(c.at))
}

// Remember takes the logged-after time of the head that was published last before the
// start, in POSIX seconds. Now is later than that.
func (c *Clock) Remember(after uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Unix(int64(after), 0)
}

// Set takes the logged-after time of a head that was just cosigned, in POSIX seconds;
// 0 if the policy asks for no witness.
func (c *Clock) Set(after uint64) {
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
			c.Logger.Warn("this machine's clock is not that of the witnesses; nothing is decided by it, but set it right",
				"machine", wall.UTC().Format(time.RFC3339), "witnesses", c.tell().UTC().Format(time.RFC3339), "off", off.Round(time.Second).String())
		} else {
			c.Logger.Info("this machine's clock is that of the witnesses again")
		}
	}
}
