// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/cmd/vasistas/bench"
)

func (e *env) bench() *cobra.Command {
	var (
		cfg    bench.Config
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast a log takes events in",
		Long: `bench starts a log and three witnesses as processes on this machine, and in
turns with them Tessera's conformance server, which checks nothing; drives all
with the same generator; and prints rates, ratios, times and memory.

The ratios are what to quote: all sides shared one machine and one run. Binaries
that are not named are built with the go command, in the source tree.`,
		Example: "  vasistas bench --events 20000 --rounds 3\n  vasistas bench --no-tessera --rounds 1 --fill 1000000 --json",
		Args:    cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			cfg.Progress = e.stderr
			r, err := bench.Run(ctx, cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(r)
			}
			r.WriteText(e.stdout)
			return nil
		}),
	}
	fl := c.Flags()
	fl.IntVar(&cfg.Events, "events", 20_000, "events a case and round")
	fl.IntVar(&cfg.Rounds, "rounds", 3, "rounds; the median counts")
	fl.IntVar(&cfg.Connections, "connections", 256, "connections for one event a request")
	fl.IntVar(&cfg.Streams, "streams", 4, "NDJSON streams at a time")
	fl.IntVar(&cfg.Idle, "idle", 20, "proofs to wait for on an idle log")
	fl.IntVar(&cfg.Fill, "fill", 0, "events that owe nothing to append at the end, to see the memory at that size")
	fl.IntVar(&cfg.FillOwed, "fill-owed", 0, "events that owe a disclosure to append after them")
	fl.BoolVar(&cfg.NoTessera, "no-tessera", false, "leave Tessera out")
	fl.StringVar(&cfg.LogBinary, "log-binary", "", "vasistas-log (default: built)")
	fl.StringVar(&cfg.WitnessBinary, "witness-binary", "", "vasistas-witness (default: built)")
	fl.StringVar(&cfg.TesseraBinary, "tessera-binary", "", "Tessera's cmd/conformance/posix (default: built)")
	fl.StringVar(&cfg.Dir, "dir", "", "directory to work in (default: a temporary one)")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
