// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
)

type replayFlags struct {
	logFlags
	state string
	list  int
	json  bool
}

func (f *replayFlags) add(c *cobra.Command, list int) {
	f.addPolicy(c)
	c.Flags().StringVar(&f.state, "state", "", "state file to resume from, made by the first run")
	c.Flags().IntVar(&f.list, "list", list, "number of elements to show of each list")
	c.Flags().BoolVar(&f.json, "json", false, "print the report as one line of JSON")
}

func (e *env) audit() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "audit --policy FILE [URL | DIRECTORY]",
		Short: "Replay a whole log, and check whether it kept its rules",
		Long: `audit reads every entry of a log up to its present head. It checks the head's
signatures and cosignatures under your policy, each entry and tile up to the
signed root, each signature of each entry, and each rule. It trusts only the
policy file.

Name the log by its URL, or by a directory with its tiles, such as a mirror. By
default the policy names the URL.

With --state audit resumes where an earlier run ended or was interrupted. Protect
the state file like the policy file. audit refuses a state that is damaged, or of
another log, policy or history; remove the file to replay the whole log.

Exit code: 0 if the log kept its rules; 1 if a rule is broken, an obligation is
overdue, or the log signed a fork; 2 if audit can't tell: the log can't be read, a
file does not fit the tree (which may be the mirror's fault), the policy is not
met, or the log goes back to a smaller tree. A violation decides even if the audit
could not be finished.`,
		Example: `  vasistas audit --policy policy.txt https://log.example
  vasistas audit --policy policy.txt --state audit.state --json /srv/mirror`,
		Args: cobra.MaximumNArgs(1),
		RunE: orExit(int(audit.Undecided), func(ctx context.Context, args []string) error {
			remote, config, err := e.replay(&f, args, "replayed", 0o644)
			if err != nil {
				return err
			}
			if config.Client, err = client.New(remote); err != nil {
				return err
			}
			r := audit.Run(ctx, config)
			config.Progress(0, 0)
			return e.printReport(&f, r, english.Audit(r, f.list), int(r.Result()))
		}),
	}
	f.add(c, 10)
	return c
}

// replay returns the configurations of a client and of a replay. verb is for the note that
// there is no state yet; mode is the state file's.
func (e *env) replay(f *replayFlags, args []string, verb string, mode fs.FileMode) (client.Config, audit.Config, error) {
	if len(args) > 0 {
		f.log = args[0]
	}
	config := audit.Config{Origin: f.origin, Progress: e.auditProgress()}
	if f.list < 0 {
		return client.Config{}, config, usagef("--list %d: it must not be negative", f.list)
	}
	remote, err := e.clientConfig(&f.logFlags, true, "give the URL of the log, or a directory: the policy has no URL of the log")
	if config.Policy = remote.Policy; err != nil || f.state == "" {
		return remote, config, err
	}
	config.Snapshot, err = e.read(f.state, replica.MaxSnapshotSize)
	if errors.Is(err, fs.ErrNotExist) {
		e.note("vasistas: there is no state file %s yet, so the log is %s from its start", f.state, verb)
		err = nil
	}
	config.Save = func(b []byte) error { return durable.WriteFile(f.state, b, mode) }
	return remote, config, err
}

// printReport prints the report of a replay, as JSON or as text. It returns a code other
// than 0 as an error.
func (e *env) printReport(f *replayFlags, asJSON any, text string, code int) (err error) {
	if f.json {
		err = e.printJSON(asJSON)
	} else {
		_, err = io.WriteString(e.stdout, text)
	}
	if err == nil && code != 0 {
		err = &exitError{code: code}
	}
	return err
}

// auditProgress returns a function that shows a bar with this run's rate and the time
// left. A size of 0 removes the bar.
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

// rateText returns the rate and the time left, once they are known.
func rateText(done, left uint64, took time.Duration) string {
	if took < time.Second || done == 0 {
		return "entries"
	}
	rate := float64(done) / took.Seconds()
	rest := time.Duration(float64(left) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("entries, %.0f/s, %s left", rate, rest)
}
