// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

// A charterFile is the content of a charter file, an event, signed or not, or a proof file
// with one.
type charterFile struct {
	name     string
	text     bool         // a charter file; its event is new
	event    *event.Event // never nil
	charter  *event.Charter
	payload  []byte
	envelope *event.Envelope // nil: not signed yet
	index    *uint64         // of the entry, by the proof file
}

func (e *env) readCharter(name string) (*charterFile, error) {
	f, err := readAs(e, name, max(tlog.MaxProofSize, event.MaxCharterFile), parseCharter)
	if err == nil {
		f.name = name
	}
	return f, err
}

func parseCharter(b []byte) (*charterFile, error) {
	b, index, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	f := &charterFile{payload: b, index: index}
	switch {
	case bytes.HasPrefix(b, []byte(`{"payload"`)):
		if f.envelope, err = event.ParseEnvelope(b); err == nil {
			f.event, f.payload = f.envelope.Event, f.envelope.Payload
		}
	case bytes.HasPrefix(b, []byte(`{"body"`)):
		f.event, err = event.Parse(b)
	default:
		log, ch, err := event.ParseCharterFile(b)
		if err != nil && draft(b) {
			return nil, fmt.Errorf("it is a draft, which names a file or a shipped profile; complete it with 'vasistas charter new FILE --out CHARTER': %w", err)
		} else if err != nil {
			return nil, err
		}
		return makeCharter(log, ch)
	}
	if err != nil {
		return nil, err
	}
	var ok bool
	if f.charter, ok = f.event.Body.(*event.Charter); !ok {
		return nil, fmt.Errorf("it is a %s, and not a charter", f.event.Type)
	}
	return f, nil
}

// draft returns whether a charter file has a name that 'charter new' resolves: of a file or
// of a shipped profile.
func draft(text []byte) bool {
	v, err := strictjson.Parse(text)
	if err != nil {
		return false
	}
	values := append(v.Member("logKeys").Elements(), v.Member("profile"), v.Member("witnessPolicy"), v.Member("auditPolicy"))
	for _, p := range v.Member("parties").Elements() {
		values = slices.Concat(values, p.Member("keys").Elements(), p.Member("cosigners").Elements(), p.Member("gates").Elements())
	}
	return slices.ContainsFunc(values, func(v *strictjson.Value) bool {
		return v != nil && v.Kind == '"' && !strings.Contains(v.Text, "+") && !isEventKey(v.Text)
	})
}

func makeCharter(log string, ch *event.Charter) (*charterFile, error) {
	ev, err := event.New(log, ch)
	if err != nil {
		return nil, err
	}
	payload, err := ev.Bytes()
	return &charterFile{text: true, event: ev, charter: ch, payload: payload}, err
}

// fromFlags name the charter in force.
type fromFlags struct {
	file  string
	index int64 // of its entry; below 0: not given
}

const indexUsage = "index of its entry in the log (default: that in the proof file, or 0 for the first charter)"

func (f *fromFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "from", "", "signed charter in force that FILE amends, or its proof file")
	c.Flags().Int64Var(&f.index, "from-index", -1, indexUsage)
	c.MarkFlagFilename("from")
}

// current is the charter in force, with its reference for an amendment.
type current struct {
	*charterFile
	ref event.Reference
}

func (e *env) readFrom(f *fromFlags) (*current, error) {
	file, err := e.readCharter(f.file)
	if err != nil {
		return nil, err
	}
	return file.inForce(f.index)
}

// inForce returns the charter as the one in force, with its index in the log. It does not
// verify a proof, since the log refuses a reference to a wrong entry.
func (f *charterFile) inForce(index int64) (*current, error) {
	if f.envelope == nil {
		return nil, fmt.Errorf("%s: it is not signed, so it is no charter in force; give the signed event or its proof file", f.name)
	}
	c := &current{f, event.Reference{Leaf: f.envelope.LeafHash()}}
	switch {
	case f.index != nil && index >= 0 && *f.index != uint64(index):
		return nil, usagef("index %d: the proof file has the index %d", index, *f.index)
	case f.index != nil:
		c.ref.Index = *f.index
	case index >= 0:
		c.ref.Index = uint64(index)
	case f.charter.Version != 1:
		return nil, usagef("%s: version %d is not the first charter; give its proof file, or the index of its entry (--from-index N; for show, --index N)", f.name, f.charter.Version)
	}
	return c, nil
}

// nextFile returns the charter file of the next version. With newKeys its policies have no
// log lines, since the charter names the new keys.
func (c *current) nextFile(newKeys bool) ([]byte, error) {
	next := *c.charter
	next.Version++
	next.Prev = &c.ref
	if newKeys {
		logLine := regexp.MustCompile(`(?m)^log .*\n`)
		next.WitnessPolicy = logLine.ReplaceAllString(next.WitnessPolicy, "")
		next.AuditPolicy = logLine.ReplaceAllString(next.AuditPolicy, "")
	}
	return next.File(c.event.Log)
}

// A checked charter has its problems, except missing signatures.
type checked struct {
	*charterFile
	by       *event.Charter // whose founders must sign it: itself if the first, else the one before
	changes  []event.Change // from by
	problems []string
}

func (e *env) checkCharter(name string, from *fromFlags) (*checked, error) {
	file, err := e.readCharter(name)
	if err != nil {
		return nil, err
	}
	c := &checked{charterFile: file, by: file.charter}
	switch version := file.charter.Version; {
	case version == 1 && from.file != "":
		return nil, usagef("%s is the first charter, which amends nothing; leave out --from", name)
	case version != 1 && from.file == "":
		return nil, usagef("%s is version %d, which the founders of version %d must sign; give that as --from", name, version, version-1)
	case version != 1:
		now, err := e.readFrom(from)
		if err != nil {
			return nil, err
		}
		c.by, c.changes, c.problems = now.charter, event.Diff(now.charter, file.charter), follows(file, now)
	}
	if err := file.check(); err != nil {
		c.problems = append(c.problems, err.Error())
	}
	return c, nil
}

// follows returns why a charter is not the next version of another.
func follows(file *charterFile, now *current) []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if file.event.Log != now.event.Log {
		add("it is of the log %s, not %s", file.event.Log, now.event.Log)
	}
	if file.charter.Version != now.charter.Version+1 {
		add("it is version %d, and %s is version %d", file.charter.Version, now.name, now.charter.Version)
	}
	if prev := file.charter.Prev; prev == nil || *prev != now.ref {
		add("its prev is not entry %d with the leaf hash of %s; each added signature changes that hash", now.ref.Index, now.name)
	}
	return problems
}

// check checks that a well-formed charter can be signed, and that its policies, operators
// and profile keep the rules. It checks an amendment as a first charter, which needs no
// history; only signatures may be missing then.
func (f *charterFile) check() error {
	if ledger.Rules(f.charter.Rules) == nil {
		return fmt.Errorf("rules %d: this version of the program does not know them", f.charter.Rules)
	}
	first, body := *f.event, *f.charter
	body.Version, body.Prev = 1, nil
	first.Body = &body
	payload, err := first.Bytes()
	if err != nil {
		return err
	}
	v, err := ledger.New(first.Log, nil).Check(ledger.Entry{Envelope: &event.Envelope{Event: &first, Payload: payload}})
	if err != nil {
		return err
	}
	if v != nil && (v.Rule != "charter" || v.Code != "few") {
		return errors.New(v.Text())
	}
	needed := f.charter.Thresholds.Recover
	if needed > event.MaxSignatures {
		return fmt.Errorf("thresholds.recover is %d, but an entry has at most %d signatures", needed, event.MaxSignatures)
	}
	// About 100 bytes of JSON around the payload, and 200 for each signature.
	size := base64.StdEncoding.EncodedLen(len(f.payload)) + 100 + 200*int(needed)
	if size > event.MaxEntrySize {
		return fmt.Errorf("signed, it would have %d bytes, but an entry has at most %d; give it fewer parties, or fewer ML-DSA keys", size, event.MaxEntrySize)
	}
	return nil
}

func (e *env) advise(notes []string) {
	for _, n := range notes {
		e.note("note: %s", n)
	}
}

// unwise returns notes on what a charter allows but its founders may not want.
func unwise(ch *event.Charter) []string {
	var out []string
	note := func(is bool, format string, args ...any) {
		if is {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	count := make(map[event.Role]int)
	kinds := make(map[string]bool)
	for _, p := range ch.Parties {
		count[p.Role]++
		kinds[p.Kind] = true
		note(p.Role == event.RoleCustodian && len(ch.Groups) > 0 && len(ch.GroupsOf(p.Name)) == 0, "custodian %s is in no group, so it opens nothing", p.Name)
	}
	n, t := count[event.RoleCharter], ch.Thresholds
	note(n == 1, "one founder alone can change everything")
	note(n > 1 && t.Amend == 1, "each of the %d founders can amend the charter alone", n)
	note(n > 1 && t.Recover == uint64(n), "a recovery needs all %d founders, so it is impossible once one key is lost", n)
	note(count[event.RoleAuthority] == 0, "there is no authority, so there can be no warrant")
	note(len(ch.Groups) == 0, "there is no custodian group, so the log can open no key")
	for _, g := range ch.Groups {
		all := uint64(len(g.Members))
		note(g.Threshold == 1, "group %s: one custodian alone opens every key", g.ID)
		note(g.Threshold == all && all > 1, "group %s: opening takes all %d custodians, so no key opens once one of them is lost", g.ID, all)
	}
	for _, weak := range weakPolicies(ch) {
		note(true, "%s", weak)
	}
	auditors := needsKeys(ch.AuditPolicy)
	note(!auditors && len(ch.Groups) > 0, "the audit policy requires no auditor, so the promise \"no disclosure, no more keys\" is not kept by others: the gates alone keep keys shut while disclosures are overdue")
	note(!auditors && count[event.RoleAuditor] > 0, "there are auditors, but the audit policy requires none of them")
	p := &ch.Profile
	has := func(kind string) bool { return kinds[kind] }
	note(p.ID == "demo", "the profile demo has seconds in place of days, for demonstrations only")
	note(p.Emergency != nil && count[event.RoleDuty] == 0, "the profile allows emergencies, but there is no duty key for them")
	note(p.Emergency == nil && count[event.RoleDuty] > 0, "there are duty keys, but the profile allows no emergencies")
	for _, in := range p.Instruments {
		alone := slices.ContainsFunc(in.Issuers, has)
		note(len(in.Issuers)+len(in.Validated) > 0 && !alone && !(slices.ContainsFunc(in.Validated, has) && slices.ContainsFunc(in.Validators, has)),
			"instrument %s: no authority may sign it, which takes one of the kinds %s", in.Code, kindsOf(&in))
	}
	named := make(map[string]bool) // kinds, by the profile
	for _, c := range event.Diff(nil, ch) {
		path, figure := strings.CutPrefix(c.Path, "profile.")
		switch path[strings.LastIndexByte(path, '.')+1:] {
		case "kinds", "issuers", "validated", "validators":
			named[c.Is] = named[c.Is] || figure
		}
		note(figure && strings.HasSuffix(path, ".kinds") && !kinds[c.Is], "no authority is of the kind %s, which the profile requires to sign", c.Is)
		note(figure && path != "id" && path != "sources" && lawOf(p, path) == "", "profile.%s has no source", path)
	}
	for _, a := range ch.Parties {
		note(a.Kind != "" && len(a.Enforces) == 0 && len(named) > 0 && !named[a.Kind], "authority %s is of the kind %s, which the profile does not name", a.Name, a.Kind)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// notes returns what founders may not want of a charter, and of the change to it.
func notes(file *checked) []string {
	out := unwise(file.charter)
	for _, why := range abandoned(file.by, file.charter) {
		out = append(out, why)
	}
	slices.Sort(out)
	return out
}

// abandoned returns the custodian groups whose earlier files an amendment makes unopenable, with
// the reason.
func abandoned(was, is *event.Charter) map[string]string {
	out := make(map[string]string)
	for _, g := range was.Groups {
		why, _ := event.Abandoned(&g, is.Group(g.ID))
		if why == "" {
			continue
		}
		id := g.ID
		for n := 2; was.Group(id) != nil || is.Group(id) != nil; n++ {
			id = fmt.Sprintf("%s-%d", g.ID, n)
		}
		out[g.ID] = fmt.Sprintf("files escrowed to the group %s before could no longer be opened: %s. Leave it as it is, make a new group, such as %s, and encrypt the files for that with 'vasistas escrow rewrap'", g.ID, why, id)
	}
	return out
}

// kindsOf says which kinds of authorities sign a warrant of an instrument.
func kindsOf(in *event.Instrument) string {
	var out []string
	if len(in.Issuers) > 0 {
		out = append(out, strings.Join(in.Issuers, ", "))
	}
	if len(in.Validated) > 0 {
		out = append(out, strings.Join(in.Validated, ", ")+" together with one of "+strings.Join(in.Validators, ", "))
	}
	return strings.Join(out, ", or ")
}

func needsKeys(policy string) bool {
	p, err := tlog.ParsePolicy([]byte(policy))
	return err == nil && p.NeedsWitnesses()
}

// weakPolicies returns why a charter's policies bear fewer than two keys that lie. An audit
// policy without auditors is left to unwise.
func weakPolicies(ch *event.Charter) (out []string) {
	for _, s := range strengths(ch) {
		if s.Warning != "" {
			out = append(out, fmt.Sprintf("the %s policy: %s", s.Policy, s.Warning))
		}
	}
	slices.Sort(out)
	return out
}

// strengths returns what a charter's policies bear, without an audit policy that requires no
// auditor.
func strengths(ch *event.Charter) []strengthJSON {
	var out []strengthJSON
	for i, text := range []string{ch.WitnessPolicy, ch.AuditPolicy} {
		if p, err := tlog.ParsePolicy([]byte(text)); err == nil && (i == 0 || p.NeedsWitnesses()) {
			out = append(out, strengthJSON{[...]string{"witness", "audit"}[i], english.PolicyJSON(p)})
		}
	}
	return out
}

type strengthJSON struct {
	Policy string `json:"policy"` // witness or audit
	english.StrengthJSON
}

func (e *env) printPolicies(ch *event.Charter) {
	for _, s := range strengths(ch) {
		e.printf("what the %s policy bears:\n", s.Policy)
		for _, line := range s.Text {
			e.printf("  - %s\n", line)
		}
	}
}

// lawOf returns the sources of a figure, from the most specific rows; "" for none.
func lawOf(p *event.Profile, path string) string {
	nearest := ""
	var laws []string
	for _, s := range p.Sources {
		if profile.Covers(s.Figure, path) && len(s.Figure) >= len(nearest) {
			if s.Figure != nearest {
				laws = nil
			}
			nearest = s.Figure
			laws = append(laws, s.Law)
		}
	}
	return strings.Join(laws, "; ")
}
