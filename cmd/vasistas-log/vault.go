// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

func runVault(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return vaultcmd.Run(ctx, args, stdout, stderr, openShared)
}

// openShared opens the vault that several instances share, for reading and exports.
func openShared(ctx context.Context, dsn string) (*vaultcmd.Shared, error) {
	db, err := pgstate.Open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	published := func(ctx context.Context) ([]byte, error) {
		p, err := db.State().Published(ctx)
		return p.Checkpoint, err
	}
	return &vaultcmd.Shared{Storage: db.Vault(), Published: published, Close: db.Close}, nil
}
