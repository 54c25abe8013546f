// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"flag"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

func (e *env) vault() *cobra.Command {
	return &cobra.Command{
		Use:     "vault (init|ls|check|export|audit) --dir DIR ...",
		Short:   "Show and export the vault of a log on this machine",
		Long:    vaultcmd.Usage,
		Example: "  vasistas vault export --dir /srv/log --entry 17 --to age1... --by clerk-7 --out 17.age",
		// The flags are those of vasistas-log vault, which parses them itself.
		DisableFlagParsing: true,
		RunE: do(func(ctx context.Context, args []string) error {
			err := vaultcmd.Run(ctx, args, e.stdout, e.stderr, nil)
			switch {
			case errors.Is(err, flag.ErrHelp):
				return nil
			case command.IsWrongUse(err):
				return &exitError{exitUsage, err}
			}
			return err
		}),
	}
}
