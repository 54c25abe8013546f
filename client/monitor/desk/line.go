// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/ledger"
)

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
