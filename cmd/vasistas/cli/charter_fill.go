// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

type charterFlags struct {
	origin, profile, witnessPolicy, auditPolicy string
	logKeys, parties, thresholds                []string
	groups, replaced                            []string
	out                                         string
	json, strict                                bool
}

func (f *charterFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.origin, "origin", "", "origin of the log, the name of its keys")
	fl.StringArrayVar(&f.logKeys, "log-key", nil, "VKEY of the log, or a file with it; the Ed25519 key first (repeatable)")
	fl.StringVar(&f.profile, "profile", "", "profile: the name of a shipped one (see docs/profiles.md), or of a file")
	fl.StringArrayVar(&f.parties, "party", nil, "ROLE:NAME[:KIND]=FILE[,FILE...]: a party and its public keys (repeatable)")
	fl.StringArrayVar(&f.replaced, "replace-party", nil, "ROLE:NAME=FILE[,FILE...]: other keys for a party of FILE, in place of those of the same sort (repeatable)")
	fl.StringArrayVar(&f.groups, "group", nil, "ID=N:CUSTODIAN,CUSTODIAN...: a group of custodians, of whom N open a file (repeatable)")
	fl.StringArrayVar(&f.thresholds, "threshold", nil, "amend=N or recover=N: number of founders that must sign an amendment, or a recovery")
	fl.StringVar(&f.witnessPolicy, "witness-policy", "", "policy file with the witnesses that must cosign, or none")
	fl.StringVar(&f.auditPolicy, "audit-policy", "", "policy file with the auditors that must cosign, or none while there are no auditors")
	fl.StringVar(&f.out, "out", "", "charter file to write")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	fl.BoolVar(&f.strict, "strict", false, "refuse a witness or audit policy that one key that lies can betray")
	c.MarkFlagRequired("out")
}

func (e *env) charterNew() *cobra.Command {
	var f charterFlags
	c := &cobra.Command{
		Use:   "new [FILE] [--origin LOG --log-key VKEY --profile NAME --party ROLE:NAME=KEYS ...] --out FILE",
		Short: "Make a charter file",
		Long: `new makes a charter file from the draft FILE (- is the standard input) and the
flags, checks it, and writes it in its one form. A flag replaces the whole member of
FILE: --party all parties, --group all groups, --threshold both thresholds, --log-key
all log keys. Only --replace-party changes one party: it replaces the keys of the sorts
that you give (event keys, gate's keys, cosigner keys) and keeps the others. You can
edit the result: members and lists may be in any order, and a duration is text such
as "90d".

In FILE, a key may be the name of a file with an event key (keys), a verifier key
(logKeys, cosigners) or a gate's key (gates). The profile may be the name of a
shipped profile or of a file, and a policy "none" or the name of a file. new
replaces these names by their content.

A party is one role under one name: charter (a founder, who may sign amendments),
authority (a court or commission, with a kind of the profile), duty (an authority's
on-call key, under the authority's name), provider, custodian or auditor. One key
can't have two roles. Founders, custodians and auditors have exactly one event key.
A custodian also has its gate's keys, and an auditor the keys that cosign for it.
Only FILE can say which authorities an authority is above, or enforces:
docs/operations.md has an example.`,
		Example: `  vasistas charter new --origin example.com/log --log-key log.key.pub --profile ca \
      --party charter:one=one.pem.pub --party charter:two=two.pem.pub --party charter:three=three.pem.pub \
      --party provider:messenger=messenger.pem.pub --party authority:superior-court:court=judge.pem.pub \
      --party custodian:a=a.pem.pub,a.gate.pub --party custodian:b=b.pem.pub,b.gate.pub \
      --group main=2:a,b --threshold amend=2 --threshold recover=3 \
      --witness-policy witnesses.txt --audit-policy none --out charter.json
  vasistas charter new draft.json --out charter.json
  vasistas charter show --edit charter.event | \
      vasistas charter new - --replace-party authority:superior-court=judge2.pem.pub --out v2.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(_ context.Context, args []string) (err error) {
			text := []byte("{}")
			if len(args) == 1 {
				if text, err = readAs(e, args[0], event.MaxCharterFile, strict); err != nil {
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
		Short: "Make the charter file to recover a log that lost its key or its witnesses",
		Long: `recover makes the file of the version after CURRENT, the charter in force, for a
log that can't log an amendment as usual: its key is lost, or its witnesses can't
meet the policy any more. A flag replaces the whole member of CURRENT; edit the
file for other changes. The log's origin stays.

The file needs the signatures of as many founders of CURRENT as its recover
threshold requires. Then give it to the log (vasistas-log serve -recovery), and to
the operator of every gate, monitor and verifier, who must confirm the changes by
name.`,
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

// strict returns the text, which must be strict JSON.
func strict(b []byte) ([]byte, error) {
	_, err := strictjson.Parse(b)
	return b, err
}

// runCharterNew writes the charter file of text and flags, if a log would accept it. was is
// the charter that a recovery replaces.
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
		err = file.check()
	}
	if err != nil {
		return fmt.Errorf("no log accepts this charter: %w", err)
	}
	if weak := weakPolicies(ch); f.strict && len(weak) > 0 {
		return errors.New(strings.Join(weak, "; "))
	}
	out, err := ch.File(log)
	if err == nil {
		err = e.create(f.out, out, 0o644)
	}
	if err != nil {
		return err
	}
	e.advise(unwise(ch))
	if file.name = f.out; f.json {
		return e.printJSON(file.report(needed, changes))
	}
	e.printChanges(changes)
	e.printf("%s: charter version %d of the log %s\n", f.out, ch.Version, log)
	from := ""
	if ch.Version > 1 {
		from = " --from CURRENT"
	}
	e.printf("next: vasistas charter sign %s%s --key KEY --out FILE", f.out, from)
	if was != nil || ch.Version == 1 {
		e.printf(", by %d of %d founders", needed, founders(by))
	}
	if ch.Version > 1 {
		e.printf(", who are those of version %d", ch.Version-1)
	}
	e.printf("\n")
	return nil
}

// fill reads a charter file, replaces or adds members by the flags, and resolves the
// names of files and profiles.
func (e *env) fill(text []byte, f *charterFlags) (log string, ch *event.Charter, err error) {
	members, err := e.members(f)
	if err != nil {
		return "", nil, err
	}
	if text, err = setMembers(text, members); err == nil {
		text, err = e.replaceParties(text, f.replaced)
	}
	if err == nil {
		text, err = e.resolve(text)
	}
	if err != nil {
		return "", nil, err
	}
	return event.ParseCharterFile(text)
}

// members returns the members of the flags, and nil for those that a file may leave out.
func (e *env) members(f *charterFlags) (map[string]any, error) {
	out := map[string]any{"rules": nil, "version": nil}
	for name, value := range map[string]string{"log": f.origin, "profile": f.profile, "witnessPolicy": f.witnessPolicy, "auditPolicy": f.auditPolicy} {
		if value != "" {
			out[name] = value
		}
	}
	if len(f.logKeys) > 0 {
		out["logKeys"] = f.logKeys
	}
	thresholds := make(map[string]json.RawMessage)
	for _, arg := range f.thresholds {
		name, n, _ := strings.Cut(arg, "=")
		if thresholds[name] = json.RawMessage(n); !json.Valid(thresholds[name]) {
			return nil, usagef("--threshold %s: write amend=N or recover=N, with a number of founders", arg)
		}
		out["thresholds"] = thresholds
	}
	var groups []map[string]any
	for _, arg := range f.groups {
		id, rest, _ := strings.Cut(arg, "=")
		n, names, ok := strings.Cut(rest, ":")
		if !ok || !json.Valid([]byte(n)) {
			return nil, usagef("--group %s: write ID=N:CUSTODIAN,CUSTODIAN..., such as main=2:one,two,three", arg)
		}
		groups = append(groups, map[string]any{"id": id, "threshold": json.RawMessage(n), "members": strings.Split(names, ",")})
		out["groups"] = groups
	}
	var parties []map[string]any
	for _, arg := range f.parties {
		var err error
		if parties, err = e.party(parties, arg); err != nil {
			return nil, fmt.Errorf("--party %s: %w", arg, err)
		}
		out["parties"] = parties
	}
	return out, nil
}

// party adds the party of a flag, or its keys to a party of that name. The content of a key
// file decides to which member it belongs.
func (e *env) party(parties []map[string]any, arg string) ([]map[string]any, error) {
	who, files, ok := strings.Cut(arg, "=")
	words := strings.Split(who, ":")
	if !ok || len(words) < 2 || len(words) > 3 {
		return nil, errors.New("write ROLE:NAME=FILE[,FILE...], or authority:NAME:KIND=FILE")
	}
	i := slices.IndexFunc(parties, func(p map[string]any) bool { return p["role"] == words[0] && p["name"] == words[1] })
	if i < 0 {
		i, parties = len(parties), append(parties, map[string]any{"role": words[0], "name": words[1]})
	}
	p := parties[i]
	if len(words) == 3 {
		p["kind"] = words[2]
	}
	for _, file := range strings.Split(files, ",") {
		b, err := e.read(file, maxKeyText)
		if err != nil {
			return nil, err
		}
		list := "cosigners"
		if bytes.HasPrefix(b, []byte("{")) {
			list = "gates"
		} else if bytes.HasPrefix(b, []byte("-----")) {
			list = "keys"
		}
		names, _ := p[list].([]string)
		p[list] = append(names, file)
	}
	return parties, nil
}

// replaceParties gives parties of a charter file the keys of flags, in place of the lists of the
// same sort.
func (e *env) replaceParties(text []byte, args []string) ([]byte, error) {
	var parties []map[string]any
	for _, arg := range args {
		var err error
		if parties, err = e.party(parties, arg); err != nil {
			return nil, fmt.Errorf("--replace-party %s: %w", arg, err)
		}
	}
	v, err := strictjson.Parse(text)
	if err != nil {
		return nil, err
	}
	var edits []edit
	all := v.Member("parties").Elements()
	for _, p := range parties {
		is := func(v *strictjson.Value, name string) bool { m := v.Member(name); return m != nil && m.Text == p[name] }
		i := slices.IndexFunc(all, func(v *strictjson.Value) bool { return is(v, "role") && is(v, "name") })
		if i < 0 {
			return nil, fmt.Errorf("--replace-party %s:%s: the charter has no such party; to add one, give all parties by --party", p["role"], p["name"])
		}
		b, err := setMembers(slices.Clone(text[all[i].Start:all[i].End]), p)
		if err != nil {
			return nil, err
		}
		edits = append(edits, edit{all[i].Start, all[i].End, b})
	}
	return apply(text, edits), nil
}

const maxKeyText = 4096

type edit struct {
	start, end int
	text       []byte
}

func apply(text []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(b.start, a.start) }) // from the end
	for _, x := range edits {
		text = slices.Replace(text, x.start, x.end, x.text...)
	}
	return text
}

// defaults are the members that a new charter has if neither its file nor a flag has them.
var defaults = map[string]any{"rules": 2, "version": 1}

// setMembers replaces members of a charter file. It adds members to the first line, so that
// lines keep their numbers. A nil value keeps the file's member, or adds the default.
func setMembers(text []byte, members map[string]any) ([]byte, error) {
	v, err := strictjson.Parse(text)
	if err == nil && v.Kind != '{' {
		err = errors.New("want an object, in braces")
	}
	if err != nil {
		return nil, err
	}
	var edits []edit
	front := make(map[string]any)
	for name, value := range members {
		old := v.Member(name)
		switch {
		case old == nil:
			front[name] = cmp.Or(value, defaults[name])
		case value != nil:
			b, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			edits = append(edits, edit{old.Start, old.End, b})
		}
	}
	if len(front) > 0 {
		b, err := json.Marshal(front)
		if err != nil {
			return nil, err
		}
		b = b[:len(b)-1] // the file's own members follow
		if len(v.Names) > 0 {
			b = append(b, ',')
		}
		edits = append(edits, edit{v.Start, v.Start + 1, b})
	}
	return apply(text, edits), nil
}

// resolve replaces the names of files and profiles by what they stand for.
func (e *env) resolve(text []byte) ([]byte, error) {
	v, err := strictjson.Parse(text)
	if err != nil {
		return nil, err
	}
	var edits []edit
	load := func(v *strictjson.Value, path string, from func(string) (any, error)) {
		if err != nil || v == nil || v.Kind != '"' {
			return
		}
		value, failed := from(v.Text)
		b, invalid := json.Marshal(value)
		if failed = cmp.Or(failed, invalid); failed != nil {
			err = fmt.Errorf("line %d: %s: %w", v.Line, path, failed)
		}
		edits = append(edits, edit{v.Start, v.End, b})
	}
	list := func(in *strictjson.Value, path, name string, from func(string) (any, error)) {
		for i, element := range in.Member(name).Elements() {
			load(element, fmt.Sprintf("%s%s[%d]", path, name, i), from)
		}
	}
	load(v.Member("profile"), "profile", e.profileText)
	load(v.Member("witnessPolicy"), "witnessPolicy", e.policyLines)
	load(v.Member("auditPolicy"), "auditPolicy", e.policyLines)
	list(v, "", "logKeys", e.vkey)
	for i, p := range v.Member("parties").Elements() {
		path := fmt.Sprintf("parties[%d].", i)
		list(p, path, "keys", eventKey)
		list(p, path, "cosigners", e.vkey)
		list(p, path, "gates", e.gateKey)
	}
	return apply(text, edits), err
}

// eventKey returns an event key, given as in charters or by the name of a public key file.
func eventKey(s string) (any, error) {
	if isEventKey(s) {
		return s, nil
	}
	k, err := eventkey.LoadPublic(s)
	if err != nil {
		return nil, fmt.Errorf("it is no public key, and no file with one: %w; give the public key, which keygen writes to FILE%s", err, eventkey.PublicSuffix)
	}
	return base64.RawURLEncoding.EncodeToString(k.SPKI()), nil
}

func isEventKey(s string) bool {
	spki, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = event.ParsePublicKey(spki)
	}
	return err == nil
}

// vkey returns a verifier key, given as such or by the name of a file.
func (e *env) vkey(s string) (any, error) {
	if !strings.Contains(s, "+") {
		b, err := e.read(s, maxKeyText)
		if err != nil {
			return nil, fmt.Errorf("it is no verifier key, and no file with one: %w", err)
		}
		s = strings.TrimSuffix(string(b), "\n")
	}
	if strings.HasPrefix(s, "PRIVATE+KEY+") {
		return nil, errors.New("this is the private key; give the public one")
	}
	k, err := tlog.ParseVerifierKey(s)
	if err != nil {
		return nil, err
	}
	return k.String(), nil
}

// gateKey returns a gate's public key, given by the name of a file.
func (e *env) gateKey(s string) (any, error) {
	b, err := e.read(s, maxKeyText)
	return json.RawMessage(b), err
}

// profileText returns a profile, given by the name of a shipped one or of a file.
func (e *env) profileText(s string) (any, error) {
	p, err := profile.LoadFile(s)
	if errors.Is(err, profile.ErrUnknown) {
		if p, err = readAs(e, s, profile.MaxSize, profile.Parse); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%q is no file, and none of the shipped profiles %s", s, strings.Join(profile.Names(), ", "))
		}
	}
	if err != nil {
		return nil, err
	}
	b, err := p.Profile.File()
	return json.RawMessage(b), err
}

// policyLines returns the lines of a policy, given by the name of a file or as none. In a
// charter a policy has one space between words, no comments and no empty lines.
func (e *env) policyLines(s string) (any, error) {
	if s == "none" {
		return []string{"quorum none"}, nil
	}
	p, err := e.readPolicy(s) // before normalizing, so that an error names its line
	if err != nil {
		return nil, err
	}
	return normalPolicy(string(p.Bytes())), nil
}

func normalPolicy(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
		if len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			out = append(out, strings.Join(words, " "))
		}
	}
	return out
}
