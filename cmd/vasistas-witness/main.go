// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command vasistas-witness cosigns the checkpoints of transparency logs
// (c2sp.org/tlog-witness). Run "vasistas-witness help".
package main

import (
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/witness/witnesscmd"
)

func main() { command.Main(witnesscmd.Run) }
