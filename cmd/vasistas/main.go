// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command vasistas makes keys, signs events, submits them to a log, and proves and verifies
// the entries of a log: see package cli.
package main

import (
	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/command"
)

func main() { command.Main(cli.Run) }
