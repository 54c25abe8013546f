// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package vault keeps what a log must be able to disclose later: the openings of
// events' public digests, and the notices of releases. Subjects' openings never
// get here.
//
// # Contract
//
// It promises the log:
//
//   - When [Vault.PutBatch] returns nil, the records are on stable storage,
//     encrypted. So the log may sequence their events.
//   - A [Record] matches its event: only [Prepare] makes one, and it opens every
//     public digest (a release: every notice's digest) or fails. [Disclosures]
//     checks it again before it says anything to the world.
//   - When [Vault.Erase] returns nil, no file of the vault holds the ciphertext any
//     more. [Vault.Delete] is for what has been disclosed: that record is out of
//     the way at once and its ciphertext goes with the next [Vault.Compact]. After
//     a crash it may be there again, which does no harm, since everybody can read
//     what it says; [Vault.Retain] drops it at the next start.
//   - Damage costs what it hits and nothing else. A vault with a bad file opens,
//     and the error names the events that can no longer be disclosed
//     ([DamagedError], [Vault.Has]). A vault that is lost altogether loses no
//     log: only deadlines that will be missed, for all to see.
//   - No export without a trace: [Vault.Export] has its line in the audit file on
//     stable storage before the first byte leaves.
//
// The vault has no clock. What is due, and what is still needed, the ledger says.
//
// It trusts whoever may write to its directory (to delete files, or to add a
// recipient), and whoever can read the identity file (to read everything). Put the
// identity on another disk, or in memory, when the disk of the vault may be stolen.
//
// # Files
//
//	recipients.txt           age recipients, one a line: the vault's own first,
//	                         then recovery keys that are held offline
//	<16 hex digits>.age      up to 4,096 records
//	audit/exports.jsonl      one line an export, each with the hash of the line before
//	lock, audit/lock
//
// A batch is one age file (C2SP age) with the usual stanzas of its recipients, and
// one more that age programs pass over as they pass over any type they don't know:
//
//	-> github.com/vasistas/vasistas/vault v1
//	<for each record, sorted: 32 bytes event hash, 4 bytes length, big-endian>
//
// So the index is readable without decrypting a record, is authenticated by the
// header's MAC under the file key, and the ordinary program opens a batch:
//
//	age -d -i vault.key 0000000000000001.age
//
// In it, a record is an openings file ([event.Openings]: one line), followed by a
// line of base64url for each notice. Batches are immutable. Compact merges small
// ones, and rewrites those that are half empty.
//
// # Decisions
//
//   - Encryption is by batch and post-quantum (ML-KEM-768 with X25519): a seal lasts
//     for years, and who copies the disk today must not read it then. age refuses
//     to mix recipients of both kinds, so recovery keys are made by age-keygen -pq.
//   - There is no list of deleted records. What a crash brings back, the ledger
//     knows to be disclosed; and an erasure is finished before it is acknowledged.
//   - A vault's directory is created by name and never by opening it, so that a lost
//     one is an error and not an empty start.
//
// BUG(vault): removing a file leaves its blocks on the disk until they are used
// again, and leaves backups alone. Whoever must be sure encrypts the disk, and
// keeps backups of the vault no longer than the seals last.
package vault
