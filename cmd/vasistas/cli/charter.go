// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

func (e *env) charter() *cobra.Command {
	c := &cobra.Command{
		Use:   "charter",
		Short: "Found a log, and amend its charter",
		Long: `charter works on a log's charter: who holds which role, which witnesses and
auditors must cosign, how many founders may change it, and the profile, which is
what a legislator decided. The first charter is entry 0 of the log.

A charter is a file that founders edit (new), and then an event that as many of
them sign as its thresholds ask for (sign). To amend it, edit the file of the
next version (show --edit), look at what that changes (diff), and sign it. A log
that lost its key or its witnesses is recovered in the same way (recover).
Nothing here uses the network; 'vasistas append' submits the result.`,
		Example: `  vasistas charter show --edit charter.event > v2.json     # then edit v2.json
  vasistas charter diff charter.event v2.json
  vasistas charter sign v2.json --from charter.event --key one.pem --out v2.event`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(e.charterNew(), e.charterSign(), e.charterCheck(), e.charterDiff(), e.charterShow(), e.charterRecover())
	return c
}

// A charterFile is a charter as a file has it: the file that founders edit, an
// event, signed or not, or a proof that carries one.
type charterFile struct {
	name     string
	text     bool         // to be edited; its event is fresh
	event    *event.Event // never nil
	charter  *event.Charter
	payload  []byte
	envelope *event.Envelope // nil: not signed yet
	index    *uint64         // of a proof: where it says the entry is
}

const proofMagic = "c2sp.org/tlog-proof"

// readCharter reads a charter of any kind.
func (e *env) readCharter(name string) (*charterFile, error) {
	b, err := e.read(name, max(tlog.MaxProofSize, event.MaxCharterFile))
	if err != nil {
		return nil, err
	}
	f, err := parseCharter(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.name = name
	return f, nil
}

func parseCharter(b []byte) (*charterFile, error) {
	f := new(charterFile)
	if bytes.HasPrefix(b, []byte(proofMagic)) {
		proof, err := tlog.ParseProof(b)
		if err != nil {
			return nil, err
		}
		if len(proof.Extra) == 0 {
			return nil, fmt.Errorf("the proof does not carry its entry")
		}
		b, f.index = proof.Extra, &proof.Index
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	var err error
	switch {
	case bytes.HasPrefix(b, []byte(`{"payload"`)):
		if f.envelope, err = event.ParseEnvelope(b); err == nil {
			f.event, f.payload = f.envelope.Event, f.envelope.Payload
		}
	case bytes.HasPrefix(b, []byte(`{"body"`)):
		f.payload = b
		f.event, err = event.Parse(b)
	default:
		log, ch, err := event.ParseCharterFile(b)
		if err != nil {
			return nil, err
		}
		return makeCharter(log, ch)
	}
	if err != nil {
		return nil, err
	}
	var ok bool
	if f.charter, ok = f.event.Body.(*event.Charter); !ok {
		return nil, fmt.Errorf("it is a %s, and no charter", f.event.Type)
	}
	return f, nil
}

// makeCharter makes the event of a charter that is still to be signed.
func makeCharter(log string, ch *event.Charter) (*charterFile, error) {
	ev, err := event.New(log, ch)
	if err != nil {
		return nil, err
	}
	payload, err := ev.Bytes()
	return &charterFile{text: true, event: ev, charter: ch, payload: payload}, err
}

// bytes is what a file of it has.
func (f *charterFile) bytes() []byte {
	if f.envelope != nil {
		return f.envelope.Bytes()
	}
	return f.payload
}

// fromFlags name the charter in force.
type fromFlags struct {
	file  string
	index int64 // of its entry; below 0: not given
}

const indexUsage = "index of its entry in the log (default: 0 for the first charter; a proof file says it)"

func (f *fromFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "from", "", "signed charter in force, or its proof file, which FILE amends")
	c.Flags().Int64Var(&f.index, "from-index", -1, indexUsage)
	c.MarkFlagFilename("from")
}

// current is the charter in force, and the reference that an amendment makes to
// it.
type current struct {
	*charterFile
	ref event.Reference
}

// readFrom reads the charter in force. Its index is taken from the proof, if
// the file is one; the proof is not verified here, since what is wrong about
// it would make a reference that the log refuses.
func (e *env) readFrom(f *fromFlags) (*current, error) {
	file, err := e.readCharter(f.file)
	if err != nil {
		return nil, err
	}
	if file.envelope == nil {
		return nil, fmt.Errorf("%s: it is not signed, so it is no charter in force; give the signed entry, or its proof file", f.file)
	}
	c := &current{file, event.Reference{Leaf: file.envelope.LeafHash()}}
	switch {
	case file.index != nil && f.index >= 0 && *file.index != uint64(f.index):
		return nil, usagef("index %d: the proof file says %d", f.index, *file.index)
	case file.index != nil:
		c.ref.Index = *file.index
	case f.index >= 0:
		c.ref.Index = uint64(f.index)
	case file.charter.Version != 1:
		return nil, usagef("%s: version %d is not the first charter: give its proof file, or the index of its entry (--from-index N; of show, --index N)", f.file, file.charter.Version)
	}
	return c, nil
}

// nextFile returns the charter file of the next version, for founders to edit. If
// the log's keys are to be replaced, its policies have no log lines; the charter
// names the keys anyway.
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

// signedBy returns the charter whose founders sign a charter: the first is
// signed by its own, any other by those of the one before. For an amendment, now is
// what it amends, and problems say why it is not the next version of that.
func (e *env) signedBy(file *charterFile, from *fromFlags) (by *event.Charter, now *current, problems []string, err error) {
	switch {
	case file.charter.Version == 1 && from.file != "":
		return nil, nil, nil, usagef("%s is the first charter: it amends nothing, so leave out --from", file.name)
	case file.charter.Version == 1:
		return file.charter, nil, nil, nil
	case from.file == "":
		return nil, nil, nil, usagef("%s is version %d: its signers are the founders of version %d; give that as --from", file.name, file.charter.Version, file.charter.Version-1)
	}
	if now, err = e.readFrom(from); err != nil {
		return nil, nil, nil, err
	}
	return now.charter, now, follows(file, now), nil
}

// follows says why a charter is not the next version of another.
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
		add("its prev is not entry %d as %s has it; a signature more makes another entry", now.ref.Index, now.name)
	}
	return problems
}

// charterFlags are shorthand for members of a charter file.
type charterFlags struct {
	origin, profile, witnessPolicy, auditPolicy string
	logKeys, parties, thresholds                []string
	out                                         string
	json                                        bool
}

func (f *charterFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.origin, "origin", "", "origin of the log: the name that its keys have")
	fl.StringArrayVar(&f.logKeys, "log-key", nil, "VKEY of the log, or a file with it, the Ed25519 key first (repeatable)")
	fl.StringVar(&f.profile, "profile", "", "profile: the name of a shipped one (see docs/profiles.md), or a file")
	fl.StringArrayVar(&f.parties, "party", nil, "ROLE:NAME[:KIND]=FILE[,FILE...]: a party and its public keys (repeatable)")
	fl.StringArrayVar(&f.thresholds, "threshold", nil, "amend=N or recover=N: how many founders sign an amendment, or a recovery")
	fl.StringVar(&f.witnessPolicy, "witness-policy", "", "policy file: which witnesses must cosign; or none")
	fl.StringVar(&f.auditPolicy, "audit-policy", "", "policy file: which auditors must cosign; or none, while there are no auditors")
	fl.StringVar(&f.out, "out", "", "charter file to write")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	c.MarkFlagRequired("out")
}

func (e *env) charterNew() *cobra.Command {
	var f charterFlags
	c := &cobra.Command{
		Use:   "new [FILE] [--origin LOG --log-key VKEY --profile NAME --party ROLE:NAME=KEYS ...] --out FILE",
		Short: "Make a charter file",
		Long: `new makes a charter file of FILE and of what the flags say, which goes first,
checks it, and writes it in its one form. Edit it as you like: members and lists
may stand in any order, and a duration is text such as "90d".

In FILE, a key may be the name of a file with one: with an event key (keys), a
verifier key (logKeys, cosigners) or a gate's key (gates). The profile may be the
name of a shipped one or of a file, and a policy "none" or the name of a file. new
puts in what they stand for.

A party is one role under one name: charter (a founder, who may sign amendments),
authority (court, commission; with its kind as the profile names kinds), duty (an
authority's on-call key, under the authority's name), provider, custodian or
auditor. One key can't have two roles. Founders, custodians and auditors have
exactly one event key. A custodian has its gate's keys too, an auditor those that
cosign for it.`,
		Example: `  vasistas charter new --origin example.com/log --log-key log.key.pub --profile ca \
      --party charter:one=one.pem.pub --party charter:two=two.pem.pub --party charter:three=three.pem.pub \
      --party provider:messenger=messenger.pem.pub --party authority:superior-court:court=judge.pem.pub \
      --party custodian:a=a.pem.pub,a.gate.pub --party custodian:b=b.pem.pub,b.gate.pub \
      --threshold amend=2 --threshold recover=3 \
      --witness-policy witnesses.txt --audit-policy none --out charter.json
  vasistas charter new draft.json --out charter.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(_ context.Context, args []string) (err error) {
			text := []byte("{}")
			if len(args) == 1 {
				if text, err = e.read(args[0], event.MaxCharterFile); err != nil {
					return err
				}
			}
			return e.runCharterNew(&f, text, nil)
		}),
	}
	f.add(c)
	return c
}

func (e *env) charterRecover() *cobra.Command {
	var f charterFlags
	var from fromFlags
	c := &cobra.Command{
		Use:   "recover --from CURRENT [--log-key VKEY] [--witness-policy FILE] --out FILE",
		Short: "Make the charter file of a log that lost its key or its witnesses",
		Long: `recover makes the file of the version after CURRENT, the charter in force, for a
log that can't log an amendment in the usual way: its key is lost, or its witnesses
can't meet the policy any more. A flag replaces all that CURRENT says there; edit
the file for whatever else changes. The log's origin stays.

As many founders of CURRENT sign it as its recover threshold says. It is then given
to the log (vasistas-log serve -recovery), and to every gate, monitor and verifier,
whose operator confirms by name what it changes.`,
		Example: `  vasistas charter recover --from charter.event --log-key new.key.pub --out recovery.json
  vasistas charter sign recovery.json --from charter.event --key one.pem --out recovery.event
  vasistas charter check recovery.event --from charter.event --recover`,
		Args: cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			now, err := e.readFrom(&from)
			if err != nil {
				return err
			}
			text, err := now.nextFile(len(f.logKeys) > 0)
			if err != nil {
				return err
			}
			return e.runCharterNew(&f, text, now.charter)
		}),
	}
	f.add(c)
	from.add(c)
	c.MarkFlagRequired("from")
	return c
}

// runCharterNew writes the charter file that flags and text make, if a log would
// take it. A recovery has the charter that it recovers as was.
func (e *env) runCharterNew(f *charterFlags, text []byte, was *event.Charter) error {
	log, ch, err := e.fill(text, f)
	if err != nil {
		return err
	}
	by, needed := ch, ch.Thresholds.Amend
	var changes []event.Change
	if was != nil {
		by, needed, changes = was, was.Thresholds.Recover, event.Diff(was, ch)
	}
	file, err := makeCharter(log, ch)
	if err == nil {
		err = checkCharter(file)
	}
	if err != nil {
		return fmt.Errorf("this can't be a charter: %w", err)
	}
	out, err := ch.File(log)
	if err == nil {
		err = durable.CreateFile(f.out, out, 0o644)
	}
	if err != nil {
		return err
	}
	e.advise(ch)
	if f.json {
		return e.printJSON(newReport(f.out, file, needed, changes))
	}
	e.printChanges(changes)
	e.printf("%s: charter version %d of the log %s\n", f.out, ch.Version, log)
	e.printf("next: vasistas charter sign %s --key KEY --out FILE, by %d of %d founders\n", f.out, needed, founders(by))
	return nil
}

// checkCharter holds what package event has accepted to the rules, and to what
// can be signed.
func checkCharter(f *charterFile) error {
	if err := underRules(f.event, f.charter); err != nil {
		return err
	}
	needed := f.charter.Thresholds.Recover
	if needed > event.MaxSignatures {
		return fmt.Errorf("thresholds.recover is %d, and an entry carries at most %d signatures", needed, event.MaxSignatures)
	}
	// About 100 bytes of JSON around it, and 200 a signature.
	size := base64.StdEncoding.EncodedLen(len(f.payload)) + 100 + 200*int(needed)
	if size > event.MaxEntrySize {
		return fmt.Errorf("signed, it would have %d bytes, and an entry has %d at most: give it fewer parties, or fewer ML-DSA keys", size, event.MaxEntrySize)
	}
	return nil
}

// underRules asks the ledger about what a charter says by itself: its policies,
// its operators, its profile. An amendment is asked about as if it were a log's
// first charter, for which the ledger needs no history; all that a first charter
// without signatures lacks must then be signatures.
func underRules(ev *event.Event, ch *event.Charter) error {
	if ledger.Rules(ch.Rules) == nil {
		return fmt.Errorf("rules %d: this program does not know them", ch.Rules)
	}
	first, body := *ev, *ch
	body.Version, body.Prev = 1, nil
	first.Body = &body
	payload, err := first.Bytes()
	if err != nil {
		return err
	}
	v, err := ledger.New(ev.Log, nil).Check(ledger.Entry{Envelope: &event.Envelope{Event: &first, Payload: payload}})
	if err != nil {
		return err
	}
	if v != nil && (v.Rule != "charter" || v.Code != "few") {
		return errors.New(v.Text())
	}
	return nil
}

// advise tells what a charter allows and its founders may not want.
func (e *env) advise(ch *event.Charter) {
	for _, n := range unwise(ch) {
		e.note("note: %s", n)
	}
}

// unwise lists what a charter allows and its founders may not want.
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
	note(count[event.RoleAuthority] == 0, "there is no authority, so nothing can be warranted")
	note(len(ch.Groups) == 0, "there is no custodian group, so the log can open no key")
	for _, g := range ch.Groups {
		all := uint64(len(g.Members))
		note(g.Threshold == 1, "group %s: one custodian alone opens every key", g.ID)
		note(g.Threshold == all && all > 1, "group %s: it takes all %d custodians, so no key opens once one of them is lost", g.ID, all)
	}
	witnesses, auditors := least(ch.WitnessPolicy), least(ch.AuditPolicy)
	note(witnesses == 0, "the witness policy asks for no witness, so the log may show different people different trees")
	note(witnesses == 1, "one witness alone meets the witness policy, so it can vouch for two different trees")
	note(auditors == 0 && len(ch.Groups) > 0, "the audit policy asks for no auditor, so keys open even while disclosures are overdue")
	note(auditors == 0 && count[event.RoleAuditor] > 0, "there are auditors, and the audit policy asks for none of them")
	p := &ch.Profile
	note(p.ID == "demo", "the profile demo has seconds for days: it is for demonstrations")
	note(p.Emergency != nil && count[event.RoleDuty] == 0, "the profile has emergencies, and without a duty key there can be none")
	note(p.Emergency == nil && count[event.RoleDuty] > 0, "there are duty keys, and the profile has no emergencies")
	for _, c := range event.Diff(nil, ch) {
		path, figure := strings.CutPrefix(c.Path, "profile.")
		note(figure && strings.HasSuffix(path, ".kinds") && !kinds[c.Is], "no authority is of the kind %s, which the profile asks to sign", c.Is)
		note(figure && path != "id" && path != "sources" && lawOf(p, path) == "", "profile.%s has no source", path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// least is how many cosignatures meet a policy at least, 0 also for none that can
// be read.
func least(policy string) int {
	p, err := tlog.ParsePolicy([]byte(policy))
	if err != nil {
		return 0
	}
	return describePolicy(p).Least
}
