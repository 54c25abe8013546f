// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type openFlags struct {
	logFlags
	file, out string
	timeout   time.Duration
	json      bool
}

func (e *env) open() *cobra.Command {
	var f openFlags
	c := &cobra.Command{
		Use:   "open --case CASE [-o FILE] FILE",
		Short: "Open an escrowed file, for an access in the log (agencies)",
		Long: `open asks all gates of the custodian group for the access of a case file, and
decrypts the file once it has the group's threshold of shares. It reports gates that
are down, slow or wrong, and goes on without them.

A gate opens only for an access in the log. It first logs its release, with notices
to the persons concerned. A refusal names its reason, and what would end it. The case
file keeps each gate's last answer, for 'open status'.

With --policy, open first gets new proofs from the log, under the head that met the
charter's audit policy last, or the latest head if the charter asks for no auditors.
Gates refuse proofs whose cosignatures are stale. open waits until that head contains
the access, as long as --timeout. For a case of 'open request' it looks for the
access in the log the first time.`,
		Example: `  vasistas open --case letter.case --policy policy.txt -o letter.txt letter.age`,
		Args:    cobra.ExactArgs(1),
		RunE:    do(func(ctx context.Context, args []string) error { return e.runOpen(ctx, &f, args) }),
	}
	f.add(c)
	c.Flags().StringVar(&f.file, "case", "", "case file, made by 'open request' or 'open prepare'")
	c.Flags().StringVarP(&f.out, "out", "o", "", "new file for the plaintext (default: standard output)")
	durationVar(c, &f.timeout, "timeout", 2*time.Minute, "how long to wait for one gate")
	c.Flags().BoolVar(&f.json, "json", false, "print the outcome of each gate as JSON, on standard error")
	c.MarkFlagRequired("case")
	c.AddCommand(e.openRequest(), e.openStatus(), e.openKey(), e.openConsent(), e.openPrepare())
	return c
}

func (e *env) runOpen(ctx context.Context, f *openFlags, args []string) error {
	c, err := plugincmd.LoadCase(f.file)
	if err != nil {
		return err
	}
	asked := c.Access == nil
	if asked && f.policy == "" {
		return usagef("give --policy FILE: open looks in the log for the access of this case, which the provider signs and logs")
	}
	if err := e.renew(ctx, c, &f.logFlags, f.timeout); err != nil {
		return err
	}
	if asked { // age needs it in the case
		e.keepCase(f.file, c)
	}
	id := c.Identity(ctx, agency.Options{
		UserAgent: "vasistas/" + command.Version(), Timeout: f.timeout, Progress: func(r agency.Result) { e.gateNote(f, r) },
	})
	err = e.stream(args, f.out, func(w io.Writer, in io.Reader) error {
		plain, err := age.Decrypt(escrow.Dearmor(in), id)
		if none, ok := errors.AsType[*age.NoIdentityMatchError](err); ok && len(none.Errors) > 0 {
			return none.Errors[0]
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(w, plain)
		return err
	})
	if len(id.Results) > 0 {
		c.Remember(id.Results, time.Now())
		e.keepCase(f.file, c)
	}
	return err
}

// keepCase replaces a case file that was read. Without it open still works.
func (e *env) keepCase(name string, c *agency.Case) {
	b, err := c.Bytes()
	if err == nil {
		err = durable.WriteFile(name, b, 0o600)
	}
	if err != nil {
		e.note("vasistas: the case file lacks what was learned now: %v", err)
	}
}

// renew gets new proofs for a case, if there is a policy.
func (e *env) renew(ctx context.Context, c *agency.Case, f *logFlags, timeout time.Duration) error {
	if f.policy == "" {
		if f.log != "" || f.origin != "" {
			return usagef("give --policy FILE too: the log can't be verified without a policy")
		}
		return nil
	}
	cl, err := e.connect(f, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Renew(ctx, cl)
}

func (e *env) gateNote(f *openFlags, r agency.Result) {
	if f.json {
		(&env{stdout: e.stderr}).printJSON(r.Answer(time.Now()))
		return
	}
	e.note("vasistas: %v", r)
}

func (e *env) openKey() *cobra.Command {
	var out, kem string
	c := &cobra.Command{
		Use:   "key --out FILE",
		Short: "Make the recipient key of one access",
		Long: `key makes the recipient key of one access, to which gates encrypt their shares. The
access names the public key, in FILE.pub; sign for it with 'open consent'.`,
		Example: `  vasistas open key --out case.key`,
		Args:    cobra.NoArgs,
		RunE:    do(func(context.Context, []string) error { return runOpenKey(out, kem) }),
	}
	c.Flags().StringVar(&out, "out", "", "new file for the private key (mode 0600)")
	c.Flags().StringVar(&kem, "kem", string(event.KEMMLKEMX25519), "mlkem768-x25519 (post-quantum) or x25519")
	c.MarkFlagRequired("out")
	return c
}

func runOpenKey(out, kem string) error {
	if out == "-" {
		return errKeyOut
	}
	k, err := escrow.GenerateKey(event.KEM(kem))
	if err != nil {
		return usagef("--kem: %w", err)
	}
	private, err := k.Bytes()
	if err != nil {
		return err
	}
	public, err := k.Public().Bytes()
	if err != nil {
		return err
	}
	return createKey(out, private, append(public, '\n'))
}

type consentFlags struct {
	key, warrant, origin, recipient, id string
}

func (e *env) openConsent() *cobra.Command {
	var f consentFlags
	c := &cobra.Command{
		Use:   "consent --key AGENCYKEY --recipient FILE {--warrant FILE | --origin LOG}",
		Short: "Sign for a recipient key",
		Long: `consent signs for a recipient key with the agency's key that the warrant names, for
one access under one warrant. It prints the signature and the id that the access must
have. The provider makes the access with both ('sign --id ID --subject
agencySignature=SIGNATURE'). With --origin in place of --warrant the access is an
emergency's, in the log of that origin.`,
		Example: `  vasistas open consent --key agency.pem --warrant w.tlog-proof --recipient case.key.pub`,
		Args:    cobra.NoArgs,
		RunE:    do(func(ctx context.Context, _ []string) error { return e.runConsent(ctx, &f) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.key, "key", "", "the agency's private key file, or NAME://KEY of a KMS")
	fl.StringVar(&f.warrant, "warrant", "", "the warrant: its event or proof file")
	fl.StringVar(&f.origin, "origin", "", "origin of the log, in an emergency")
	fl.StringVar(&f.recipient, "recipient", "", "public key file, made by 'open key'")
	fl.StringVar(&f.id, "id", "", "id of the access (default: a new one)")
	c.MarkFlagRequired("key")
	c.MarkFlagRequired("recipient")
	c.MarkFlagsOneRequired("warrant", "origin")
	c.MarkFlagsMutuallyExclusive("warrant", "origin")
	return c
}

func (e *env) runConsent(ctx context.Context, f *consentFlags) error {
	signer, err := eventkey.Load(ctx, f.key)
	if err != nil {
		return err
	}
	recipient, err := readAs(e, f.recipient, escrow.MaxKeyFile, line(escrow.ParsePublicKey))
	if err != nil {
		return err
	}
	var warrant event.Digest
	if f.warrant != "" {
		env, err := readAs(e, f.warrant, tlog.MaxProofSize, parseEntry)
		if err != nil {
			return err
		}
		if env.Event.Type != event.TypeWarrant {
			return fmt.Errorf("%s: it is a %s, and not a warrant", f.warrant, env.Event.Type)
		}
		warrant, f.origin = env.Hash(), env.Event.Log
	}
	var id event.ID
	rand.Read(id[:])
	if f.id != "" {
		raw, err := event.Text(f.id).Bytes()
		if err != nil || len(raw) != len(id) {
			return usagef("--id %q: want 16 bytes in base64url", f.id)
		}
		id = event.ID(raw)
	}
	msg, err := event.AgencyMessage(f.origin, warrant, id, recipient)
	if err != nil {
		return err
	}
	sig, err := signer.Sign(msg)
	if err != nil {
		return err
	}
	return e.printJSON(struct {
		ID        string `json:"id"`
		Signature string `json:"agencySignature"`
	}{id.String(), event.Bytes(sig).Text()})
}

// parseEntry parses a signed event, or a proof file with one.
func parseEntry(b []byte) (*event.Envelope, error) {
	b, _, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	return event.ParseEnvelope(b)
}

type prepareFlags struct {
	logFlags
	timeout                  time.Duration
	key, charter             string
	warrant, warrantOpenings string
	access, accessOpenings   string
	gates                    []string
	out                      string
}

func (e *env) openPrepare() *cobra.Command {
	var f prepareFlags
	c := &cobra.Command{
		Use:   "prepare --key FILE --charter FILE --access FILE --access-openings FILE --gate NAME=URL... --out CASE FILE...",
		Short: "Make a case file",
		Long: `prepare puts all that gates require into one file: warrant and access with their
proofs and openings, the packages of all files that the access names (from their
headers), and the recipient key. It checks them as far as that is possible without
the log, before a gate would refuse them.

With --policy, prepare gets new proofs from the log, as open does.

It prints the identity with which age and age-plugin-vasistas open the files.`,
		Example: `  vasistas open prepare --key case.key --charter main.charter --warrant w.tlog-proof --warrant-openings w.openings \
      --access a.tlog-proof --access-openings a.openings --gate one=https://gate.example letter.age --out letter.case`,
		Args: cobra.MinimumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runPrepare(ctx, &f, args) }),
	}
	f.add(c)
	fl := c.Flags()
	durationVar(c, &f.timeout, "timeout", 2*time.Minute, "how long to wait for the log")
	fl.StringVar(&f.key, "key", "", "private key of the access, made by 'open key'")
	fl.StringVar(&f.charter, "charter", "", "charter in force at the access: its event or proof file")
	fl.StringVar(&f.warrant, "warrant", "", "proof file of the warrant; leave it out in an emergency")
	fl.StringVar(&f.warrantOpenings, "warrant-openings", "", "openings of the warrant")
	fl.StringVar(&f.access, "access", "", "proof file of the access")
	fl.StringVar(&f.accessOpenings, "access-openings", "", "openings of the access")
	fl.StringArrayVar(&f.gates, "gate", nil, "a custodian's gate, as NAME=URL (repeatable)")
	fl.StringVar(&f.out, "out", "", "new case file (mode 0600)")
	for _, name := range []string{"key", "charter", "access", "access-openings", "gate", "out"} {
		c.MarkFlagRequired(name)
	}
	c.MarkFlagsRequiredTogether("warrant", "warrant-openings")
	return c
}

func (e *env) runPrepare(ctx context.Context, f *prepareFlags, files []string) error {
	if f.out == "-" {
		return usagef("--out -: the identity names the case file; give it a name")
	}
	c := new(agency.Case)
	for _, in := range []struct {
		to    *[]byte
		name  string
		limit int
	}{
		{&c.Key, f.key, escrow.MaxKeyFile}, {&c.Charter, f.charter, tlog.MaxProofSize},
		{&c.Warrant, f.warrant, tlog.MaxProofSize}, {&c.WarrantOpenings, f.warrantOpenings, event.MaxOpeningsSize},
		{&c.Access, f.access, tlog.MaxProofSize}, {&c.AccessOpenings, f.accessOpenings, event.MaxOpeningsSize},
	} {
		if in.name == "" {
			continue
		}
		b, err := e.read(in.name, in.limit)
		if err != nil {
			return err
		}
		*in.to = b
	}
	var err error
	if c.Gates, err = parseGates(f.gates); err != nil {
		return err
	}
	if err := e.addPackages(c, f, files); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := e.renew(ctx, c, &f.logFlags, f.timeout); err != nil {
		return err
	}
	b, err := c.Bytes()
	if err != nil {
		return err
	}
	if err := durable.CreateFile(f.out, b, 0o600); err != nil {
		return err
	}
	id, err := plugincmd.Identity(f.out)
	if err != nil {
		return err
	}
	e.printf("%s\n", id)
	return nil
}

// addPackages adds the packages of files that the access names, at least one of each file.
// A file may have packages for other groups, too. Check reports missing packages.
func (e *env) addPackages(c *agency.Case, f *prepareFlags, files []string) error {
	openings, err := event.ParseOpenings(c.AccessOpenings)
	if err != nil {
		return fmt.Errorf("%s: %w", f.accessOpenings, err)
	}
	named := make(map[string]bool)
	for _, o := range openings.Subject {
		named[o.Value.Text()] = o.Name == "package"
	}
	for _, name := range files {
		list, err := e.readPackages(name)
		if err != nil {
			return err
		}
		before := len(c.Packages)
		for _, p := range list {
			if named[p.Digest().String()] {
				c.Packages = append(c.Packages, string(p.Text()))
			}
		}
		if len(c.Packages) == before {
			return fmt.Errorf("%s: the access does not name its package, %s", name, list[0].Digest())
		}
	}
	return nil
}
