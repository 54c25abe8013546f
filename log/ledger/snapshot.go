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
const magic = "vasistas ledger snapshot 5\n"

// Snapshot returns the state in its one encoding: equal states have equal bytes. It
// holds the size and root of the tree, its right edge, and ends with its SHA-256.
// The hash detects damage, not forgery: keep a snapshot as safe as any other state.
func (l *Ledger) Snapshot() []byte { return l.SnapshotLater()(nil) }

// SnapshotLater returns a function that appends to b what Snapshot returns now. Calling the function
// may take long, and needs no lock of the ledger.
func (l *Ledger) SnapshotLater() (appendTo func(b []byte) []byte) {
	c := &codec{b: []byte(magic)}
	l.code(c)
	size := 1024 + l.open.size() + 80*len(l.ids)
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
	c := &codec{b: body, reading: true, names: l.open.names}
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
	l.lastIDs = len(l.ids)
	return l, nil
}

func (l *Ledger) code(c *codec) {
	c.string(&l.origin)
	l.codeEdge(c)
	l.codeCharters(c)
	c.all(&l.anchored, &l.after, &l.floor)
	list(c, &l.unanchored, 4, func(x *claim) { c.all(&x.index, &x.time, &x.base, &x.anchor) })
	c.all(&l.totals.Settled, &l.totals.Late, &l.totals.Lapsed)
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
		bounded(c, &p.kind, uint64(dutyAnchor), "a duty")
		c.all(&p.at, &p.index, &p.late)
	})
	list(c, &r.heads, 2, func(h *anchoredHead) { c.all(&h.size, &h.existed) })
	list(c, &l.asides, 3, func(a *aside) { c.all(&a.key, &a.from, &a.until) })
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
		c.all(k, &n)
		if !c.reading {
			return
		}
		if int(*k) <= last {
			c.fail("the order of budgets")
		}
		l.spent[*k], last = n, int(*k)
	})
}

// usedID is an id and its use.
type usedID struct {
	idKey
	idUse
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
		all := make([]usedID, 0, len(l.ids))
		for k, use := range l.ids {
			if use.time >= l.floor {
				all = append(all, usedID{k, use})
			}
		}
		c.later(func(c *codec) {
			slices.SortFunc(all, compareIDs)
			list(c, &all, 0, func(u *usedID) { code(c, u) })
		})
		return
	}
	n := c.length(0, 36)
	l.ids = make(map[idKey]idUse, n)
	var u, last usedID
	for i := range n {
		if code(c, &u); c.err == nil && (u.time < l.floor || i > 0 && compareIDs(last, u) >= 0) {
			c.fail("the order of ids")
		}
		if c.err != nil {
			return
		}
		l.ids[u.idKey], last = u.idUse, u
	}
}

func (c *codec) item(it *item) {
	c.all(&it.index, &it.leaf)
	kind := string(it.kind)
	c.string(&kind)
	it.kind = event.Type(kind)
	c.all(&it.charter, &it.time, &it.base, &it.keys, &it.authority, &it.validator, &it.provider, &it.instrument, &it.measure, &it.voidAt)
	c.seal(&it.seal)
	switch it.kind {
	case event.TypeWarrant:
		codePtr(c, &it.warrant, c.warrant)
	case event.TypeAccess:
		codePtr(c, &it.access, c.access)
	case event.TypeDeferral:
	default:
		c.fail("a type")
	}
}

func (c *codec) seal(s *seal) {
	c.all(&s.end, &s.first, &s.until, &s.never, &s.debt, &s.digests)
	for i := range s.names {
		c.u8(&s.names[i])
	}
	c.uint(&s.ordinal)
	list(c, &s.deferrals, 3, func(d *deferred) { c.all(&d.index, &d.until, &d.keys) })
}

// digests codes the closed and the open part, each sorted: in memory their order
// depends on the order of openings.
func (c *codec) digests(d *digests) {
	if !c.reading {
		d = &digests{slices.Clone(d.list), d.closed}
		slices.SortFunc(d.list[:d.closed], compareDigests)
		slices.SortFunc(d.list[d.closed:], compareDigests)
	}
	list(c, &d.list, 32, func(x *event.Digest) { c.raw(x[:]) })
	closed := uint64(d.closed)
	if c.uint(&closed); closed > uint64(len(d.list)) {
		c.fail("digests")
		return
	}
	d.closed = int(closed)
	if !slices.IsSortedFunc(d.list[:d.closed], compareDigests) || !slices.IsSortedFunc(d.list[d.closed:], compareDigests) {
		c.fail("the order of digests")
	}
}

func compareDigests(a, b event.Digest) int { return bytes.Compare(a[:], b[:]) }

func (c *codec) warrant(w *warrant) {
	c.all(&w.denied, &w.preserves, &w.notBefore, &w.notAfter, &w.accesses, &w.accounts, &w.opens, &w.revokedAt, &w.refusedAt, &w.returned)
	list(c, &w.categories, 3, func(x *category) { c.all(&x.code, &x.revokedAt, &x.answeredAt) })
	list(c, &w.suspensions, 38, func(s *suspension) {
		c.all(&s.index, &s.leaf, &s.author, &s.since, &s.resumedAt, &s.resumed, &s.resumedBy)
	})
}

func (c *codec) access(a *access) {
	c.all(&a.onWarrant, &a.warrant, &a.emergency, &a.accounts, &a.group, &a.ends)
	list(c, &a.categories, 1, c.string)
	c.all(&a.decision, &a.decidedAt, &a.decidedBy, &a.decideBy, &a.denied)
	list(c, &a.releases, 40, c.release)
	list(c, &a.refusals, 2, func(r *refused) { c.all(&r.key, &r.reason) })
}

func (c *codec) release(r *release) {
	c.all(&r.index, &r.leaf, &r.key, &r.name, &r.base, &r.charter, &r.notices, &r.debt)
}

func (c *codec) chain(ch *chain) {
	c.all(&ch.key, &ch.name, &ch.count)
	list(c, &ch.recent, 32, func(h *[32]byte) { c.raw(h[:]) })
	list(c, &ch.pending, 100, func(p *pending) {
		c.all(&p.seq, &p.hash, &p.prev, &p.access, &p.dead)
		c.release(&p.release)
	})
	list(c, &ch.stated, 36, func(s *stated) { c.all(&s.seq, &s.hash, &s.base, &s.index, &s.charter, &s.debt) })
	c.all(&ch.broken, &ch.ended, &ch.beat, &ch.beatIndex, &ch.charter, &ch.pulse)
}

func (c *codec) breach(b *Breach) {
	if c.cause(&b.Cause, true); c.err == nil && b.Kind != KindBreach {
		c.fail("a breach")
	}
	about := b.About != nil
	c.all(&b.Index, &b.Seen, &b.By, &about)
	if about {
		codePtr(c, &b.About, func(r *event.Reference) { c.all(&r.Index, (*[32]byte)(&r.Leaf)) })
	}
	c.all(&b.Last, &b.Count)
	list(c, &b.stands, 5, func(s *stand) { c.all(&s.auditor, &s.key, &s.index, &s.open, &s.voidAt) })
	c.all(&b.settled, &b.key)
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
