// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify decides offline whether an entry is in a transparency log.
//
// # Contract
//
// From a proof file (C2SP tlog-proof) and the verifier's policy (C2SP tlog-policy)
// it returns an [Inclusion] or an [Error]. Only this package can make an Inclusion
// that proves something. An Inclusion promises its holder that
//
//   - a log of the policy signed a checkpoint,
//   - witnesses that meet the policy's quorum cosigned it,
//   - the entry has its index in the tree of that checkpoint,
//   - for [Proof]: the entry is a well-formed event that names this log.
//
// It trusts only the policy: not the log, the file's source or a clock (unless
// [Options].Now gives one). All verifiers with one policy see one log, unless the log
// lies and every witness that two quorums share is dishonest. Two quorums of k of n
// share at least 2k-n witnesses: one under 2 of 3, all under 3 of 3.
//
// An Inclusion does not show whether the signers held their roles, whether limits and
// deadlines were kept, or what was logged later: only a replay of the log does.
// [Inclusion.NotShown] lists what a result leaves open; tools must show that list.
//
// Only authenticated data decides. The extra data of a file is the entry, which the
// inclusion proof binds, or is ignored. Signature lines of keys outside the policy are
// ignored, and so are a checkpoint's extension lines, which ML-DSA-44 cosignatures
// don't cover. Changing a file can make it fail, or remove cosignatures that the
// quorum didn't need, but can't change what it proves.
//
// # Verdicts
//
// A failure is [Disproven] or [Undecided]. Disproven: the file itself fails, and would
// under this policy whatever else the verifier knew. Undecided: the verifier lacks a
// policy, the entry, a key of the log, or a signer's key. An attacker can choose
// between the two, so a script must accept only [Proven], exit code 0.
//
// The package does no I/O and links no network code, so it runs in a browser or on a
// machine without a network.
package verify
