// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
)

// noticeSuffix ends the name of a notice that is kept.
const noticeSuffix = ".notice"

// maxSeedFile bounds a seed file.
const maxSeedFile = 4096

type scanFlags struct {
	replayFlags
	identity, save, keep string
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
		RunE: orExit(int(scan.Undecided), func(ctx context.Context, args []string) error { return e.runScan(ctx, &f, args) }),
	}
	f.add(c, "read and found", 20)
	fl := c.Flags()
	fl.StringVarP(&f.identity, "identity", "i", "", "file of your seed, that 'vasistas escrow seed' made")
	fl.StringVar(&f.save, "save", "", "directory in which each notice is kept with its proofs")
	fl.StringVar(&f.keep, "keep", "", "directory in which the log is kept as it is read from a URL")
	c.MarkFlagRequired("identity")
	return c
}

// readSeed reads a seed file.
func (e *env) readSeed(name string) (*escrow.Seed, error) {
	return readAs(e, name, maxSeedFile, escrow.ParseSeed)
}

func (e *env) runScan(ctx context.Context, f *scanFlags, args []string) error {
	remote, config, err := e.replay(&f.replayFlags, args, "scanned", 0o600)
	if err != nil {
		return err
	}
	c := scan.Config{Config: config, Now: time.Now()}
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
		e.note("vasistas: what was served, or what is kept in %s, is damaged; to read the log again, remove that directory and the state", remote.Keep)
	}
	if f.save != "" {
		if err := e.saveNotices(f.save, r); err != nil {
			return err
		}
	}
	return e.printReport(&f.replayFlags, english.ScanJSON(r), english.Scan(r, f.list), int(r.Outcome()))
}

// keepDir returns where the log is kept, "" if it is read from files anyway, and the
// directory to be removed after the scan, if that is a temporary one.
func keepDir(f *scanFlags, url string) (dir, temporary string, err error) {
	switch {
	case f.keep != "":
		return f.keep, "", nil
	case !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://"):
		return "", "", nil
	case f.state != "":
		return f.state + ".tiles", "", nil
	}
	dir, err = os.MkdirTemp("", "vasistas-scan-")
	return dir, dir, err
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
