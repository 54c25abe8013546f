// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit replays a whole log and decides whether it kept its rules.
//
// It promises its caller a [Report] with one of three verdicts. Clean: every entry up to
// a head that the caller's policy accepts is proven to be in that head's tree, its
// signatures were verified, package ledger has applied it, and no rule is broken or
// obligation overdue. Violations: at least one is, and the report has the evidence: the
// log's signed tree has the entry, or the log signed a fork. Undecided: the audit could
// not tell, and the report says why. A violation decides even in an unfinished audit,
// which claims nothing else.
//
// It trusts the caller's policy (C2SP tlog-policy) and, if the audit resumes, the
// caller's snapshot, and neither the log, a mirror nor the transport. A tile that does
// not fit the tree leaves the verdict undecided, since a mirror or a disk may have
// damaged it. Two signed heads that contradict each other are a violation, since only
// the log can sign them: see [client.ForkError].
//
// # What is checked
//
//   - the head, under the caller's policy and under the witness policy of the log's own
//     charter: log signature, cosignatures, quorum;
//   - each entry, and each tile above it up to the root;
//   - each signature of each entry by a key that a charter names;
//   - each rule, by ledger.Apply, in the log's order; for anchors also the cosignatures,
//     under the charter in force;
//   - overdue obligations, at the later of the head's logged-after time and the last time
//     that an anchor proves. The audit uses no clock.
//
// # How
//
// It uses package replica, which works on all cores in bounded memory. A snapshot is the
// replica's with the audit's counts, bound to the policy. A resumed audit gives the same
// report as a replay from the start. A snapshot that does not fit is a
// [replica.SnapshotError] among the reasons, and the audit reads nothing then.
package audit
