// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// entryPage is the page of an entry.
type entryPage struct {
	index.Detail
	Told     *told
	Kind     string
	Party    string
	Event    *event.Event // nil: the entry is no event
	Breaches []breach
	Effect   string // what its verdict leaves it
	Chain    []chained
	More     bool   // the chain has more
	Denied   string // names the return that denies an access, if the chain has a release for its warrant
	Sealed   *sealing
	Opened   []opened  // what disclosures have opened of it; the first maxOpened
	Duties   []dutyRow // that it owes or owed
	Ended    []dutyRow // that it ended
	Proof    *tlog.Proof
	Root     tlog.Hash
	Earlier  string // address of the entry before; "": none
	Later    string
}

// opened is what a disclosure has opened.
type opened struct {
	Index  uint64
	Fields []field
}

// maxOpened bounds the disclosures of an event that are read.
const maxOpened = 16

// A breach is a verdict about an entry.
type breach struct {
	index.Violation
	Party string
	Said  string // of a breach: who broke what
}

// chained is an entry of a chain.
type chained struct {
	entryRow
	This bool
	Of   string // the kind of its reference to To
	To   uint64
}

// sealing says what an event seals.
type sealing struct {
	Public, Subject int
	Until           time.Time // when the public values are due
	By              uint64    // the entry that opened them, or that sealed them without end; 0: neither
	Never           bool
	Names           []string
}

// detail returns the entry whose number is in the path.
func (q *Request) detail(v *index.View) (*index.Detail, error) {
	n, err := strconv.ParseUint(q.Arg[0], 10, 64)
	if err != nil || q.Number(n) != q.Arg[0] {
		return nil, errNotFound
	}
	d, err := v.Entry(q.HTTP.Context(), n)
	if errors.Is(err, index.ErrNone) {
		err = &httpError{http.StatusNotFound, "error.entry"}
	}
	return d, err
}

// entryOf is the page of an entry.
func entryOf(q *Request, v *index.View) (any, error) {
	d, err := q.detail(v)
	if err != nil {
		return nil, err
	}
	p := &entryPage{Detail: *d, Kind: q.kind(d.Type), Party: q.signers(&d.Entry)}
	if p.Proof, p.Root, err = q.Log.prove(q.HTTP.Context(), d.Index, v.Size()); err != nil {
		return nil, err
	}
	if env, err := event.ParseEnvelope(p.Proof.Extra); err == nil {
		p.Event = env.Event
	}
	p.Told = q.tell(p.Event, p.Party)
	for _, w := range d.Violations {
		p.Breaches = append(p.Breaches, breach{w, q.Party(w.By), q.broke(&w, d)})
	}
	p.Effect = q.effect(d)
	for i := range d.Duties {
		p.Duties = append(p.Duties, q.dutyRow(&d.Duties[i], v.At()))
	}
	for i := range d.Settles {
		p.Ended = append(p.Ended, q.dutyRow(&d.Settles[i], v.At()))
	}
	if err := q.chain(v, p); err != nil {
		return nil, err
	}
	p.Sealed = q.sealed(p)
	if n := d.Index; n > 0 {
		p.Earlier = q.Link("entry/" + q.Number(n-1))
	}
	if next := d.Index + 1; next < v.Size() {
		p.Later = q.Link("entry/" + q.Number(next))
	}
	return p, nil
}

// broke says who broke which rule, or failed to do what; "": the verdict is no breach.
func (l *Lang) broke(v *index.Violation, d *index.Detail) string {
	if v.Kind != ledger.KindBreach.String() {
		return ""
	}
	for i := range d.Duties {
		if o := &d.Duties[i]; o.State == index.DutyLapsed && o.Ended == v.Seen && v.Rule == "unfulfilled" {
			return l.T("entry.broke.owed", l.Party(v.By), l.Owes(&o.Obligation), l.When(o.Due))
		}
	}
	return l.T("entry.broke", l.Party(v.By), l.Name("broken.", v.Rule))
}

// ways maps each verdict that leaves a release an effect to the text of that effect.
var ways = map[string]string{"release-chain/early": "entry.effect.early", "release-chain/late": "entry.effect.late",
	"audit/stale": "entry.effect.late", "audit/amended": "entry.effect.late", "audit/barred": "entry.effect.yes"}

// effect says what an entry changed when it was logged.
func (q *Request) effect(d *index.Detail) string {
	key := "entry.effect.no"
	if d.Verdict == index.Kept && d.Broken {
		return q.T("entry.effect.broken")
	} else if d.Verdict == index.Kept {
		return q.T("entry.effect.yes")
	}
	for _, v := range d.Violations {
		switch of := ways[v.Rule+"/"+v.Way]; {
		case v.Seen != d.Index:
		case of == "":
			return q.T("entry.effect.no")
		case key != "entry.effect.early" && of != "entry.effect.yes" || key == "entry.effect.no":
			key = of
		}
	}
	return q.T(key)
}

// chain adds the events that belong together.
func (q *Request) chain(v *index.View, p *entryPage) error {
	c, err := v.Related(q.HTTP.Context(), p.Index)
	if err != nil {
		return err
	}
	to := map[uint64]uint64{}     // the entry that an entry refers to
	released := map[uint64]bool{} // warrants for which a custodian opened a key
	for _, r := range c.Entries {
		if to[r.Index] = r.To; r.Type == event.TypeRelease && r.Verdict == index.Kept {
			released[to[r.To]] = true
		}
	}
	for _, r := range c.Entries {
		p.Chain = append(p.Chain, chained{q.entryRow(r.Entry), r.Index == p.Index, r.Kind, r.To})
		opens := r.To == p.Index && r.Type == event.TypeDisclosure && len(p.Opened) < maxOpened
		if r.Verdict != index.Kept || !opens && (r.Type != event.TypeReturn || !released[r.To] || p.Denied != "") {
			continue
		}
		proof, _, err := q.Log.prove(q.HTTP.Context(), r.Index, v.Size())
		if err != nil {
			return err
		}
		env, err := event.ParseEnvelope(proof.Extra)
		if err != nil {
			continue
		}
		switch b := env.Event.Body.(type) {
		case *event.Disclosure:
			t := &teller{Lang: q.Lang}
			t.opened(b.Openings)
			p.Opened = append(p.Opened, opened{r.Index, t.Fields})
		case *event.Return:
			if !b.Executed {
				p.Denied = q.T("entry.denied", q.N(r.Index), q.N(r.To))
			}
		}
	}
	p.More = c.More
	return nil
}

// sealed says what the event of a page seals; nil: nothing.
func (q *Request) sealed(p *entryPage) *sealing {
	if p.Event == nil || p.Event.Sealed == nil {
		return nil
	}
	s := &sealing{Public: len(p.Event.Sealed.Public), Subject: len(p.Event.Sealed.Subject), Until: p.Event.Sealed.Until}
	for _, n := range event.Names(p.Event.Type) {
		s.Names = append(s.Names, q.Name("sealed.", n.Name))
	}
	for _, d := range p.Detail.Duties {
		if d.Rule != "disclosure" || d.Way != "late" {
			continue
		}
		s.Until = d.Due
		if i := slices.IndexFunc(p.Chain, func(c chained) bool { return c.Index == d.Ended }); i >= 0 && (d.State == index.DutySettled || d.State == index.DutyLate) {
			s.Never = p.Chain[i].Type == event.TypeDeferral
			if s.Never || p.Chain[i].Type == event.TypeDisclosure {
				s.By = d.Ended
			}
		}
	}
	return s
}

// prove returns the proof that an entry is in the tree of a size, with the entry, and the tree's root. Its
// checkpoint has no signature: see [Log.evidence].
func (l *Log) prove(ctx context.Context, n, size uint64) (*tlog.Proof, tlog.Hash, error) {
	root, err := l.root(ctx, size)
	if err != nil {
		return nil, root, err
	}
	head := &tlog.Checkpoint{Head: tlog.Head{Origin: l.Origin, Size: size, Root: root}}
	p, err := l.proveAt(ctx, n, head)
	return p, root, err
}

// proveAt proves an entry under a head that the copy has verified.
func (l *Log) proveAt(ctx context.Context, n uint64, head *tlog.Checkpoint) (*tlog.Proof, error) {
	c, err := client.New(client.Config{Source: l.Copy.Source(), Origin: l.Origin})
	if err != nil {
		return nil, err
	}
	p, err := c.ProveAt(ctx, &tlog.Verified{Checkpoint: head}, n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCopied, err)
	}
	return p, nil
}

// errCopied wraps the error of a damaged file of the copy. The mirror repairs the file.
var errCopied = errors.New("the copy can't be read")

// root returns the root of the copy's tree at a size.
func (l *Log) root(ctx context.Context, size uint64) (tlog.Hash, error) {
	if l.Copy == nil {
		return tlog.Hash{}, errNotFound
	}
	f, err := tiles.ReadFrontier(ctx, l.Copy.Source(), size)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("%w: %w", errCopied, err)
	}
	return f.Root(), nil
}
