// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package written

import (
	"fmt"
	"math/rand/v2"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// thread is a case of a story.
type thread struct {
	warrant, access *Logged
	until           int64
	releases        []*Logged
}

// Story lets a log live at random, and goes on with its earlier cases, until it has so many entries: parties are late, and if wild they
// break rules.
func (l *Log) Story(r *rand.Rand, entries uint64, wild bool) {
	custodian := func() string { return fmt.Sprintf("c%d", 1+r.IntN(3)) }
	for l.Size() < entries {
		var c *thread
		if len(l.threads) > 0 {
			c = l.threads[max(0, len(l.threads)-1-r.IntN(6))]
		}
		do := r.IntN(14)
		open := c != nil && (l.Now >= c.until || wild)
		switch {
		case do == 0 || c == nil:
			until := l.Now + int64(1+r.IntN(10))*people.Day
			l.threads = append(l.threads, &thread{warrant: l.Warrant(until), until: until})
		case do <= 2 && c.access == nil:
			c.access = l.Access(c.warrant, c.until)
		case do <= 4 && c.access != nil:
			c.releases = append(c.releases, l.Release(c.access, custodian()))
		case do == 5 && open:
			l.Disclose(c.warrant) // if wild early, or a second time
		case do == 6 && c.access != nil && open:
			l.Disclose(c.access, c.releases...)
		case do == 7 && open:
			l.Return(c.warrant)
		case do == 8:
			l.Heartbeat(custodian())
		case do == 9 && wild && r.IntN(4) == 0:
			l.Append([]byte("no event"))
			l.LogBadly(l.WarrantEvent(l.Now+people.Day), "court")
			l.Release(c.warrant, custodian()) // it is no access, and leaves a gap
		case do == 10 && r.IntN(2) == 0:
			rules := []string{"form", "opening", "heartbeat", "release-chain"}
			for _, a := range []string{"a1", "a2"} {
				l.Finding(a, rules[r.IntN(len(rules))], event.FindingClosed, 0, l.Size()-1)
			}
		case do == 11:
			l.Now += int64(r.IntN(24)) * people.Hour
		default:
			l.Anchor(l.Checkpoint("w1", "w2", "w3"))
		}
		l.Now += int64(r.IntN(3)) * people.Hour
	}
}

// Record is the tree of a log's entries in memory, for a ledger.
type Record struct {
	Entries [][]byte
	roots   [][32]byte // by size
}

// Record keeps all entries of a log that has only its charter. It sets Appended.
func (l *Log) Record() *Record {
	r := &Record{[][]byte{l.Charter.Envelope.Bytes()}, [][32]byte{tiles.EmptyRoot(), l.Head().Root}}
	l.Appended = func(_ event.Reference, entry []byte) {
		r.Entries, r.roots = append(r.Entries, entry), append(r.roots, l.Head().Root)
	}
	return r
}

func (r *Record) Entry(index uint64) ([]byte, error) { return r.Entries[index], nil }
func (r *Record) Root(size uint64) ([32]byte, error) { return r.roots[size], nil }
