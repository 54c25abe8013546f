// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package escrow is the format in which the key of an age file is escrowed to the
// custodians of a log, and all that custodian, agency and subject say to each other
// about it.
//
// # Contract
//
// Whoever wraps a file key with a [Recipient] can rely on this: it takes as many shares as
// the group's threshold to unwrap it; a gate learns by its own share nothing of it;
// and no part of the package can be exchanged for another's without making it useless,
// so that who is told of an opening can't be changed by anyone who could not have made
// the package. A gate can rely on this: what it opens first, [Package.OpenNotice], is no
// use for opening the file, and what it opens last, [Package.OpenShare], opens only if
// what it opened first was the package's own. An agency can rely on this: a wrong share
// is named, [ErrShare], and never becomes a wrong file key.
//
// The package trusts the charter that a [Group] is made of, and crypto. It does not judge
// whether anything may be opened: that is the gate's, by the log. It does no I/O but for
// [ReadPackages], and links no network code.
//
// # Package
//
// An age file has, for each custodian in the order of their shares, one stanza of type
// vasistas/escrow/v1. Its arguments are
//
//  1. SHA-256 of label, origin, group id, threshold t and number n of shares
//  2. a nonce of 16 bytes, the package's
//  3. digest of the account's sealed opening
//  4. the share's index, from 1; 5. t; 6. n
//  7. SHA-256 of the canonical JSON of the gate's key
//  8. SHA-256 of label, nonce, index and share
//  9. the file key, wrapped
//
// digests and bytes in unpadded base64url. Its body is the length of part one in two bytes,
// big-endian, part one, and part two: two HPKE ciphertexts (RFC 9180; HKDF-SHA256,
// ChaCha20-Poly1305; DHKEM(X25519) or ML-KEM-768 with X25519) to the gate's key. Part one
// is the subject's notice key and the opening of the account, each with its length in
// two bytes, and zeros up to a multiple of 256 bytes. Part two is the share, 32 bytes.
//
// The info of both is, each with its length in four bytes: label, origin, group id, t, n,
// index, hash of the gate's key, nonce, account digest; and of part two the hash of part
// one. The gate computes it from the group that it knows, not from what a stanza says.
//
// Shares are Shamir's, of a random scalar of ristretto255's field, by a polynomial of
// degree t-1. The scalar, by HKDF with all that the stanzas say but their bodies, gives
// the key under which ChaCha20-Poly1305 with a zero nonce wraps the file key: one key for
// one message. The package's digest is SHA-256 of its stanzas' canonical text.
//
// # Messages
//
// A [Request] is sealed to a gate's key, and begins with the key's hash. An [Answer] is
// signed with the gate's event key, as DSSE under [AnswerType]; each of its shares is HPKE
// to the access's recipient key, bound to log, access, release, index and package. A
// [Notice] is HPKE to the subject's notice key, padded to one of four sizes; its digest is
// SHA-256 of the ciphertext. All of them, and addresses and keys in files, are JSON as RFC
// 8785 wants it, in one encoding: what a parser accepts, it would write the same.
//
// # Decisions
//
//   - A notice shows a subject the openings that concern it, not those of the accounts and
//     packages of others: see [SubjectOpenings].
//   - An [Address], which a recipient string holds, has the account in it. A plug-in has no
//     other place to learn it that could not be another account's.
//   - Keys of low order, and second spellings of a key, are refused wherever one is read;
//     crypto/hpke takes them.
package escrow
