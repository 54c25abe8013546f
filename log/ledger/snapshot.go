// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// magic begins a snapshot and changes with its layout. A snapshot of another layout
// is refused, so its owner replays the log.
const magic = "vasistas ledger snapshot 6\n"

// Snapshot returns the state in its one encoding: equal states have equal bytes. It
// holds the size and root of the tree, its right edge, and ends with its SHA-256.
// The hash detects damage, not forgery: keep a snapshot as safe as any other state.
func (l *Ledger) Snapshot() []byte { return l.SnapshotLater()(nil) }

// SnapshotLater returns a function that appends to b what Snapshot returns now. Calling the function
// may take long, and needs no lock of the ledger.
func (l *Ledger) SnapshotLater() (appendTo func(b []byte) []byte) {
	c := &codec{b: []byte(magic), names: &l.open.names}
	l.code(c)
	size := 1024 + l.open.size() + 80*l.ids.n
	return func(b []byte) []byte {
		start := len(b)
		return checksum.Append(c.append(slices.Grow(b, size)), start)
	}
}

// Restore returns the ledger of a snapshot. The snapshot must be of the caller's
// verified tree, which has this size and root. Errors wrap ErrSnapshot or ErrRules.
func Restore(b []byte, size uint64, root [32]byte, tree Tree) (*Ledger, error) {
	body, err := checksum.Cut(b, magic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	l := New("", tree)
	c := &codec{b: body, reading: true, names: &l.open.names}
	l.code(c)
	if c.err == nil && len(c.b) > 0 {
		c.fail("bytes after its end")
	}
	if c.err != nil {
		return nil, c.err
	}
	if l.Size() != size || l.Root() != root {
		return nil, fmt.Errorf("%w: it is of size %d and a root that begins with %s", ErrSnapshot, l.Size(), short(l.Root()))
	}
	for _, c := range l.unanchored {
		l.await(c)
	}
	l.lastIDs = l.ids.n
	return l, nil
}

func (l *Ledger) code(c *codec) {
	c.string(&l.origin)
	l.codeEdge(c)
	l.codeCharters(c)
	c.uint(&l.anchored)
	c.time(&l.after)
	c.time(&l.floor)
	list(c, &l.unanchored, 4, func(x *claim) {
		c.uint(&x.index)
		c.time(&x.time)
		c.time(&x.base)
		c.bool(&x.anchor)
	})
	for _, n := range []*uint64{&l.totals.Settled, &l.totals.Late, &l.totals.Lapsed} {
		c.uint(n)
	}
	l.codeItems(c)
	chains := l.sortedChains()
	list(c, &chains, 8, func(ch **chain) {
		if codePtr(c, ch, c.chain); c.reading {
			l.adoptChain(c, *ch)
		}
	})
	l.codeIDs(c)
	list(c, &l.breaches, 8, func(b **Breach) { codePtr(c, b, c.breach) })
	c.time(&l.renewed)
	l.codeSpent(c)
	r := &l.recent
	c.uint(&r.oldest)
	list(c, &r.past, 4, func(p *past) {
		p.kind = dutyKind(c.int(uint64(p.kind), uint64(dutyAnchor), "a duty"))
		c.uint(&p.at)
		c.uint(&p.index)
		c.time(&p.late)
	})
	list(c, &r.heads, 2, func(h *anchoredHead) {
		c.uint(&h.size)
		c.time(&h.existed)
	})
	list(c, &l.asides, 3, func(a *aside) {
		c.u32(&a.key)
		c.uint(&a.from)
		c.uint(&a.until)
	})
}

func codePtr[T any](c *codec, p **T, code func(*T)) {
	if c.reading {
		*p = new(T)
	}
	code(*p)
}

// codeEdge codes the size, the root, and the partial tiles of the right edge.
func (l *Ledger) codeEdge(c *codec) {
	size, root := l.edge.Size(), l.edge.Root()
	c.uint(&size)
	c.raw(root[:])
	if !c.reading {
		_ = l.edge.Partial(func(_ tlog.Tile, b []byte) error { c.raw(b); return nil })
		return
	}
	if size > 1<<53 {
		c.fail("its size")
		return
	}
	held := make(edgeTiles)
	for _, t := range tiles.Edge(size) {
		b := make([]byte, t.Width*sha256.Size)
		c.raw(b)
		held[t] = b
	}
	if c.err != nil {
		return
	}
	edge, err := tiles.LoadFrontier(context.Background(), held, size, root)
	if err != nil {
		c.fail("the edge of its tree")
		return
	}
	l.edge = edge
}

// edgeTiles are the tiles of a snapshot, as a tlog.TileReader.
type edgeTiles map[tlog.Tile][]byte

func (e edgeTiles) ReadTile(_ context.Context, t tlog.Tile) ([]byte, error) { return e[t], nil }

// codeCharters codes the charters' envelopes. Reading numbers the keys in the same
// order again.
func (l *Ledger) codeCharters(c *codec) {
	list(c, &l.charters, 64, func(p **Charter) {
		if c.reading {
			*p = new(Charter)
		}
		ch := *p
		c.uint(&ch.Index)
		c.time(&ch.Time)
		var b []byte
		if !c.reading {
			b = ch.env.Bytes()
		}
		c.bytes(&b)
		if !c.reading || c.err != nil {
			return
		}
		*p = l.readCharter(c, ch, b)
	})
	if !c.reading || c.err != nil {
		return
	}
	for i, ch := range l.charters {
		ch.number = uint32(i)
		l.number(ch)
	}
}

// readCharter returns the charter of an envelope's bytes, with the index and time of at.
func (l *Ledger) readCharter(c *codec, at *Charter, b []byte) *Charter {
	env, err := event.ParseEnvelope(b)
	if err == nil {
		if body, ok := env.Event.Body.(*event.Charter); ok {
			x := &act{l: l, e: &Entry{Index: at.Index, Leaf: tiles.LeafHash(b), Envelope: env}, ev: env.Event, base: at.Time}
			ch, v := x.newCharter(body)
			switch {
			case v == nil && ch.rules == nil:
				c.err = fmt.Errorf("%w (version %d)", ErrRules, body.Rules)
			case v == nil:
				return ch
			}
		}
	}
	c.fail("a charter")
	return at
}

// codeSpent codes what keys have used of their budgets.
func (l *Ledger) codeSpent(c *codec) {
	keys := slices.Sorted(maps.Keys(l.spent))
	last := -1
	list(c, &keys, 2, func(k *uint32) {
		n := l.spent[*k]
		c.u32(k)
		c.uint(&n)
		if !c.reading {
			return
		}
		if int(*k) <= last {
			c.fail("the order of budgets")
		}
		l.spent[*k], last = n, int(*k)
	})
}

func compareIDs(a, b usedID) int {
	return cmp.Or(cmp.Compare(a.key, b.key), bytes.Compare(a.id[:], b.id[:]))
}

// codeIDs codes the ids that are not below the floor.
func (l *Ledger) codeIDs(c *codec) {
	code := func(c *codec, u *usedID) {
		c.u32(&u.key)
		c.raw(u.id[:])
		c.time(&u.time)
		c.raw(u.hash[:])
		c.uint(&u.index)
		c.bool(&u.effect)
	}
	if !c.reading {
		all := slices.AppendSeq(make([]usedID, 0, l.ids.n), l.ids.all(l.floor))
		c.later(func(c *codec) {
			slices.SortFunc(all, compareIDs)
			list(c, &all, 0, func(u *usedID) { code(c, u) })
		})
		return
	}
	n := c.length(0, 36)
	var u, last usedID
	for i := range n {
		if code(c, &u); c.err == nil && (u.time < l.floor || i > 0 && compareIDs(last, u) >= 0) {
			c.fail("the order of ids")
		}
		if c.err != nil {
			return
		}
		l.ids.put(u)
		last = u
	}
}

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
	c.name(&it.authority)
	c.name(&it.validator)
	c.name(&it.provider)
	c.name(&it.instrument)
	c.uint(&it.measure)
	c.uint(&it.voidAt)
	c.seal(&it.seal, it.time)
	switch it.kind {
	case event.TypeWarrant:
		codePtr(c, &it.warrant, func(w *warrant) { c.warrant(w, it.time) })
	case event.TypeAccess:
		codePtr(c, &it.access, func(a *access) { c.access(a, it.time) })
	}
}

// seal codes a seal of an event that claims the time from.
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

// digests codes the closed and the open part, each sorted: their order depended on the order of openings.
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

// warrant codes a warrant that claims the time from.
func (c *codec) warrant(w *warrant, from int64) {
	c.bool(&w.denied)
	c.bool(&w.preserves)
	c.near(&w.notBefore, from)
	c.near(&w.notAfter, from)
	c.uint(&w.accesses)
	c.uint(&w.accounts)
	c.uint(&w.opens)
	c.uint(&w.revokedAt)
	c.uint(&w.refusedAt)
	c.debt(&w.returned)
	list(c, &w.categories, 3, func(x *category) {
		c.name(&x.code)
		c.uint(&x.revokedAt)
		c.uint(&x.answeredAt)
	})
	list(c, &w.suspensions, 38, func(s *suspension) {
		c.uint(&s.index)
		c.raw(s.leaf[:])
		c.name(&s.author)
		c.uint(&s.since)
		c.uint(&s.resumedAt)
		c.time(&s.resumed)
		c.u32s(&s.resumedBy)
	})
}

// access codes an access that claims the time from.
func (c *codec) access(a *access, from int64) {
	c.bool(&a.onWarrant)
	c.uint(&a.warrant)
	c.bool(&a.emergency)
	c.uint(&a.accounts)
	c.name(&a.group)
	c.near(&a.ends, from)
	list(c, &a.categories, 1, c.name)
	c.debt(&a.decision)
	c.uint(&a.decidedAt)
	c.u32s(&a.decidedBy)
	c.time(&a.decideBy)
	c.bool(&a.denied)
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
	c.name(&r.name)
	c.time(&r.base)
	c.u32(&r.charter)
	c.digests(&r.notices)
	c.debt(&r.debt)
}

func (c *codec) chain(ch *chain) {
	c.u32(&ch.key)
	c.name(&ch.name)
	c.uint(&ch.count)
	list(c, &ch.recent, 32, func(h *[32]byte) { c.raw(h[:]) })
	list(c, &ch.pending, 100, func(p *pending) {
		c.uint(&p.seq)
		c.raw(p.hash[:])
		c.raw(p.prev[:])
		c.uint(&p.access)
		c.bool(&p.dead)
		c.release(&p.release)
	})
	list(c, &ch.stated, 36, func(s *stated) {
		c.uint(&s.seq)
		c.raw(s.hash[:])
		c.time(&s.base)
		c.uint(&s.index)
		c.u32(&s.charter)
		c.debt(&s.debt)
	})
	c.uint(&ch.broken)
	c.bool(&ch.ended)
	c.time(&ch.beat)
	c.uint(&ch.beatIndex)
	c.u32(&ch.charter)
	c.debt(&ch.pulse)
}

func (c *codec) breach(b *Breach) {
	if c.cause(&b.Cause, true); c.err == nil && b.Kind != KindBreach {
		c.fail("a breach")
	}
	about := b.About != nil
	c.uint(&b.Index)
	c.uint(&b.Seen)
	c.string(&b.By)
	c.bool(&about)
	if about {
		codePtr(c, &b.About, func(r *event.Reference) {
			c.uint(&r.Index)
			c.raw(r.Leaf[:])
		})
	}
	c.uint(&b.Last)
	c.uint(&b.Count)
	list(c, &b.stands, 5, func(s *stand) {
		c.string(&s.auditor)
		c.u32(&s.key)
		c.uint(&s.index)
		c.bool(&s.open)
		c.uint(&s.voidAt)
	})
	c.bool(&b.settled)
	c.u32(&b.key)
}

// cause codes a way by its name, and its arguments. Only an outer cause may have a
// cause among them.
func (c *codec) cause(x *Cause, outer bool) {
	name := ""
	if !c.reading {
		name = x.Rule + "/" + x.Code
	}
	c.string(&name)
	if x.Way = ways[name]; x.Way == nil {
		c.fail("a way to break a rule")
		return
	}
	list(c, &x.Args, 2, func(a *any) { c.arg(a, outer) })
	if c.err == nil && len(x.Args) != len(x.params()) {
		c.fail("arguments")
	}
}

func (c *codec) arg(a *any, outer bool) {
	kind := uint8(0)
	switch (*a).(type) {
	case string:
		kind = 1
	case Term:
		kind = 2
	case time.Time:
		kind = 3
	case Cause:
		kind = 4
	}
	c.u8(&kind)
	switch {
	case kind == 0:
		codeArg(c, a, c.uint)
	case kind == 1:
		codeArg(c, a, c.string)
	case kind == 2:
		codeArg(c, a, func(t *Term) {
			s := string(*t)
			c.string(&s)
			*t = Term(s)
		})
	case kind == 3:
		codeArg(c, a, func(t *time.Time) {
			s := t.Unix()
			c.time(&s)
			*t = unix(s)
		})
	case kind == 4 && outer:
		codeArg(c, a, func(x *Cause) { c.cause(x, false) })
	default:
		c.fail("an argument")
	}
}

func codeArg[T any](c *codec, a *any, code func(*T)) {
	v, _ := (*a).(T)
	if code(&v); c.reading {
		*a = v
	}
}

// codeItems codes the open items, and derives the rest of the state from those that it reads.
func (l *Ledger) codeItems(c *codec) {
	var on []uint64 // a warrant for each access that stands on it
	l.open.code(c, func(it *item) { on = append(on, l.adopt(c, it)...) })
	for _, i := range on {
		p, r, ok := l.open.find(i)
		if !ok || !l.open.parts[p].records[r].isWarrant {
			c.fail("an access without its warrant")
			return
		}
		l.open.parts[p].records[r].open++
	}
}

// adopt derives state from an item that was read, and refuses numbers that point nowhere. It returns
// the warrant on which an access stands.
func (l *Ledger) adopt(c *codec, it *item) (on []uint64) {
	charter := func(n uint32) bool { return int(n) < len(l.charters) }
	if !charter(it.charter) {
		c.fail("an event's charter")
		return nil
	}
	if a := it.access; a != nil {
		switch {
		case a.onWarrant:
			on = append(on, a.warrant)
		case !a.denied && a.decision.state == fulfilled:
			c.fail("a decision without its warrant")
		}
		if a.emergency && a.decision.state == owed {
			if l.charters[it.charter].Profile.Emergency == nil {
				c.fail("an emergency")
				return nil
			}
			l.undecided++
		}
		for i := range a.releases {
			if !charter(a.releases[i].charter) {
				c.fail("a release's charter")
				return nil
			}
			l.released[a.releases[i].index] = it.index
		}
	}
	l.watch(it)
	return on
}

// adoptChain adds a chain that was read, and refuses numbers that point nowhere and another order.
func (l *Ledger) adoptChain(c *codec, ch *chain) {
	ok := int(ch.charter) < len(l.charters) && int(ch.key) < len(l.keys)
	for i := range ch.stated {
		ok = ok && int(ch.stated[i].charter) < len(l.charters)
	}
	for i := range ch.pending {
		ok = ok && int(ch.pending[i].charter) < len(l.charters)
	}
	for key := range l.chains {
		ok = ok && key < ch.key
	}
	if !ok {
		c.fail("a chain")
	}
	l.chains[ch.key] = ch
}
