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
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// saveEvery is after how many entries a state file is written, besides at the
// end of each head.
const saveEvery = 4096

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
		Long: `follow prints each entry as a line of JSON, in the order of the log, as soon as
it is proven to be in the tree of a checkpoint that meets the policy and that
extends every checkpoint seen before. If the log signs a fork, it stops and
writes down both checkpoints.

With --state it goes on where it stopped. The file is written after the lines
have been printed, so a line may come twice after a crash, and never not at all.`,
		Example: "  vasistas follow --policy policy.txt --state follow.state --until-head",
		Args:    cobra.NoArgs,
		RunE:    do(func(ctx context.Context, _ []string) error { return e.runFollow(ctx, &f) }),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.from, "from", 0, "first index to print, if there is no state")
	c.Flags().StringVar(&f.state, "state", "", "file that remembers where it stopped")
	c.Flags().BoolVar(&f.untilHead, "until-head", false, "stop at the present head")
	c.Flags().BoolVar(&f.raw, "raw", false, "print the exact bytes of each entry too, in base64")
	c.Flags().DurationVar(&f.poll, "poll", time.Second, "how often to ask for a new head")
	return c
}

func (e *env) runFollow(ctx context.Context, f *followFlags) error {
	o := client.FollowOptions{
		Start: f.from, UntilHead: f.untilHead, Poll: f.poll,
		Waiting: func(err error) { e.note("vasistas: waiting: %v", err) },
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
		// It is printed, since it may not be served twice.
		return errors.Join(err, e.printJSON(map[string]*client.ForkEvidence{"fork": fork.Evidence()}))
	}
	return err
}

// printEntries prints what the follower yields, and saves where it stands.
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
			return nil // that is how it is stopped
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

// entryJSON is a line of follow.
type entryJSON struct {
	Index uint64          `json:"index"`
	Leaf  string          `json:"leaf"`
	Type  event.Type      `json:"type,omitempty"` // "" if the entry is not an event
	Hash  string          `json:"hash,omitempty"` // event hash
	Keys  []string        `json:"keys,omitempty"` // key ids that claim to have signed
	Event json.RawMessage `json:"event,omitempty"`
	Entry string          `json:"entry,omitempty"` // exact bytes, for what is no event or with --raw
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
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}
