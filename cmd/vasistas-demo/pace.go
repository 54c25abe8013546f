// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

const (
	paceRows  = 200                    // rows that each core signs to measure the machine's pace
	paceEvent = 500 * time.Microsecond // an event takes less on a core that is idle
	maxPace   = 4

	// freeGrace is of the deadlines that the story never waits for: a slow machine may need it
	// for a chunk of rows.
	freeGrace = 2 * 60 // seconds
	// accessLife is how long an access lives. The story ends before, on any machine.
	accessLife = 15 * 60 // seconds
)

// pace returns how many times more than usual this machine takes now, from 1 to maxPace. It signs
// rows on all cores at once, as the demonstration will.
func pace(k *people.People, rows []row) uint64 {
	b := decideRows(rows[:min(len(rows), paceRows)])
	began := time.Now()
	var cores errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		cores.Go(func() error {
			return caught(func() {
				for i := range b.accepted {
					signEvent(k, &b.accepted[i])
				}
			})
		})
	}
	try(cores.Wait())
	return paceOf(time.Since(began), len(b.accepted))
}

// paceOf returns the pace of a machine on which each core took so long to sign n events.
func paceOf(took time.Duration, n int) uint64 {
	return uint64(min(1+took/(paceEvent*time.Duration(max(n, 1))), maxPace))
}

const (
	slackPublications = 6
	longestSlack      = 40 * demoDay
)

// slack returns how much longer the story's seals last on this machine: what a chapter logs must be
// published before they end. It counts in the longest publication time so far.
func (s *story) slack() time.Duration {
	return min((slackPublications * s.publication).Truncate(demoDay), longestSlack)
}

// adapt makes the profile demo that of this machine. The figures of law stay a second for each day;
// those of operation are n times as long. The custodian that runs no gate sends no heartbeats, so the
// first is due after the demonstration. Accesses and windows last as long as a slow machine may need.
func adapt(p *event.Profile, n uint64) {
	p.ID, p.Heartbeat.Within, p.AccessLife = profileID, heartbeatsDue, accessLife
	p.Instrument(instrumentWarrant).Window = uint64(toldWindow / time.Second)
	p.Return.Grace, p.Emergency.Decision.Grace = freeGrace, freeGrace
	for _, figure := range []*uint64{&p.Inclusion, &p.Skew, &p.Spread, &p.WitnessTimeout, &p.Round, &p.Stale} {
		*figure *= n
	}
	p.Anchor.Grace *= 2 * n
	// Otherwise a machine that is slow at times has thousands of late disclosures, and they hide the one that is late on purpose.
	p.DisclosureGrace *= 2 * n
}
