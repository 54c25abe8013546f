// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import "time"

// Disclosability says whether a provider can disclose what an entry hides. A disclosure at
// any state but CanDisclose has no effect, or is a breach.
type Disclosability uint8

const (
	AllOpen      Disclosability = iota // all of it is open, or the entry is closed or had no effect
	AheadOfChain                       // a release ahead of its chain, which has no effect yet
	StillSealed                        // sealed for now, or for ever
	CanDisclose                        // its seal has ended, and something is not open
)

// Disclosable returns whether a provider can disclose what an entry hides at a time, and
// until when that is sealed; the zero time: for ever. A release hides its notices, for as
// long as its access is sealed; any other entry its public values.
func (l *Ledger) Disclosable(index uint64, now time.Time) (d Disclosability, until time.Time) {
	at, closed := index, 0
	if access, notices, ok := l.Notices(index); ok {
		at, closed = access, notices
		if _, effective := l.released[index]; !effective {
			return AheadOfChain, time.Time{}
		}
	}
	it := l.open.peek(at)
	if it == nil {
		return AllOpen, time.Time{}
	}
	if at == index {
		closed = it.seal.digests.closed
	}
	switch {
	case closed == 0:
		return AllOpen, time.Time{}
	case it.seal.never:
		return StillSealed, time.Time{}
	case it.seal.hides(now.Unix()):
		return StillSealed, unix(it.seal.until)
	}
	return CanDisclose, unix(it.seal.until)
}

// hides reports whether a seal hides its values at a time.
func (s *seal) hides(at int64) bool { return s.never || at < s.until }
