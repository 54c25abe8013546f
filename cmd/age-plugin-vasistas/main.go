// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command age-plugin-vasistas lets age escrow files to a log's custodians, and an
// agency open them: see package plugincmd.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vasistas/vasistas/client/escrow/plugincmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := plugincmd.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
