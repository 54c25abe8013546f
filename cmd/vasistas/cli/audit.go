// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
)

type auditFlags struct {
	logFlags
	state string
	list  int
	json  bool
}

func (e *env) audit() *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "audit --policy FILE [URL | DIRECTORY]",
		Short: "Replay a whole log, and say whether it kept its rules",
		Long: `audit reads every entry of a log up to its present head, and checks everything
again: the head's signatures and cosignatures under your policy, each entry and
tile up to the signed root, each signature of each entry, and each rule. It
trusts nothing but the policy file.

The log is given by its URL, or as a directory with its tiles: a mirror. Without
either, the policy says where the log is.

With --state it goes on where it stopped: at the end, or when it was interrupted.
The state file is your own and is kept like the policy file. One that is damaged,
or of another log, policy or history, is refused; remove it to replay the log.

Exit code: 0 if the log is clean; 1 if it breaks a rule, something is overdue, or
it signed a fork; 2 if it could not tell: the log can't be read, a file of it does
not fit its tree (which may be the mirror's fault), the policy is not met, or the
log goes back. What was proven before an audit had to stop decides.`,
		Example: `  vasistas audit --policy policy.txt https://log.example
  vasistas audit --policy policy.txt --state audit.state --json /srv/mirror`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error {
			err := e.runAudit(ctx, &f, args)
			var exit *exitError
			if err != nil && !errors.As(err, &exit) {
				return &exitError{int(audit.Undecided), err}
			}
			return err
		}),
	}
	f.addPolicy(c)
	c.Flags().StringVar(&f.state, "state", "", "file that remembers what was audited")
	c.Flags().IntVar(&f.list, "list", 10, "how much of each list is shown")
	c.Flags().BoolVar(&f.json, "json", false, "print the report as one line of JSON")
	return c
}

func (e *env) runAudit(ctx context.Context, f *auditFlags, args []string) error {
	if len(args) > 0 {
		f.log = args[0]
	}
	if f.list < 0 {
		return usagef("--list %d: it must not be negative", f.list)
	}
	config, err := e.auditConfig(f)
	if err != nil {
		return err
	}
	config.Progress = e.auditProgress()
	if f.state != "" {
		b, err := e.read(f.state, replica.MaxSnapshotSize)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.note("vasistas: there is no %s yet: the log is replayed from its start", f.state)
		case err != nil:
			return err
		default:
			config.Snapshot = b
		}
		config.Save = func(b []byte) error { return durable.WriteFile(f.state, b, 0o644) }
	}
	r := audit.Run(ctx, *config)
	config.Progress(0, 0)
	if f.json {
		err = e.printJSON(r)
	} else {
		_, err = fmt.Fprint(e.stdout, english.Audit(r, f.list))
	}
	if err != nil {
		return err
	}
	if v := r.Result(); v != audit.Clean {
		return &exitError{code: int(v)}
	}
	return nil
}

// auditConfig makes what every audit needs.
func (e *env) auditConfig(f *auditFlags) (*audit.Config, error) {
	if f.policy == "" {
		return nil, usagef("give --policy FILE: without one, nothing that the log says can be believed")
	}
	policy, err := e.readPolicy(f.policy)
	if err != nil {
		return nil, err
	}
	config := client.Config{URL: f.log, Origin: f.origin, Policy: policy, UserAgent: "vasistas/" + version()}
	if config.URL == "" {
		config.URL = policyURL(policy, f.origin)
	}
	if config.URL == "" {
		return nil, usagef("give the URL of the log, or a directory: the policy has no URL of it")
	}
	cl, err := client.New(config)
	if err != nil {
		return nil, err
	}
	return &audit.Config{Client: cl, Policy: policy, Origin: f.origin}, nil
}

// auditProgress returns a function that shows a bar with the rate of this run and
// the time that is left at it. A size of 0 removes the bar.
func (e *env) auditProgress() func(done, size uint64) {
	bar := e.progress("entries")
	var first uint64
	var start time.Time
	return func(done, size uint64) {
		switch {
		case size == 0:
			bar.clear()
			return
		case start.IsZero():
			first, start = done, time.Now()
		}
		bar.what = rateText(done-first, size-done, time.Since(start))
		bar.set(done, size)
	}
}

// rateText says how fast it goes and how long the rest will take, once that can
// be told.
func rateText(done, left uint64, took time.Duration) string {
	if took < time.Second || done == 0 {
		return "entries"
	}
	rate := float64(done) / took.Seconds()
	rest := time.Duration(float64(left) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("entries, %.0f/s, %s left", rate, rest)
}
