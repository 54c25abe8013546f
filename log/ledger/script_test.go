// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// script runs a section of testdata as testdata/README.md describes: after each line
// stand its verdicts, each behind "= ".
type script struct {
	*world
	names map[string]*logged
	ways  map[string]bool
}

// line is one parsed line.
type line struct {
	verb  string
	words []string
	opt   map[string]string
}

func parseLine(s string) line {
	l := line{opt: make(map[string]string)}
	for i, word := range strings.Fields(s) {
		k, v, ok := strings.Cut(word, "=")
		switch {
		case i == 0:
			l.verb = word
		case ok:
			l.opt[k] = v
		default:
			l.words = append(l.words, word)
		}
	}
	return l
}

func (l line) or(key, otherwise string) string {
	if v, ok := l.opt[key]; ok {
		return v
	}
	return otherwise
}

func (l line) list(key string) []string {
	if v := l.opt[key]; v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (l line) number(key string, otherwise uint64) uint64 {
	v, ok := l.opt[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// date reads 3d12h, from the start of the log.
func date(s string) int64 {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		days, rest = "0", s
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil {
		panic(err)
	}
	var d time.Duration
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil {
			panic(err)
		}
	}
	return testStart + n*day + int64(d/time.Second)
}

func (l line) date(key string, otherwise int64) int64 {
	if v, ok := l.opt[key]; ok {
		return date(v)
	}
	return otherwise
}

func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	ways, kept := make(map[string]bool), make(map[string]bool)
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rule := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for i := range a.Files {
			f := &a.Files[i]
			t.Run(rule+"/"+f.Name, func(t *testing.T) {
				s := &script{world: emptyWorld(t), names: make(map[string]*logged), ways: make(map[string]bool)}
				got := s.run(string(f.Data))
				s.checkRestored()
				if *update {
					f.Data = []byte(got)
				} else if got != string(f.Data) {
					t.Errorf("got:\n%s\nwant:\n%s", got, f.Data)
				}
				for w := range s.ways {
					if r, _, _ := strings.Cut(w, "/"); r == rule {
						ways[w] = true
					}
				}
				if strings.HasPrefix(f.Name, "keeps") {
					kept[rule] = true
					if len(s.ways) > 0 {
						t.Errorf("it keeps the rule, and has verdicts: %v", s.ways)
					}
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range Rules(2) {
		if !kept[r.Name] {
			t.Errorf("testdata/%s.txtar has no section keeps", r.Name)
		}
		for _, w := range r.Ways {
			if w.Rule != r.Name {
				t.Errorf("the way %s/%s stands with rule %s", w.Rule, w.Code, r.Name)
			}
			if !ways[w.Rule+"/"+w.Code] {
				t.Errorf("testdata/%s.txtar never shows the way %s", r.Name, w.Code)
			}
		}
	}
}

func (s *script) run(text string) string {
	var out strings.Builder
	for row := range strings.Lines(text) {
		row = strings.TrimRight(row, "\n")
		if strings.HasPrefix(row, "= ") {
			continue
		}
		out.WriteString(row + "\n")
		row, _, _ = strings.Cut(row, "#")
		if strings.TrimSpace(row) == "" {
			continue
		}
		s.violations = nil
		for _, o := range s.do(parseLine(row)) {
			out.WriteString("= " + keyNames.Replace(o) + "\n")
		}
	}
	return out.String()
}

// do runs a line and returns its output.
func (s *script) do(l line) []string {
	if s.l.Size() == 0 && l.verb != "charter" && l.verb != "raw" && l.opt["first"] == "" {
		s.do(parseLine("charter"))
	}
	now := s.Now
	defer func() { s.Now = now }()
	if v, ok := l.opt["at"]; ok {
		s.Now = date(v)
	}
	switch l.verb {
	case "now":
		now = date(l.words[0])
		return nil
	case "overdue":
		return s.overdue()
	case "barred":
		if c := l.opt["custodian"]; c != "" {
			return s.barred(s.l.BarredGate(c, l.or("group", "main"), at(s.Now)))
		}
		return s.barred(s.l.Barred(append(l.words, "")[0], at(s.Now)))
	}
	e := s.make(l)
	if len(l.words) > 0 && e != nil && s.names[l.words[0]] == nil {
		s.names[l.words[0]] = e
	}
	var out []string
	for _, v := range s.violations {
		out = append(out, s.verdict(v))
	}
	return out
}

func (s *script) verdict(v *Violation) string {
	s.ways[v.Rule+"/"+v.Code] = true
	text := fmt.Sprintf("%s %s/%s", v.Kind, v.Rule, v.Code)
	if v.Index != v.Seen {
		text += fmt.Sprintf(" of entry %d", v.Index)
	}
	if v.Kind == KindBreach {
		text += " by " + v.By
	}
	text += ": " + s.text(v.Cause)
	if v.Cure != "" {
		text += "; cure: " + v.Cure
	}
	return text
}

// text renders a cause and checks its arguments against the template and the allowed
// types.
func (s *script) text(c Cause) string {
	if len(c.Args) != len(c.params()) {
		s.t.Errorf("%s/%s has the arguments %v, and the parameters %v", c.Rule, c.Code, c.Args, c.params())
	}
	for _, a := range c.Args {
		switch a := a.(type) {
		case uint64, string, Term, time.Time:
		case Cause:
			s.text(a)
		default:
			s.t.Errorf("%s/%s has the argument %v of the type %T", c.Rule, c.Code, a, a)
		}
	}
	text := c.Text()
	if strings.ContainsAny(text, "{}") && c.Way != formMalformed {
		s.t.Errorf("%s/%s renders as %q", c.Rule, c.Code, text)
	}
	return text
}

// restored compares the breaches with those of the ledger that its snapshot restores.
func (s *script) checkRestored() {
	l, err := restored(s.l)
	if err != nil {
		s.t.Fatal(err)
	}
	if d := cmp.Diff(s.l.breaches, l.breaches, cmpopts.IgnoreUnexported(Breach{}, Violation{})); d != "" {
		s.t.Errorf("a snapshot changes the breaches (-want +got):\n%s", d)
	}
}

func (s *script) overdue() []string {
	var out []string
	for _, o := range s.l.Overdue(at(s.Now)) {
		s.ways[o.Rule+"/"+o.Way] = true
		text := fmt.Sprintf("overdue %s/%s of entry %d by %s since %s: %s; cure: %s", o.Rule, o.Way, o.Index, o.By, o.Late.Format(time.RFC3339), o.Text, o.Cure)
		if o.Auditors {
			text += "; bars auditors"
		}
		if o.Custodian != "" {
			text += "; bars custodian " + o.Custodian
		}
		if o.Groups != nil {
			text += "; bars groups " + strings.Join(o.Groups, ", ")
		}
		out = append(out, text)
	}
	if out == nil {
		out = []string{"nothing"}
	}
	return out
}

func (s *script) barred(bars []Bar) []string {
	out := []string{}
	for _, b := range bars {
		if b.Breach != nil {
			out = append(out, fmt.Sprintf("barred by breach %s of entry %d, closed by %v", b.Breach.Rule, b.Breach.Index, b.Breach.ClosedBy()))
		} else {
			out = append(out, fmt.Sprintf("barred by overdue %s of entry %d", b.Obligation.Rule, b.Obligation.Index))
		}
	}
	if len(out) == 0 {
		out = []string{"not barred"}
	}
	return out
}

func (s *script) get(name string) *logged {
	e := s.names[name]
	if e == nil {
		s.t.Fatalf("no event is called %s", name)
	}
	return e
}

func (s *script) ref(l line, i int) event.Reference {
	name := l.words[i]
	r := event.Reference{Index: s.l.Size() + 5, Leaf: hash("future")}
	if name != "future" {
		r = s.get(name).Reference
	}
	if l.opt["leaf"] == "wrong" {
		r.Leaf = hash("wrong")
	}
	return r
}

// sign makes an event with the options that every line may have, and logs it.
func (s *script) logLine(l line, body event.Body, by string, until int64) *logged {
	e := s.Event(body)
	if id := l.opt["id"]; id != "" {
		e.ID = s.get(id).Envelope.Event.ID
	}
	if o := l.opt["origin"]; o != "" {
		e.Log = o
	}
	out := &logged{}
	if until != 0 && l.opt["seal"] != "none" {
		var more []event.Opening
		if name := l.opt["extends"]; name != "" {
			more = append(more, s.Opening("extends", event.Text(s.ref(line{words: []string{name}, opt: l.opt}, 0).String())))
		}
		out.Public = s.Seal(e, until, more...)
		switch l.opt["seal"] {
		case "few":
			e.Sealed.Public = e.Sealed.Public[:1]
		case "decoys":
			for i := range e.Sealed.Public {
				out.Public[i] = s.Opening(event.DecoyName, event.Value{})
				e.Sealed.Public[i], _ = out.Public[i].Digest()
			}
			event.SortDigests(e.Sealed.Public)
		}
	}
	out.Envelope = s.Sign(e, strings.Split(l.or("by", by), ",")...)
	if k := l.opt["badsig"]; k != "" {
		for i, sig := range out.Envelope.Signatures {
			if sig.KeyID == keyID(k) {
				out.Envelope.Signatures[i].Sig = append([]byte{sig.Sig[0] ^ 1}, sig.Sig[1:]...)
			}
		}
	}
	out.Reference = event.Reference{Index: s.Size(), Leaf: out.Envelope.LeafHash()}
	if l.opt["unlogged"] == "" {
		s.Append(out.Envelope.Bytes())
	}
	return out
}

func (s *script) make(l line) *logged {
	switch l.verb {
	case "charter":
		ch := testCharter()
		edit(l, ch)
		s.Charter = s.logLine(l, ch, "f1,f2", 0)
		return s.Charter
	case "amend":
		ch := s.NextCharter(func(c *event.Charter) { edit(l, c) })
		out := s.logLine(l, ch, "f1,f2", 0)
		if c := s.l.Charter(); c != nil && c.Index == out.Index {
			s.Charter = out
		}
		return out
	case "again":
		s.Append(s.get(l.words[0]).Envelope.Bytes())
		return nil
	case "cosign": // the same event, signed by others
		e := s.get(l.words[0])
		out := s.LogEvent(e.Envelope.Event, strings.Split(l.opt["by"], ",")...)
		out.Public, out.Notices = e.Public, e.Notices
		s.names[l.words[0]] = out
		return out
	case "raw":
		s.Append([]byte(strings.Join(l.words, " ")))
		return nil
	case "warrant":
		return s.makeWarrant(l)
	case "revocation":
		r := &event.Revocation{Warrant: s.ref(l, 1), Reason: l.or("reason", "ended"), Scope: event.Scope(l.or("scope", "all")), Categories: l.list("categories")}
		if len(l.words) > 2 {
			suspension := s.ref(l, 2)
			r.Suspension = &suspension
		}
		return s.logLine(l, r, "court", 0)
	case "response":
		return s.logLine(l, &event.Response{Warrant: s.ref(l, 1), Outcome: event.Outcome(l.or("outcome", "refused")), Ground: l.or("ground", "immunity"),
			Categories: l.list("categories")}, "messenger", 0)
	case "access":
		return s.makeAccess(l)
	case "release":
		return s.makeRelease(l)
	case "refusal":
		return s.logLine(l, &event.Refusal{Access: s.ref(l, 1), Reason: l.or("reason", "unreadable")}, "c1", 0)
	case "deferral":
		d := &event.Deferral{Event: s.ref(l, 1), Ground: l.or("ground", "investigation"), Ordinal: l.number("ordinal", 1)}
		if d.Never = l.opt["until"] == "never"; !d.Never {
			d.Until = at(l.date("until", s.Now+10*day))
		}
		return s.logLine(l, d, "court", l.date("sealed", 0))
	case "disclosure":
		return s.makeDisclosure(l)
	case "return":
		return s.logLine(l, &event.Return{Warrant: s.ref(l, 1), Executed: true, Persons: 1, Accounts: l.number("accounts", 0)}, "messenger", 0)
	case "heartbeat":
		return s.makeHeartbeat(l)
	case "anchor":
		return s.makeAnchor(l)
	case "finding":
		i := s.get(l.words[1]).Index
		return s.logLine(l, &event.Finding{First: l.number("first", i), Last: l.number("last", i), Rule: l.opt["rule"],
			State: event.FindingState(l.or("state", "closed")), Digest: hash("text")}, "a1", 0)
	}
	s.t.Fatalf("no verb %q", l.verb)
	return nil
}

func (s *script) makeWarrant(l line) *logged {
	w := s.WarrantBody()
	w.Decision = event.Decision(l.or("decision", "granted"))
	w.Accounts = l.number("accounts", 2)
	if l.opt["accesses"] != "none" {
		w.Accesses = l.number("accesses", 1)
	}
	w.NotBefore, w.NotAfter = at(l.date("from", s.Now)), at(l.date("to", s.Now+30*day))
	w.Instrument, w.Offence, w.Provider = l.or("instrument", "search"), l.or("offence", "fraud"), l.or("provider", "messenger")
	w.Categories = l.list("categories")
	if l.opt["accesses"] == "none" {
		w.Accounts, w.Accesses = 0, 0
	}
	if w.Decision == event.Denied {
		w.Accounts, w.Accesses, w.NotBefore, w.NotAfter = 0, 0, time.Time{}, time.Time{}
	}
	if v := l.opt["validates"]; v != "" {
		r := s.get(v).Reference
		w.Validates = &r
	}
	return s.logLine(l, w, "court", l.date("until", s.Now+30*day))
}

func (s *script) makeAccess(l line) *logged {
	a := written.AccessBody(nil)
	by := "messenger,duty"
	if len(l.words) > 1 {
		r := s.ref(l, 1)
		a.Warrant, a.Emergency, by = &r, "", "messenger"
	}
	if g := l.opt["ground"]; g != "" {
		a.Emergency = g
	}
	a.Group, a.Accounts, a.Categories = l.or("group", "main"), l.number("accounts", 1), l.list("categories")
	return s.logLine(l, a, by, l.date("until", s.Now+20*day))
}

func (s *script) makeRelease(l line) *logged {
	by := l.or("by", "c1")
	access := &logged{}
	if l.words[1] != "future" {
		access = s.get(l.words[1])
	} else {
		access = s.get("w")
	}
	e, notices := s.release(access, by)
	r := e.Body.(*event.Release)
	r.Access = s.ref(l, 1)
	if n := l.number("seq", r.Seq); n != r.Seq {
		r.Seq, r.Prev = n, hash("prev")
		if n == 1 {
			r.Prev = event.Digest{}
		}
	}
	if p := l.opt["prev"]; p == "wrong" {
		r.Prev = hash("wrong")
	} else if p != "" {
		r.Prev = event.Digest(s.get(p).Envelope.Hash())
	}
	if h := l.opt["head"]; h != "" {
		r.Head.Size = l.number("head", 0)
		if r.Head.Size <= s.l.Size() {
			r.Head.Root, _ = s.tree.Root(r.Head.Size)
		}
	}
	if l.opt["root"] == "wrong" {
		r.Head.Root = hash("wrong")
	}
	if a := l.opt["audit"]; a != "" {
		r.Audit = s.auditNote(l, a)
	}
	out := s.logLine(l, r, by, 0)
	out.Notices = notices
	if l.opt["seq"] == "" && l.opt["prev"] == "" && !slices.ContainsFunc(s.violations, func(v *Violation) bool { return v.Kind == KindBreach }) {
		s.Follow(by, out.Envelope)
	}
	return out
}

// auditNote is a head that these auditors cosigned, "" for none.
func (s *script) auditNote(l line, auditors string) string {
	if auditors == "none" {
		return ""
	}
	h := tlog.Head{Origin: testLog, Size: l.number("auditsize", s.l.Size()), Root: hash("wrong")}
	if h.Size <= s.l.Size() && l.opt["auditroot"] == "" {
		h.Root, _ = s.tree.Root(h.Size)
	}
	cp, err := parties.Checkpoint(h, uint64(l.date("audittime", s.Now)), strings.Split(auditors, ",")...)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(cp.Bytes())
}

func (s *script) makeDisclosure(l line) *logged {
	d := &event.Disclosure{Event: s.ref(l, 1)}
	only := strings.Split(l.or("open", "all"), ",")
	for _, o := range s.get(l.words[1]).Public {
		if only[0] == "all" || slices.Contains(only, o.Name) {
			d.Openings = append(d.Openings, o)
		}
	}
	switch l.opt["open"] {
	case "wrong":
		d.Openings = []event.Opening{s.Opening("agency", event.Text("other"))}
	case "none":
		d.Openings = nil
	}
	if v := l.opt["notices"]; v != "" {
		for _, n := range strings.Split(v, ",") {
			if n == "wrong" {
				d.Notices = append(d.Notices, []byte("no such notice"))
			} else {
				d.Notices = append(d.Notices, s.get(n).Notices...)
			}
		}
	}
	return s.logLine(l, d, "messenger", 0)
}

func (s *script) makeHeartbeat(l line) *logged {
	by := l.or("by", "c1")
	h := &event.Heartbeat{From: at(s.Now - day), To: at(l.date("to", s.Now))}
	h.Seq, h.Prev = s.Last(by)
	if n := l.number("seq", h.Seq); n != h.Seq {
		h.Seq, h.Prev = n, hash("prev")
	}
	if p := l.opt["prev"]; p == "wrong" {
		h.Prev = hash("wrong")
	} else if p != "" {
		h.Prev = event.Digest(s.get(p).Envelope.Hash())
	}
	return s.logLine(l, h, by, 0)
}

func (s *script) makeAnchor(l line) *logged {
	size := l.number("size", s.l.Size())
	var cp string
	if size <= s.l.Size() {
		by := strings.Split(l.or("witnesses", "w1,w2,w3"), ",")
		if by[0] == "none" {
			by = nil
		}
		c := s.checkpoint(size, l.date("time", s.Now), by...)
		if l.opt["root"] == "wrong" {
			c.Root = hash("wrong")
			var err error
			if c, err = parties.Checkpoint(c.Head, uint64(s.Now), "w1", "w2", "w3"); err != nil {
				s.t.Fatal(err)
			}
		}
		cp = string(c.Bytes())
	} else {
		c := s.checkpoint(1, s.Now, "w1", "w2", "w3")
		cp = strings.Replace(string(c.Bytes()), "\n1\n", fmt.Sprintf("\n%d\n", size), 1)
	}
	return s.logLine(l, &event.Anchor{Checkpoint: cp}, "messenger", 0)
}

// edit changes a charter as a line says.
func edit(l line, c *event.Charter) {
	for k, v := range l.opt {
		role, rest, _ := strings.Cut(v, ":")
		switch k {
		case "emergency":
			c.Profile.Emergency = nil
		case "budget":
			c.Profile.Budget.Events = l.number(k, 0)
		case "lag":
			c.Profile.Lag = l.number(k, 0) * day
		case "only": // categories of emergency accesses
			e := *c.Profile.Emergency
			e.Categories = l.list(k)
			c.Profile.Emergency = &e
		case "enforces": // authority:issuer
			c.Party(event.RoleAuthority, role).Enforces = []string{rest}
		case "cap":
			e := *c.Profile.Emergency
			e.Open = l.number(k, 0)
			c.Profile.Emergency = &e
		case "bars":
			c.Profile.Bars = strings.Split(v, ",")
		case "version":
			c.Version = l.number(k, 0)
			if c.Version == 1 {
				c.Prev = nil
			} else if c.Prev == nil {
				c.Prev = &event.Reference{}
			}
		case "prev":
			c.Prev.Leaf = hash("wrong")
		case "rules":
			c.Rules = l.number(k, 1)
		case "drop":
			c.Parties = slices.DeleteFunc(c.Parties, func(p event.Party) bool { return p.Role == event.Role(role) && p.Name == rest })
			for i, g := range c.Groups {
				c.Groups[i].Members = slices.DeleteFunc(slices.Clone(g.Members), func(n string) bool { return n == rest })
			}
		case "key": // role:name:keys
			name, keys, _ := strings.Cut(rest, ":")
			c.Party(event.Role(role), name).Keys = keysOf(strings.Split(keys, "+")...)
		case "void": // key:index
			from, _ := strconv.ParseUint(rest, 10, 64)
			c.Void = append(c.Void, event.Void{From: from, Key: keyID(role)})
		case "witnesses":
			c.WitnessPolicy = map[string]string{
				"none":  "quorum none\n",
				"bad":   strings.Replace(c.WitnessPolicy, "group quorate 3", "group quorate 5", 1),
				"w4":    parties.Policy(3, "w2", "w3", "w4", "w5"),
				"twice": twiceText(2), "any": twiceText(1),
			}[v]
		case "audit":
			c.AuditPolicy = map[string]string{"none": "quorum none\n", "any": parties.Policy(1, "a1", "a2"), "all": parties.Policy(2, "a1", "a2")}[v]
		}
	}
}

// twiceText is a policy in which w1.example has two keys, in a group of which k
// must sign.
func twiceText(k int) string {
	other := people.New(testLog, "w1 second").Witness("w1")
	return fmt.Sprintf("witness w1 %s\nwitness w1b %s\nwitness w2 %s\ngroup one %d w1 w1b\ngroup g 2 one w2\nquorum g\n",
		parties.Witness("w1").Verifier(), other.Verifier(), parties.Witness("w2").Verifier(), k)
}
