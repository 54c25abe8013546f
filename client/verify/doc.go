// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify judges, offline, whether an entry is in a transparency log.
//
// # Contract
//
// A proof file (C2SP tlog-proof) goes in with the verifier's own policy (C2SP
// tlog-policy), and an [Inclusion] or an [Error] comes out. Only this package
// can make an Inclusion that proves something; whoever holds one knows that
//
//   - a log of the policy signed a checkpoint,
//   - witnesses that meet the policy's quorum cosigned it,
//   - the entry has its index in the tree of that checkpoint,
//   - for [Proof]: the entry is a well-formed event that names this log.
//
// It trusts the policy, and nobody else: not the log, not who hands over the
// file, not a clock (unless [Options].Now gives one). Everybody who verifies
// under one policy sees one log, unless the log lies and every witness that two
// quorums have in common is dishonest: under k of n that can be 2k-n of them, so
// one under 2 of 3, and all under 3 of 3.
//
// An Inclusion does not show whether the signers held the roles that they
// claim, whether limits and deadlines were kept, or what was logged later: that
// is for whoever replays the log. [Inclusion.NotShown] says which of these a
// result leaves open, and tools must say so too.
//
// What decides is authenticated. The extra data of a file is the entry, which
// the inclusion proof binds, or is ignored; signature lines of keys that the
// policy doesn't have are ignored; and so are a checkpoint's extension lines,
// which ML-DSA-44 cosignatures don't cover. So whoever changes a file can make
// it fail, or take cosignatures away that the quorum didn't need, but can't
// make it say something else.
//
// # Verdicts
//
// A failure is [Disproven] or [Undecided]. Disproven: the file itself fails, and
// nothing that this verifier could learn would make it good under this policy.
// Undecided: something is missing on this side: a policy, the entry, a log that
// the policy doesn't know, a signer's key. Who attacks can choose between the
// two, so a script must take nothing but [Proven], exit code 0, for a yes.
//
// The package does no I/O and links no network code, so that it runs in a
// browser or on a machine that is never connected.
package verify
