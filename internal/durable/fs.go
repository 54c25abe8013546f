// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io/fs"
)

var (
	// ErrMissing: a register or journal that must exist doesn't. It wraps
	// [fs.ErrNotExist]. Never answer it by creating an empty one: restore the
	// state, or let the operator say by name that there is none.
	ErrMissing = fmt.Errorf("durable: state file is missing: %w", fs.ErrNotExist)
	// ErrTooLarge: a value or record is empty or exceeds the caller's limit.
	ErrTooLarge = errors.New("durable: size is outside the allowed range")
	// ErrChanged: somebody else wrote to a file that this process owns.
	ErrChanged = errors.New("durable: file was changed by somebody else while in use")
)

// Step is one kind of durable step.
type Step string

// The steps, in the order in which an operation takes them. The path that goes
// with each is the final name, not the temporary one; for [SyncDir] the directory.
const (
	Mkdir      Step = "mkdir"
	Create     Step = "create"      // make a temporary file
	Write      Step = "write"       // write to a temporary file; or again, the last frame of a journal being opened
	Sync       Step = "sync"        // fsync the file of Write
	Rename     Step = "rename"      // WriteFile, Rewrite
	Link       Step = "link"        // CreateFile
	SyncDir    Step = "sync dir"    // fsync a directory
	Append     Step = "append"      // write one frame to a journal
	AppendSync Step = "append sync" // fdatasync a journal
	Truncate   Step = "truncate"    // cut a torn tail off a journal
)

// Op is a moment at which a fault can be injected.
type Op struct {
	Step  Step
	After bool // the step was done; false: it is about to be done
}

// FS does the durable steps. The zero FS is the real thing, and what the functions
// of this package use; its methods of the same names do the same.
type FS struct {
	// Fault, if not nil, is called before and after each step, from any goroutine.
	// An error fails the operation as if the step had failed: before it was done,
	// or after it was done with an answer that got lost. Before a Write or Append
	// the error may be a *[Torn]. For tests of crash safety only.
	Fault func(op Op, path string) error
}

// Torn is a fault that lets the first Bytes bytes of a write reach the file.
type Torn struct {
	Bytes int
	Err   error
}

func (t *Torn) Error() string { return fmt.Sprintf("after %d bytes: %v", t.Bytes, t.Err) }

// Unwrap returns t.Err.
func (t *Torn) Unwrap() error { return t.Err }

func (f FS) fault(op Op, path string) error {
	if f.Fault == nil {
		return nil
	}
	if err := f.Fault(op, path); err != nil {
		return fmt.Errorf("%s %s: %w", op.Step, path, err)
	}
	return nil
}

// Step does one step, with the faults before and after it.
func (f FS) Step(s Step, path string, do func() error) error {
	if err := f.fault(Op{Step: s}, path); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.fault(Op{Step: s, After: true}, path)
}

// WriteStep is Step for a write, which a fault may tear.
func (f FS) WriteStep(s Step, path string, p []byte, do func([]byte) (int, error)) error {
	err := f.fault(Op{Step: s}, path)
	if torn := (*Torn)(nil); errors.As(err, &torn) {
		_, werr := do(p[:min(max(torn.Bytes, 0), len(p))])
		return errors.Join(err, werr)
	}
	if err != nil {
		return err
	}
	if _, err := do(p); err != nil {
		return err
	}
	return f.fault(Op{Step: s, After: true}, path)
}
