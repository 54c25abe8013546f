// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

type followFlags struct {
	logFlags
	from      uint64
	state     string
	untilHead bool
	raw       bool
	poll      time.Duration
}

func (e *env) follow() *cobra.Command {
	var f followFlags
	c := &cobra.Command{
		Use:   "follow",
		Short: "Print the log's entries as they are verified",
		Long: `follow prints each entry of the log as a line of JSON, in order, once the entry is
proven to be in the tree of a checkpoint that meets the policy and extends every
earlier checkpoint. If the log signs a fork, follow prints both checkpoints as
evidence, and stops. A head that the policy does not accept is not believed; if it
contradicts an accepted one of its size, follow prints both, and goes on.

With --state follow resumes where it stopped. It writes the file after printing, so
after a crash a line may come twice, but none is lost.`,
		Example: "  vasistas follow --policy policy.txt --state follow.state --until-head",
		Args:    cobra.NoArgs,
		RunE:    do(func(ctx context.Context, _ []string) error { return e.runFollow(ctx, &f) }),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.from, "from", 0, "first index to print, if there is no state yet")
	c.Flags().StringVar(&f.state, "state", "", "file to resume from")
	c.Flags().BoolVar(&f.untilHead, "until-head", false, "stop at the present head")
	c.Flags().BoolVar(&f.raw, "raw", false, "also print the exact bytes of each entry, in base64")
	durationVar(c, &f.poll, "poll", time.Second, "pause between two requests for a new head")
	return c
}

// maxSaid bounds the contradicting heads that follow prints.
const maxSaid = 16

func (e *env) runFollow(ctx context.Context, f *followFlags) error {
	o := client.FollowOptions{
		Start: f.from, UntilHead: f.untilHead, Poll: f.poll,
	}
	said := make(map[tlog.Hash]bool) // roots of heads that contradict, which a log may serve for long
	o.Waiting = func(err error) {
		c, ok := errors.AsType[*client.ContradictionError](err)
		if ok && said[c.Fork.Large.Root] {
			return
		}
		if e.note("vasistas: waiting: %v", err); ok && len(said) < maxSaid {
			said[c.Fork.Large.Root] = true
			e.printJSON(map[string]*client.ForkError{"contradiction": c.Fork})
		}
	}
	if f.state != "" {
		b, err := e.read(f.state, client.MaxStateSize)
		if err == nil {
			o.From, err = client.ParseState(b)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	cl, err := e.connect(&f.logFlags, true)
	if err != nil {
		return err
	}
	follower, err := cl.Follower(o)
	if err != nil {
		return err
	}
	err = e.printEntries(ctx, follower, f)
	if fork, ok := errors.AsType[*client.ForkError](err); ok {
		// Print the evidence now: the log may not serve the fork again.
		return errors.Join(err, e.printJSON(map[string]*client.ForkError{"fork": fork}))
	}
	return err
}

func (e *env) printEntries(ctx context.Context, follower *client.Follower, f *followFlags) (err error) {
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	bar := e.progress("entries")
	defer bar.clear()
	save := func() error {
		if err := out.Flush(); err != nil {
			return err
		}
		if f.state == "" || follower.Head() == nil {
			return nil
		}
		return durable.WriteFile(f.state, follower.State().Bytes(), 0o644)
	}
	defer func() { err = errors.Join(err, save()) }()
	unsaved := 0
	for entry, err := range follower.All(ctx) {
		if err != nil && !f.untilHead && ctx.Err() != nil &&
			(errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
			return nil // stopped by a signal
		}
		if err != nil {
			return err
		}
		if err := printEntry(out, entry, f.raw); err != nil {
			return err
		}
		size := entry.Head.Checkpoint.Size
		bar.set(entry.Index+1, size)
		if unsaved++; entry.Index+1 == size || unsaved == saveEvery {
			unsaved = 0
			if err := save(); err != nil {
				return err
			}
		}
	}
	return nil
}

type entryJSON struct {
	Index uint64          `json:"index"`
	Leaf  string          `json:"leaf"`
	Type  event.Type      `json:"type,omitempty"` // "" if the entry is not an event
	Hash  string          `json:"hash,omitempty"` // event hash
	Keys  []string        `json:"keys,omitempty"` // key ids of the signatures, which are not verified
	Event json.RawMessage `json:"event,omitempty"`
	Entry string          `json:"entry,omitempty"` // exact bytes, for other entries than events, or with --raw
}

func printEntry(out *bufio.Writer, entry client.Entry, raw bool) error {
	line := entryJSON{Index: entry.Index, Leaf: entry.Leaf.String()}
	d, err := describeEnvelope(entry.Bytes)
	if err == nil {
		line.Type, line.Hash, line.Event, line.Keys = d.ev.Type, d.Hash, d.Event, d.Keys
	}
	if err != nil || raw {
		line.Entry = base64.StdEncoding.EncodeToString(entry.Bytes)
	}
	return command.PrintJSON(out, line)
}

// saveEvery is the number of entries after which the state file is written. It is also
// written at the end of each head.
const saveEvery = 4096

type mirrorFlags struct {
	logFlags
	from  []string
	check bool
	json  bool
}

func (e *env) mirror() *cobra.Command {
	var f mirrorFlags
	c := &cobra.Command{
		Use:   "mirror --policy FILE [URL] DIRECTORY",
		Short: "Make or renew a verified copy of a log on disk",
		Long: `mirror copies every entry of a log up to its present head into a directory, in the
layout of C2SP tlog-tiles. It checks the head's signatures and cosignatures under your
policy, that the head extends the copy's, and each entry and tile up to the signed
root. The copy's checkpoint is written last, once all else is on stable storage: a
mirror that was interrupted goes on where it was when it runs again.

'vasistas audit', 'scan' and 'follow' read the directory, and any web server can
serve it. By default the policy names the log's URL.

With --from mirror also reads other mirrors of the log, given as a URL or a directory:
a file that one source has wrong, late or not at all comes from another. mirror names
the source that was wrong. With --check it also reads the whole copy back, repairs
what rotted on disk, and compares each source's files with it.

If the log signed a fork, the copy stays as it is, and the evidence is written to
fork.json in the directory; see --json.

Exit code: 0 if the copy has the newest head; 1 if the log signed a fork; 2 if mirror
can't tell: the log or a file can't be read, a file does not fit the tree (which may
be a mirror's fault), the policy is not met, the log goes back to a smaller tree, or
the disk is full.`,
		Example: `  vasistas mirror --policy policy.txt https://log.example /srv/mirror
  vasistas mirror --policy policy.txt --from https://mirror.example --check --json /srv/mirror`,
		Args: cobra.RangeArgs(1, 2),
		RunE: do(func(ctx context.Context, args []string) error {
			if len(args) == 2 {
				f.log = args[0]
			}
			return e.runMirror(ctx, &f, args[len(args)-1])
		}),
	}
	f.addPolicy(c)
	c.Flags().StringArrayVar(&f.from, "from", nil, "URL or directory of another mirror of the log (repeatable)")
	c.Flags().BoolVar(&f.check, "check", false, "read the whole copy back, and repair it")
	c.Flags().BoolVar(&f.json, "json", false, "print the result as one line of JSON")
	return c
}

// mirrored is the result of a run.
type mirrored struct {
	Directory string            `json:"directory"`
	Origin    string            `json:"origin,omitempty"` // of the copy's head; "" without one
	Size      uint64            `json:"size"`
	Root      string            `json:"root,omitempty"`
	New       uint64            `json:"new"`                // entries that this run added
	Checked   int               `json:"checked,omitempty"`  // files that --check read back
	Repaired  []string          `json:"repaired,omitempty"` // those that --check wrote again
	Warnings  []string          `json:"warnings,omitempty"` // what sources did wrong; at most maxWarnings
	Error     string            `json:"error,omitempty"`
	Fork      *client.ForkError `json:"fork,omitempty"`
}

// maxWarnings bounds the warnings of a run. A source that is wrong once is mostly not asked
// again.
const maxWarnings = 20

func (e *env) runMirror(ctx context.Context, f *mirrorFlags, dir string) error {
	log, err := e.clientConfig(&f.logFlags, true, "give the URL of the log: the policy has none, or several")
	if err != nil {
		return err
	}
	r := &mirrored{Directory: dir}
	var mu sync.Mutex
	warn := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if len(r.Warnings) == maxWarnings {
			return
		}
		r.Warnings = append(r.Warnings, err.Error())
		if !f.json {
			e.note("vasistas: %v", err)
		}
	}
	c := mirror.Config{Dir: dir, Origin: f.origin, Warn: warn, Progress: e.auditProgress()}
	c.Policy = log.Policy.WithSpread(tlog.NoSpread) // only the log's charter says which counts
	for _, url := range append([]string{log.URL}, f.from...) {
		from, err := client.New(client.Config{URL: url, UserAgent: log.UserAgent})
		if err != nil {
			return err
		}
		c.Sources = append(c.Sources, mirror.Source{Name: url, Source: from.Source()})
	}
	m, err := mirror.Open(c)
	if err != nil {
		return err
	}
	defer m.Close()
	before := m.Head()
	err = e.updateMirror(ctx, m, f, r, warn)
	c.Progress(0, 0)
	if now := m.Head(); now != nil {
		r.Origin, r.Size, r.Root, r.New = now.Origin, now.Size, now.Root.String(), now.Size
		if before != nil {
			r.New -= before.Size
		}
	}
	return e.printMirrored(f, &c, r, err)
}

func (e *env) updateMirror(ctx context.Context, m *mirror.Mirror, f *mirrorFlags, r *mirrored, warn func(error)) error {
	if _, err := m.Update(ctx); err != nil || !f.check {
		return err
	}
	checked, err := m.Check(ctx, int(m.Files()))
	if checked == nil {
		return err
	}
	r.Checked = checked.Checked
	for _, t := range checked.Repaired {
		r.Repaired = append(r.Repaired, t.Path())
	}
	for _, up := range checked.Upstream {
		warn(up)
	}
	if n := len(checked.Upstream); n > 0 {
		err = errors.Join(err, fmt.Errorf("sources have %d files that are not the copy's; the first: %w", n, checked.Upstream[0]))
	}
	return err
}

// printMirrored prints the result of a run that failed with err, or not.
func (e *env) printMirrored(f *mirrorFlags, c *mirror.Config, r *mirrored, err error) error {
	code := int(audit.Undecided)
	if fork, ok := errors.AsType[*client.ForkError](err); ok && verify.Fork(c.Policy, fork, c.Origin) == nil {
		r.Fork = fork
		code = int(audit.Violations)
		err = errors.Join(err, durable.WriteFile(filepath.Join(c.Dir, "fork.json"), fork.Bytes(), 0o644))
	}
	switch {
	case f.json:
		if err != nil {
			r.Error = err.Error()
		}
		if perr := e.printJSON(r); perr != nil || err == nil {
			return perr
		}
		return &exitError{code: code}
	case r.Origin != "":
		e.printf("%s has %d entries of %s, %d of them new\n  root %s\n", r.Directory, r.Size, r.Origin, r.New, r.Root)
		if f.check && r.Checked > 0 {
			e.printf("  %d files were read back, and %d repaired\n", r.Checked, len(r.Repaired))
		}
	}
	if err != nil {
		return &exitError{code: code, err: err}
	}
	return nil
}
