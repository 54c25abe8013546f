// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

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
		RunE: orExit(int(audit.Undecided), func(ctx context.Context, args []string) error { return e.runDue(ctx, &f, args) }),
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

// ownLog reads a log's own directory.
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

// see notes an entry of the log.
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

// printDue prints what is owed as CSV.
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
