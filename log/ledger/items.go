// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var kinds = [...]event.Type{event.TypeWarrant, event.TypeAccess, event.TypeDeferral}

func (c *codec) item(it *item) {
	c.uint(&it.index)
	c.raw(it.leaf[:])
	kind := uint64(max(0, slices.Index(kinds[:], it.kind)))
	it.kind = kinds[c.int(kind, uint64(len(kinds)-1), "a type")]
	c.u32(&it.charter)
	c.time(&it.time)
	c.near(&it.base, it.time)
	c.u32s(&it.keys)
	for _, name := range []*string{&it.authority, &it.validator, &it.provider, &it.instrument} {
		c.name(name)
	}
	c.uint(&it.measure, &it.voidAt)
	c.seal(&it.seal, it.time)
	switch it.kind {
	case event.TypeWarrant:
		codePtr(c, &it.warrant, func(w *warrant) { c.warrant(w, it.time) })
	case event.TypeAccess:
		codePtr(c, &it.access, func(a *access) { c.access(a, it.time) })
	}
}

// seal codes the seal of an event whose claimed time is from.
func (c *codec) seal(s *seal, from int64) {
	c.near(&s.end, from)
	c.near(&s.first, from)
	c.near(&s.until, s.first)
	c.bool(&s.never)
	c.debt(&s.debt)
	c.digests(&s.digests)
	n := len(s.names)
	for ; !c.reading && n > 0 && s.names[n-1] == 0; n-- {
	}
	n = int(c.int(uint64(n), uint64(len(s.names)), "names"))
	for i := range n {
		if c.u8(&s.names[i]); i == n-1 && s.names[i] == 0 {
			c.fail("names")
		}
	}
	c.uint(&s.ordinal)
	list(c, &s.deferrals, 3, func(d *deferred) {
		c.uint(&d.index)
		c.time(&d.until)
		c.u32s(&d.keys)
	})
}

// digests codes the closed part and the open part. Each is sorted first, since its order depends on the order of openings.
func (c *codec) digests(d *digests) {
	if !c.reading {
		slices.SortFunc(d.list[:d.closed], compareDigests)
		slices.SortFunc(d.list[d.closed:], compareDigests)
	}
	list(c, &d.list, 32, func(x *event.Digest) { c.raw(x[:]) })
	d.closed = int(c.int(uint64(d.closed), uint64(len(d.list)), "digests"))
	if c.reading && !(slices.IsSortedFunc(d.list[:d.closed], compareDigests) && slices.IsSortedFunc(d.list[d.closed:], compareDigests)) {
		c.fail("the order of digests")
	}
}

func compareDigests(a, b event.Digest) int { return bytes.Compare(a[:], b[:]) }

// warrant codes a warrant whose claimed time is from.
func (c *codec) warrant(w *warrant, from int64) {
	c.bool(&w.denied, &w.preserves)
	c.near(&w.notBefore, from)
	c.near(&w.notAfter, from)
	c.uint(&w.accesses, &w.accounts, &w.opens, &w.revokedAt, &w.refusedAt)
	c.debt(&w.returned)
	list(c, &w.categories, 3, func(x *category) {
		c.name(&x.code)
		c.uint(&x.revokedAt, &x.answeredAt)
	})
	list(c, &w.suspensions, 38, func(s *suspension) {
		c.uint(&s.index, &s.since, &s.resumedAt)
		c.raw(s.leaf[:])
		c.name(&s.author)
		c.time(&s.resumed)
		c.u32s(&s.resumedBy)
	})
}

// access codes an access whose claimed time is from.
func (c *codec) access(a *access, from int64) {
	c.bool(&a.onWarrant, &a.emergency, &a.denied)
	c.uint(&a.warrant, &a.accounts, &a.decidedAt)
	c.name(&a.group)
	c.near(&a.ends, from)
	list(c, &a.categories, 1, c.name)
	c.debt(&a.decision)
	c.u32s(&a.decidedBy)
	c.time(&a.decideBy)
	list(c, &a.releases, 40, c.release)
	list(c, &a.refusals, 2, func(r *refused) {
		c.u32(&r.key)
		c.name(&r.reason)
	})
}

func (c *codec) release(r *release) {
	c.uint(&r.index)
	c.raw(r.leaf[:])
	c.u32(&r.key)
	c.u32(&r.charter)
	c.name(&r.name)
	c.time(&r.base)
	c.digests(&r.notices)
	c.debt(&r.debt)
}

func (c *codec) chain(ch *chain) {
	c.u32(&ch.key)
	c.name(&ch.name)
	c.uint(&ch.count)
	list(c, &ch.recent, 32, func(h *[32]byte) { c.raw(h[:]) })
	list(c, &ch.pending, 100, func(p *pending) {
		c.uint(&p.seq, &p.access)
		c.raw(p.hash[:])
		c.raw(p.prev[:])
		c.bool(&p.dead)
		c.release(&p.release)
	})
	list(c, &ch.stated, 36, func(s *stated) {
		c.uint(&s.seq, &s.index)
		c.raw(s.hash[:])
		c.time(&s.base)
		c.u32(&s.charter)
		c.debt(&s.debt)
	})
	c.uint(&ch.broken, &ch.beatIndex)
	c.bool(&ch.ended)
	c.time(&ch.beat)
	c.u32(&ch.charter)
	c.debt(&ch.pulse)
}
