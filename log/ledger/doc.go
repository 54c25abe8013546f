// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger checks the entries of a Vasistas log against its rules. It is one
// reducer: it takes entries in order and returns state and verdicts. Admission,
// gate, monitor and auditor run it and get the same verdicts.
//
// # Contract
//
// [Ledger.Apply] is pure: no clock, no I/O but the caller's [Tree], no
// randomness, no dependence on map order. The charter in force at an entry's index
// names the version of the rules for it. A shipped version never changes. The rules
// are one table, [Rules], which docs/rules.md and the texts of verdicts
// ([Cause.Text]) are rendered from.
//
// No signer and no claimed time is trusted. Anchors bound claimed times; the ledger
// verifies their cosignatures under the policy of the charter in force at the
// anchored size. The caller is trusted to pass the entries of one tree in order,
// with their leaf hashes, and its [Tree] to answer from that same, verified tree.
// The ledger keeps the tree's right edge, so [Ledger.Root] names exactly the
// entries that the verdicts are about.
//
// # Effect
//
// An entry in breach changes only the list of breaches. An entry without effect
// changes nothing. A release that comes too late for its access, through no fault
// of its custodian, counts in the custodian's chain and opens nothing, so a race
// never stops an honest chain.
//
// # Time
//
// The logged-after time of an entry is the latest that the anchors below it prove.
// An act is late only if that time proves it. Due times count from claimed times
// but from no earlier than what an anchor below the entry proves, so backdating
// makes no other party late. The profile in force at the debtor's own index applies
// to an obligation.
//
// # Memory
//
// The state holds what is open: events with sealed values, live warrants and
// accesses, obligations, ids younger than the profile's lag, entries that no anchor
// covers, one chain for each custodian, charters and breaches. Closed events are
// read through [Tree] when an entry refers to them. Breaches beyond 64 by one party
// against one rule are counted, not listed.
//
// # Decisions
//
//   - Violation.By: custodians and auditors answer for their own events, which
//     admission must not suppress. The log answers for all others, since admission
//     should have refused them.
//   - Voiding a key ends what its events from that index on allow: warrants,
//     accesses, deferrals and closed findings. An emergency that the key validated
//     awaits a decision again. Debts, anchors and disclosures stay, since
//     mathematics proves them.
//   - Cosigner keys with one name, or of one auditor, belong to one operator. A
//     policy puts all keys of one operator into one group that any of its members
//     satisfies, so they never count twice.
//   - The head that first covers an amendment meets both the witness policy before
//     it and its own. A log publishes such a head of exactly that size (index+1), so
//     later readers find the step.
//   - A breach that shows only later (a claim ahead of its anchor) undoes nothing,
//     since other parties have built on the entry in good faith.
//   - A release ahead of its chain waits, up to [MaxAhead] of them, and takes effect
//     when the gap is filled: the log, not the custodian, orders entries.
//   - A custodian doesn't answer for what it could not know when it signed: its
//     release names the head that it relied on.
//   - Under the audit policy "quorum none" no finding closes a breach for a gate; a
//     later amendment by the charter keys does.
//   - Under the witness policy "quorum none" no time is proven: anchors are not due,
//     nothing is late, and ids are remembered for ever.
package ledger
