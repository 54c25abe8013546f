// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command vasistas-witness cosigns the checkpoints of transparency logs
// (c2sp.org/tlog-witness). Run "vasistas-witness help".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vasistas/vasistas/witness/witnesscmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := witnesscmd.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
