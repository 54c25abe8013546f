// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package client reads a Vasistas log, or any other tiled log (C2SP
// tlog-tiles), and submits events to one.
//
// It promises its callers that whatever it returns as verified is in a tree
// whose head the caller's own policy accepts (C2SP tlog-policy), and that the
// heads it accepts never go back. It trusts nothing else: not the log, not a mirror,
// not the transport. Every byte from outside is bounded before it is read, and judged
// by its hash before it is believed.
//
// # Follow
//
// [Tree] is the verified tree of one log, and [Follower] a loop over its entries. Each
// new head goes through these steps, in this order:
//
//  1. checkpoint: parsed strictly, judged under the policy; a smaller one than
//     before is a [RollbackError];
//  2. tree: the right edge of the tree is read and must have the root that the
//     checkpoint signs; from there every tile is accepted only if the hash of
//     it stands in the tile above it, which was accepted before;
//  3. consistency: the root at the size of the head before is computed from
//     such tiles; if it differs, the log has signed a fork ([ForkError], with
//     evidence that convinces a third party);
//  4. entries: bundles are fetched ahead of their use; the leaf hashes of a
//     bundle must give the hash that stands in the tile above. Only then its
//     entries are yielded, in order.
//
// So an entry is yielded as soon as it is proven to be in the signed tree, not
// when the last entry has arrived, and memory is bounded by the bundles read
// ahead, whatever the size of the log. Tiles of level 0 are not fetched, except
// the last: they follow from the entries. At each head's end the root that was
// computed from all entries is compared with the head's once more.
//
// # Errors
//
// What a log answers is a [Problem]. A tile that does not fit its tree is a
// corrupt tile and proves nothing about who damaged it; a [ForkError] does.
package client
