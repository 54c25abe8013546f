// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
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
