// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
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
func (l *Ledger) Snapshot() []byte {
	var b bytes.Buffer
	_ = l.SnapshotLater()(&b) // a Buffer has no errors
	return b.Bytes()
}

// SnapshotLater returns a function that writes what Snapshot would return now. Calling write may
// take long, and needs no lock of the ledger.
func (l *Ledger) SnapshotLater() (write func(io.Writer) error) {
	c := &codec{names: &l.open.names}
	l.code(c)
	return func(w io.Writer) error {
		sum := sha256.New()
		both := io.MultiWriter(w, sum)
		if _, err := io.WriteString(both, magic); err != nil {
			return err
		}
		if err := c.writeTo(both); err != nil {
			return err
		}
		_, err := w.Write(sum.Sum(nil))
		return err
	}
}

// Restore is RestoreFrom for a snapshot in memory.
func Restore(b []byte, size uint64, root [32]byte, tree Tree) (*Ledger, error) {
	return RestoreFrom(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), size, root, tree)
}

// RestoreFrom returns the ledger of a snapshot. The snapshot must be of the caller's
// verified tree, which has this size and root. Errors wrap ErrSnapshot or ErrRules.
func RestoreFrom(r *io.SectionReader, size uint64, root [32]byte, tree Tree) (*Ledger, error) {
	body, err := checksum.CutFile(r, magic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	l := New("", tree)
	c := &codec{reading: true, names: &l.open.names, from: bufio.NewReader(body), left: body.Size()}
	if l.code(c); c.err == nil && len(c.b)+int(c.left) > 0 {
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
	if c.reading {
		c.next()
	}
	c.string(&l.origin)
	l.codeEdge(c)
	l.codeCharters(c)
	c.uint(&l.anchored)
	c.time(&l.after, &l.floor)
	list(c, &l.unanchored, 4, func(x *claim) {
		c.uint(&x.index)
		c.time(&x.time, &x.base)
		c.bool(&x.anchor)
	})
	c.uint(&l.totals.Settled, &l.totals.Late, &l.totals.Lapsed)
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
		c.uint(&p.at, &p.index)
		c.time(&p.late)
	})
	list(c, &r.heads, 2, func(h *anchoredHead) {
		c.uint(&h.size)
		c.time(&h.existed)
	})
	list(c, &l.asides, 3, func(a *aside) {
		c.u32(&a.key)
		c.uint(&a.from, &a.until)
	})
	if !c.reading {
		c.next()
	}
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
			x := &act{l: l, by: Log, e: &Entry{Index: at.Index, Leaf: tiles.LeafHash(b), Envelope: env}, ev: env.Event, base: at.Time}
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

// codeIDs codes the ids whose times are not below the floor, in blocks.
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
		c.count(len(all), 36)
		c.next()
		c.later(func(block func(...[]byte)) {
			slices.SortFunc(all, compareIDs)
			for part := range slices.Chunk(all, idsPart) {
				c := new(codec)
				for i := range part {
					code(c, &part[i])
				}
				block(c.b)
			}
		})
		return
	}
	var u, last usedID
	for i := range c.count(0, 36) {
		if i%idsPart == 0 {
			c.next()
		}
		if code(c, &u); c.err == nil && (u.time < l.floor || i > 0 && compareIDs(last, u) >= 0) {
			c.fail("the order of ids")
		}
		if c.err != nil {
			return
		}
		l.ids.put(u)
		last = u
	}
	c.next()
}

func (c *codec) breach(b *Breach) {
	if c.cause(&b.Cause, true); c.err == nil && b.Kind != KindBreach {
		c.fail("a breach")
	}
	about := b.About != nil
	c.uint(&b.Index, &b.Seen)
	c.string(&b.By)
	c.bool(&about)
	if about {
		codePtr(c, &b.About, func(r *event.Reference) {
			c.uint(&r.Index)
			c.raw(r.Leaf[:])
		})
	}
	c.uint(&b.Last, &b.Count)
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
		codeArg(c, a, func(v *uint64) { c.uint(v) })
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
	l.duties(it, func(d duty) { l.owed[d.kind]++ })
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
		return
	}
	l.chainDuties(ch, func(d duty) { l.owed[d.kind]++ })
	l.chains[ch.key] = ch
}
