// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/profile"
)

func (e *env) charter() *cobra.Command {
	return group(&cobra.Command{
		Use:   "charter",
		Short: "Make and amend the charter of a log",
		Long: `charter makes and changes a log's charter. The charter names the parties and their
roles, the witnesses and auditors that must cosign, the number of founders that
can change it, and the profile: the figures that a legislator decided. The first
charter is entry 0 of the log.

Founders edit a charter file (new), and sign it as an event, as many as its
thresholds require (sign). To amend the charter, edit the file of the next version
(show --edit), review the changes (diff), and sign it. To recover a log that lost
its key or its witnesses, start with recover. These commands use no network;
'vasistas append' submits the result.`,
		Example: `  vasistas charter show --edit charter.event > v2.json     # then edit v2.json
  vasistas charter diff charter.event v2.json
  vasistas charter sign v2.json --from charter.event --key one.pem --out v2.event`,
	}, e.charterNew(), e.charterSign(), e.charterCheck(), e.charterDiff(), e.charterShow(), e.charterRecover())
}

type charterSignFlags struct {
	keys    []string
	from    fromFlags
	out     string
	abandon []string
}

func (e *env) charterSign() *cobra.Command {
	var f charterSignFlags
	c := &cobra.Command{
		Use:   "sign FILE --key KEY",
		Short: "Sign a charter, or add a founder's signature to it",
		Long: `sign makes an event of the charter file FILE, signs it, and writes it to --out. If
FILE is an event already, sign adds a signature and rewrites FILE, so that founders
can pass it on. All founders sign the same event hash: compare it with each other.
'charter diff' compares the event with the file.

The founders of the charter before sign an amendment: give that charter as --from.
sign then prints first what the amendment changes. It refuses an amendment after which
files escrowed before can no longer be opened, since their custodian group changes,
unless --abandon-files names that group.`,
		Example: `  vasistas charter sign charter.json --key one.pem --out charter.event
  vasistas charter sign charter.event --key two.pem
  vasistas charter sign v2.json --from charter.event --key two.pem --out v2.event`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runCharterSign(ctx, &f, args[0]) }),
	}
	c.Flags().StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	c.Flags().StringVar(&f.out, "out", "", "new file for the event, in place of FILE")
	c.Flags().StringArrayVar(&f.abandon, "abandon-files", nil, "custodian group whose earlier files no one needs any more, since the amendment makes them unopenable (repeatable)")
	f.from.add(c)
	c.MarkFlagRequired("key")
	return c
}

func (e *env) runCharterSign(ctx context.Context, f *charterSignFlags, name string) error {
	file, err := e.checkCharter(name, &f.from)
	switch {
	case err != nil:
		return err
	case file.index != nil:
		return fmt.Errorf("%s: a logged charter takes no more signatures", name)
	case file.text && f.out == "":
		return usagef("%s is a charter file; give --out FILE for the signed charter", name)
	case len(file.problems) > 0:
		return fmt.Errorf("%s can't be signed: %s", name, strings.Join(file.problems, "; "))
	}
	gone := abandoned(file.by, file.charter)
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		if why := gone[id]; !slices.Contains(f.abandon, id) {
			return fmt.Errorf("%s is not signed: %s; or, if no one needs those files, give --abandon-files %s", name, why, id)
		}
	}
	if file.by != file.charter {
		e.printf("what version %d changes:\n", file.charter.Version)
		e.printChanges(file.changes)
	}
	e.printPolicies(file.charter)
	if err := file.sign(ctx, f.keys); err != nil {
		return err
	}
	write := durable.WriteFile
	if f.out != "" {
		file.name, write = f.out, e.create
	}
	if err := write(file.name, file.envelope.Bytes(), 0o644); err != nil {
		return err
	}
	e.advise(notes(file))
	r := file.report(0, nil)
	e.printf("%s: version %d, %d signatures, event hash %s\n", r.File, r.Version, r.Signatures, r.Hash)
	e.printf("thresholds of version %d: %d to amend, %d to recover\n", file.by.Version, file.by.Thresholds.Amend, file.by.Thresholds.Recover)
	return nil
}

func (f *checked) sign(ctx context.Context, keys []string) error {
	for _, ref := range keys {
		s, err := eventkey.Load(ctx, ref)
		if err != nil {
			return err
		}
		if founder(f.by, s.KeyID()) == nil {
			return fmt.Errorf("%s: the key %s is no charter key of version %d, whose founders must sign this", ref, s.KeyID(), f.by.Version)
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
	Log        string   `json:"origin"`
	Version    uint64   `json:"charterVersion"`
	Hash       string   `json:"hash,omitempty"` // event hash, once signed
	Leaf       string   `json:"leaf,omitempty"` // leaf hash, once signed; each signature changes it
	Signatures int      `json:"signatures"`
	Needed     uint64   `json:"needed"`
	Changes    []string `json:"changes,omitempty"`
	Confirm    []string `json:"confirm,omitempty"` // those of Changes that operators of gates must confirm
}

func (f *charterFile) report(needed uint64, changes []event.Change) charterReport {
	r := charterReport{Kind: "charter", File: f.name, Log: f.event.Log, Version: f.charter.Version, Needed: needed}
	if f.envelope != nil {
		r.Hash, r.Leaf = fmt.Sprintf("%x", f.envelope.Hash()), f.envelope.LeafHash().String()
		r.Signatures = len(f.envelope.Signatures)
	}
	for i := range changes {
		text := changeText(&changes[i])
		if r.Changes = append(r.Changes, text); changes[i].Confirm {
			r.Confirm = append(r.Confirm, text)
		}
	}
	return r
}

type charterShown struct {
	charterReport
	Event json.RawMessage `json:"event"`
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
		Short: "Check a charter: its form, its policies, and the number of signatures",
		Long: `check checks a charter like a log does. It prints problems, for which a log refuses
the charter, what the charter's policies bear, and notes on what its founders may not
want. For an amendment, give the charter before as --from; check then prints what the
amendment changes. A charter file needs no signatures yet. One that names key files
or a shipped profile is a draft: complete it with 'vasistas charter new FILE' first.

Exit code: 0 if the charter is good and has enough signatures, 1 if not.`,
		Example: `  vasistas charter check charter.json
  vasistas charter check v2.event --from charter.event
  vasistas charter check recovery.event --from charter.event --recover`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runCheck(&f, args[0]) }),
	}
	f.from.add(c)
	c.Flags().BoolVar(&f.recover, "recover", false, "require the signatures of a recovery")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

type checkReport struct {
	charterReport
	Good     bool           `json:"good"`
	Problems []string       `json:"problems,omitempty"`
	Notes    []string       `json:"notes,omitempty"`
	Signers  []signerJSON   `json:"signers,omitempty"`
	Strength []strengthJSON `json:"strength"`
}

type signerJSON struct {
	Founder string `json:"founder,omitempty"`
	KeyID   string `json:"keyId"`
	Good    bool   `json:"good"`
}

func (e *env) runCheck(f *checkFlags, name string) error {
	file, err := e.checkCharter(name, &f.from)
	if err != nil {
		return err
	}
	needed := file.by.Thresholds.Amend
	if f.recover {
		needed = file.by.Thresholds.Recover
	}
	if f.recover && file.by == file.charter {
		return usagef("%s is the first charter, which can't be a recovery; leave out --recover", name)
	}
	r := &checkReport{charterReport: file.report(needed, file.changes), Problems: file.problems, Notes: notes(file), Strength: strengths(file.charter)}
	r.count(file.charterFile, file.by)
	if f.json {
		err = e.printJSON(r)
	} else if e.printCheck(r, file); r.Good && f.recover {
		e.printf("Recover the log with: vasistas-log serve -recovery %s\n", name)
		e.printf("Give the file to the operators of all gates, monitors and verifiers (%s); each must confirm the changes by name.\n", strings.Join(operators(file.charter), ", "))
	}
	if err == nil && !r.Good {
		err = &exitError{code: exitFailed}
	}
	return err
}

// operators returns the parties with gates and monitors, which get no recovery by a log.
func operators(ch *event.Charter) []string {
	var out []string
	for _, p := range ch.Parties {
		if p.Role == event.RoleCustodian || p.Role == event.RoleAuditor {
			out = append(out, string(p.Role)+" "+p.Name)
		}
	}
	return out
}

// count verifies the signatures under the founders' keys of by.
func (r *checkReport) count(file *charterFile, by *event.Charter) {
	r.Signatures = 0
	if file.envelope != nil {
		for _, s := range file.envelope.Signatures {
			name, err := signer(file.envelope, s, by)
			r.Signers = append(r.Signers, signerJSON{name, s.KeyID, err == nil})
			if err != nil {
				r.Problems = append(r.Problems, err.Error())
				continue
			}
			r.Signatures++
		}
	}
	if missing := int(r.Needed) - r.Signatures; missing > 0 && !file.text {
		r.Problems = append(r.Problems, fmt.Sprintf("%d of %d signatures: %d more founders of version %d must sign", r.Signatures, r.Needed, missing, by.Version))
	}
	r.Good = len(r.Problems) == 0
}

// signer returns the founder's name of a signature, "" if it is no founder's, and why the
// signature does not count.
func signer(envelope *event.Envelope, s event.Signature, by *event.Charter) (name string, err error) {
	p := founder(by, s.KeyID)
	if p == nil {
		return "", fmt.Errorf("signed by %s, which is no charter key of version %d", s.KeyID, by.Version)
	}
	one := *envelope
	one.Signatures = []event.Signature{s}
	if err = one.Verify(func(string) *event.PublicKey { return p.Keys[0] }); err != nil {
		err = fmt.Errorf("signature of %s: %w", p.Name, err)
	}
	return p.Name, err
}

func (e *env) printCheck(r *checkReport, file *checked) {
	e.printf("%s: charter version %d of the log %s\n", r.File, r.Version, r.Log)
	for _, s := range r.Signers {
		e.printf("  signed by   %s\n", strings.TrimSpace(s.Founder+" "+s.KeyID))
	}
	if len(file.changes) > 0 {
		e.printf("what it changes:\n")
		e.printChanges(file.changes)
	}
	e.printPolicies(file.charter)
	for _, p := range r.Problems {
		e.printf("PROBLEM: %s\n", p)
	}
	e.advise(r.Notes)
	switch {
	case r.Good && r.Hash == "":
		e.printf("GOOD, but not signed yet: it needs %d signatures\n", r.Needed)
	case r.Good:
		e.printf("GOOD: %d signatures, %d needed; event hash %s, leaf hash %s\n", r.Signatures, r.Needed, r.Hash, r.Leaf)
	}
}

func (e *env) charterDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show all differences between two charters",
		Long: `diff lists every value that differs between two charters, each a charter file, an
event or a proof file. A line with ! changes who is trusted, or weakens what is
demanded: each gate stays shut until its operator has confirmed the new charter. The
brackets say in which direction the change goes.`,
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
		mark := " "
		if c.Confirm {
			mark = "!"
		}
		e.printf("%s %s\n", mark, changeText(&c))
	}
}

func changeText(c *event.Change) string {
	if c.Direction == "" {
		return c.String()
	}
	return fmt.Sprintf("%s [%s]", c, c.Direction)
}

func (e *env) charterShow() *cobra.Command {
	var edit, asJSON bool
	var index int64
	c := &cobra.Command{
		Use:   "show FILE [--edit]",
		Short: "Show a charter, or its file for editing",
		Long: `show prints a charter, signed or not: founders and thresholds, parties and roles,
custodian groups, both policies, and the profile with the law behind each figure.
It verifies no signature: see 'vasistas charter check'.

With --edit show prints the charter file. For a signed charter that is the file of
the next version: edit and sign it to amend the charter.`,
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
			return e.printJSON(charterShown{file.report(file.charter.Thresholds.Amend, nil), file.payload})
		case edit:
			return e.printFile(file, index)
		}
		e.showCharter(file)
		return nil
	})
	c.Flags().BoolVar(&edit, "edit", false, "print the charter file; for a signed charter, that of the next version")
	c.Flags().Int64Var(&index, "index", -1, indexUsage)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("edit", "json")
	return c
}

func (e *env) printFile(file *charterFile, index int64) error {
	text, err := file.charter.File(file.event.Log)
	if err == nil && file.envelope != nil {
		var now *current
		if now, err = file.inForce(index); err == nil {
			text, err = now.nextFile(false)
		}
	}
	if err == nil {
		_, err = e.stdout.Write(text)
	}
	return err
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
		r := file.report(0, nil)
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
