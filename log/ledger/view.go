// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// Time returns the proven time: the next entry is logged after it. It is the zero
// time if no anchor has proven any.
func (l *Ledger) Time() time.Time {
	if l.after == 0 {
		return time.Time{}
	}
	return unix(l.after)
}

// Anchored returns the size of the largest anchored head.
func (l *Ledger) Anchored() uint64 { return l.anchored }

// Existed returns a time before which the largest anchored head existed. It returns the zero time if no such time is
// proven, or if the anchor came before this ledger was restored.
func (l *Ledger) Existed() time.Time {
	if l.existed == 0 || l.existed == maxTime {
		return time.Time{}
	}
	return unix(l.existed)
}

// Breaches calls do with each breach on record, in the order in which they were seen, and with
// whether it is closed for gates. A later call has the same ones first. do does not keep them.
func (l *Ledger) Breaches(do func(b *Breach, closed bool)) {
	for _, b := range l.breaches {
		do(b, l.closed(b))
	}
}

// Open returns how many events are open, and how many ids are remembered.
func (l *Ledger) Open() (events, ids int) { return l.open.n, l.ids.n }

// An Access is the state of an open access.
type Access struct {
	Ends      time.Time // no release may answer the access after this
	Dead      Term      // why no release may answer it now; "": it is live, up to Ends
	Suspended bool      // it is Dead because its warrant is suspended, and may be live again
	Answered  []string  // custodians whose release took effect
}

// Access returns an open access. Any other access is over or never had an effect.
func (l *Ledger) Access(index uint64) (Access, bool) {
	it := l.open.peek(index)
	if it == nil || it.access == nil {
		return Access{}, false
	}
	a := it.access
	out := Access{Ends: unix(a.ends)}
	if out.Dead, _ = l.endedForGood(it); out.Dead == "" {
		out.Dead, _ = l.dead(it)
		out.Suspended = out.Dead != ""
	}
	for _, r := range a.releases {
		out.Answered = append(out.Answered, r.name)
	}
	return out, true
}

// A Chain is the state of a custodian's chain of releases.
type Chain struct {
	Custodian string       // its name
	Seq       uint64       // of the chain's last release
	Hash      event.Digest // event hash of that release; zero at Seq 0
	Waiting   int          // releases ahead of the chain
	Stated    uint64       // the count that the custodian has stated, if greater than Seq
	Broken    bool         // a stated release was never logged
	Ended     bool         // no custodian holds the key any more
	Heartbeat time.Time    // the end of the last heartbeat's period
}

// Chain returns the chain of a custodian's event key.
func (l *Ledger) Chain(keyID string) (Chain, bool) {
	n, ok := l.keyNum[keyID]
	c := l.chains[n]
	if !ok || c == nil {
		return Chain{}, false
	}
	out := Chain{Custodian: c.name, Seq: c.count, Hash: c.last(), Waiting: len(c.pending), Broken: c.count < c.broken,
		Ended: c.ended, Heartbeat: unix(c.beat)}
	if len(c.stated) > 0 {
		out.Stated = c.stated[len(c.stated)-1].seq
	}
	return out, true
}

// KeyIDs returns the ids of all keys that any charter ever named, sorted.
func (l *Ledger) KeyIDs() []string {
	out := make([]string, 0, len(l.keys))
	for _, k := range l.keys {
		out = append(out, k.KeyID())
	}
	slices.Sort(out)
	return out
}

func short(h [32]byte) string { return hex.EncodeToString(h[:8]) }

// Notices returns the access that a release answers, and how many of the release's
// notices are not published. ok is false if the release has no effect or its access
// is closed: then it will never owe a notice. A release ahead of its chain may.
func (l *Ledger) Notices(index uint64) (access uint64, closed int, ok bool) {
	if a, ok := l.released[index]; ok {
		return a, l.open.peek(a).access.release(index).notices.closed, true
	}
	for _, c := range l.chains {
		for _, p := range c.pending {
			if p.index == index && !p.dead {
				return p.access, p.notices.closed, l.open.peek(p.access) != nil
			}
		}
	}
	return 0, 0, false
}

// A Stating is a release that states a notice.
type Stating struct {
	event.Reference
	Custodian string
	Waiting   bool // it is ahead of its chain and has no effect yet
}

// Stating returns the releases that state a notice, among those that a disclosure
// of ref covers. ref names a release or an open access.
func (l *Ledger) Stating(ref event.Reference, notice event.Digest) []Stating {
	access := ref.Index
	if a, ok := l.released[ref.Index]; ok {
		access = a
	}
	var out []Stating
	add := func(r *release, waiting bool) {
		if (r.index == ref.Index || access == ref.Index) && slices.Contains(r.notices.list, notice) {
			out = append(out, Stating{event.Reference{Index: r.index, Leaf: r.leaf}, r.name, waiting})
		}
	}
	if it := l.open.peek(access); it != nil && it.access != nil {
		for i := range it.access.releases {
			add(&it.access.releases[i], false)
		}
	}
	for _, c := range l.chains {
		for i := range c.pending {
			if p := &c.pending[i]; p.access == access || p.index == ref.Index {
				add(&p.release, true)
			}
		}
	}
	slices.SortFunc(out, func(a, b Stating) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

// Outstanding counts releases and notices that their subjects can't read yet.
type Outstanding struct {
	Releases uint64    // with unpublished notices
	Notices  uint64    // unpublished
	Never    uint64    // of the releases: sealed without end
	Last     time.Time // the latest date by which one of the others is due, unless it is deferred; zero: none
	Live     uint64    // accesses that a release may still answer, suspended ones too
}

// Outstanding counts over everything that is open. It includes releases ahead of
// their chain, and leaves out those whose missing notices are already a breach.
func (l *Ledger) Outstanding() Outstanding {
	var out Outstanding
	count := func(it *item, r *release) {
		if r.notices.closed == 0 || r.debt.state != owed {
			return
		}
		out.Releases++
		out.Notices += uint64(r.notices.closed)
		if it.seal.never {
			out.Never++
		} else if until := unix(it.seal.until); until.After(out.Last) {
			out.Last = until
		}
	}
	l.open.all(func(it *item) {
		if it.access == nil {
			return
		}
		for i := range it.access.releases {
			count(it, &it.access.releases[i])
		}
		if why, _ := l.endedForGood(it); why == "" {
			out.Live++
		}
	})
	for _, c := range l.chains {
		for i := range c.pending {
			if p := &c.pending[i]; !p.dead && l.open.peek(p.access) != nil {
				count(l.open.peek(p.access), &p.release)
			}
		}
	}
	return out
}
