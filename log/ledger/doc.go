// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger says what the entries of a Vasistas log mean together: one
// reducer, entries in order in, state and verdicts out. Admission, gate,
// monitor and auditor run this same code, and get the same verdict for ever.
//
// # Contract
//
// [Ledger.Apply] is pure: no clock, no I/O but the caller's [Tree], no
// randomness, no order of a map. The charter in force at an entry's index names
// the version of the rules that judge it; a version is never changed once it was
// shipped. The rules are one table, [Rules]: docs/rules.md and the texts of
// verdicts ([Cause.Text]) are rendered from it.
//
// Nobody is trusted. A claimed time is a claim; what bounds it are anchors, whose
// cosignatures are verified here under the policy of the charter in force at the
// anchored size. The caller is trusted to give the entries of one tree in order,
// with their leaf hashes, and [Tree] to answer from that same, verified tree. The
// ledger keeps the right edge of the tree that it was given, so [Ledger.Root]
// says which entries its verdicts are about.
//
// # Effect
//
// An entry in breach changes nothing but the list of breaches. An entry without
// effect is noted. A release that comes too late for its access, through no
// fault of its custodian, counts in the custodian's chain and opens nothing: so a
// race never stops an honest chain.
//
// # Time
//
// logged-after is the greatest such time of all anchors below an entry. An act is
// late if that proves it, and in doubt it isn't. Due times count from claimed
// times, but no claim moves one to before what an anchor below it proves: so
// nobody makes another late by backdating to before the last anchor. An obligation
// is judged under the profile in force at the debtor's own index.
//
// # Memory
//
// State is what is open: events whose values are sealed, live warrants and
// accesses, what is due, ids younger than the profile's lag, entries that no
// anchor covers, one chain a custodian, charters, breaches. What is closed is
// read through [Tree] when somebody refers to it. Breaches beyond 64 of one
// party against one rule are counted, not listed.
//
// # Decisions
//
//   - Who is to answer (Violation.By): custodians and auditors for their own
//     events, since admission must not suppress them; the log for all else, since
//     admission refuses it, so only the log can have let it in.
//   - A void takes away what an event allowed, never what it owes: warrants,
//     accesses, deferrals and closed findings of the key from that index on end, and
//     an emergency that it validated awaits a decision again;
//     debts, anchors and disclosures stay, since mathematics proves them.
//   - Operators: cosigner keys with one name, or of one auditor, are one operator's.
//     If a policy has two of them, they stand in one group that any of its members
//     satisfies. That is the only way in which they can't count twice.
//   - Amendment and head: the head that first has an amendment meets the witness
//     policy before it and its own. A log publishes a head that ends with the
//     amendment (size index+1) under both, so that later readers find the step.
//   - A breach that is seen only later (a claim ahead of its anchor) takes nothing
//     back, since others have built on it in good faith.
//   - A release that is ahead of its chain is kept, up to [MaxAhead], and takes
//     effect when the gap is filled: the log, not the custodian, orders entries.
//   - What a custodian could not know when it signed is no breach of its own: its
//     release names the head that it relied on.
//   - Under an audit policy "quorum none" nobody can close a breach for a gate;
//     an amendment by the charter keys after it does.
//   - Under a witness policy "quorum none" there is no proven time: anchors are not
//     due, nothing is proven late, and ids are remembered for ever.
package ledger
