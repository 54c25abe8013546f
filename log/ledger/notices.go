// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// Notices returns the access that a release answers, and how many of the release's
// notices are not published. ok is false if the release has no effect or its access
// is closed: then it will never owe a notice. A release ahead of its chain may.
func (l *Ledger) Notices(index uint64) (access uint64, closed int, ok bool) {
	if a, ok := l.released[index]; ok {
		return a, l.open[a].access.release(index).notices.closed, true
	}
	for _, c := range l.chains {
		for _, p := range c.pending {
			if p.index == index && !p.dead {
				return p.access, p.notices.closed, l.open[p.access] != nil
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
	if it := l.open[access]; it != nil && it.access != nil {
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
	Live     uint64    // accesses that a release may still answer
}

// Outstanding counts over everything that is open. It includes releases ahead of
// their chain, and leaves out those whose missing notices are already a breach.
func (l *Ledger) Outstanding() Outstanding {
	var out Outstanding
	count := func(it *item, r *release) {
		if r.notices.closed == 0 || r.state != owed {
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
	for _, it := range l.open {
		if it.access == nil {
			continue
		}
		for i := range it.access.releases {
			count(it, &it.access.releases[i])
		}
		if why, _ := l.dead(it); why == "" {
			out.Live++
		}
	}
	for _, c := range l.chains {
		for i := range c.pending {
			if p := &c.pending[i]; !p.dead && l.open[p.access] != nil {
				count(l.open[p.access], &p.release)
			}
		}
	}
	return out
}
