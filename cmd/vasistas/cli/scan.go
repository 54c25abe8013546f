// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// noticeSuffix ends the name of a notice that is kept.
const noticeSuffix = ".notice"

// maxSeedFile bounds a seed file.
const maxSeedFile = 4096

type scanFlags struct {
	logFlags
	identity, state, save, keep string
	list                        int
	json                        bool
}

func (e *env) scan() *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan -i FILE --policy FILE [URL | DIRECTORY]",
		Short: "Find what was disclosed about you, and what is not yet",
		Long: `scan looks for notices to you in a whole log: it tries each with the keys that
come of your seed, and replays the log as 'vasistas audit' does. It says which case
it was, who allowed it, who opened your data and by which custodians, and what of
that is proven by the files of the case, by the replay, or is an auditor's word. It
also says what is not there: up to when nothing else was disclosed about you, and
how many releases are still sealed.

It only reads static files, all of them, and none of them again: what it has read of
a URL it keeps, in the directory of --keep, so that nobody learns from what it asks
whether something was found. Without --keep that is FILE.tiles for a --state FILE, or
else a temporary directory. The log's whole size is needed there.

With --state it goes on where it stopped. The state says what was found, so it is
written with mode 0600. With --save each notice is kept with its proofs, as a file
that 'vasistas verify' accepts, and that shows the case to whoever you give it.

Exit code: 0 if nothing was found, and the log kept its rules, so that what had to be
disclosed was; 1 if a notice was found; 2 if it could not tell: the log could not be
read to its head, broke its rules, or has a notice for you that proves nothing.`,
		Example: `  vasistas scan -i me.key --policy policy.txt https://log.example
  vasistas scan -i me.key --policy policy.txt --state me.state --save cases --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error {
			err := e.runScan(ctx, &f, args)
			var exit *exitError
			if err != nil && !errors.As(err, &exit) {
				return &exitError{int(scan.Undecided), err}
			}
			return err
		}),
	}
	f.addPolicy(c)
	fl := c.Flags()
	fl.StringVarP(&f.identity, "identity", "i", "", "file of your seed, that 'vasistas escrow seed' made")
	fl.StringVar(&f.state, "state", "", "file that remembers what was read and found")
	fl.StringVar(&f.save, "save", "", "directory in which each notice is kept with its proofs")
	fl.StringVar(&f.keep, "keep", "", "directory in which the log is kept as it is read from a URL")
	fl.IntVar(&f.list, "list", 20, "how much of each list is shown")
	fl.BoolVar(&f.json, "json", false, "print the report as one line of JSON")
	c.MarkFlagRequired("identity")
	return c
}

// readSeed reads a seed file.
func (e *env) readSeed(name string) (*escrow.Seed, error) {
	b, err := e.read(name, maxSeedFile)
	if err != nil {
		return nil, err
	}
	s, err := escrow.ParseSeed(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (e *env) runScan(ctx context.Context, f *scanFlags, args []string) error {
	if len(args) > 0 {
		f.log = args[0]
	}
	if f.list < 0 {
		return usagef("--list %d: it must not be negative", f.list)
	}
	c, kept, clean, err := e.scanConfig(f)
	if err != nil {
		return err
	}
	defer clean()
	c.Progress = e.auditProgress()
	r, err := scan.Run(ctx, *c)
	c.Progress(0, 0)
	if err != nil {
		return err
	}
	if kept != "" && slices.ContainsFunc(r.Audit.Reasons, func(why audit.Reason) bool { return why.Code == audit.ReasonCorrupt }) {
		e.note("vasistas: what was served, or what is kept in %s, is damaged; to read the log anew, remove that directory, and the state", kept)
	}
	if f.save != "" {
		if err := e.saveNotices(f.save, r); err != nil {
			return err
		}
	}
	if f.json {
		err = e.printJSON(english.ScanJSON(r))
	} else {
		_, err = fmt.Fprint(e.stdout, english.Scan(r, f.list))
	}
	if err != nil {
		return err
	}
	if r.Outcome() != scan.Nothing {
		return &exitError{code: int(r.Outcome())}
	}
	return nil
}

// scanConfig makes what a scan needs, and says where the log is kept as it is read.
// clean removes what it needs no more.
func (e *env) scanConfig(f *scanFlags) (c *scan.Config, kept string, clean func(), err error) {
	clean = func() {}
	if f.policy == "" {
		return nil, "", clean, usagef("give --policy FILE: without one, nothing that the log says can be believed")
	}
	seed, err := e.readSeed(f.identity)
	if err != nil {
		return nil, "", clean, err
	}
	policy, err := e.readPolicy(f.policy)
	if err != nil {
		return nil, "", clean, err
	}
	config := client.Config{URL: f.log, Origin: f.origin, Policy: policy, UserAgent: "vasistas/" + version()}
	if config.URL == "" {
		config.URL = policyURL(policy, f.origin)
	}
	if config.URL == "" {
		return nil, "", clean, usagef("give the URL of the log, or a directory: the policy has no URL of it")
	}
	c = &scan.Config{Config: audit.Config{Policy: policy, Origin: f.origin}, Seed: seed, Now: time.Now()}
	if err := e.scanState(f, c); err != nil {
		return nil, "", clean, err
	}
	if config.Keep, clean, err = keepDir(f, config.URL); err != nil {
		return nil, "", clean, err
	}
	if c.Client, err = client.New(config); err != nil {
		clean()
		return nil, "", func() {}, err
	}
	return c, config.Keep, clean, nil
}

// keepDir returns where the log is kept, "" if it is read from files anyway.
func keepDir(f *scanFlags, url string) (dir string, clean func(), err error) {
	clean = func() {}
	switch {
	case f.keep != "":
		return f.keep, clean, nil
	case !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://"):
		return "", clean, nil
	case f.state != "":
		return f.state + ".tiles", clean, nil
	}
	if dir, err = os.MkdirTemp("", "vasistas-scan-"); err != nil {
		return "", clean, err
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

func (e *env) scanState(f *scanFlags, c *scan.Config) error {
	if f.state == "" {
		return nil
	}
	b, err := e.read(f.state, replica.MaxSnapshotSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.note("vasistas: there is no %s yet: the log is scanned from its start", f.state)
	case err != nil:
		return err
	default:
		c.Snapshot = b
	}
	c.Save = func(b []byte) error { return durable.WriteFile(f.state, b, 0o600) }
	return nil
}

// saveNotices keeps each notice under the digest that its release states.
func (e *env) saveNotices(dir string, r *scan.Report) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, c := range r.Cases {
		for _, n := range c.Notices {
			b, err := n.File.Bytes()
			if err != nil {
				return err
			}
			name := filepath.Join(dir, fmt.Sprintf("%d-%s-%s%s", n.Access.Index, n.Release.By, n.Digest[:16], noticeSuffix))
			if err := durable.WriteFile(name, b, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

type noticeKeyFlags struct{ seed, origin, period, kem string }

func (e *env) escrowKey() *cobra.Command {
	var f noticeKeyFlags
	c := &cobra.Command{
		Use:   "key --seed FILE --origin LOG",
		Short: "Print your notice key of a month",
		Long: `key prints the public key to which notices about you are encrypted, for one log and
one month, in canonical JSON: for a program that makes escrow packages by itself.
It is derived from your seed, and says nothing about any other key of it.`,
		Example: `  vasistas escrow key --seed me.key --origin example.com/log --period 2026-11`,
		Args:    cobra.NoArgs,
		RunE:    do(func(context.Context, []string) error { return e.runNoticeKey(&f) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.seed, "seed", "", "file of your seed")
	fl.StringVar(&f.origin, "origin", "", "origin of the log")
	fl.StringVar(&f.period, "period", "", "month of the key, as 2026-01 (default: this month)")
	fl.StringVar(&f.kem, "kem", string(event.KEMMLKEMX25519), "mlkem768-x25519 (post-quantum) or x25519")
	c.MarkFlagRequired("seed")
	c.MarkFlagRequired("origin")
	return c
}

func (e *env) runNoticeKey(f *noticeKeyFlags) error {
	k, err := e.noticeKey(f.seed, f.origin, f.period, f.kem)
	if err != nil {
		return err
	}
	b, err := k.Public().Bytes()
	if err != nil {
		return err
	}
	e.printf("%s\n", b)
	return nil
}
