// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package event parses, makes, seals and signs single entries of a Vasistas log:
// the header, the bodies of the twelve event types, the DSSE envelope around them,
// sealed values, and the keys that sign.
//
// # Contract
//
// Every text has one encoding. [Parse], [ParseEnvelope], [ParseOpening],
// [ParseOpenings] and [ParsePublicKeyPEM] accept exactly the bytes that the
// matching Bytes, Encode or PEM method writes. So two parties that verified an
// entry have read the same event, and re-spelling a logged entry never makes a
// second one.
//
// A parsed value is well-formed, not trusted. [Envelope.Verify] checks signatures;
// package ledger checks the signer's role and all rules that need more than one
// entry (standing, windows, deadlines, chains). A time is the issuer's claim.
//
// The package does no network or file access and has no key store (see package
// eventkey), so an offline verifier may link it.
//
// # Payloads
//
// A payload is JSON in the form of RFC 8785 (JCS). An empty member is absent, never
// null. Integers are 0 to 2^53-1. Bytes are unpadded base64url, except leaf hashes:
// padded standard base64, as in C2SP. Times are exactly 2006-01-02T15:04:05Z. Names
// and codes are [a-z0-9][a-z0-9._-]{0,63}. No member takes free text, since a log
// can't erase it. A list whose order has no meaning is sorted by its elements' JSON
// text, strictly ascending; [New] sorts for the caller.
//
// One method of each type, fields, encodes, decodes, checks and documents its
// members; docs/events.md is rendered from it. The same walk reads and prints the
// charter file that founders edit: [ParseCharterFile].
//
// # Decisions
//
//   - The origin stands in the header (log) and not in a charter.
//   - Origins, key names and policies are printable ASCII. C2SP allows more, but
//     people confirm names, and names may look alike.
//   - Lists are sorted by JSON text, not by decoded bytes, since every reader in any
//     language has the text.
//   - Whether an event must carry seals is a rule (seal-limit), not a matter of form.
//     [Names] lists how many openings of each name a type has.
//   - An envelope has at most 48,000 bytes, so a proof that carries the entry fits
//     every parser's limit.
package event
