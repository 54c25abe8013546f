// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package replica keeps a verified copy of what one log says: its tree, its ledger,
// and a snapshot of both. The gate, the audit and the scan are uses of it.
//
// It promises its caller that each entry that the ledger has taken was proven to be
// in the tree of a head that the client's policy accepts (C2SP tlog-policy,
// tlog-checkpoint), in the log's order; that each head extends every head before
// (else there is a [client.ForkError], with evidence); and that an event's signature
// counts as verified only under a key that a charter names. It trusts the client's
// policy and the caller's own snapshot. It does not trust the log, a mirror or the
// transport: tiles (C2SP tlog-tiles) are judged by their hashes, see [client.Tree].
// Package ledger says what the entries mean.
//
// # Steps
//
// [Replica.Update] looks at the log's present head. [Replica.Replay] then makes that
// head count, and applies the entries up to it; what was applied before an error
// stays, and the next Replay goes on there. [Replica.Try] applies them to a copy,
// which the caller accepts or rejects by what the entries say. A rejected copy leaves
// the replica as it was.
//
// # How
//
// One goroutine reads the log bundle by bundle. Bundles are parsed and their
// signatures verified on all cores; the ledger takes them in order. Bundles of up to
// 256 entries pass through one small queue. Memory is bounded by this queue, by the 16
// bundles that the tree keeps, and by what the ledger keeps, whatever the size of the
// log.
//
// # Snapshots
//
// A snapshot holds the ledger's state, the size and root of its tree, the largest
// head, and the caller's own part. It is accepted only whole (SHA-256), for the same
// use, origin and policy, and if each head that counts has, at the snapshot's size,
// the snapshot's root. Anything else is a [SnapshotError]: it is never skipped. Going
// on from a snapshot gives what replaying from the start gives. A snapshot is not
// signed: protect it against writers like the policy file.
package replica
