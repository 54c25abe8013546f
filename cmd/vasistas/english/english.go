// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package english renders the reports of audits, scans and verifications, what an event means,
// and what a policy bears, in English. The sentences are in templates, so another language
// needs another set of templates.
//
// It promises that text from a log, a file or a policy can't pass for a sentence of the
// report or for a command to a terminal: it quotes such text.
package english

import (
	"embed"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

//go:embed *.tmpl
var files embed.FS

var (
	parse     sync.Once
	templates *template.Template
)

func parsed() *template.Template {
	parse.Do(func() {
		templates = template.Must(template.New("").Funcs(funcs()).ParseFS(files, "*.tmpl"))
	})
	return templates
}

func funcs() template.FuncMap {
	return template.FuncMap{
		"say":    say,
		"plain":  plain,
		"join":   func(list []string) string { return strings.Join(list, ", ") },
		"time":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"inc":    func(i int) int { return i + 1 },
		"minus":  func(a, b uint64) uint64 { return a - b },
		"top":    top,
		"newest": newest,
		"rest":   rest,
		"count":  count,
		"indent": indent,
		"age":    age,
		"owes":   owes,
		"owesItems": func(items []audit.DueItem, total uint64) string {
			var owed []ledger.Obligation
			for _, item := range items[:total] {
				owed = append(owed, item.Obligation)
			}
			return owes(owed, total)
		},
		"debt":  debt,
		"party": party,
		"isIn":  isIn,
		"last":  last[audit.DueItem],
		"trim":  func(s, verdict string) string { return strings.TrimPrefix(s, verdict+": ") },

		"kinds":    func() []string { return []string{"breach", "no effect"} },
		"ofKind":   ofKind,
		"warnings": caseWarnings,
		"warned":   warned,
		"reasons":  reasons,
		"lines":    lines,
		"answers":  answers,
		"several":  func(names string) bool { return strings.Contains(names, ", ") },
	}
}

func say(name string, data any) string {
	var b strings.Builder
	if err := parsed().ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // a template names a field that the data lacks
	}
	return b.String()
}

func lines(name string, data any) []string { return strings.Split(say(name, data), "\n") }

// answers returns one answer for each auditor, though it may have several keys: the first that is no
// cosignature, if there is one.
func answers(keys []round.Answer) []round.Answer {
	var out []round.Answer
	for _, a := range keys {
		i := slices.IndexFunc(out, func(o round.Answer) bool { return o.Auditor == a.Auditor })
		if i < 0 {
			out = append(out, a)
		} else if out[i].Kind == round.Cosigned {
			out[i] = a
		}
	}
	return out
}

// Audit returns a report as text, with at most list elements of each list.
func Audit(r *audit.Report, list int) string {
	return say("audit", struct {
		*audit.Report
		List int
	}{r, list})
}

// Headline returns the first line of Audit.
func Headline(r *audit.Report) string { return say("audit-headline", r) }

// Scan returns a report as text, with at most list elements of each list.
func Scan(r *scan.Report, list int) string {
	return say("scan", struct {
		*scan.Report
		List int
	}{r, list})
}

// Proof returns a report as text.
func Proof(r *verify.Report) string { return say("proof", r) }

// Fork returns proven evidence as text.
func Fork(f *tlog.Fork) string { return say("fork", f) }

// Notice returns the content of a notice file as text.
func Notice(v *notice.Verified) string { return say("notice", v) }

// Event returns what an event means, as sentences without a full stop; none if its body says
// all in its own words. The body is well-formed: its codes need no quoting.
func Event(e *event.Event) []string {
	name := "event-" + string(e.Type)
	if parsed().Lookup(name) == nil {
		return nil
	}
	return slices.DeleteFunc(lines(name, e.Body), func(s string) bool { return s == "" })
}

// Strength returns what a policy bears, as sentences without a full stop.
func Strength(p *tlog.Policy) []string { return lines("policy-strength", p) }

// StrengthJSON is [tlog.Strength] in JSON, with its sentences. Names and meanings of its
// members are stable; members may be added.
type StrengthJSON struct {
	Fork    int      `json:"fork"`
	Silence int      `json:"silence"`
	Time    int      `json:"time"`
	Text    []string `json:"text"`
	Warning string   `json:"warning,omitempty"` // [Weak]
}

// PolicyJSON returns what a policy bears for JSON.
func PolicyJSON(p *tlog.Policy) StrengthJSON {
	s := p.Strength()
	return StrengthJSON{s.Fork, s.Silence, s.Time, Strength(p), Weak(p)}
}

// Weak returns why one key that lies, or none, can betray those who trust a policy; "" if
// it takes more.
func Weak(p *tlog.Policy) string { return say("policy-weak", p) }

// VerifiedNotice is the content of a notice file for JSON.
type VerifiedNotice struct {
	File     string        `json:"file"`
	Verdict  string        `json:"verdict"`
	Reason   verify.Reason `json:"reason,omitempty"` // of a verdict other than proven
	Error    string        `json:"error,omitempty"`
	Notice   warnedFile    `json:"notice"`
	Shown    []string      `json:"shown"`
	NotShown []string      `json:"notShown"`
	Strength StrengthJSON  `json:"strength"`
}

// warnedFile is a notice file with its warnings as sentences.
type warnedFile struct {
	*notice.Verified
	Warnings []string `json:"warnings,omitempty"`
}

// NoticeJSON returns the content of a notice file, and what the policy bears, for JSON, with
// warnings as sentences.
func NoticeJSON(file string, v *notice.Verified, policy *tlog.Policy) *VerifiedNotice {
	r := new(verify.Report)
	if v.Doubt != nil {
		r = verify.Failure(v.Doubt)
	}
	return &VerifiedNotice{file, verify.VerdictOf(v.Doubt).String(), r.Reason, r.Error, warnedFile{v, warnings(v)}, lines("notice-shown", v), lines("notice-not-shown", v), PolicyJSON(policy)}
}

// ScanReport is a report of a scan for JSON.
type ScanReport struct {
	*scan.Report
	Reasons []string     `json:"reasons,omitempty"`
	Cases   []warnedCase `json:"cases,omitempty"`
}

// warnedCase is a case whose notices have their warnings as sentences.
type warnedCase struct {
	*scan.Case
	Notices []warnedNotice `json:"notices"`
}

type warnedNotice struct {
	*scan.Notice
	Warnings []string `json:"warnings,omitempty"`
}

// ScanJSON returns a report for JSON, with reasons and warnings as sentences.
func ScanJSON(r *scan.Report) *ScanReport {
	out := &ScanReport{Report: r, Reasons: reasons(r)}
	for _, c := range r.Cases {
		told := warnedCase{Case: c}
		for _, n := range c.Notices {
			told.Notices = append(told.Notices, warnedNotice{n, warnings(n.Verified)})
		}
		out.Cases = append(out.Cases, told)
	}
	return out
}

func top(n int, list any) any {
	v := reflect.ValueOf(list)
	return v.Slice(0, min(n, v.Len())).Interface()
}

func newest(list []ledger.Late) []ledger.Late {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// rest returns the number of elements that top leaves out, of all.
func rest(all any, n int, list any) uint64 {
	total, _ := strconv.ParseUint(fmt.Sprint(all), 10, 64)
	return total - uint64(min(n, reflect.ValueOf(list).Len()))
}

func count(n any, one, more string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", more)
}

// age says how long so many seconds are.
func age(seconds int64) string {
	d := time.Duration(max(0, seconds)) * time.Second
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// debts name what obligations of a rule ask for.
var debts = map[string][2]string{
	"disclosure":      {"disclosure", "disclosures"},
	"return":          {"return", "returns"},
	"emergency":       {"decision on an emergency", "decisions on emergencies"},
	"heartbeat":       {"heartbeat", "heartbeats"},
	"missing-release": {"missing release", "missing releases"},
	"anchor":          {"anchor", "anchors"},
}

// debt names what n obligations of a rule ask for.
func debt(rule string, n int) string {
	words, ok := debts[rule]
	switch {
	case !ok:
		return rule
	case n == 1:
		return words[0]
	}
	return words[1]
}

func party(by string) string { return plain(ledger.Party(by)) }

// maxOwes bounds the debts, and the entries of each, that a first line names.
const maxOwes = 3

// owes says what is overdue, and since when. owed lists the first of total obligations.
func owes(owed []ledger.Obligation, total uint64) string {
	var out strings.Builder
	left, named, by := slices.Clone(owed), 0, ""
	for range maxOwes {
		i := max(0, slices.IndexFunc(left, func(o ledger.Obligation) bool { return o.By == by }))
		if len(left) == 0 {
			break
		}
		first := left[i]
		var entries []string
		left = slices.DeleteFunc(left, func(o ledger.Obligation) bool {
			same := o.By == first.By && o.Rule == first.Rule
			if same {
				entries = append(entries, fmt.Sprint(o.Index))
			}
			return same
		})
		switch {
		case by == first.By:
			out.WriteString(" and ")
		case by != "":
			fmt.Fprintf(&out, ", %s owes ", party(first.By))
		default:
			fmt.Fprintf(&out, "%s owes ", party(first.By))
		}
		n, word := len(entries), "entry"
		if n > 1 {
			word = "entries"
		}
		if n > maxOwes {
			entries = append(entries[:maxOwes], "...")
		}
		fmt.Fprintf(&out, "%d %s (%s %s)", n, debt(first.Rule, n), word, strings.Join(entries, ", "))
		named, by = named+n, first.By
	}
	if more := total - uint64(named); more > 0 && named > 0 {
		fmt.Fprintf(&out, ", and %s", count(more, "more obligation is overdue", "more obligations are overdue"))
	} else if more > 0 {
		out.WriteString(count(more, "obligation is overdue", "obligations are overdue"))
	}
	if len(owed) > 0 {
		fmt.Fprintf(&out, ", late since %s", owed[0].Late.UTC().Format(time.RFC3339))
	}
	return out.String()
}

func ofKind(kind string, rules []audit.Rule) []audit.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r audit.Rule) bool { return r.Kind != kind })
}

func reasons(r *scan.Report) []string {
	var out []string
	for _, code := range r.Reasons {
		out = append(out, say("reason", struct {
			*scan.Report
			Code string
		}{r, code}))
	}
	return out
}

func warnings(v *notice.Verified) []string {
	var out []string
	for _, w := range v.Warnings {
		out = append(out, say("warning", w))
	}
	return out
}

// warned returns whether a notice has a warning of a code.
func warned(code string, v any) bool {
	n, ok := v.(*notice.Verified)
	if s, is := v.(*scan.Notice); is {
		n, ok = s.Verified, true
	}
	return ok && slices.ContainsFunc(n.Warnings, func(w notice.Warning) bool { return w.Code == code })
}

// caseWarnings returns the warnings of all notices of a case, each once.
func caseWarnings(c *scan.Case) []string {
	var out []string
	for _, n := range c.Notices {
		out = append(out, warnings(n.Verified)...)
		if !n.Effect {
			out = append(out, say("no-effect", n))
		}
	}
	for _, b := range c.Breaches {
		out = append(out, say("breach", b))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// plain quotes text with unprintable characters. It keeps quotation marks, since errors
// quote names.
func plain(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

func indent(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		out = append(out, "    "+plain(strings.TrimSuffix(line, "\n")))
	}
	return strings.Join(out, "\n")
}

// Due returns what is owed as text, by debtor, with at most list elements of each list.
func Due(d *audit.Due, list int) string {
	return say("due", struct {
		*audit.Due
		List    int
		Debtors []dueDebtor
	}{d, list, debtors(d)})
}

// dueDebtor is what one party owes. Each list is in order of dates.
type dueDebtor struct {
	By                          string
	Overdue, Due, Sealed, Later []audit.DueItem
	Lacking                     []audit.DueItem // disclosures whose openings the vault lacks
}

// debtors groups what is owed by debtor: who owes the first item stands first.
func debtors(d *audit.Due) []dueDebtor {
	var out []dueDebtor
	for _, item := range d.Items {
		i := slices.IndexFunc(out, func(o dueDebtor) bool { return o.By == item.By })
		if i < 0 {
			i, out = len(out), append(out, dueDebtor{By: item.By})
		}
		o := &out[i]
		for state, list := range map[string]*[]audit.DueItem{audit.DueOverdue: &o.Overdue, audit.DueSoon: &o.Due, audit.DueSealed: &o.Sealed, audit.DueLater: &o.Later} {
			if item.State == state {
				*list = append(*list, item)
			}
		}
		if item.InVault != nil && !*item.InVault {
			o.Lacking = append(o.Lacking, item)
		}
	}
	return out
}

// isIn says how long after another a time is.
func isIn(t, from time.Time) string {
	if !t.After(from) {
		return "in its grace"
	}
	return "in " + age(int64(t.Sub(from)/time.Second))
}

func last[T any](list []T) T { return list[len(list)-1] }
