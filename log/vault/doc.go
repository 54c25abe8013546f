// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package vault keeps, encrypted, what a log must disclose later: the openings of
// events' public digests and the notices of releases. It never gets the openings for
// subjects.
//
// # Contract
//
// The vault promises the log:
//
//   - When [Vault.PutBatch] returns nil, the encrypted records are on stable
//     storage, so the log may sequence their events.
//   - A [Record] matches its event: [Prepare] alone makes records, and fails unless
//     every public digest (of a release: every notice's digest) is opened.
//     [Disclosures] checks it again before anything is published.
//   - When [Vault.Erase] returns nil, no file of the vault holds the ciphertext.
//     [Vault.Delete] is for disclosed records: it forgets them at once, and the next
//     [Vault.Compact] removes their ciphertext. A crash may bring a deleted record
//     back, which does no harm, since its content is public; [Vault.Retain] drops it
//     at the next start.
//   - Damage to a file affects only the records in it. A vault with a damaged file
//     opens, and errors name the events that can no longer be disclosed
//     ([DamagedError], [Vault.Has]). Losing the whole vault loses no log entry, but
//     the log will miss its deadlines, for all to see.
//   - [Vault.Export] writes its line of the audit file to stable storage before the
//     first byte of the export.
//
// The ledger, not the vault, knows when a record is due and whether it is needed.
//
// The vault trusts every user who can write to its directory (to delete files or add
// a recipient) and every user who can read the identity file (to read everything).
// Keep the identity on another disk, or in memory, if the vault's disk may be stolen.
//
// # Files
//
//	recipients.txt           age recipients, one for each line: the vault's own first,
//	                         then recovery keys that are held offline
//	<16 hex digits>.age      a batch of up to 4,096 records
//	audit/exports.jsonl      a line for each export, with the hash of the line before
//	lock, audit/lock
//
// A batch is an age file (C2SP age) with the usual stanzas of its recipients, and an
// index stanza, which age programs ignore as they do every unknown type:
//
//	-> github.com/vasistas/vasistas/vault v1
//	<for each record, sorted: 32 bytes event hash, 4 bytes length, big-endian>
//
// The index can be read without decrypting a record, and the header's MAC under the
// file key authenticates it. The ordinary age program decrypts a batch:
//
//	age -d -i vault.key 0000000000000001.age
//
// A record in the plaintext is an openings file ([event.Openings]: one line),
// followed by a line of base64url for each notice. Batches are immutable; Compact
// merges small ones and rewrites half-empty ones.
//
// # Decisions
//
//   - Encryption is post-quantum (ML-KEM-768 with X25519), since a copy of the disk
//     must stay secret for as long as a seal, which is years. age refuses to mix
//     recipients of both kinds, so age-keygen -pq makes the recovery keys.
//   - There is no list of deleted records. The ledger knows that a record which a
//     crash brings back is disclosed, and Erase returns only when it is done.
//   - Only Create makes a vault's directory, so that a lost vault is an error and not
//     an empty start.
//
// BUG(vault): removing a file leaves its blocks on the disk until they are reused,
// and doesn't reach backups. To be sure, encrypt the disk, and keep backups of the
// vault no longer than the seals last.
package vault
