// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witness is a C2SP tlog-witness for many logs: it cosigns a log's checkpoint if a
// consistency proof shows that the tree extends the last one cosigned.
//
// It promises to all who trust its cosignatures:
//
//   - It cosigns no two inconsistent heads of one log, under any crash, race or failure. A
//     cosignature leaves only after its head and timestamp are on stable storage.
//   - Its timestamps never go back, within a log, across logs or over a restart.
//   - It never replaces a lost state under the same keys, unless the operator confirms it
//     with the witness's name ([ResumeLost]). A missing state is an error. For logs with
//     a URL, [Open] fails if the log publishes a cosignature of this witness that the
//     state does not cover.
//   - It keeps conflicting signed heads as evidence, up to a bound.
//
// It trusts the operator's list of log keys, and the disk like package durable does. It
// does not trust its clients: bad input gets an answer of 4xx and changes nothing. It does
// not trust the logs: their signature only entitles a head to be checked. It vouches for
// no extension lines, which it stores and (with Ed25519) signs as they are.
//
// The protocol is c2sp.org/tlog-witness, with both types of c2sp.org/tlog-cosignature. The
// optional sign-subtree call is not offered.
//
// Each request passes four functions: parse, decide, persist, answer. The witness signs a
// re-encoding of the parsed head.
//
// BUG(witness): a lost state can't be detected for a log without a URL, or one that is
// unreachable when the witness starts. The check protects against accidents, such as a
// restored backup, and not against a malicious log.
package witness
