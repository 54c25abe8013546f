// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

type replayFlags struct {
	logFlags
	state, at string
	maxAge    time.Duration
	list      int
	json      bool
}

func (f *replayFlags) add(c *cobra.Command, list int) {
	f.addPolicy(c)
	c.Flags().StringVar(&f.state, "state", "", "state file to resume from, made by the first run")
	c.Flags().StringVar(&f.at, "at", "", "time, like 2006-01-02T15:04:05Z, of a copy of a log: its head must not be stale at that time (default: now)")
	durationVar(c, &f.maxAge, "max-age", 0, "greatest age of the log's head, like 10m or 2d (default: what the charter's profile allows)")
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
another log, policy or history; name another file to replay the whole log.

Exit code: 0 if the log kept its rules; 1 if a rule is broken, an obligation is
overdue, or the log signed a fork; 2 if audit can't tell: the log can't be read, a
file does not fit the tree (which may be the mirror's fault), the policy is not
met, the log goes back to a smaller tree, or its head is older than --max-age or,
without it, than the charter's profile allows (stale). For a copy of a log, say with
--at of what time it is. A violation decides even if the audit could not be finished.`,
		Example: `  vasistas audit --policy policy.txt https://log.example
  vasistas audit --policy policy.txt --state audit.state --json /srv/mirror`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error {
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
	config := audit.Config{Origin: f.origin, Progress: e.auditProgress(), Now: time.Now(), MaxAge: f.maxAge}
	if f.at != "" {
		var err error
		if config.Now, err = time.Parse(time.RFC3339, f.at); err != nil {
			return client.Config{}, config, usagef("--at %s: want a time like 2006-01-02T15:04:05Z", f.at)
		}
	}
	if f.list < 0 {
		return client.Config{}, config, usagef("--list %d: it must not be negative", f.list)
	}
	remote, err := e.clientConfig(&f.logFlags, true, "give the URL of the log, or a directory: the policy has no URL of the log")
	if config.Policy = remote.Policy; err != nil {
		return remote, config, err
	}
	remote.Policy = remote.Policy.WithSpread(tlog.NoSpread) // the audit takes the charter's
	if f.state == "" {
		return remote, config, nil
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

const noticeSuffix = ".notice"

const maxSeedFile = 4096

type scanFlags struct {
	replayFlags
	identity, save, keep string
}

func (e *env) scan() *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan -i FILE --policy FILE [URL | DIRECTORY]",
		Short: "Find the notices to you in a log",
		Long: `scan tries every notice in a log with the keys of your seed, and replays the log like
'vasistas audit'. For each case it shows who allowed the access, who opened your data
and with which custodians; and which of this is proven by the case's files, proven by
the replay, or an auditor's word. It also shows up to when nothing else was disclosed
about you, and how many releases are still sealed.

scan reads all files of the log, and none of them twice, so the server can't learn
whether scan found a notice. It keeps files read from a URL in the directory of
--keep, which needs space for the whole log. By default that is FILE.tiles for
--state FILE, or else a temporary directory. Only full files, of 256 entries or
hashes, are kept: of a small log the directory has none.

With --state scan resumes where it stopped. At entries that it has read, it tries the
keys of the months since then, too. The state has the notices to you, so its
mode is 0600. With --save scan writes each notice with its proofs to a file, which
anyone can check with 'vasistas verify'.

Exit code: 0 if there is no notice to you and the log kept its rules, so every notice
due was disclosed; 1 if scan found a notice; 2 if it can't tell: the log could not be
read to its head, broke its rules, shows a head that is too old (see --at and
--max-age), or has a notice to you that proves no access.`,
		Example: `  vasistas scan -i me.key --policy policy.txt https://log.example
  vasistas scan -i me.key --policy policy.txt --state me.state --save cases --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runScan(ctx, &f, args) }),
	}
	f.add(c, 20)
	fl := c.Flags()
	fl.StringVarP(&f.identity, "identity", "i", "", "file of your seed, made by 'vasistas escrow seed'")
	fl.StringVar(&f.save, "save", "", "directory for the notices with their proofs")
	fl.StringVar(&f.keep, "keep", "", "directory for the files of a log read from a URL")
	c.MarkFlagRequired("identity")
	return c
}

func (e *env) readSeed(name string) (*escrow.Seed, error) {
	return readAs(e, name, maxSeedFile, escrow.ParseSeed)
}

func (e *env) runScan(ctx context.Context, f *scanFlags, args []string) error {
	remote, config, err := e.replay(&f.replayFlags, args, "scanned", 0o600)
	if err != nil {
		return err
	}
	c := scan.Config{Config: config}
	if c.Seed, err = e.readSeed(f.identity); err != nil {
		return err
	}
	var temporary string
	if remote.Keep, temporary, err = keepDir(f, remote.URL); err != nil {
		return err
	}
	defer os.RemoveAll(temporary) // "" is none
	if c.Client, err = client.New(remote); err != nil {
		return err
	}
	r, err := scan.Run(ctx, c)
	c.Progress(0, 0)
	if err != nil {
		return err
	}
	if remote.Keep != "" && slices.ContainsFunc(r.Audit.Reasons, func(why audit.Reason) bool { return why.Code == audit.ReasonCorrupt }) {
		e.note("vasistas: the log serves a damaged file, or a file in %s is damaged; to read the log again, remove that directory and the state", remote.Keep)
	}
	if f.save != "" {
		if err := e.saveNotices(f.save, r); err != nil {
			return err
		}
	}
	return e.printReport(&f.replayFlags, english.ScanJSON(r), english.Scan(r, f.list), int(r.Outcome()))
}

// keepDir returns the directory for the log's files, "" if the log is a directory itself,
// and the temporary directory to be removed after the scan, if there is one.
func keepDir(f *scanFlags, url string) (dir, temporary string, err error) {
	switch {
	case f.keep != "":
		return f.keep, "", nil
	case !isURL(url):
		return "", "", nil
	case f.state != "":
		return f.state + ".tiles", "", nil
	}
	dir, err = os.MkdirTemp("", "vasistas-scan-")
	return dir, dir, err
}

func (e *env) saveNotices(dir string, r *scan.Report) error {
	if err := os.MkdirAll(dir, 0o700); errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("--save %s: it is a file; name a directory", dir)
	} else if err != nil {
		return err
	}
	for _, c := range r.Cases {
		for _, n := range c.Notices {
			b, err := n.File.Bytes()
			if err != nil {
				return err
			}
			name := filepath.Join(dir, fmt.Sprintf("%d-%s-%s%s", n.Access.Index, n.Release.By, n.Digest[:16], noticeSuffix))
			if err := durable.ReplaceFile(name, b, 0o600, notice.Is); err != nil {
				return err
			}
		}
	}
	return nil
}

type dueFlags struct {
	replayFlags
	within time.Duration
	csv    bool
}

func (e *env) due() *cobra.Command {
	var f dueFlags
	c := &cobra.Command{
		Use:   "due --policy FILE [URL | DIRECTORY]",
		Short: "Show what is overdue, what is due, and what is sealed until when",
		Long: `due replays a log like 'vasistas audit', and shows what each party owes: what is
overdue, what is due within --within or in its grace, and until when the rest is
sealed. It judges by the time that the witnesses prove, and not by this machine's
clock.

Name the log by its URL, or by the directory of a copy, such as one of 'vasistas
mirror'. In place of a copy you can name the directory of a log on this machine,
which has tree, state and vault: then due also says what the vault lacks.

--csv and --json list each obligation.

Exit code: 0 if nothing is overdue; 1 if something is; 2 if due can't tell, for the
reasons of 'vasistas audit'. A breach is not overdue any more: the audit shows it.`,
		Example: `  vasistas due --policy policy.txt https://log.example
  vasistas due --policy policy.txt --within 30d --csv /srv/mirror > due.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runDue(ctx, &f, args) }),
	}
	f.add(c, 100)
	durationVar(c, &f.within, "within", 7*24*time.Hour, "time ahead in which an obligation counts as due")
	c.Flags().BoolVar(&f.csv, "csv", false, "print CSV: a line for each obligation")
	c.MarkFlagsMutuallyExclusive("csv", "json")
	return c
}

func (e *env) runDue(ctx context.Context, f *dueFlags, args []string) error {
	remote, config, err := e.replay(&f.replayFlags, args, "replayed", 0o644)
	if err != nil {
		return err
	}
	var kept *kept
	if _, err := os.Stat(filepath.Join(remote.URL, "state", "checkpoint")); err == nil { // a log's own directory, and no copy
		if f.state != "" {
			return usagef("--state: a log's own directory is compared with its vault, which takes the whole log; leave out --state")
		}
		remote.Source = ownLog{client.Dir(filepath.Join(remote.URL, "tree")), client.Dir(filepath.Join(remote.URL, "state"))}
		if kept, err = readVault(remote.URL); err != nil {
			e.note("vasistas: what the vault lacks is unknown: %v", err)
		}
	}
	if config.Client, err = client.New(remote); err != nil {
		return err
	}
	var l *ledger.Ledger
	config.Observe = func(of *ledger.Ledger, _ *tlog.Verified) (o replica.Observer, _ error) {
		if l = of; kept != nil {
			o.Before = kept.see
		}
		return o, nil
	}
	r := audit.Run(ctx, config)
	config.Progress(0, 0)
	d := r.Due(l, f.within)
	if kept != nil {
		kept.compare(d)
	}
	if f.csv {
		if err := e.printDue(d); err != nil {
			return err
		}
		return e.printReport(&f.replayFlags, nil, "", int(d.Result()))
	}
	return e.printReport(&f.replayFlags, d, english.Due(d, f.list), int(d.Result()))
}

type ownLog struct {
	client.Source // of the tree
	state         client.Source
}

func (o ownLog) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return o.state.ReadCheckpoint(ctx)
}

// kept is what a vault holds.
type kept struct {
	events  map[event.Digest]bool
	entries map[uint64]bool // those of events
}

func readVault(dir string) (*kept, error) {
	v, err := vault.OpenReadOnly(vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "keys", "vault.key")})
	if err != nil {
		return nil, err
	}
	k := &kept{make(map[event.Digest]bool), make(map[uint64]bool)}
	for _, h := range v.All() {
		k.events[h] = true
	}
	return k, nil
}

func (k *kept) see(e *ledger.Entry, _ any) error {
	if e.Envelope != nil && k.events[e.Envelope.Hash()] {
		k.entries[e.Index] = true
	}
	return nil
}

// compare says of each disclosure whether the vault has what it opens.
func (k *kept) compare(d *audit.Due) {
	for i := range d.Items {
		if item := &d.Items[i]; item.Rule == "disclosure" {
			item.InVault = new(k.entries[item.Index])
		}
	}
}

func (e *env) printDue(d *audit.Due) error {
	w := csv.NewWriter(e.stdout)
	w.Write([]string{"state", "debtor", "rule", "way", "entry", "due", "late", "text", "cure", "in vault"})
	for _, o := range d.Items {
		in := ""
		if o.InVault != nil {
			in = map[bool]string{true: "yes", false: "no"}[*o.InVault]
		}
		w.Write([]string{o.State, o.By, o.Rule, o.Way, fmt.Sprint(o.Index), o.Due.Format(time.RFC3339), o.Late.Format(time.RFC3339), o.Text, o.Cure, in})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	for _, why := range d.Reasons {
		e.note("vasistas: could not tell: %v", why.Err)
	}
	return nil
}
