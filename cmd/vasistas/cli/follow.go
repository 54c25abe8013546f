// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
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

// printEntries prints the follower's entries, and saves its state.
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
