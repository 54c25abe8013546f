// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// ErrProof is wrapped by the errors of [VerifyInclusion] and
// [VerifyConsistency].
var ErrProof = errors.New("the Merkle proof does not verify")

// VerifyInclusion returns nil if the leaf is at index in the tree of the given
// size and root (RFC 6962, section 2.1.1).
func VerifyInclusion(index uint64, leaf Hash, size uint64, root Hash, hashes []Hash) error {
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], byteSlices(hashes), root[:]); err != nil {
		return fmt.Errorf("%w: entry %d in the tree of size %d: %s", ErrProof, index, size, reason(err))
	}
	return nil
}

// VerifyConsistency returns nil if the second tree extends the first (RFC 6962, section
// 2.1.2). It fails for an empty first tree, which has no consistency proof: every tree
// extends it.
func VerifyConsistency(size1 uint64, root1 Hash, size2 uint64, root2 Hash, hashes []Hash) error {
	if size1 == 0 {
		return fmt.Errorf("%w: the empty tree has none", ErrProof)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, size1, size2, byteSlices(hashes), root1[:], root2[:]); err != nil {
		return fmt.Errorf("%w: from size %d to %d: %s", ErrProof, size1, size2, reason(err))
	}
	return nil
}

// reason returns the text of an error, with hashes in hex.
func reason(err error) string {
	var mismatch proof.RootMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Sprintf("it leads to the root %x, but the head has %x", mismatch.CalculatedRoot, mismatch.ExpectedRoot)
	}
	return err.Error()
}

func byteSlices(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}
