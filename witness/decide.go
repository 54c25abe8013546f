// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles"
)

// ConflictError says that the old size of a request is not the size of the
// latest cosigned head, which is Size.
type ConflictError struct {
	Old, Size uint64
	// Fork, if not nil, is what the request proved beside this.
	Fork *Evidence
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the latest cosigned size is %d, and not %d", e.Size, e.Old)
}

// InconsistentError says that a validly signed head was not shown to be
// consistent with the latest cosigned one.
type InconsistentError struct {
	Reason string
	// Evidence is nil if the request proves nothing about the log.
	Evidence *Evidence
}

func (e *InconsistentError) Error() string { return e.Reason }

var emptyRoot = tiles.EmptyRoot()

// decide says whether the head of s may follow prev, which is nil if nothing
// was accepted of this log. It changes nothing. The order of its checks is that
// of tlog-witness, "add-checkpoint".
func decide(prev *accepted, s *submission) (*accepted, error) {
	size, root := uint64(0), emptyRoot
	if prev != nil {
		size, root = prev.head.Size, prev.head.Root
	}
	var fork *Evidence
	switch {
	case s.head.Size == 0 && s.head.Root != emptyRoot:
		fork = newEvidence(EmptyRoot, prev, s)
	case prev != nil && s.head.Size == size && s.head.Root != root:
		fork = newEvidence(Fork, prev, s)
	}
	if s.old != size {
		return nil, &ConflictError{Old: s.old, Size: size, Fork: fork}
	}
	if fork != nil && fork.Kind == EmptyRoot {
		return nil, &InconsistentError{Reason: "the checkpoint has size 0 and not the root hash of the empty tree", Evidence: fork}
	}
	if size == 0 && len(s.proof) > 0 {
		return nil, &InconsistentError{Reason: "the old size is 0, and the consistency proof is not empty"}
	}
	if fork != nil {
		return nil, &InconsistentError{Reason: fmt.Sprintf("the root hash is not the one that was cosigned for size %d", size), Evidence: fork}
	}
	if size > 0 && tiles.VerifyConsistency(size, root, s.head.Size, s.head.Root, s.proof) != nil {
		return nil, &InconsistentError{
			Reason:   fmt.Sprintf("the consistency proof from size %d to size %d does not verify", size, s.head.Size),
			Evidence: newEvidence(BadProof, prev, s),
		}
	}
	return &accepted{head: s.head, lines: s.lines}, nil
}
