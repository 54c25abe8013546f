// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

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

type opened struct {
	Index  uint64
	Fields []field
}

// maxOpened bounds the disclosures of an event that are read.
const maxOpened = 16

type breach struct {
	index.Violation
	Party string
	Said  string // of a breach: who broke what
}

type chained struct {
	entryRow
	This bool
	Of   string // the kind of its reference to To
	To   uint64
}

type sealing struct {
	Public, Subject int
	Until           time.Time // when the public values are due
	By              uint64    // the entry that opened them, or that sealed them without end; 0: neither
	Never           bool
	Names           []string
}

// detail returns the entry that the path names.
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

const (
	readmeFile = "README.txt"
	entryFile  = "entry.json"
	proofFile  = "entry-%d.tlog-proof"
	policyFile = "policy.txt"
	charterOf  = "charter-%d.tlog-proof"
)

// evidence is a zip file that proves, without this monitor and the log, that an entry is in the log.
func evidence(q *Request) (*Answer, error) {
	v, err := q.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	d, err := q.detail(v)
	if err != nil {
		return nil, err
	}
	p, policy, err := q.Log.evidence(q.HTTP.Context(), d.Index)
	if err != nil {
		return nil, err
	}
	charter, err := q.charter(v, d, p.Checkpoint)
	if err != nil {
		return nil, err
	}
	b, err := q.bundle(d, p, policy, charter)
	if err != nil {
		return nil, err
	}
	return &Answer{Type: "application/zip", Name: fmt.Sprintf("evidence-entry-%d.zip", d.Index), Stream: func() ([]byte, error) {
		part := b
		b = nil
		return part, nil
	}}, nil
}

// evidence returns a proof under the copy's newest head, and the policy that accepts it: with the spread that
// the head's cosignatures need, if that is more than a verifier allows by default.
func (l *Log) evidence(ctx context.Context, n uint64) (*tlog.Proof, *tlog.Policy, error) {
	if l.Copy == nil || l.Copy.Head() == nil {
		return nil, nil, errNotFound
	}
	head := l.Copy.Head()
	p, err := l.proveAt(ctx, n, head)
	if err != nil {
		return nil, nil, err
	}
	policy := l.Copy.Policy().WithSpread(tlog.DefaultSpread)
	if _, err := policy.Verify(head, l.Origin); errors.Is(err, tlog.ErrNoQuorum) {
		any, err := policy.WithSpread(tlog.NoSpread).Verify(head, l.Origin)
		if err != nil {
			return nil, nil, err
		}
		first, last := uint64(math.MaxUint64), uint64(0)
		for _, w := range any.Witnesses {
			first, last = min(first, w.Time), max(last, w.Time)
		}
		policy = policy.WithSpread(last - first)
	}
	_, err = verify.Entry(policy, p.Bytes(), verify.Options{Origin: l.Origin})
	return p, policy, err
}

// charter returns the proof, under a head, of the charter that names the signers of an entry. nil: the entry is the first charter, or
// no charter allowed its signers to sign it.
func (q *Request) charter(v *index.View, d *index.Detail, head *tlog.Checkpoint) (*tlog.Proof, error) {
	n, ok, err := v.Charter(q.HTTP.Context(), d.Index)
	if err != nil || !ok || !slices.ContainsFunc(d.Names, func(n facts.Name) bool { return isRole(n.Member) }) {
		return nil, err
	}
	return q.Log.proveAt(q.HTTP.Context(), n, head)
}

// bundle makes the zip file. Its bytes depend on the proof and the language alone.
func (q *Request) bundle(d *index.Detail, p *tlog.Proof, policy *tlog.Policy, charter *tlog.Proof) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	proof := fmt.Sprintf(proofFile, p.Index)
	type file struct {
		name string
		body []byte
	}
	files := []file{{readmeFile, nil}, {entryFile, p.Extra}, {proof, p.Bytes()}, {policyFile, policy.Bytes()}}
	signed := "" // the file of the signers' charter
	if charter != nil {
		signed = fmt.Sprintf(charterOf, charter.Index)
		files = append(files, file{signed, charter.Bytes()})
	}
	files[0].body = []byte(q.readme(d, p, policy, proof, signed))
	for _, f := range files {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write(f.body)
		}
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// readme says in plain words what a bundle proves and how to verify it.
func (q *Request) readme(d *index.Detail, p *tlog.Proof, policy *tlog.Policy, proof, charter string) string {
	var b strings.Builder
	head := p.Checkpoint
	said := func(indent string, lines ...string) {
		for _, line := range lines {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
		}
	}
	said("", q.T("evidence.title", q.Number(p.Index), q.Log.Origin), "", q.T("evidence.what"), "", q.T("evidence.said"))
	var e *event.Event
	if env, err := event.ParseEnvelope(p.Extra); err == nil {
		e = env.Event
	}
	told := q.tell(e, q.signers(&d.Entry))
	said("  ", told.Sentence)
	for _, f := range told.Fields {
		said("  ", f.Name+": "+f.String())
	}
	for i := range d.Violations {
		if broke := q.broke(&d.Violations[i], d); broke != "" {
			said("", "", broke+" ("+q.T("entry.seen", q.N(d.Violations[i].Seen))+")", clean(d.Violations[i].Text))
		}
	}
	said("", "", q.T("evidence.times"))
	said("  ", q.T("entry.after")+": "+q.Proven(d.After, "entry.after.unknown"), q.T("entry.before")+": "+q.Proven(d.Before, "entry.before.unknown"))
	if e != nil {
		said("  ", q.T("entry.claimed")+": "+q.When(d.Claimed)+". "+q.T("entry.claim"))
	}
	said("  ", q.T("evidence.before"))
	said("", "", q.T("evidence.files"))
	said("  ", q.T("evidence.file.readme"), q.T("evidence.file.entry"), q.T("evidence.file.proof", proof), q.T("evidence.file.policy"))
	if charter != "" {
		said("  ", q.T("evidence.file.charter", charter))
	}
	said("", "", q.T("evidence.how"), "")
	said("    ", verifyCommand(policy, proof, charter))
	said("", "", q.T("evidence.sure"), "", q.T("evidence.not"), "", q.T("evidence.source", q.N(head.Size), head.Root.String()))
	if q.Report().Unpinned {
		said("", "", q.T("evidence.unpinned"))
	}
	return b.String()
}

// verifyCommand verifies a bundle in its folder.
func verifyCommand(policy *tlog.Policy, proof, charter string) string {
	command := "vasistas verify --policy " + policyFile
	if policy.Spread != tlog.DefaultSpread {
		command += fmt.Sprintf(" --spread %d", policy.Spread)
	}
	if charter == "" {
		return command + " " + proof
	}
	// The charter names the signers, so its own proof is verified too.
	return command + " --charter " + charter + " " + proof + " " + charter
}
