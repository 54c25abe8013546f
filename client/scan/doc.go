// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package scan finds a subject's notices in a log, and says what they are worth, and
// what is not there.
//
// It promises its caller a [Report]. Each [Case] in it is an access to the subject's
// data: each of its notices was opened with a key of the subject's seed, is the one
// whose digest a custodian's release states, and is judged by package notice, which
// verifies its openings against warrant and access. If the report says that there is
// none, every notice in the log up to the head was tried under every key, and the log
// was replayed by package audit: it kept its rules, so that what had to be disclosed
// by then was. It trusts the caller's policy and its own state, not the log.
//
// # Who learns what
//
// A scan reads the whole log, in order, as every audit does; which notices opened
// changes nothing of what it asks for, if the client keeps what it reads (see
// Keep of [client.Config]), or reads a directory. Otherwise the entries of a case are asked for
// again, and who serves them may guess why.
//
// # How
//
// It observes an audit. The audit's workers, which verify the signatures on all cores,
// also try the notices of each disclosure; the ledger then says which release stated a
// notice, and whether the disclosure had an effect. Memory is bounded by the audit's
// queue, by what the ledger keeps, and by what was found. A state is the audit's
// snapshot and what was found up to it.
//
// Keys are tried from the first month of the seed to the next one from now: a notice
// says by its length which kind of key it is for, and nothing else about it.
package scan
