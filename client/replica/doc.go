// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package replica keeps a verified copy of one log: its tree, its ledger, and a
// snapshot of both. The gate, the audit and the scan use it.
//
// It promises its caller that the ledger applies entries in the log's order, and only
// entries proven to be in the tree of a head that the client's policy accepts (C2SP
// tlog-policy, tlog-checkpoint); that each head extends every earlier head (else there
// is a [client.ForkError], with evidence); and that an event's signature counts as
// verified only under a key that a charter names. It trusts the client's policy and the
// caller's snapshot, and neither the log, a mirror nor the transport: see
// [client.Tree], which checks the hashes of tiles (C2SP tlog-tiles). Package ledger
// defines what entries mean.
//
// # Steps
//
// [Replica.Update] verifies the log's present head. [Replica.Replay] then accepts that
// head and applies the entries up to it; after an error the next Replay goes on where
// this one stopped. [Replica.Try] applies them to a copy, which the caller accepts or
// rejects. A rejected copy leaves the replica as it was.
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
// head, and the caller's own part. Its SHA-256, use, origin and policy must match, and
// every accepted head must have the snapshot's root at the snapshot's size. Otherwise
// there is a [SnapshotError], and no replay from the start. Resuming from a snapshot
// gives the same result as replaying from the start. A snapshot is not signed: protect
// it against writers like the policy file.
package replica
