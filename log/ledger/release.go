// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// MaxAhead bounds the releases of one custodian that the log may hold ahead of its
// chain. The log may take releases in any order, so a gate never has more than that
// many in flight.
const MaxAhead = 64

var (
	releaseDead  = &Way{"release-chain", "dead", KindBreach, "it answers access {access}, which its custodian could know {why}", ""}
	releaseLate  = &Way{"release-chain", "late", KindNoEffect, "access {access} {why} before the release was logged: the release counts in the chain and opens nothing", ""}
	releaseGroup = &Way{"release-chain", "group", KindBreach, "access {access} names the group {group}, of which custodian {custodian} is no member", ""}
	releaseTwice = &Way{"release-chain", "twice", KindBreach, "custodian {custodian} has answered access {access} before", ""}
	releasePrev  = &Way{"release-chain", "prev", KindBreach, "prev is not release {seq} of this chain", ""}
	releaseFar   = &Way{"release-chain", "far", KindBreach, "its seq is {seq}, and the chain has {count} releases", "log the releases between them first"}
	releaseEarly = &Way{"release-chain", "early", KindNoEffect, "its seq is {seq}, and the chain has {count} releases: it takes effect when those between them are logged", "log the releases between them"}
	releasePast  = &Way{"release-chain", "past", KindNoEffect, "its seq is {seq}, and the chain has {count} releases: the log already has it, or it is too old to tell", ""}
	refusalTwice = &Way{"release-chain", "refused", KindNoEffect, "access {access} is closed, or was refused for this reason", ""}

	equivocationRelease   = &Way{"equivocation", "release", KindBreach, "custodian {custodian} signed another event for seq {seq}", ""}
	equivocationHeartbeat = &Way{"equivocation", "heartbeat", KindBreach, "custodian {custodian} states another release for seq {seq} than it signed", ""}
)

// release checks a custodian's promise: its place in the chain, the head that it
// relies on, the access that it answers, and the audit under which it opens.
func (x *act) release(r *event.Release) (effect, *Violation, error) {
	signer, v := x.one(event.RoleCustodian)
	if v != nil {
		return nil, v, nil
	}
	c := x.l.chains[signer.key]
	late, v, err := x.answer(c, r)
	if v != nil || err != nil {
		return nil, v, err
	}
	old, barred, v, err := x.audit(r)
	if v != nil || err != nil {
		return nil, v, err
	}
	late = cmp.Or(late, old)
	x.dead = late != nil
	p := &x.l.release
	*p = pending{seq: r.Seq, hash: x.hash(), prev: r.Prev, access: r.Access.Index, dead: x.dead,
		release: release{index: x.e.Index, leaf: x.e.Leaf, key: signer.key, name: c.name, base: x.base, charter: x.c.number}}
	if !p.dead {
		p.notices = digests{slices.Clone(r.Notices), len(r.Notices)}
	}
	early := r.Seq > c.count+1
	if early {
		late = x.fail(releaseEarly, r.Seq, c.count)
	}
	return func() {
		for _, b := range barred {
			x.l.note(b)
		}
		if !early {
			x.l.advance(c, p)
			x.drain(c)
			return
		}
		x.l.touchChain(c)
		c.pending = append(c.pending, *p)
		slices.SortFunc(c.pending, func(a, b pending) int { return cmp.Compare(a.seq, b.seq) })
		c.state(stated{seq: r.Seq, hash: p.hash, base: x.base, index: x.e.Index, charter: x.c.number})
	}, late, nil
}

// answer checks a release's place, its head, and its access. late is the verdict of a
// release that came too late for its access.
func (x *act) answer(c *chain, r *event.Release) (late, v *Violation, err error) {
	if v := x.place(c, r); v != nil {
		return nil, v, nil
	}
	if r.Head.Size > x.e.Index {
		return nil, x.fail(referenceFuture, r.Head.Size), nil
	}
	root, err := x.l.root(r.Head.Size)
	if err != nil {
		return nil, nil, err
	}
	if root != r.Head.Root {
		v := x.fail(referenceHead, r.Head.Size)
		v.By = orLog(v.By)
		return nil, v, nil
	}
	it, ev, v, err := x.resolve(r.Access, event.TypeAccess)
	if v != nil || err != nil {
		return nil, v, err
	}
	group := ""
	if it != nil {
		group = it.access.group
	} else {
		group = ev.Body.(*event.Access).Group
	}
	if !member(x.l.CharterAt(r.Access.Index), group, c.name) {
		return nil, x.refer(r.Access, releaseGroup, r.Access.Index, group, c.name), nil
	}
	late = x.live(r, it, ev)
	if late != nil && late.Kind == KindBreach {
		return nil, late, nil
	}
	if it != nil && it.answered(c.name) || slices.ContainsFunc(c.pending, func(p pending) bool { return p.access == r.Access.Index && !p.dead }) {
		return nil, x.refer(r.Access, releaseTwice, c.name, r.Access.Index), nil
	}
	return late, nil, nil
}

// place checks the seq of a release. It comes first: a second event for one seq is
// evidence, even if the event breaks other rules too.
func (x *act) place(c *chain, r *event.Release) *Violation {
	h, known := c.hashOf(r.Seq)
	here := slices.ContainsFunc(c.pending, func(p pending) bool { return p.seq == r.Seq })
	switch {
	case known && h != x.hash():
		return x.fail(equivocationRelease, c.name, r.Seq)
	case r.Seq <= c.count && !known && x.time >= x.l.floor:
		// If this were the logged event, reused would have known its id.
		return x.fail(equivocationRelease, c.name, r.Seq)
	case r.Seq <= c.count || here:
		return x.fail(releasePast, r.Seq, c.count)
	case r.Seq > c.count+MaxAhead:
		return x.fail(releaseFar, r.Seq, c.count)
	case r.Seq == c.count+1 && r.Prev != c.last():
		return x.fail(releasePrev, c.count)
	}
	return nil
}

func member(c *Charter, group, name string) bool {
	return slices.ContainsFunc(c.Groups, func(g event.Group) bool { return g.ID == group && slices.Contains(g.Members, name) })
}

func (it *item) answered(name string) bool {
	return slices.ContainsFunc(it.access.releases, func(r release) bool { return r.name == name })
}

// live checks that the access was live. A release for a dead access is a breach if
// its custodian could know, from the head that it relied on or its own clock, and
// has no effect otherwise.
func (x *act) live(r *event.Release, it *item, ev *event.Event) *Violation {
	at := r.Access.Index
	verdict := func(knew bool, why Term) *Violation {
		w := releaseLate
		if knew {
			w = releaseDead
		}
		return x.refer(r.Access, w, at, why)
	}
	if r.Head.Size <= at {
		return verdict(true, "was not in the head that it relied on")
	}
	if it == nil {
		life := int64(x.l.CharterAt(at).Profile.AccessLife)
		return verdict(x.l.inBreach(at) || x.time > max(ev.Time.Unix(), x.l.after)+life, "was over or without effect")
	}
	if why, at := x.l.dead(it); at != 0 {
		return verdict(at < r.Head.Size, why)
	} else if x.time > it.access.ends+int64(x.c.Profile.Skew) {
		return verdict(true, "had expired")
	} else if why != "" {
		return verdict(false, why)
	}
	return nil
}

const whySuspended = "was suspended with its warrant"

// dead returns why no release may answer an access, and the first entry that stops it; 0
// if the proven time did. why is "" for a live access.
func (l *Ledger) dead(it *item) (why Term, by uint64) {
	why, by = l.endedForGood(it)
	if !it.access.onWarrant {
		return why, by
	}
	if s := l.open.peek(it.access.warrant).warrant.suspended(); s != nil && (by == 0 || s.since < by) {
		return whySuspended, s.since
	}
	return why, by
}

// endedForGood is dead without suspensions, which may be resumed.
func (l *Ledger) endedForGood(it *item) (why Term, by uint64) {
	a := it.access
	end := func(w Term, at uint64) {
		if at != 0 && (by == 0 || at < by) {
			why, by = w, at
		}
	}
	if a.onWarrant {
		on := l.open.peek(a.warrant)
		end("had lost its warrant by a revocation", on.warrant.revokedAt)
		end("had lost its warrant by an amendment", on.voidAt)
		for _, c := range on.warrant.categories {
			// An emergency access that states no categories may open any.
			if len(a.categories) == 0 || slices.Contains(a.categories, c.code) {
				end("had lost a category of its data by a revocation", c.revokedAt)
			}
		}
	}
	end("was voided", it.voidAt)
	if a.denied {
		end("was denied", a.decidedAt)
	}
	if by == 0 && l.after > a.ends {
		why = "had expired"
	}
	return why, by
}

// advance adds the next release to its chain. The release answers its access unless
// it is dead, or the access was closed or answered while the release waited.
func (l *Ledger) advance(c *chain, p *pending) {
	l.touchChain(c)
	c.count++
	c.recent = append(c.recent, p.hash)
	if len(c.recent) > MaxAhead {
		c.recent = c.recent[1:]
	}
	for len(c.stated) > 0 && c.stated[0].seq <= c.count {
		c.stated = c.stated[1:]
	}
	it := l.open.get(p.access)
	if p.dead || it == nil || it.answered(c.name) {
		return
	}
	l.touch(it)
	it.access.releases = append(it.access.releases, p.release)
	l.released[p.index] = p.access
	l.watch(it)
}

// drain advances the releases that waited for this one.
func (x *act) drain(c *chain) {
	for len(c.pending) > 0 && c.pending[0].seq <= c.count+1 {
		p := c.pending[0]
		c.pending = c.pending[1:]
		if p.prev == c.last() {
			x.l.advance(c, &p)
			continue
		}
		c.stated = slices.DeleteFunc(c.stated, func(s stated) bool { return s.index == p.index })
		v := releasePrev.by("custodian "+c.name, p.index, x.e.Index, c.count)
		v.key = c.key + 1
		x.l.note(v)
	}
}

// state records a stated count that the log doesn't hold yet. A broken chain owes
// nothing up to where it broke. At most MaxAhead statements are kept.
func (c *chain) state(s stated) {
	if s.seq <= c.count || s.seq <= c.broken || len(c.stated) == MaxAhead {
		return
	}
	if n := len(c.stated); n == 0 || c.stated[n-1].seq < s.seq {
		c.stated = append(c.stated, s)
	}
}

// restart continues a chain whose key a new charter names.
func (c *chain) restart(name string, by *Charter) {
	c.name = name
	if c.ended {
		c.ended, c.pulse = false, debt{}
		c.beat, c.beatIndex, c.charter = by.Time, by.Index, by.number
	}
}

// end closes the chain of a key that no custodian holds any more. Its missing
// releases can't be logged now, so they are a breach at once.
func (x *act) end(c *chain) {
	x.l.touchChain(c)
	x.l.chainDuties(c, func(d duty) {
		if d.kind == dutyMissing {
			x.l.lapse(&d, x.e.Index)
			c.breakOff()
		}
	})
	c.ended, c.pending = true, nil
}

// refusal checks a custodian's refusal. A refusal is only recorded.
func (x *act) refusal(r *event.Refusal) (effect, *Violation, error) {
	signer, v := x.one(event.RoleCustodian)
	if v != nil {
		return nil, v, nil
	}
	it, _, v, err := x.resolve(r.Access, event.TypeAccess)
	if v != nil || err != nil {
		return nil, v, err
	}
	no := refused{signer.key, r.Reason}
	switch {
	case !slices.Contains(x.c.Profile.Reasons, r.Reason):
		return nil, x.fail(formCode, Term("reason"), r.Reason), nil
	case it == nil || slices.Contains(it.access.refusals, no):
		return nil, x.refer(r.Access, refusalTwice, r.Access.Index), nil
	case !member(x.l.CharterAt(it.index), it.access.group, signer.party.Name):
		return nil, x.refer(r.Access, releaseGroup, it.index, it.access.group, signer.party.Name), nil
	}
	return func() { it.access.refusals = append(it.access.refusals, no) }, nil, nil
}

// heartbeat checks a custodian's count of its releases.
func (x *act) heartbeat(b *event.Heartbeat) (effect, *Violation, error) {
	signer, v := x.one(event.RoleCustodian)
	if v != nil {
		return nil, v, nil
	}
	c := x.l.chains[signer.key]
	if h, known := c.hashOf(b.Seq); known && h != b.Prev {
		return nil, x.fail(equivocationHeartbeat, c.name, b.Seq), nil
	}
	return func() {
		x.l.touchChain(c)
		c.state(stated{seq: b.Seq, hash: b.Prev, base: x.base, index: x.e.Index, charter: x.c.number})
		// A period that ends after the claimed time counts only up to it.
		if to := min(b.To.Unix(), x.time); to > c.beat {
			c.beat, c.beatIndex, c.charter, c.pulse = to, x.e.Index, x.c.number, debt{}
		}
	}, nil, nil
}
