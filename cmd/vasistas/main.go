// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command vasistas makes keys, signs events, submits them to a log, and proves
// and verifies what is in one. Its commands are in package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
