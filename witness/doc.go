// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witness is a C2SP tlog-witness for many logs: it cosigns a log's
// checkpoint once a consistency proof shows that the log only grew since the
// last one.
//
// It promises to whoever trusts its cosignatures:
//
//   - Of one log it cosigns no two heads that are not consistent with each
//     other, whatever crashes, races or fails. A signature leaves only after
//     the head and the timestamp that it states are on stable storage.
//   - Its timestamps never go back, neither within a log nor across them, nor
//     over a restart.
//   - It never takes up a state that it lost under the same key, unless the
//     operator says so by the name of the witness ([ResumeLost]); a missing
//     state is an error, and given a log's URL, [Open] refuses to start if that
//     log publishes a cosignature of ours beyond our state.
//   - Validly signed heads that conflict are kept as evidence, within bounds.
//
// It trusts the operator's list of log keys, the disk as package durable does,
// and nobody who sends requests: bad input costs an answer of 4xx and nothing
// else. It does not trust the logs: their signature only buys the right to be
// checked. It makes no statement on extension lines, which it carries and (with
// Ed25519) signs as they are.
//
// The protocol is c2sp.org/tlog-witness, with cosignatures of both types of
// c2sp.org/tlog-cosignature. The optional sign-subtree call is not offered.
//
// Each request passes four functions: parse, decide, persist, answer. What is
// signed is a re-encoding of what was understood.
//
// BUG(witness): a log without a URL, or one that can't be reached when the
// witness starts, can't tell that our state was lost. The check protects from
// accidents, such as a restored backup, and not from a log that wants it so.
package witness
