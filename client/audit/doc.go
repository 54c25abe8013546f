// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit replays a whole log and says whether it kept its rules.
//
// It promises its caller a [Report] with one of three verdicts. Clean: every
// entry up to a head that the caller's policy accepts was read, proven to be in
// that head's tree, its signatures verified and its meaning judged by package
// ledger, and no rule is broken or overdue. Violations: at least one is, and
// each is evidence of its own: the log's signed tree has the entry, or the log
// signed a fork. Undecided: it could not tell, and why. A violation that was
// found decides, even if the audit could not be finished; nothing else of an
// unfinished audit is claimed.
//
// It trusts the caller's policy (C2SP tlog-policy) and, if the audit resumes, the
// caller's own snapshot; not the log, not a mirror, not the transport. A tile
// that does not fit the tree is no violation: a mirror or a disk may have
// damaged it, so the verdict is undecided. Two signed heads that contradict each
// other are one, since only the log could sign them (see [client.ForkError]).
//
// # What is checked
//
//   - the head, as package client does: log signature, cosignatures, quorum;
//     and that it meets the witness policy of the log's own charter, too;
//   - each entry and each tile that it hangs on, up to the root;
//   - each signature of each entry whose key any charter named;
//   - each rule, by ledger.Apply, in the log's order; anchors among them, whose
//     cosignatures are verified under the charter in force;
//   - what is overdue at the head's logged-after time, or at the last time that
//     an anchor proves, if that is later: no clock is asked.
//
// # How
//
// It uses package replica: bundles are parsed and their signatures verified on all
// cores, and memory is bounded, whatever the size of the log. A snapshot is the
// replica's with the audit's counts, bound to the policy. A resumed audit gives the
// report of a replay from the start; a snapshot that does not fit is a
// [replica.SnapshotError] among the reasons, and never skipped.
package audit
