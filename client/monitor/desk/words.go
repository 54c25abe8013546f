// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// A told event is what an event says, in the words of a language.
type told struct {
	Sentence string // who did what
	Fields   []field
}

// A field is a member of an event. A value with Entry is a link to that entry.
type field struct {
	Name   string
	Values []value
}

// String returns the values as text.
func (f field) String() string {
	var list []string
	for _, v := range f.Values {
		list = append(list, v.Text)
	}
	return strings.Join(list, ", ")
}

type value struct {
	Text  string
	Entry string // number of the entry that the value names; "": none
}

// teller collects the fields of one event.
type teller struct {
	*Lang
	told
}

// tell says what an event says, by its signers as [Lang.signers] names them. nil: the entry is no event.
func (l *Lang) tell(e *event.Event, by string) *told {
	t := &teller{Lang: l}
	key, args := "unreadable", []any{by}
	if e != nil {
		key, args = t.body(e.Body, by)
	}
	t.Sentence = capital(l.T("say."+key, args...))
	return &t.told
}

// body adds the fields of a body, and returns the key of the sentence with what it names.
func (t *teller) body(body event.Body, by string) (key string, args []any) {
	args = []any{by}
	switch b := body.(type) {
	case *event.Charter:
		t.count("version", b.Version)
		if b.Version == 1 {
			return "charter.first", args
		}
		return "charter.next", append(args, strconv.FormatUint(b.Version, 10))
	case *event.Warrant:
		t.warrant(b)
		return "warrant." + string(b.Decision), append(args, b.Provider)
	case *event.Revocation:
		t.codes("reason", b.Reason)
		t.codes("category", b.Categories...)
		return "revocation." + string(b.Scope), args
	case *event.Access:
		t.count("accounts", b.Accounts)
		t.codes("category", b.Categories...)
		t.codes("emergency", b.Emergency)
		if b.Emergency != "" {
			return "access.emergency", append(args, b.Group)
		}
		return "access", append(args, b.Group)
	case *event.Response:
		t.codes("ground", b.Ground)
		t.codes("category", b.Categories...)
		return "response." + string(b.Outcome), args
	case *event.Return:
		return t.returned(b), args
	}
	return t.lesser(body, args)
}

// lesser is body for the types with a member or two.
func (t *teller) lesser(body event.Body, args []any) (string, []any) {
	switch b := body.(type) {
	case *event.Release:
		t.count("notices", uint64(len(b.Notices)))
		return "release", append(args, strconv.FormatUint(b.Seq, 10))
	case *event.Refusal:
		t.codes("reason", b.Reason)
	case *event.Deferral:
		t.codes("ground", b.Ground)
		until := t.T("field.never")
		if !b.Never {
			until = t.Exact(b.Until)
		}
		t.add("deferred-until", value{Text: until})
	case *event.Disclosure:
		t.count("notices", uint64(len(b.Notices)))
		t.opened(b.Openings)
	case *event.Heartbeat:
		t.add("period", value{Text: t.fromTo(b.From, b.To)})
		return "heartbeat", append(args, strconv.FormatUint(b.Seq, 10))
	case *event.Anchor:
		if cp, err := tlog.ParseCheckpoint([]byte(b.Checkpoint)); err == nil {
			t.count("size", cp.Size)
		}
	case *event.Finding:
		text := t.T("field.span", t.N(b.First), t.N(b.Last))
		if b.First == b.Last {
			text = t.T("entry.number", t.N(b.First))
		}
		t.add("entries", value{Text: text, Entry: strconv.FormatUint(b.First, 10)})
		return "finding." + string(b.State), append(args, t.Rule(b.Rule))
	}
	return string(body.Type()), args
}

func (t *teller) warrant(b *event.Warrant) {
	t.codes("instrument", b.Instrument)
	t.codes("offence", b.Offence)
	t.codes("category", b.Categories...)
	if b.Accesses > 0 {
		t.count("accesses", b.Accesses)
		t.count("accounts", b.Accounts)
	}
	if b.Decision != event.Denied {
		t.add("window", value{Text: t.fromTo(b.NotBefore, b.NotAfter)})
	}
}

func (t *teller) returned(b *event.Return) (key string) {
	if !b.Executed {
		return "return.not"
	}
	t.count("accounts", b.Accounts)
	t.count("persons", b.Persons)
	t.count("days", b.Days)
	yes := map[bool]string{true: "field.yes", false: "field.no"}
	t.add("encryption", value{Text: t.T(yes[b.Encryption])})
	t.add("plaintext", value{Text: t.T(yes[b.Plaintext])})
	return "return.executed"
}

// opened adds what a disclosure opens.
func (t *teller) opened(openings []event.Opening) {
	for i := range openings {
		o := &openings[i]
		if o.Name == event.DecoyName {
			continue
		}
		v := value{Text: clean(o.Value.Text())}
		if list := o.Value.Codes(); list != nil {
			v.Text = clean(strings.Join(list, ", "))
		}
		if key, err := o.Value.Key(); err == nil && o.Name == "agencyKey" {
			v.Text = key.KeyID()
		}
		if r, err := event.ParseReference(o.Value.Text()); err == nil && o.Name == "extends" {
			v = value{Text: strconv.FormatUint(r.Index, 10), Entry: strconv.FormatUint(r.Index, 10)}
		}
		t.Fields = append(t.Fields, field{capital(t.Name("sealed.", o.Name)), []value{v}})
	}
}

func (t *teller) add(name string, values ...value) {
	t.Fields = append(t.Fields, field{capital(t.T("field." + name)), values})
}

func (t *teller) count(name string, n uint64) { t.add(name, value{Text: t.N(n)}) }

// codes adds codes of the charter, unless all are empty.
func (t *teller) codes(name string, codes ...string) {
	var values []value
	for _, c := range codes {
		if c != "" {
			values = append(values, value{Text: t.code(name, c)})
		}
	}
	if values != nil {
		t.add(name, values...)
	}
}

// Proven returns a time in words; if the time is zero, the text of the key unknown.
func (l *Lang) Proven(t time.Time, unknown string) string {
	if t.IsZero() {
		return l.T(unknown)
	}
	return l.Exact(t)
}

func (l *Lang) fromTo(from, to time.Time) string {
	return l.T("field.from-to", l.Exact(from), l.Exact(to))
}

// signers names those who signed an entry. Those of the first charter are in the charter itself.
func (l *Lang) signers(e *index.Entry) string {
	var list []string
	for _, n := range e.Names {
		if isRole(n.Member) {
			list = append(list, l.T("by."+n.Member, n.Value))
		}
	}
	switch {
	case list != nil:
		return strings.Join(list, ", ")
	case e.Type == event.TypeCharter && e.Index == 0:
		return l.T("by.founders")
	}
	return l.T("by.unknown")
}

// roles are the members of names that say who signed.
var roles = []event.Role{event.RoleAuthority, event.RoleDuty, event.RoleProvider, event.RoleCustodian, event.RoleAuditor, event.RoleCharter}

func isRole(member string) bool { return slices.Contains(roles, event.Role(member)) }

// code returns the text of a value of a member of an event: those that the schema defines have one, and those of a
// charter may have one.
func (l *Lang) code(member, value string) string {
	prefix, ok := map[string]string{"decision": "decision.", "outcome": "outcome.", "scope": "scope.", "state": "finding.", "reason": "refusal."}[member]
	if !ok {
		prefix = member + "."
	}
	return l.Name(prefix, value)
}

// Rule names a rule.
func (l *Lang) Rule(code string) string { return l.Name("rule.", code) }

// capital begins a text with a capital letter.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return fmt.Sprintf("%c%s", unicode.ToUpper(r), s[n:])
}

// A Sentence is a sentence in the reader's language. Detail, if any, follows it in English: the words of the
// rules, of this machine, or of another party.
type Sentence struct{ Text, Detail string }

// A Line is the first line of a log in the reader's language.
type Line struct {
	Verdict facts.Verdict
	Reasons []Sentence // the first is the verdict's
	Past    string     // counts the closed breaches; "": none
	Age     string     // of the head; "" if no time of it is proven
}

// maxReasons bounds the reasons below the first line. The page of the auditors has each one's.
const maxReasons = 8

// Line returns the first line of the request's log.
func (q *Request) Line() *Line { return q.line(q.Report()) }

// Report returns the facts, the same ones for the whole request.
func (q *Request) Report() *facts.Report {
	if q.report == nil {
		q.report = q.Log.Report()
	}
	return q.report
}

func (q *Request) line(r *facts.Report) *Line {
	said := r.Line(q.Now)
	out := &Line{Verdict: said.Verdict}
	nth := make(map[string]int) // of a code: how many of its reasons were before
	if p := r.Past; p != nil {
		out.Past = q.T("line.past", p.Breaches, p.ClosedBy, r.Charter.Auditors)
	}
	for _, why := range limit(said.Reasons, maxReasons) {
		if why.Code == facts.ReasonUnpinned || why.Code == facts.ReasonPast { // the frame says it
			continue
		}
		s := q.reason(r, why, nth[why.Code])
		s.Detail = clean(s.Detail)
		out.Reasons = append(out.Reasons, s)
		nth[why.Code]++
	}
	if r.Head != nil && !r.Head.LoggedAfter.IsZero() {
		out.Age = q.Span(q.Now.Sub(r.Head.LoggedAfter))
	}
	return out
}

// reason translates the nth reason of its code.
func (l *Lang) reason(r *facts.Report, why facts.Reason, nth int) Sentence {
	switch why.Code {
	case facts.ReasonBreach:
		b := r.Unclosed[0]
		return Sentence{l.T("reason.breach", len(r.Unclosed), l.Party(b.By), l.Rule(b.Rule), l.N(b.Index)), b.Text}
	case facts.ReasonReading:
		return Sentence{Text: l.T("reason.reading", r.Applied, r.Copied)}
	case facts.ReasonWitnesses:
		return Sentence{l.T("reason.witnesses", r.Head.Size), r.Head.Unmet}
	case facts.ReasonStale:
		return Sentence{Text: l.T("reason.stale", l.When(r.Head.LoggedAfter), l.Span(time.Duration(min(r.Charter.Stale, 1<<33))*time.Second))}
	case facts.ReasonAuditors:
		if r.Vouched == nil {
			return Sentence{Text: l.T("reason.auditors.none")}
		}
		return Sentence{Text: l.T("reason.auditors", r.Vouched.Size, l.When(r.Vouched.At))}
	case facts.ReasonUnknown:
		if nth < len(r.Unknown) && r.Unknown[nth] == why.Text {
			return Sentence{l.T("reason.unknown"), why.Text}
		}
		return Sentence{Text: l.T("reason.unknown")}
	case facts.ReasonAnswer:
		for _, a := range r.Declining(true) {
			if strings.HasPrefix(why.Text, "auditor "+a.Auditor+": ") {
				return Sentence{l.T("reason.answer", a.Auditor, l.T("answer."+string(a.Kind))), a.Text}
			}
		}
	case facts.ReasonCopy:
		return Sentence{l.T("reason.copy"), r.Failing}
	case facts.ReasonOverdue:
		o := &r.Owed[0]
		return Sentence{Text: l.T("reason.overdue", r.Overdue, l.When(r.At), l.Party(o.By), l.Owes(o), l.When(o.Late))}
	case facts.ReasonClean:
		return Sentence{Text: l.T("reason.clean", r.Applied, l.When(r.At))}
	case facts.ReasonVouched:
		return Sentence{Text: l.Vouched(r)}
	case facts.ReasonFork, facts.ReasonHead, facts.ReasonCharter, facts.ReasonTime, facts.ReasonClock:
		return Sentence{Text: l.T("reason." + why.Code)}
	}
	return Sentence{"", why.Text}
}

// Vouched says which auditors vouch for which head.
func (l *Lang) Vouched(r *facts.Report) string {
	if len(r.Vouched.By) == 0 { // that of a log whose charter has changed
		return l.T("vouch.auditors", r.Vouched.Size, l.When(r.Vouched.At))
	}
	return l.T("vouch.count", len(r.Vouched.By), r.Charter.Auditors, l.N(r.Vouched.Size), l.When(r.Vouched.At), clean(strings.Join(r.Vouched.By, ", ")))
}

// Party returns a party of the form of ledger.Violation.By, such as "provider messenger".
func (l *Lang) Party(by string) string {
	by, orLog := strings.CutSuffix(by, " or "+ledger.Log)
	role, name, named := strings.Cut(by, " ")
	out := clean(by)
	switch {
	case by == ledger.Log:
		out = l.T("party.log")
	case named && l.Has("party."+role):
		out = l.T("party."+role, name)
	}
	if orLog {
		out = l.T("party.orlog", out)
	}
	return out
}

// Owes returns what is owed, such as "the report on what was done under warrant 12".
func (l *Lang) Owes(o *ledger.Obligation) string {
	if key := "owes." + o.Rule + "." + o.Way; l.Has(key) {
		return l.T(key, l.N(o.Index))
	}
	return clean(o.Text)
}

// LateSince says since when an obligation was late. An anchor proves that time, or only the debtor claims it in the entry
// that settles the obligation. A claimed time is later than the time that was proven when that entry was logged.
func (l *Lang) LateSince(o ledger.Late) string {
	if o.LateSince.After(o.CuredAfter) {
		return l.T("late.claimed", l.When(o.LateSince))
	}
	return l.When(o.LateSince)
}

// Cure returns how it is cured.
func (l *Lang) Cure(o *ledger.Obligation) string {
	if key := "cure." + o.Rule + "." + o.Way; l.Has(key) {
		return l.T(key)
	}
	return clean(o.Cure)
}
