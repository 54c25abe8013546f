// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// moment is the gate's now: what its machine says, and what witnesses say. No clock of one
// party opens a gate alone.
type moment struct {
	machine   time.Time
	witnessed time.Time // logged-after of the newest head, and what has elapsed since
}

// at returns the moment at a time of this machine.
func (f *follower) at(now time.Time) moment {
	if f.head == nil {
		return moment{now, now}
	}
	// Sub uses the monotonic clock, so setting the machine's clock does not move it.
	return moment{now, posix(f.head.LoggedAfter).Add(now.Sub(f.received))}
}

func posix(t uint64) time.Time { return time.Unix(int64(min(t, 1<<62)), 0) }

func (m moment) earliest() time.Time {
	if m.witnessed.Before(m.machine) {
		return m.witnessed
	}
	return m.machine
}

func (m moment) latest() time.Time {
	if m.witnessed.Before(m.machine) {
		return m.machine
	}
	return m.witnessed
}

// vouched is what witnesses or auditors say about a head's time.
type vouched struct {
	by          string
	size        uint64
	loggedAfter uint64
}

// fresh returns a refusal unless the time is within the profile's stale, and the machine's
// clock is not behind it by more than the profile's skew.
func (m moment) fresh(v vouched, c *ledger.Charter) error {
	at := posix(v.loggedAfter)
	skew, stale := seconds(c.Profile.Skew), seconds(c.Profile.Stale)
	switch {
	case !c.Witnesses.NeedsWitnesses():
		return refuse(CodeQuorum, "the charter in force asks for no witness, so no time is proven: the gate stays shut")
	case m.machine.Before(at.Add(-skew)):
		return refuse(CodeClock, "this machine's clock says %s, but %s have signed at %s", formatTime(m.machine), v.by, formatTime(at))
	case m.latest().After(at.Add(stale)):
		return refuse(CodeStale, "%s have signed the head of size %d at %s, more than %s ago", v.by, v.size, formatTime(at), event.Span(c.Profile.Stale))
	}
	return nil
}

// claimed returns a refusal if an event claims a time that is ahead: it could stretch
// every time limit that counts from the claim.
func (m moment) claimed(e *event.Event, c *ledger.Charter) error {
	if e.Time.After(m.earliest().Add(seconds(c.Profile.Skew))) {
		return refuse(CodeAccess, "the %s claims the time %s, and it is %s", e.Type, formatTime(e.Time), formatTime(m.earliest()))
	}
	return nil
}

// within returns a refusal outside of a warrant's window.
func (m moment) within(w *event.Warrant) error {
	if m.earliest().Before(w.NotBefore) || m.latest().After(w.NotAfter) {
		return refuse(CodeAccess, "the warrant is valid from %s to %s, and it is %s", formatTime(w.NotBefore), formatTime(w.NotAfter), formatTime(m.earliest()))
	}
	return nil
}

func seconds(n uint64) time.Duration { return time.Duration(min(n, 1<<33)) * time.Second }
