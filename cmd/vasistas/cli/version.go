// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/command"
)

func (e *env) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  vasistas version",
		Args:    cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			e.printf("vasistas %s %s %s/%s\n", command.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		}),
	}
}
