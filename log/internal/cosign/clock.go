// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"log/slog"
	"sync"
	"time"
)

// Clock tells the time as the witnesses have it: the logged-after time of the head
// that was published last, and what a monotonic clock has counted since, also while
// the machine slept. Setting the machine's clock changes nothing that the log does.
// Clock runs late by the time that publishing a head takes.
//
// Before the first head since the start, and while the policy asks for no witness,
// Clock is the machine's clock.
//
// It is safe for concurrent use.
type Clock struct {
	Logger *slog.Logger

	mu    sync.Mutex
	after time.Time     // witnessed; zero: none
	at    time.Time     // when after came, with the runtime's monotonic clock
	awake time.Duration // sinceBoot at that time
	odd   bool          // the operator was told that the machine's clock is wrong
}

// oddClock is how far the machine's clock may be from the witnesses' before the
// log says so.
const oddClock = time.Minute

// Now returns the time. It goes back if the witnesses' time is behind what this machine
// has counted, so that no error adds up.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tell()
}

func (c *Clock) tell() time.Time {
	if c.after.IsZero() {
		return time.Now()
	}
	// The runtime's clock stands still while the machine sleeps.
	return c.after.Add(max(time.Since(c.at), sinceBoot()-c.awake))
}

// Set takes the time of a head that was just published, in POSIX seconds; 0 if the
// policy asks for no witness. Whatever this machine has counted, that time counts: a
// window of cosignatures needs more liars than a wrong clock here.
func (c *Clock) Set(after uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = time.Time{}
	if after == 0 {
		return
	}
	c.after, c.at, c.awake = time.Unix(int64(after), 0), time.Now(), sinceBoot()
	off := c.at.Round(0).Sub(c.after)
	odd := off.Abs() > oddClock
	if odd != c.odd {
		c.odd = odd
		if odd {
			c.Logger.Warn("this machine's clock is not that of the witnesses; nothing is decided by it, but set it right",
				"machine", c.at.UTC().Format(time.RFC3339), "witnesses", c.after.UTC().Format(time.RFC3339), "off", off.Round(time.Second).String())
		} else {
			c.Logger.Info("this machine's clock is that of the witnesses again")
		}
	}
}
