// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

type proveFlags struct {
	logFlags
	index   uint64
	out     string
	audited bool
}

func (e *env) prove() *cobra.Command {
	var f proveFlags
	c := &cobra.Command{
		Use:   "prove --index N",
		Short: "Get the proof that an entry is in the log",
		Long: `prove writes a proof file (C2SP tlog-proof) with the entry, under the latest
checkpoint that meets the policy. prove verifies it first; 'vasistas verify' can
verify it again, offline, and its times: if the charter's spread is above 300 s, give
that as --spread.

--audited proves under the checkpoint that met the charter's audit policy last, with
the auditors' cosignatures. That checkpoint may be smaller than the latest one.`,
		Example: "  vasistas prove --policy policy.txt --index 12 --out 12.tlog-proof",
		Args:    cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			cl, err := e.connect(&f.logFlags, true)
			if err != nil {
				return err
			}
			p, err := getProof(ctx, cl, &f)
			if err != nil {
				return err
			}
			return e.putProof(cmp.Or(f.out, "-"), p)
		}),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.index, "index", 0, "index of the entry")
	c.Flags().BoolVar(&f.audited, "audited", false, "prove under the checkpoint that auditors cosigned last")
	c.Flags().StringVar(&f.out, "out", "", "file to write, in place of an earlier proof if there is one (default: standard output)")
	c.MarkFlagRequired("index")
	return c
}

func getProof(ctx context.Context, cl *client.Client, f *proveFlags) (*tlog.Proof, error) {
	if !f.audited {
		return cl.Prove(ctx, f.index)
	}
	head, _, err := cl.Audited(ctx, nil)
	if err != nil {
		return nil, err
	}
	return cl.ProveAt(ctx, head, f.index)
}
