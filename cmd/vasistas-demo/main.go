// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-demo runs a whole Vasistas on one machine, on real data: a log, three
// witnesses, and the 5,382 electronic search warrant notifications that
// California published for 2016 to 2019 (data/PROVENANCE.md).
//
// It turns the rows into signed events, logs them under a charter, verifies each
// proof offline, and follows them to their end: decisions, returns, deferral,
// disclosure by the log itself when a seal ends. One disclosure is made late on
// purpose, and cured. One warrant goes all the way, from an escrowed file through
// three gates to the notice of the person concerned. It shows two attacks on the
// gates and two on a proof that fail, audits the whole log, and stays up for you
// to look. Every part is the one that the daemons run, over HTTP. Its exit code is
// 0 only if every proof held, every attack was refused, and the log kept its rules.
//
// It is a demonstration: all keys stand in one directory, and its owner can do
// anything. What the rows lack and an event needs is filled in as events.go says,
// and the demo prints it.
package main

import "github.com/vasistas/vasistas/internal/command"

func main() { command.Main(run) }
