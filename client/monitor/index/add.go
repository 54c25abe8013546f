// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Members of symbols that no event has. An entry's type has the member "".
const (
	memberVerdict = "(verdict)"
	memberChange  = "(change)" // the kind is a ledger.ChangeKind or facts.WasLate, the value a rule
	memberKey     = "(key)"
	memberText    = "(text)"
	memberBy      = "(by)"
)

// verdicts by their numbers in the file.
var verdicts = []Verdict{Kept, Breach, NoEffect, Unreadable}

func verdict(f *facts.Fact) Verdict {
	out := Kept
	if f.Entry.Envelope == nil {
		return Unreadable
	}
	for _, v := range f.Violations {
		switch {
		case v.Index != f.Entry.Index:
		case v.Kind == ledger.KindNoEffect && out == Kept:
			out = NoEffect
		case v.Kind != ledger.KindNoEffect:
			out = Breach
		}
	}
	return out
}

// add adds an entry and what it did.
func (w *writer) add(f *facts.Fact) error {
	logged := f.Ledger.Time().Unix()
	v := verdict(f)
	if err := errors.Join(w.enter(int64(f.Entry.Index), f), w.anchor(f, v)); err != nil {
		return err
	}
	count := make(map[int64]int64, len(f.Names)+2+len(f.Changes))
	ids, err := w.names(f, v, count)
	if err != nil {
		return err
	}
	leaf, hash, typ, claimed := f.Entry.Leaf, []byte{}, "", int64(zero)
	if f.Entry.Envelope != nil {
		ev, h := f.Entry.Envelope.Event, f.Entry.Hash
		hash, typ, claimed = h[:], string(ev.Type), ev.Time.Unix()
	}
	err = w.insert("INTO entry", int64(f.Entry.Index), leaf[:], hash, typ, claimed, logged, slices.Index(verdicts, v), ids)
	if err != nil {
		return err
	}
	if err := errors.Join(w.refer(f, v), w.body(f, v), w.changes(f, count), w.violations(f), w.breaches(f)); err != nil {
		return err
	}
	for id, n := range count {
		w.batch.named = append(w.batch.named, nameRow{id, int64(f.Entry.Index), n})
	}
	w.full(len(count))
	return w.err
}

// enter begins the month of an entry, unless it has begun.
func (w *writer) enter(index int64, f *facts.Fact) error {
	name, t := "", f.Ledger.Time()
	if w.month > 0 && w.since.Equal(t) {
		return nil
	}
	if w.since = t; !t.IsZero() {
		name = t.Format("2006-01")
	}
	if w.month > 0 && w.name == name {
		return nil
	}
	err := w.flush()
	w.month, w.name = w.month+1, name
	return errors.Join(err, w.insert("INTO month", w.month, name, index))
}

// anchor adds what an anchor proves.
func (w *writer) anchor(f *facts.Fact, v Verdict) error {
	if v != Kept || f.Entry.Envelope.Event.Type != event.TypeAnchor || f.Ledger.Existed().IsZero() {
		return nil
	}
	before := min(f.Ledger.Existed().Unix(), maxPosix)
	return w.insert("INTO anchor", int64(f.Entry.Index), int64(f.Ledger.Anchored()), before, f.Ledger.Time().Unix())
}

// maxPosix bounds a time: JSON has no year after 9999.
const maxPosix = 1 << 37

// names counts the names of an entry, and returns those of the row.
func (w *writer) names(f *facts.Fact, v Verdict, count map[int64]int64) (row []byte, err error) {
	kept, typ := v == Kept, ""
	if f.Entry.Envelope != nil {
		typ = string(f.Entry.Envelope.Event.Type)
	}
	add := func(member, value string, shown bool) {
		var id int64
		if err == nil {
			id, err = w.symbol(symbol{typ, member, value, kept})
		}
		count[id]++
		if kept || member == "" { // what the charter has not checked has any number of values
			w.tally[id]++
		}
		if shown {
			row = binary.AppendUvarint(row, uint64(id))
		}
	}
	row = []byte{}
	add("", "", false)
	if !kept {
		add(memberVerdict, string(v), false)
	}
	for _, n := range f.Names {
		add(n.Member, n.Value, true)
	}
	return row, err
}

// refer adds the references of an event, as far as they have the leaf hash of their entry.
func (w *writer) refer(f *facts.Fact, v Verdict) error {
	if f.Entry.Envelope == nil {
		return nil
	}
	if b, ok := f.Entry.Envelope.Event.Body.(*event.Finding); ok {
		return w.find(f, b)
	}
	for kind, ref := range references(f.Entry.Envelope.Event.Body) {
		if ref == nil || ref.Index >= f.Entry.Index {
			continue
		}
		if v == Kept && (kind == "warrant" || kind == "access" || kind == "event") { // the rules have checked it
			if err := w.insert("OR IGNORE INTO reference", int64(f.Entry.Index), int64(ref.Index), kind); err != nil {
				return err
			}
			continue
		}
		if err := w.exec("INSERT OR IGNORE INTO reference SELECT ?, idx, ? FROM entry WHERE idx = ? AND leaf = ?", int64(f.Entry.Index), kind, int64(ref.Index), slices.Clone(ref.Leaf[:])); err != nil {
			return err
		}
	}
	return nil
}

// find adds what a finding names: the first MaxRelated entries with the breaches that it covers.
func (w *writer) find(f *facts.Fact, b *event.Finding) (err error) {
	n := 0
	f.Ledger.Breaches(func(of *ledger.Breach, _ bool) {
		if of.Rule == b.Rule && b.First <= of.Index && of.Index <= b.Last && of.Index < f.Entry.Index && n < MaxRelated {
			n++
			err = errors.Join(err, w.insert("OR IGNORE INTO reference", int64(f.Entry.Index), int64(of.Index), "finding"))
		}
	})
	return err
}

func references(b event.Body) map[string]*event.Reference {
	switch b := b.(type) {
	case *event.Charter:
		return map[string]*event.Reference{"prev": b.Prev}
	case *event.Warrant:
		return map[string]*event.Reference{"validates": b.Validates}
	case *event.Revocation:
		return map[string]*event.Reference{"warrant": &b.Warrant, "suspension": b.Suspension}
	case *event.Access:
		return map[string]*event.Reference{"warrant": b.Warrant}
	case *event.Release:
		return map[string]*event.Reference{"access": &b.Access}
	case *event.Refusal:
		return map[string]*event.Reference{"access": &b.Access}
	case *event.Deferral:
		return map[string]*event.Reference{"event": &b.Event}
	case *event.Disclosure:
		return map[string]*event.Reference{"event": &b.Event}
	case *event.Response:
		return map[string]*event.Reference{"warrant": &b.Warrant}
	case *event.Return:
		return map[string]*event.Reference{"warrant": &b.Warrant}
	}
	return nil
}

// body adds what the index keeps of an event's body.
func (w *writer) body(f *facts.Fact, v Verdict) error {
	if f.Entry.Envelope == nil {
		return nil
	}
	index := int64(f.Entry.Index)
	key := func() (int64, error) {
		if s := f.Entry.Envelope.Signatures; len(s) > 0 {
			return w.text(memberKey, s[0].KeyID)
		}
		return w.text(memberKey, "")
	}
	switch b := f.Entry.Envelope.Event.Body.(type) {
	case *event.Charter:
		in := f.Ledger.Charter()
		if in == nil || in.Index != f.Entry.Index {
			return nil
		}
		bars, err := json.Marshal(in.Profile.Bars)
		return errors.Join(err, w.insert("INTO charter", index, string(bars)))
	case *event.Release:
		id, err := key()
		return errors.Join(err, w.insert("INTO release", index, id, int64(b.Seq), int64(b.Access.Index)))
	case *event.Heartbeat:
		id, err := key()
		return errors.Join(err, w.insert("INTO heartbeat", index, id, int64(b.Seq), b.From.Unix(), b.To.Unix(), b.Resumed))
	case *event.Disclosure:
		i := slices.IndexFunc(f.Names, func(n facts.Name) bool { return n.Member == "agency" })
		if i < 0 || v != Kept {
			return nil
		}
		id, err := w.text(memberText, f.Names[i].Value)
		return errors.Join(err, w.insert("OR IGNORE INTO warrant", int64(b.Event.Index), index, id))
	}
	return nil
}

func (w *writer) violations(f *facts.Fact) error {
	for _, v := range f.Violations {
		if err := w.insert("INTO violation (idx, seen, kind, rule, way, debtor, text, cure)",
			int64(v.Index), int64(v.Seen), v.Kind.String(), v.Rule, v.Code, v.By, v.Text(), v.Cure); err != nil {
			return err
		}
	}
	return nil
}

// dutyKey tells obligations that are owed at the same time from each other.
type dutyKey struct {
	kind, index int64
	custodian   string
}

// owed is an obligation that is owed. Most obligations are met soon, so one is written to the file only when it
// ends or a head is told.
type owed struct {
	id, opened int64
	row        *dutyRow // the row that the file lacks; nil: it has the row
}

// dutyRow has the columns of the table duty except the last, which is NULL while the obligation is owed.
type dutyRow struct{ id, kind, idx, by, custodian, text, due, late, opened, since, ended, how int64 }

// maxEarly bounds the obligations that the file does not have yet.
const maxEarly = 1 << 16

// oweEarly adds to the file the obligations that it does not have yet.
func (w *writer) oweEarly() (err error) {
	for _, id := range slices.Sorted(maps.Keys(w.early)) {
		err = errors.Join(err, w.addDuty(w.early[id], nil))
	}
	return err
}

func (w *writer) addDuty(o *owed, proven any) error {
	r := o.row
	o.row = nil
	delete(w.early, o.id)
	return w.insert("INTO duty", r.id, r.kind, r.idx, r.by, r.custodian, r.text, r.due, r.late, r.opened, r.since, r.ended, r.how, proven)
}

func (w *writer) loadDuties() error {
	return w.each("SELECT d.kind, d.idx, s.value, d.id, d.opened FROM duty d JOIN symbol s ON s.id = d.custodian WHERE d.ended = ? ORDER BY d.id", func(r *sql.Rows) error {
		var k dutyKey
		o := new(owed)
		err := r.Scan(&k.kind, &k.index, &k.custodian, &o.id, &o.opened)
		w.duties[k] = append(w.duties[k], o)
		return err
	}, int64(never))
}

func (w *writer) kind(o *ledger.Obligation) (id int64, err error) {
	k := [3]string{o.Rule, o.Way, o.Cure}
	if id = w.kinds[k]; id == 0 {
		id = int64(len(w.kinds) + 1)
		w.kinds[k] = id
		err = w.insert("INTO kind", id, k[0], k[1], k[2])
	}
	return id, err
}

// changes adds what became of obligations.
func (w *writer) changes(f *facts.Fact, count map[int64]int64) error {
	for i := range f.Changes {
		c := &f.Changes[i]
		tally := func(kind, rule string) error {
			id, err := w.symbol(symbol{kind, memberChange, rule, true})
			count[id]++
			w.tally[id]++
			return err
		}
		if c.Breach != nil {
			if err := tally(string(c.Kind), ""); err != nil {
				return err
			}
			continue
		}
		err := errors.Join(tally(string(c.Kind), c.Rule()), w.change(c))
		if c.Kind == ledger.Settled && !c.LateSince.IsZero() {
			err = errors.Join(err, tally(string(facts.WasLate), c.Rule()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The numbers of duty.how.
const (
	howOpen = iota
	howSettled
	howLapsed
	howMoved
)

// change adds what became of one obligation.
func (w *writer) change(c *ledger.Change) error {
	o := c.Obligation()
	kind, err := w.kind(&o)
	if err != nil {
		return err
	}
	k := dutyKey{kind, int64(o.Index), o.Custodian}
	rows := w.duties[k] // several only of a custodian with several keys
	opened := int64(c.Entry)
	switch {
	case c.Kind != ledger.Opened && len(rows) > 0:
		opened = rows[0].opened
		err, rows = w.end(rows[0], c, &o), rows[1:]
	case c.Kind == ledger.Settled || c.Kind == ledger.Lapsed: // an anchor is always owed, and only a late one is told
		was, err := w.owe(kind, &o, opened, c)
		return errors.Join(err, w.end(was, c, &o))
	case c.Kind != ledger.Opened:
		_, err := w.owe(kind, &o, opened, c)
		return err
	}
	if err == nil && (c.Kind == ledger.Opened || c.Kind == ledger.Moved) {
		var now *owed
		now, err = w.owe(kind, &o, opened, c)
		rows = append(rows, now)
	}
	if w.duties[k] = rows; len(rows) == 0 {
		delete(w.duties, k)
	}
	return err
}

// ended returns the end of a change, as it stands in a row.
func ended(c *ledger.Change) (how int, proven any) {
	if !c.LateSince.IsZero() {
		proven = c.LateSince.Unix()
	}
	switch c.Kind {
	case ledger.Settled:
		return howSettled, proven
	case ledger.Lapsed:
		return howLapsed, proven
	}
	return howMoved, nil
}

// end ends a row.
func (w *writer) end(o *owed, c *ledger.Change, last *ledger.Obligation) (err error) {
	how, proven := ended(c)
	text := int64(0)
	if how != howMoved {
		if text, err = w.text(memberText, template(last)); err != nil {
			return err
		}
	}
	if r := o.row; r != nil {
		r.ended, r.how, r.text = int64(c.Entry), int64(how), cmp.Or(text, r.text)
		return w.addDuty(o, proven)
	}
	return w.exec("UPDATE duty SET ended = ?, how = ?, proven = ?, text = ifnull(nullif(?, 0), text) WHERE id = ?", int64(c.Entry), how, proven, text, o.id)
}

// owe returns an obligation that is owed from this change on.
func (w *writer) owe(kind int64, o *ledger.Obligation, opened int64, c *ledger.Change) (*owed, error) {
	by, err := w.text(memberBy, o.By)
	custodian, err2 := w.text(memberBy, o.Custodian)
	text, err3 := w.text(memberText, template(o))
	if err := cmp.Or(err, err2, err3); err != nil {
		return nil, err
	}
	w.duty++
	out := &owed{w.duty, opened, &dutyRow{w.duty, kind, int64(o.Index), by, custodian, text, o.Due.Unix(), o.Late.Unix(), opened, int64(c.Entry), int64(never), howOpen}}
	if w.early[out.id] = out; len(w.early) > maxEarly {
		err = w.oweEarly()
	}
	return out, err
}

// template returns the text of an obligation without its entry, so that equal ones are stored once.
// No name in it has a brace.
func template(o *ledger.Obligation) string {
	return strings.Replace(o.Text+" ", " "+strconv.FormatUint(o.Index, 10)+" ", " {} ", 1)
}

// untemplate is the reverse of template.
func untemplate(text string, index uint64) string {
	return strings.TrimSuffix(strings.Replace(text, " {} ", " "+strconv.FormatUint(index, 10)+" ", 1), " ")
}

// breachState is what the file says of a breach at the last entry.
type breachState struct {
	since         int64
	index, seen   uint64
	last, count   uint64
	stands        string
	closed, known bool
}

func (w *writer) loadBreaches() error {
	return w.each("SELECT id, since, idx, seen, last, count, stands, closed FROM breach WHERE ended = ? ORDER BY id", func(r *sql.Rows) error {
		var id int
		b := breachState{known: true}
		if err := r.Scan(&id, &b.since, &b.index, &b.seen, &b.last, &b.count, &b.stands, &b.closed); err != nil {
			return err
		}
		if id != len(w.breach) {
			return errDamaged
		}
		w.breach = append(w.breach, b)
		return nil
	}, int64(never))
}

// breaches compares the breaches on record with those of the file, after an entry that can have
// changed one.
func (w *writer) breaches(f *facts.Fact) (err error) {
	touched := slices.ContainsFunc(f.Changes, func(c ledger.Change) bool { return c.Breach != nil })
	if e := f.Entry.Envelope; !touched && (e == nil || e.Event.Type != event.TypeFinding && e.Event.Type != event.TypeCharter) {
		return nil
	}
	id, entry := 0, int64(f.Entry.Index)
	f.Ledger.Breaches(func(b *ledger.Breach, closed bool) {
		if id == len(w.breach) {
			w.breach = append(w.breach, breachState{})
		}
		was := &w.breach[id]
		id++
		now := breachState{was.since, b.Index, b.Seen, b.Last, b.Count, strings.Join(b.ClosedBy(), " "), closed, true}
		if err != nil || now == *was {
			return
		}
		if was.known {
			err = w.exec("UPDATE breach SET ended = ? WHERE id = ? AND since = ?", entry, id-1, was.since)
		}
		now.since = entry
		*was = now
		err = errors.Join(err, w.insert("INTO breach", id-1, entry, int64(never), b.Rule, b.Code,
			int64(b.Index), int64(b.Seen), int64(b.Last), int64(b.Count), b.By, b.Text(), b.Cure, now.stands, closed))
	})
	return err
}
