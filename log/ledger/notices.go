// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// ReleaseOf returns the release that states this notice, among those that answer the
// open access at index, or, if index is a release's, that one.
func (l *Ledger) ReleaseOf(index uint64, notice event.Digest) (event.Reference, bool) {
	a, isRelease := l.released[index]
	if !isRelease {
		a = index
	}
	it := l.open[a]
	if it == nil || it.access == nil {
		return event.Reference{}, false
	}
	for _, r := range it.access.releases {
		if (!isRelease || r.index == index) && slices.Contains(r.notices.list, notice) {
			return event.Reference{Index: r.index, Leaf: r.leaf}, true
		}
	}
	return event.Reference{}, false
}

// Undisclosed is what releases have promised to tell and nobody can read yet.
type Undisclosed struct {
	Releases int       // with notices that are not published
	Notices  int       // that are not
	Never    int       // of Releases: they may stay sealed without end
	Last     time.Time // when the last of the others is due; zero if there is none
}

// Undisclosed returns it for all open accesses. Releases whose notices came never, so
// that it is a breach, are not among them.
func (l *Ledger) Undisclosed() (u Undisclosed) {
	count := func(it *item, closed int) {
		if closed == 0 {
			return
		}
		u.Releases++
		u.Notices += closed
		if it.seal.never {
			u.Never++
		} else if t := time.Unix(it.seal.until, 0).UTC(); t.After(u.Last) {
			u.Last = t
		}
	}
	for _, it := range l.open {
		if it.access == nil {
			continue
		}
		for _, r := range it.access.releases {
			if r.state == owed {
				count(it, r.notices.closed)
			}
		}
	}
	for _, c := range l.chains {
		for _, p := range c.pending {
			if it := l.open[p.access]; it != nil && !p.dead {
				count(it, p.notices.closed)
			}
		}
	}
	return u
}

// Notices returns the access that a release answers, and how many of its notices
// are not published. ok is false if none is owed, now or later: the release has no
// effect, or its access is closed. One that is ahead of its chain still may have
// one.
func (l *Ledger) Notices(index uint64) (access uint64, closed int, ok bool) {
	if a, found := l.released[index]; found {
		it := l.open[a]
		i := slices.IndexFunc(it.access.releases, func(r release) bool { return r.index == index })
		return a, it.access.releases[i].notices.closed, true
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
