// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import "slices"

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
