// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
)

const (
	maxWarm  = 4096 // store.most of a new ledger
	partSize = 256  // how many records a part of the store may have
)

// store holds the open items by index. Items that were used lately are objects. All others are
// the bytes that a snapshot has of them, in parts that the garbage collector need not scan and a
// snapshot copies: a million open events are a few thousand objects.
type store struct {
	warm  map[uint64]*item
	fresh []*item // added since the last freeze, ascending; some may be removed
	parts []*part // ascending, none of them empty
	n     int
	most  int // if there are more objects, the next check freezes all of them
	names names
	buf   []byte
	late  func(*item) int64 // when an item's first duty is late; only a change of the item may change it
}

// part is a run of items.
type part struct {
	records []record // ascending by index
	text    []byte   // bytes are appended and never overwritten: a snapshot may be reading them
	live    int      // how many bytes of text the records have
}

// record locates the bytes of an item.
type record struct {
	index     uint64
	late      int64  // store.late
	off, size uint32 // in part.text
	open      uint32 // warrant.open
	isWarrant bool
	isWarm    bool // store.warm has the item, and its object counts
}

// find returns the place of an index: of its record, or where that belongs.
func (s *store) find(index uint64) (p, i int, ok bool) {
	p, ok = slices.BinarySearchFunc(s.parts, index, func(p *part, index uint64) int { return cmp.Compare(p.records[0].index, index) })
	if ok || p == 0 {
		return p, 0, ok
	}
	p--
	if in := s.parts[p].records; in[len(in)-1].index < index {
		return p, len(in), false
	}
	i, ok = slices.BinarySearchFunc(s.parts[p].records, index, func(r record, index uint64) int { return cmp.Compare(r.index, index) })
	return p, i, ok
}

// decode returns a new object of a record's item.
func (s *store) decode(p *part, r *record) *item {
	c := &codec{b: p.text[r.off : r.off+r.size], reading: true, names: &s.names}
	it := new(item)
	if c.item(it); c.err != nil { // an item of zeros would have no duties
		panic(fmt.Sprintf("ledger: the store's own bytes of entry %d can't be read: %v", r.index, c.err))
	}
	if it.warrant != nil {
		it.warrant.open = int(r.open)
	}
	return it
}

// get returns an open item, nil if there is none. The caller may change it until the next entry
// is checked.
func (s *store) get(index uint64) *item {
	if it := s.warm[index]; it != nil {
		return it
	}
	p, i, ok := s.find(index)
	if !ok {
		return nil
	}
	r := &s.parts[p].records[i]
	it := s.decode(s.parts[p], r)
	r.isWarm = true
	s.warm[index] = it
	return it
}

// peek returns an open item to read, nil if there is none. It changes nothing.
func (s *store) peek(index uint64) *item {
	if it := s.warm[index]; it != nil {
		return it
	}
	p, i, ok := s.find(index)
	if !ok {
		return nil
	}
	return s.decode(s.parts[p], &s.parts[p].records[i])
}

// has reports whether an item that get has returned or add has taken is still open.
func (s *store) has(it *item) bool { return s.warm[it.index] == it }

// add adds an item, whose index is greater than all others.
func (s *store) add(it *item) {
	s.warm[it.index] = it
	s.fresh = append(s.fresh, it)
	s.n++
}

// remove removes an item that get has returned or add has taken.
func (s *store) remove(it *item) {
	delete(s.warm, it.index)
	s.n--
	p, i, ok := s.find(it.index)
	if !ok {
		return
	}
	in := s.parts[p]
	in.live -= int(in.records[i].size)
	in.records = slices.Delete(in.records, i, i+1)
	if len(in.records) == 0 {
		s.parts = slices.Delete(s.parts, p, p+1)
		return
	}
	s.merge(p)
	s.merge(p - 1)
}

// merge joins a part with the next one if they fit into one.
func (s *store) merge(p int) {
	if p < 0 || p+1 >= len(s.parts) || len(s.parts[p].records)+len(s.parts[p+1].records) > partSize {
		return
	}
	a, b := s.parts[p], s.parts[p+1]
	out := &part{records: slices.Grow(slices.Clone(a.records), partSize-len(a.records))}
	out.records = append(out.records, b.records...)
	out.text = make([]byte, 0, a.live+b.live)
	for i := range out.records {
		from := a
		if i >= len(a.records) {
			from = b
		}
		out.take(&out.records[i], from.text)
	}
	s.parts[p] = out
	s.parts = slices.Delete(s.parts, p+1, p+2)
}

// take appends the bytes of a record, which are in another text.
func (p *part) take(r *record, text []byte) {
	off := len(p.text)
	p.text = append(p.text, text[r.off:r.off+r.size]...)
	r.off = uint32(off)
	p.live += int(r.size)
}

// trim drops the spare room of the text, if it is large.
func (p *part) trim() {
	if cap(p.text)-len(p.text) > len(p.text)/16 {
		p.text = bytes.Clone(p.text)
	}
}

// pack drops the bytes that no record has, if they are half of the text.
func (p *part) pack() {
	if len(p.text) < 2*p.live {
		return
	}
	old := p.text
	p.text, p.live = make([]byte, 0, p.live+p.live/4), 0
	for i := range p.records {
		p.take(&p.records[i], old)
	}
}

// record returns the record of an item, without off and size.
func (s *store) record(it *item) record {
	r := record{index: it.index, late: s.late(it), isWarrant: it.warrant != nil}
	if r.isWarrant {
		r.open = uint32(it.warrant.open)
	}
	return r
}

// put records the bytes of an item that has a record, or whose index is above that of all records.
func (s *store) put(it *item, text []byte) {
	r := s.record(it)
	p, i, ok := s.find(it.index)
	if !ok {
		p = len(s.parts) - 1
		if p < 0 || len(s.parts[p].records) == partSize {
			var room []byte
			if p >= 0 {
				s.parts[p].trim()
				room = make([]byte, 0, len(s.parts[p].text)*9/8)
			}
			s.parts = append(s.parts, &part{records: make([]record, 0, partSize), text: room})
			p++
		}
		i = len(s.parts[p].records)
		s.parts[p].records = append(s.parts[p].records, record{})
	}
	in := s.parts[p]
	if old := &in.records[i]; bytes.Equal(in.text[old.off:old.off+old.size], text) {
		r.off, r.size = old.off, old.size
	} else {
		in.live += len(text) - int(old.size)
		r.off, r.size = uint32(len(in.text)), uint32(len(text))
		in.text = append(in.text, text...)
	}
	in.records[i] = r
	in.pack()
}

// freeze makes bytes of all objects. Pointers to these must not be used any more.
func (s *store) freeze() {
	write := func(it *item) {
		c := codec{b: s.buf[:0], names: &s.names}
		c.item(it)
		s.buf = c.b
		s.put(it, c.b)
	}
	last := uint64(math.MaxUint64)
	if len(s.fresh) > 0 {
		last = s.fresh[0].index
	}
	for _, it := range s.warm {
		if it.index < last {
			write(it)
		}
	}
	for _, it := range s.fresh {
		if s.has(it) {
			write(it)
		}
	}
	clear(s.warm)
	clear(s.fresh)
	s.fresh = s.fresh[:0]
}

// cool freezes the items if too many of them are objects.
func (s *store) cool() {
	if len(s.warm) > s.most {
		s.freeze()
	}
}

// walk calls do with each item, ascending. It may skip items whose first duty is late only after the
// time least. do must change nothing.
func (s *store) walk(least int64, do func(*item)) {
	for _, p := range s.parts {
		for i := range p.records {
			r := &p.records[i]
			switch {
			case r.isWarm:
				do(s.warm[r.index])
			case r.late <= least:
				do(s.decode(p, r))
			}
		}
	}
	for _, it := range s.fresh {
		if s.has(it) {
			do(it)
		}
	}
}

// soonest returns when the first duty of any item is late.
func (s *store) soonest() int64 {
	first := int64(math.MaxInt64)
	for _, p := range s.parts {
		for i := range p.records {
			if r := &p.records[i]; !r.isWarm {
				first = min(first, r.late)
			}
		}
	}
	for _, it := range s.warm {
		first = min(first, s.late(it))
	}
	return first
}

// all is walk with every item.
func (s *store) all(do func(*item)) { s.walk(math.MaxInt64, do) }

// those returns the indices of the items for which pick returns true, ascending.
func (s *store) those(pick func(*item) bool) (out []uint64) {
	s.all(func(it *item) {
		if pick(it) {
			out = append(out, it.index)
		}
	})
	return out
}

// code codes the items, ascending by index, in blocks of partSize items. A reader calls adopt with each.
func (s *store) code(c *codec, adopt func(*item)) {
	if !c.reading {
		s.freeze()
		parts := make([]part, len(s.parts))
		for i, p := range s.parts {
			parts[i] = part{records: slices.Clone(p.records), text: p.text}
		}
		c.count(s.n, 40)
		c.next()
		c.later(func(block func(...[]byte)) {
			var items [][]byte
			for _, p := range parts {
				for _, r := range p.records {
					if items = append(items, p.text[r.off:r.off+r.size]); len(items) == partSize {
						block(items...)
						items = items[:0]
					}
				}
			}
			if len(items) > 0 {
				block(items...)
			}
		})
		return
	}
	last := uint64(0)
	for i := range c.count(0, 40) {
		if i%partSize == 0 {
			c.next()
			s.parts = append(s.parts, &part{text: c.b, live: len(c.b), records: make([]record, 0, partSize)})
		}
		p, it, rest := s.parts[len(s.parts)-1], new(item), c.b
		c.item(it)
		if c.err == nil && i > 0 && it.index <= last {
			c.fail("the order of events")
		}
		if c.err == nil {
			adopt(it)
		}
		if c.err != nil {
			return
		}
		last = it.index
		s.n++
		r := s.record(it)
		r.off, r.size = uint32(len(p.text)-len(rest)), uint32(len(rest)-len(c.b))
		p.records = append(p.records, r)
	}
	c.next()
}
