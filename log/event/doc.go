// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package event says what one entry of a Vasistas log means on its own: the
// header, the bodies of all twelve event types, the DSSE envelope around
// them, sealing, and the keys that sign.
//
// # Contract
//
// One encoding in, the same bytes out. [Parse], [ParseEnvelope],
// [ParseOpening], [ParseOpenings] and [ParsePublicKeyPEM] accept exactly the
// bytes that the matching Bytes, Encode or PEM method writes. So two parties
// that verified an entry have read the same thing, and nobody can make a
// second entry out of a logged one by re-spelling it.
//
// What a parser returns is well-formed, never believed: a signature is valid
// when [Envelope.Verify] says so, a signer has a role when the ledger says
// so, a time is the issuer's claim. The rules that need more than one entry
// (standing, windows, deadlines, chains) are the ledger's.
//
// The package imports log/tlog for verifier keys and the lines of policies, and
// otherwise nothing of ours: no net, no file access and no key store (those are
// in eventkey), so an offline verifier may link it.
//
// # Payloads
//
// A payload is JSON in the form of RFC 8785 (JCS). Members are absent, never
// null or empty. Integers are 0 to 2^53-1. Bytes are unpadded base64url,
// except leaf hashes: padded standard base64, as in C2SP. Times are exactly
// 2006-01-02T15:04:05Z. Names and codes are [a-z0-9][a-z0-9._-]{0,63}. No
// member takes free text, since what is logged can't be erased. A list whose
// order has no meaning is sorted by its elements' JSON text, strictly
// ascending; [New] sorts for the caller.
//
// Every type's members stand in one method, fields, which encodes, decodes,
// checks and documents them; docs/events.md is rendered from it. The same walk
// reads and prints the text of a charter that founders edit: [ParseCharterFile].
//
// # Decisions
//
//   - The origin stands in the header only (log); a charter doesn't repeat it.
//   - Origins, key names and policies are printable ASCII. Non-ASCII is legal
//     in C2SP, but look-alikes in a name that people confirm are a trap.
//   - A charter's policies are tlog-policy text in one spelling: LF, one space
//     between words, no comments, no empty lines (see [Charter]).
//   - Sorting is by JSON text and not by decoded bytes, since the text is what
//     every reader, in any language, holds in hand.
//   - Whether a type must carry seals is a rule (seal-limit), not a matter of
//     form: [Names] says how many openings of each name a type has.
//   - The envelope limit is 48,000 bytes, so that a proof that carries the
//     entry fits everyone's parser.
package event
