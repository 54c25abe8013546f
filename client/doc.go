// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package client reads a Vasistas log, or any other tiled log (C2SP
// tlog-tiles), and submits events to one.
//
// It promises its callers that every entry it returns as verified is in a tree
// whose head the caller's policy accepts (C2SP tlog-policy), and that accepted
// heads never go back. It trusts the policy, and neither the log, a mirror nor
// the transport. It bounds every input before reading it, and checks its hash
// before using it.
//
// # Follow
//
// [Tree] is the verified tree of one log, and [Follower] a loop over its entries. Each
// new head goes through these steps, in this order:
//
//  1. checkpoint: parsed strictly, verified under the policy; one smaller than
//     the last is a [RollbackError];
//  2. tree: the right edge of the tree must have the root that the checkpoint
//     signs; from there a tile is accepted only if its hash stands in an accepted
//     tile above it;
//  3. consistency: the root at the last head's size is computed from such tiles;
//     if it differs from the last head's, the log has signed a fork
//     ([ForkError], with evidence that convinces a third party);
//  4. entries: bundles are read ahead; the leaf hashes of a bundle must give the
//     hash in the tile above. Only then its entries are yielded, in order.
//
// An entry is yielded as soon as it is proven to be in the signed tree. Memory is
// bounded by the bundles read ahead, whatever the size of the log. Full tiles of
// level 0 are not fetched, since they follow from the entries. At the end of each
// head the root computed from all entries is compared with the head's once more.
//
// # Errors
//
// A log's refusal is a [Problem] (RFC 9457). A tile that does not fit its tree is a
// [tlog.CorruptError], which does not show who damaged it. A [ForkError] convicts the
// log.
package client
