// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/notices"
	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/durable"
)

type scanFlags struct {
	auditFlags
	seed, out string
}

func (e *env) scan() *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan -i SEED --policy FILE [URL | DIRECTORY]",
		Short: "Find what was opened about you, in the whole log",
		Long: `scan reads a whole log, replays it as audit does, and tries the keys of your seed on
each notice that the log has published. Each case that it finds it tells in plain
words, with what is proven by the notice and its entries, by the replay, and by the
auditors' word. And it says what it can't see: notices that are still sealed, and
until when.

Nobody learns what you look for: scan reads the same files as everyone else, all of
them, and once more if it has found something. With --out it also writes each case
as a file that 'vasistas verify' reads; the proofs for it are fetched one by one,
which tells the server of the log what concerns you, so use a mirror.

With --state it goes on where it stopped. The state holds your notices.

Exit code: 0 if the whole log was scanned and kept its rules, whatever was found; 1 if
the log breaks a rule, something is overdue, it signed a fork, or a notice to you
contradicts it; 2 if it could not tell.`,
		Example: `  vasistas scan -i me.key --policy policy.txt https://log.example
  vasistas scan -i me.key --policy policy.txt --state me.state --json /srv/mirror`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error {
			err := e.runScan(ctx, &f, args)
			var exit *exitError
			if err != nil && !errors.As(err, &exit) {
				return &exitError{int(audit.Undecided), err}
			}
			return err
		}),
	}
	f.addPolicy(c)
	c.Flags().StringVarP(&f.seed, "identity", "i", "", "file of your seed")
	c.Flags().StringVar(&f.state, "state", "", "file that remembers what was scanned, and found (mode 0600)")
	c.Flags().StringVar(&f.out, "out", "", "directory for the cases, as files to keep and show")
	c.Flags().IntVar(&f.list, "list", 10, "how much of each list is shown")
	c.Flags().BoolVar(&f.json, "json", false, "print the report as one line of JSON")
	c.MarkFlagRequired("identity")
	return c
}

func (e *env) readSeed(name string) (*escrow.Seed, error) {
	b, err := e.read(name, 256)
	if err != nil {
		return nil, err
	}
	s, err := escrow.ParseSeed(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// logOrigin is the origin of the log that a policy and a flag speak of.
func logOrigin(p *c2sp.Policy, origin string) (string, error) {
	switch {
	case origin != "":
		return origin, nil
	case len(p.Logs) == 1:
		return p.Logs[0].Key.Name, nil
	}
	for _, l := range p.Logs {
		if l.Key.Name != p.Logs[0].Key.Name {
			return "", usagef("the policy has several logs: give --origin")
		}
	}
	if len(p.Logs) == 0 {
		return "", usagef("the policy has no log")
	}
	return p.Logs[0].Key.Name, nil
}

func (e *env) runScan(ctx context.Context, f *scanFlags, args []string) error {
	if len(args) > 0 {
		f.log = args[0]
	}
	if f.list < 0 {
		return usagef("--list %d: it must not be negative", f.list)
	}
	seed, err := e.readSeed(f.seed)
	if err != nil {
		return err
	}
	a, err := e.auditConfig(&f.auditFlags)
	if err != nil {
		return err
	}
	config := notices.Config{Audit: *a, Seed: seed}
	if config.Origin, err = logOrigin(a.Policy, f.origin); err != nil {
		return err
	}
	config.Audit.Progress = e.auditProgress()
	if f.state != "" {
		b, err := e.read(f.state, notices.MaxStateSize)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.note("vasistas: there is no %s yet: the log is scanned from its start", f.state)
		case err != nil:
			return err
		default:
			config.State = b
		}
		config.Save = func(b []byte) error { return durable.WriteFile(f.state, b, 0o600) }
	}
	r := notices.Scan(ctx, config)
	config.Audit.Progress(0, 0)
	if f.json {
		err = e.printJSON(r)
	} else {
		_, err = fmt.Fprint(e.stdout, r.Text(f.list))
	}
	if err == nil && f.out != "" {
		err = e.writeCases(ctx, f.out, a, r)
	}
	if err != nil {
		return err
	}
	if v := r.Result(); v != audit.Clean {
		return &exitError{code: int(v)}
	}
	return nil
}

// writeCases writes a file for each case that is not there yet.
func (e *env) writeCases(ctx context.Context, dir string, a *audit.Config, r *notices.Report) error {
	if len(r.Cases) == 0 {
		return nil
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	head, err := a.Client.Checkpoint(ctx)
	if err != nil {
		return err
	}
	for _, c := range r.Cases {
		f, err := c.File(ctx, a.Client, head)
		if err != nil {
			return err
		}
		b, err := f.Bytes()
		if err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("release-%d.notice", c.Release))
		if len(c.Packages) > 0 {
			// One release may hold several notices to one person.
			name = filepath.Join(dir, fmt.Sprintf("release-%d-%.8s.notice", c.Release, c.Packages[0]))
		}
		if err := durable.CreateFile(name, b, 0o600); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		e.note("vasistas: %s", name)
	}
	return nil
}
