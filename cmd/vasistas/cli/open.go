// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
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
the access, as long as --timeout. The first time it looks for the access in the log.`,
		Example: `  vasistas open --case letter.case --policy policy.txt -o letter.txt letter.age`,
		Args:    cobra.ExactArgs(1),
		RunE:    do(func(ctx context.Context, args []string) error { return e.runOpen(ctx, &f, args) }),
	}
	f.add(c)
	c.Flags().StringVar(&f.file, "case", "", "case file, made by 'open request'")
	c.Flags().StringVarP(&f.out, "out", "o", "", "new file for the plaintext (default: standard output)")
	durationVar(c, &f.timeout, "timeout", 2*time.Minute, "how long to wait for one gate")
	c.Flags().BoolVar(&f.json, "json", false, "print the outcome of each gate as JSON, on standard error")
	c.MarkFlagRequired("case")
	c.AddCommand(e.openRequest(), e.openStatus())
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
		UserAgent: "vasistas/" + command.Version(), Timeout: f.timeout, Progress: func(r agency.Result) { e.gateNote(f, r) }, Brief: true,
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

type requestFlags struct {
	ask                                         agency.Ask
	key, charter, warrant, openings, out, until string
	gates                                       []string
}

func (e *env) openRequest() *cobra.Command {
	var f requestFlags
	c := &cobra.Command{
		Use:   "request --key AGENCYKEY --charter FILE --warrant FILE --unit UNIT --gate NAME=URL... --out NAME FILE...",
		Short: "Ask for an access to escrowed files",
		Long: `request makes, from a warrant's proof and the escrowed files:

  NAME.access    the access, for the provider to sign
  NAME.openings  what the access seals, for the provider too
  NAME.case      the case, for 'vasistas open'; it has a new private key

The agency signs for the new key with the key that the warrant names. The access is
to all accounts of --account, and of the categories of data that the warrant names.
It is sealed for the profile's default time if you give no --until, and no longer
than the warrant.

The provider signs the access and logs it within the profile's lag. Then 'vasistas
open --policy' finds the access in the log. request prints these steps, and the
identity with which age and age-plugin-vasistas open the files after that.

With --emergency and --agency in place of --warrant the access is an emergency's: a
duty key must sign it too.`,
		Example: `  vasistas open request --key agency.pem --charter main.charter --warrant w.tlog-proof --unit legal \
      --gate one=https://one.example --gate two=https://two.example --out letter letter.age
  vasistas sign --payload letter.access --key provider.pem --out letter.event     # the provider
  vasistas append --policy policy.txt letter.event                                # the provider
  vasistas open --case letter.case --policy policy.txt -o letter.txt letter.age`,
		Args: cobra.MinimumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runRequest(ctx, &f, args) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.key, "key", "", "the agency's private key file, or NAME://KEY of a KMS")
	fl.StringVar(&f.charter, "charter", "", "charter in force: its event or proof file")
	fl.StringVar(&f.warrant, "warrant", "", "proof file of the warrant")
	fl.StringVar(&f.openings, "warrant-openings", "", "openings of the warrant (default: X.openings, for a warrant X.tlog-proof or X.event.tlog-proof)")
	fl.StringVar(&f.ask.Emergency, "emergency", "", "ground of an emergency, a code of the charter's profile")
	fl.StringVar(&f.ask.Agency, "agency", "", "code of the agency, in an emergency")
	fl.StringVar(&f.ask.Unit, "unit", "", "code of the provider's unit that acts")
	fl.StringArrayVar(&f.ask.Accounts, "account", nil, "account to open, repeatable (default: the only one that the warrant names)")
	fl.StringSliceVar(&f.ask.Categories, "categories", nil, "categories of data to open, with commas (default: the warrant's)")
	fl.StringVar(&f.ask.Group, "group", "", "custodian group, if the files have packages for several")
	fl.StringVar(&f.until, "until", "", "time by which public values are opened, or a duration (default: the profile's, or the warrant's end)")
	fl.StringVar((*string)(&f.ask.KEM), "kem", string(event.KEMMLKEMX25519), "mlkem768-x25519 (post-quantum) or x25519")
	fl.StringArrayVar(&f.gates, "gate", nil, "a custodian's gate, as NAME=URL (repeatable)")
	fl.StringVar(&f.out, "out", "", "name of the new files, without a suffix")
	for _, name := range []string{"key", "charter", "unit", "gate", "out"} {
		c.MarkFlagRequired(name)
	}
	c.MarkFlagsOneRequired("warrant", "emergency")
	c.MarkFlagsMutuallyExclusive("warrant", "emergency")
	c.MarkFlagsRequiredTogether("emergency", "agency")
	return c
}

func parseGates(list []string) (map[string]string, error) {
	out := make(map[string]string)
	for _, g := range list {
		name, url, ok := strings.Cut(g, "=")
		if !ok || out[name] != "" {
			return nil, usagef("--gate %q: write NAME=URL, once for each custodian", g)
		}
		out[name] = url
	}
	return out, nil
}

func (e *env) runRequest(ctx context.Context, f *requestFlags, files []string) (err error) {
	if f.out == "-" {
		return usagef("--out -: request makes three files; name them without a suffix")
	}
	a := &f.ask
	if a.Gates, err = parseGates(f.gates); err != nil {
		return err
	}
	charter, err := e.readCharter(f.charter)
	if err != nil {
		return err
	}
	if a.Charter, err = e.read(f.charter, tlog.MaxProofSize); err != nil {
		return err
	}
	if f.warrant != "" {
		if f.openings == "" {
			f.openings = strings.TrimSuffix(strings.TrimSuffix(f.warrant, proofSuffix), eventSuffix) + openingsSuffix
		}
		if a.Warrant, err = e.read(f.warrant, tlog.MaxProofSize); err != nil {
			return err
		}
		if a.WarrantOpenings, err = e.read(f.openings, event.MaxOpeningsSize); err != nil {
			return err
		}
	}
	if f.until != "" {
		if a.Until, err = parseUntil(f.until, time.Now().UTC()); err != nil {
			return err
		}
	}
	if a.Files, err = command.Each(files, e.readPackages); err != nil {
		return err
	}
	if a.Signer, err = eventkey.Load(ctx, f.key); err != nil {
		return err
	}
	c, err := a.Case()
	if err != nil {
		return err
	}
	ev, err := event.Parse(c.Event)
	if err == nil {
		err = choose(charter.charter, ev, nil)
	}
	if err != nil {
		return err
	}
	return e.writeRequest(f.out, c, files)
}

// writeRequest writes the files of a request, all or none, and prints what is to be done.
func (e *env) writeRequest(out string, c *agency.Case, files []string) error {
	b, err := c.Bytes()
	if err != nil {
		return err
	}
	id, err := plugincmd.Identity(out + ".case")
	if err != nil {
		return err
	}
	var made []string
	for _, file := range []struct {
		suffix string
		data   []byte
		mode   fs.FileMode
	}{{".access", c.Event, 0o644}, {openingsSuffix, c.AccessOpenings, 0o600}, {".case", b, 0o600}} {
		if err := e.create(out+file.suffix, file.data, file.mode); err != nil {
			for _, name := range made {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		}
		made = append(made, out+file.suffix)
	}
	e.printf("# Give %s.access and %s.openings to the provider, who signs and logs them:\n", out, out)
	e.printf("#   vasistas sign --payload %s.access --key PROVIDERKEY --out %s.event\n#   vasistas append --policy POLICY %s.event\n", out, out, out)
	e.printf("# Then open, which finds the access in the log:\n#   vasistas open --case %s.case --policy POLICY -o FILE %s\n", out, files[0])
	e.printf("# or, after that, with this file as an identity of age:\n%s\n", id)
	return nil
}
