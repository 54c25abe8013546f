// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/profile"
)

type charterSignFlags struct {
	keys []string
	from fromFlags
	out  string
}

func (e *env) charterSign() *cobra.Command {
	var f charterSignFlags
	c := &cobra.Command{
		Use:   "sign FILE --key KEY",
		Short: "Sign a charter, or add a founder's signature to it",
		Long: `sign makes an event of the charter in FILE, signs it, and writes it to --out. If
FILE is such an event already, sign adds a signature and rewrites FILE; so founders
pass the event on. All sign the same event hash, which is what to compare; 'charter
diff' compares the event with the file.

An amendment is signed by founders of the charter before it: give that as
--from, and what the amendment changes is shown first.`,
		Example: `  vasistas charter sign charter.json --key one.pem --out charter.event
  vasistas charter sign charter.event --key two.pem
  vasistas charter sign v2.json --from charter.event --key two.pem --out v2.event`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runCharterSign(ctx, &f, args[0]) }),
	}
	c.Flags().StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	c.Flags().StringVar(&f.out, "out", "", "write here, and leave FILE as it is")
	f.from.add(c)
	c.MarkFlagRequired("key")
	return c
}

func (e *env) runCharterSign(ctx context.Context, f *charterSignFlags, name string) error {
	file, err := e.readCharter(name)
	switch {
	case err != nil:
		return err
	case file.index != nil:
		return fmt.Errorf("%s: a logged charter takes no more signatures", name)
	case file.text && f.out == "":
		return usagef("%s is a charter file: give --out FILE for the signed charter", name)
	}
	by, now, problems, err := e.signedBy(file, &f.from)
	if err != nil {
		return err
	}
	if err := checkCharter(file); err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s is not to be signed: %s", name, strings.Join(problems, "; "))
	}
	if now != nil {
		e.printf("what version %d changes:\n", file.charter.Version)
		e.printChanges(event.Diff(now.charter, file.charter))
	}
	if err := signCharter(ctx, file, by, f.keys); err != nil {
		return err
	}
	if f.out != "" {
		name = f.out
		err = durable.CreateFile(name, file.envelope.Bytes(), 0o644)
	} else {
		err = durable.WriteFile(name, file.envelope.Bytes(), 0o644)
	}
	if err != nil {
		return err
	}
	e.advise(file.charter)
	r := newReport(name, file, 0, nil)
	e.printf("%s: version %d, %d signatures, event hash %s\n", name, r.Version, r.Signatures, r.Hash)
	e.printf("thresholds of version %d: %d to amend, %d to recover\n", by.Version, by.Thresholds.Amend, by.Thresholds.Recover)
	return nil
}

// signCharter signs with the keys of founders of by, the charter that says who
// they are.
func signCharter(ctx context.Context, f *charterFile, by *event.Charter, keys []string) error {
	for _, ref := range keys {
		s, err := eventkey.Load(ctx, ref)
		if err != nil {
			return err
		}
		if founder(by, s.KeyID()) == nil {
			return fmt.Errorf("%s: the key %s is no charter key of version %d, whose founders sign this", ref, s.KeyID(), by.Version)
		}
		if f.envelope == nil {
			f.envelope, err = event.Sign(f.event, s)
		} else {
			f.envelope, err = f.envelope.AddSignature(s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	return nil
}

// A judged signature has a problem, or the name of its founder.
type judged struct {
	event.Signature
	founder string
	problem string // "" is none
}

// signatures judges each signature of a charter under the founders of by.
func signatures(envelope *event.Envelope, by *event.Charter) []judged {
	var out []judged
	for _, s := range envelope.Signatures {
		j := judged{Signature: s}
		if p := founder(by, s.KeyID); p == nil {
			j.problem = fmt.Sprintf("signed by %s, which is no charter key of version %d", s.KeyID, by.Version)
		} else {
			j.founder = p.Name
			one := *envelope
			one.Signatures = []event.Signature{s}
			if err := one.Verify(func(string) *event.PublicKey { return p.Keys[0] }); err != nil {
				j.problem = fmt.Sprintf("signature of %s: %v", p.Name, err)
			}
		}
		out = append(out, j)
	}
	return out
}

// founders counts the charter keys of a charter.
func founders(ch *event.Charter) (n uint64) {
	for _, p := range ch.Parties {
		if p.Role == event.RoleCharter {
			n++
		}
	}
	return n
}

// founder returns the charter party whose key has this id, or nil.
func founder(ch *event.Charter, keyID string) *event.Party {
	if p := ch.Holder(keyID); p != nil && p.Role == event.RoleCharter {
		return p
	}
	return nil
}

type charterReport struct {
	Kind       string   `json:"kind"` // charter
	File       string   `json:"file"`
	Log        string   `json:"log"`
	Version    uint64   `json:"version"`
	Hash       string   `json:"hash,omitempty"` // event hash, once signed
	Leaf       string   `json:"leaf,omitempty"` // leaf hash, once signed; each signature changes it
	Signatures int      `json:"signatures"`
	Needed     uint64   `json:"needed"`
	Changes    []string `json:"changes,omitempty"`
}

func newReport(name string, file *charterFile, needed uint64, changes []event.Change) charterReport {
	r := charterReport{Kind: "charter", File: name, Log: file.event.Log, Version: file.charter.Version, Needed: needed}
	if file.envelope != nil {
		hash, leaf := file.envelope.Hash(), file.envelope.LeafHash()
		r.Hash, r.Leaf = hex.EncodeToString(hash[:]), base64.StdEncoding.EncodeToString(leaf[:])
		r.Signatures = len(file.envelope.Signatures)
	}
	for i := range changes {
		r.Changes = append(r.Changes, changes[i].String())
	}
	return r
}

type checkFlags struct {
	from    fromFlags
	recover bool
	json    bool
}

func (e *env) charterCheck() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check FILE [--from CURRENT]",
		Short: "Check a charter: its form, its policies, and whether enough founders signed",
		Long: `check judges a charter as a log would, and says what it lacks and what its
founders may not want. An amendment is judged against the charter before it, given
as --from; what it changes is shown. A charter file has no signatures yet, so they
are not asked for.

Exit code: 0 if it is good and has enough signatures, 1 if not.`,
		Example: `  vasistas charter check charter.json
  vasistas charter check v2.event --from charter.event
  vasistas charter check recovery.event --from charter.event --recover`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runCheck(&f, args[0]) }),
	}
	f.from.add(c)
	c.Flags().BoolVar(&f.recover, "recover", false, "ask for the signatures of a recovery")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// checkReport is what --json prints.
type checkReport struct {
	charterReport
	Good     bool         `json:"good"`
	Problems []string     `json:"problems,omitempty"`
	Notes    []string     `json:"notes,omitempty"`
	Signers  []signerJSON `json:"signers,omitempty"`
}

type signerJSON struct {
	Founder string `json:"founder,omitempty"`
	KeyID   string `json:"keyId"`
	Good    bool   `json:"good"`
}

func (e *env) runCheck(f *checkFlags, name string) error {
	file, err := e.readCharter(name)
	if err != nil {
		return err
	}
	by, now, problems, err := e.signedBy(file, &f.from)
	if err != nil {
		return err
	}
	if now == nil && f.recover {
		return usagef("%s is the first charter: it recovers nothing", name)
	}
	needed := by.Thresholds.Amend
	if f.recover {
		needed = by.Thresholds.Recover
	}
	var changes []event.Change
	if now != nil {
		changes = event.Diff(now.charter, file.charter)
	}
	r := &checkReport{charterReport: newReport(name, file, needed, changes), Problems: problems, Notes: unwise(file.charter)}
	if err := checkCharter(file); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	r.count(file, by)
	if f.json {
		err = e.printJSON(r)
	} else if e.printCheck(r, changes); r.Good && f.recover {
		e.printf("The log takes it with: vasistas-log serve -recovery %s\n", name)
		e.printf("Give it to the operators of all gates, monitors and verifiers (%s); each confirms by name what it changes.\n", strings.Join(operators(file.charter), ", "))
	}
	if err == nil && !r.Good {
		err = &exitError{code: exitFailed}
	}
	return err
}

// operators are those of gates and monitors, to whom no log brings a recovery.
func operators(ch *event.Charter) []string {
	var out []string
	for _, p := range ch.Parties {
		if p.Role == event.RoleCustodian || p.Role == event.RoleAuditor {
			out = append(out, string(p.Role)+" "+p.Name)
		}
	}
	return out
}

// count judges the signatures.
func (r *checkReport) count(file *charterFile, by *event.Charter) {
	r.Signatures = 0
	if file.envelope != nil {
		for _, s := range signatures(file.envelope, by) {
			r.Signers = append(r.Signers, signerJSON{s.founder, s.KeyID, s.problem == ""})
			if s.problem != "" {
				r.Problems = append(r.Problems, s.problem)
				continue
			}
			r.Signatures++
		}
	}
	if missing := int(r.Needed) - r.Signatures; missing > 0 && !file.text {
		r.Problems = append(r.Problems, fmt.Sprintf("%d of %d signatures: %d more of the founders of version %d must sign", r.Signatures, r.Needed, missing, by.Version))
	}
	r.Good = len(r.Problems) == 0
}

func (e *env) printCheck(r *checkReport, changes []event.Change) {
	e.printf("%s: charter version %d of the log %s\n", r.File, r.Version, r.Log)
	for _, s := range r.Signers {
		e.printf("  signed by   %s\n", strings.TrimSpace(s.Founder+" "+s.KeyID))
	}
	if len(changes) > 0 {
		e.printf("what it changes:\n")
		e.printChanges(changes)
	}
	for _, p := range r.Problems {
		e.printf("PROBLEM: %s\n", p)
	}
	for _, n := range r.Notes {
		e.note("note: %s", n)
	}
	switch {
	case r.Good && r.Hash == "":
		e.printf("GOOD, and not signed yet: it needs %d signatures\n", r.Needed)
	case r.Good:
		e.printf("GOOD: %d signatures, %d needed; event hash %s, leaf hash %s\n", r.Signatures, r.Needed, r.Hash, r.Leaf)
	}
}

func (e *env) charterDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show all that differs between two charters",
		Long: `diff lists every value that differs between two charters: files to be edited,
events or proofs, in any pair. What is marked with ! changes who is trusted: the
operator of each gate must confirm it by the name that stands in brackets.`,
		Example: "  vasistas charter diff charter.event v2.json",
		Args:    cobra.ExactArgs(2),
		RunE: do(func(_ context.Context, args []string) error {
			was, err := e.readCharter(args[0])
			if err != nil {
				return err
			}
			is, err := e.readCharter(args[1])
			if err != nil {
				return err
			}
			changes := event.Diff(was.charter, is.charter)
			if was.event.Log != is.event.Log {
				changes = append(changes, event.Change{Path: "log", Was: was.event.Log, Is: is.event.Log})
			}
			if e.printChanges(changes); len(changes) == 0 {
				e.printf("nothing differs\n")
			}
			return nil
		}),
	}
}

func (e *env) printChanges(changes []event.Change) {
	for _, c := range changes {
		if c.Name == "" {
			e.printf("  %s\n", &c)
		} else {
			e.printf("! %s [%s]\n", &c, c.Name)
		}
	}
}

func (e *env) charterShow() *cobra.Command {
	var edit, asJSON bool
	var index int64
	c := &cobra.Command{
		Use:   "show FILE [--edit]",
		Short: "Show what a charter says, or its file, to be edited",
		Long: `show says what a charter says, signed or not: founders and thresholds, who holds
which role, custodian groups, both policies, and the profile with the law behind
each figure. It verifies no signature: see 'vasistas charter check'.

With --edit it prints the charter file. Of a signed charter that is the file of the
next version, which amends it: edit that, and sign it.`,
		Example: `  vasistas charter show charter.event
  vasistas charter show --edit v2.tlog-proof > v3.json`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = do(func(_ context.Context, args []string) error {
		file, err := e.readCharter(args[0])
		switch {
		case err != nil:
			return err
		case asJSON:
			return e.printJSON(showJSON{newReport(args[0], file, file.charter.Thresholds.Amend, nil), file.payload})
		case edit:
			return e.printFile(file, &fromFlags{args[0], index})
		}
		e.showCharter(file)
		return nil
	})
	c.Flags().BoolVar(&edit, "edit", false, "print the charter file, of a signed charter that of the next version")
	c.Flags().Int64Var(&index, "index", -1, indexUsage)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("edit", "json")
	return c
}

func (e *env) printFile(file *charterFile, from *fromFlags) error {
	text, err := file.charter.File(file.event.Log)
	if err == nil && file.envelope != nil {
		var now *current
		if now, err = e.readFrom(from); err == nil {
			text, err = now.nextFile(false)
		}
	}
	if err == nil {
		_, err = e.stdout.Write(text)
	}
	return err
}

type showJSON struct {
	charterReport
	Event json.RawMessage `json:"event"`
}

func (e *env) showCharter(file *charterFile) {
	ch := file.charter
	e.printf("charter: version %d of the log %s, rules %d, profile %s\n", ch.Version, file.event.Log, ch.Rules, ch.Profile.ID)
	if ch.Prev != nil {
		e.printf("  amends       entry %s\n", ch.Prev)
	}
	if file.envelope == nil {
		e.printf("  not signed\n")
	} else {
		r := newReport("", file, 0, nil)
		e.printf("  claims time  %s\n  event hash   %s\n  leaf hash    %s\n", file.event.Time.Format(time.RFC3339), r.Hash, r.Leaf)
		for _, s := range file.envelope.Signatures {
			e.printf("  signed by    %s (not verified here)\n", s.KeyID)
		}
	}
	e.printf("thresholds: %d of %d founders amend, %d recover\n", ch.Thresholds.Amend, founders(ch), ch.Thresholds.Recover)
	for _, g := range ch.Groups {
		e.printf("group %s: %d of %d custodians open: %s\n", g.ID, g.Threshold, len(g.Members), strings.Join(g.Members, ", "))
	}
	all := event.Diff(nil, ch)
	for i, c := range all {
		path, figure := strings.CutPrefix(c.Path, "profile.")
		switch {
		case figure && i+1 < len(all) && all[i+1].Path == c.Path: // a list goes on
			all[i+1].Is = c.Is + " " + all[i+1].Is
		case figure && path != "id" && path != "sources":
			e.printf("%s: %s  [%s]\n", c.Path, c.Is, cmp.Or(lawOf(&ch.Profile, path), "NO SOURCE"))
		case !figure && !strings.HasPrefix(c.Path, "group ") && !strings.HasPrefix(c.Path, "thresholds."):
			e.printf("%s: %s\n", c.Path, c.Is)
		}
	}
	for _, s := range ch.Profile.Sources {
		if !slices.ContainsFunc(all, func(c event.Change) bool { return profile.Covers("profile."+s.Figure, c.Path) }) {
			e.printf("profile.%s: none  [%s]\n", s.Figure, s.Law)
		}
	}
}

// lawOf returns the sources of a figure: the rows nearest to it. "" is none.
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
