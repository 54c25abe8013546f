// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"

	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

func runVault(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	err := vaultcmd.Run(ctx, args, stdout, stderr)
	if errors.Is(err, vaultcmd.ErrUsage) {
		return usageError{err}
	}
	return err
}
