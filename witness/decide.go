// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles"
)

// ConflictError reports that the old size of a request is not Size, that of the latest
// cosigned head (tlog-witness, status 409).
type ConflictError struct {
	Old, Size uint64
	Fork      *Evidence // that the request also proves; or nil
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the latest cosigned size is %d, not %d", e.Size, e.Old)
}

// InconsistentError reports that a signed head was not proven to be consistent with the
// latest cosigned one (tlog-witness, status 422).
type InconsistentError struct {
	Reason   string
	Evidence *Evidence // nil if the request proves nothing about the log
}

func (e *InconsistentError) Error() string { return e.Reason }

var emptyRoot = tiles.EmptyRoot()

// decide returns the head of s if it may follow prev, the latest accepted head of the log
// or nil. It checks in the order of tlog-witness, "add-checkpoint".
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
		return nil, &InconsistentError{Reason: "the checkpoint has size 0, but not the root hash of the empty tree", Evidence: fork}
	}
	if size == 0 && len(s.proof) > 0 {
		return nil, &InconsistentError{Reason: "the old size is 0, but the consistency proof is not empty"}
	}
	if fork != nil {
		return nil, &InconsistentError{Reason: fmt.Sprintf("this witness has cosigned another root hash for size %d", size), Evidence: fork}
	}
	if size > 0 && tiles.VerifyConsistency(size, root, s.head.Size, s.head.Root, s.proof) != nil {
		return nil, &InconsistentError{
			Reason:   fmt.Sprintf("the consistency proof from size %d to size %d does not verify", size, s.head.Size),
			Evidence: newEvidence(BadProof, prev, s),
		}
	}
	return &accepted{head: s.head, lines: s.lines}, nil
}
