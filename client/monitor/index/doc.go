// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package index answers queries about one log from a SQLite file: lists that filter, sort and page,
// the chain of an entry, counts by month, and all of that as of an earlier size.
//
// It promises its caller that a [View] shows whole heads only, and the same as a replay of the
// entries below its size: [Index.Tell] takes the facts of a replay and adds those of a head in one
// transaction. It trusts its disk only so far: the verified copy is the truth, and a file that is
// damaged, of another version or of another log is replaced and told again. What is changed in the
// file without damaging it is shown, so the directory is the monitor's alone.
//
// # Time
//
// [Entry.After] is the time that was proven when the entry was logged, and [Entry.Before] that of
// the first anchor in view whose tree has the entry, or else of the view's head. A time that
// witnesses do not prove is zero. Months are those of Entry.After, as in package facts.
//
// # Memory and disk
//
// A writer keeps what is owed, as the ledger does, the breaches on record, and two batches of rows. A
// view keeps the page that it returns, but for [View.Delays], which reads an event's type whole. The
// file grows with the log, by some 300 bytes an event.
//
// The driver is SQLite translated to Go; only this package imports it.
package index
