// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command age-plugin-vasistas lets age escrow files to a log's custodians, and lets an
// agency open them: see package plugincmd.
package main

import (
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/internal/command"
)

func main() { command.Main(plugincmd.Run) }
