// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

type proveFlags struct {
	logFlags
	index      uint64
	event, out string
}

func (e *env) prove() *cobra.Command {
	var f proveFlags
	c := &cobra.Command{
		Use:   "prove (--index N | --event FILE)",
		Short: "Get the proof that an entry is in the log",
		Long: `prove writes a proof file (C2SP tlog-proof) with the entry, under the latest
checkpoint that meets the policy. prove verifies it first; 'vasistas verify' can
verify it again, offline.

--event finds the entry of an event by submitting the event again. If the event is
not in the log yet, this logs it.`,
		Example: "  vasistas prove --policy policy.txt --index 12 --out 12.tlog-proof",
		Args:    cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			cl, err := e.connect(&f.logFlags, true)
			if err != nil {
				return err
			}
			p, err := e.getProof(ctx, cl, &f)
			if err != nil {
				return err
			}
			if f.out == "" {
				_, err := e.stdout.Write(p.Bytes())
				return err
			}
			return durable.WriteFile(f.out, p.Bytes(), 0o644)
		}),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.index, "index", 0, "index of the entry")
	c.Flags().StringVar(&f.event, "event", "", "file with the signed event")
	c.Flags().StringVar(&f.out, "out", "", "file to write (default: standard output)")
	c.MarkFlagsOneRequired("index", "event")
	c.MarkFlagsMutuallyExclusive("index", "event")
	return c
}

func (e *env) getProof(ctx context.Context, cl *client.Client, f *proveFlags) (*tlog.Proof, error) {
	if f.event == "" {
		return cl.Prove(ctx, f.index)
	}
	envelope, err := readAs(e, f.event, event.MaxEntrySize+1, line(event.ParseEnvelope))
	if err != nil {
		return nil, err
	}
	return cl.Lookup(ctx, envelope)
}
