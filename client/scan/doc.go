// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package scan finds a subject's notices in a log, and decides whether there are others.
//
// It promises its caller a [Report]. Each [Case] in it is an access to the subject's data
// with its notices. A key of the subject's seed opened each notice, a custodian's release
// states its digest, and package notice verified its openings against warrant and access.
// If the report says that there is no notice, every notice in the log up to the head was
// tried under every key, and package audit found that the log kept its rules, so that
// every notice due by then was disclosed. It trusts the caller's policy (C2SP tlog-policy)
// and the caller's state, and not the log.
//
// # Privacy
//
// A scan reads the whole log in order, like every audit. If the client keeps what it reads
// (Keep of [client.Config]) or reads a directory, its requests do not depend on the notices
// that open. Otherwise the scan reads the entries of a case again, and the server may
// guess why.
//
// # How
//
// A scan observes an audit, whose workers also try the notices of each disclosure on all
// cores. The ledger then has the release that states a notice, and whether the disclosure
// had an effect. Memory is bounded by the audit's queue, the ledger, and the notices that
// opened. A state is the audit's snapshot with the notices so far.
//
// The keys are those from the first month of the seed to the month after the present one.
// A notice's length shows the KEM of its key.
package scan
