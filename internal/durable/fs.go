// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

var (
	// ErrMissing: a register or journal that must exist doesn't. It wraps
	// [fs.ErrNotExist]. The caller must not create an empty one instead: the operator
	// restores the state, or creates new state by an explicit command.
	ErrMissing = fmt.Errorf("durable: state file is missing: %w", fs.ErrNotExist)
	// ErrTooLarge: a value or record is empty or exceeds the caller's limit.
	ErrTooLarge = errors.New("durable: size is outside the allowed range")
	// ErrChanged: another process wrote to a file that this process owns.
	ErrChanged = errors.New("durable: file was changed by another process while in use")
)

// Step is one kind of durable step.
type Step string

// The steps, in the order in which an operation takes them. The path that goes
// with each is the final name, not the temporary one; for [SyncDir] the directory.
const (
	Mkdir      Step = "mkdir"
	Create     Step = "create"      // make a temporary file
	Write      Step = "write"       // write to a temporary file, or rewrite the last frame of a journal on opening
	Sync       Step = "sync"        // fsync the file of Write
	Rename     Step = "rename"      // WriteFile, Rewrite
	Link       Step = "link"        // CreateFile
	SyncDir    Step = "sync dir"    // fsync a directory
	Append     Step = "append"      // write one frame to a journal
	AppendSync Step = "append sync" // fdatasync a journal
	Truncate   Step = "truncate"    // cut a torn tail off a journal
	Remove     Step = "remove"      // for callers that remove files
)

// Op is a moment before or after a step.
type Op struct {
	Step  Step
	After bool
}

// Fault is called before and after a step, and its error becomes the step's. An error
// before the step prevents it; after it, the step is done but its result is lost. Before
// a Write or Append the error may be a *[Torn].
type Fault func(op Op, path string) error

// injection is a fault in one directory.
type injection struct {
	dir   string // cleaned
	fault Fault
}

// injections is the list that [Inject] sets, with injecting held. A list is never
// changed.
var (
	injecting  sync.Mutex
	injections atomic.Pointer[[]*injection]
)

// Inject makes each step on a path in dir or below call fault, from any goroutine,
// before and after, until remove is called. It is for tests of crash safety only, and
// package durabletest is its only caller. Since a fault belongs to a directory, tests in
// different directories don't see each other's faults.
func Inject(dir string, fault Fault) (remove func()) {
	in := &injection{filepath.Clean(dir), fault}
	setInjections(func(list []*injection) []*injection { return append(list, in) })
	return func() {
		setInjections(func(list []*injection) []*injection {
			return slices.DeleteFunc(list, func(i *injection) bool { return i == in })
		})
	}
}

func setInjections(change func([]*injection) []*injection) {
	injecting.Lock()
	defer injecting.Unlock()
	var list []*injection
	if old := injections.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	injections.Store(&list)
}

// Torn is a fault that lets the first Bytes bytes of a write reach the file.
type Torn struct {
	Bytes int
	Err   error
}

func (t *Torn) Error() string { return fmt.Sprintf("after %d bytes: %v", t.Bytes, t.Err) }

// Unwrap returns t.Err.
func (t *Torn) Unwrap() error { return t.Err }

func fault(op Op, path string) error {
	list := injections.Load()
	if list == nil {
		return nil
	}
	for _, in := range *list {
		if rest, ok := strings.CutPrefix(filepath.Clean(path), in.dir); !ok || rest != "" && rest[0] != filepath.Separator {
			continue
		}
		if err := in.fault(op, path); err != nil {
			return fmt.Errorf("%s %s: %w", op.Step, path, err)
		}
	}
	return nil
}

// Do runs a step for which package durable has no function.
func (s Step) Do(path string, do func() error) error {
	if err := fault(Op{Step: s}, path); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return fault(Op{Step: s, After: true}, path)
}

// Write is [Step.Do] for a step that writes p, and may be [Torn].
func (s Step) Write(path string, p []byte, do func([]byte) (int, error)) error {
	err := fault(Op{Step: s}, path)
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
	return fault(Op{Step: s, After: true}, path)
}
