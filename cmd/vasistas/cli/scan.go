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
--state FILE, or else a temporary directory.

With --state scan resumes where it stopped. The state has the notices to you, so its
mode is 0600. With --save scan writes each notice with its proofs to a file, which
anyone can check with 'vasistas verify'.

Exit code: 0 if there is no notice to you and the log kept its rules, so every notice
due was disclosed; 1 if scan found a notice; 2 if it can't tell: the log could not be
read to its head, broke its rules, or has a notice to you that proves no access.`,
		Example: `  vasistas scan -i me.key --policy policy.txt https://log.example
  vasistas scan -i me.key --policy policy.txt --state me.state --save cases --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: orExit(int(scan.Undecided), func(ctx context.Context, args []string) error { return e.runScan(ctx, &f, args) }),
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
	case !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://"):
		return "", "", nil
	case f.state != "":
		return f.state + ".tiles", "", nil
	}
	dir, err = os.MkdirTemp("", "vasistas-scan-")
	return dir, dir, err
}

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
