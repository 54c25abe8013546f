// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// ErrConflict: the register doesn't hold the value that the swap started from.
// Nothing was changed; load and decide again.
var ErrConflict = errors.New("another value was written meanwhile")

// Register is one small value with compare-and-swap, the plain content of a file. A
// loaded value is always durable, so a caller may sign it.
type Register struct {
	name string
	max  int

	mu     sync.Mutex
	value  []byte // the last value known to be durable
	doubt  bool   // a swap to intent failed, so the file holds value or intent
	intent []byte
	failed error // ErrChanged; never reset
}

// CreateRegister makes the register name with its first value of 1 to max bytes, or
// fails with [fs.ErrExist]. It refuses an empty value ([ErrTooLarge]), since an empty
// file may be a failed copy.
func CreateRegister(name string, max int, value []byte) (*Register, error) {
	r := &Register{name: name, max: max, value: bytes.Clone(value)}
	if err := r.checkSize(len(value)); err != nil {
		return nil, err
	}
	if err := CreateFile(name, value, 0o600); err != nil {
		return nil, err
	}
	return r, nil
}

// OpenRegister opens an existing register, else fails with [ErrMissing]. It rewrites the
// value, since the last owner may have crashed between the rename and its fsync.
func OpenRegister(name string, max int) (*Register, error) {
	r := &Register{name: name, max: max}
	value, err := r.read()
	if err != nil {
		return nil, err
	}
	if err := WriteFile(name, value, 0o600); err != nil {
		return nil, err
	}
	r.value = value
	return r, nil
}

// Load returns a copy of the value. It fails only while the outcome of a swap can't be
// reread, and for good after [ErrChanged].
func (r *Register) Load() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reread(); err != nil {
		return nil, err
	}
	return bytes.Clone(r.value), nil
}

// CompareAndSwap durably replaces the value old by new, of 1 to max bytes. If the
// value isn't old, it fails with [ErrConflict]. After any other error the register holds
// old or new; Load returns which.
func (r *Register) CompareAndSwap(old, new []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkSize(len(new)); err != nil {
		return err
	}
	if err := r.reread(); err != nil {
		return err
	}
	if !bytes.Equal(old, r.value) {
		return fmt.Errorf("%w: %s", ErrConflict, r.name)
	}
	onDisk, err := r.read()
	if err != nil {
		return err
	}
	if !bytes.Equal(onDisk, r.value) {
		return r.fail()
	}
	r.doubt, r.intent = true, bytes.Clone(new)
	if err := WriteFile(r.name, new, 0o600); err != nil {
		return err
	}
	r.value, r.doubt, r.intent = r.intent, false, nil
	return nil
}

// reread determines the outcome of a failed swap. r.mu must be held.
func (r *Register) reread() error {
	if r.failed != nil || !r.doubt {
		return r.failed
	}
	onDisk, err := r.read()
	if err != nil {
		return err
	}
	switch {
	case bytes.Equal(onDisk, r.value): // not replaced, so still durable
	case bytes.Equal(onDisk, r.intent):
		// Replaced, perhaps not durably. A second fsync of the directory could succeed
		// without effect; a new file and a new rename can't.
		if err := WriteFile(r.name, onDisk, 0o600); err != nil {
			return err
		}
		r.value = r.intent
	default:
		return r.fail()
	}
	r.doubt, r.intent = false, nil
	return nil
}

func (r *Register) fail() error {
	r.failed = fmt.Errorf("%w: %s; find and stop that process, then restart", ErrChanged, r.name)
	return r.failed
}

func (r *Register) read() ([]byte, error) {
	value, err := ReadFile(r.name, r.max)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrMissing, r.name)
	case err != nil && !errors.Is(err, ErrTooLarge):
		return nil, err
	}
	return value, r.checkSize(len(value))
}

func (r *Register) checkSize(n int) error {
	if n < 1 || n > r.max {
		return fmt.Errorf("%w: %s: %d bytes (1 to %d allowed)", ErrTooLarge, r.name, n, r.max)
	}
	return nil
}
