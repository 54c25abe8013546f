// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"sync"
)

// ErrConflict: the register doesn't hold the value that the swap started from.
// Nothing was changed; load and decide again.
var ErrConflict = errors.New("another value was written meanwhile")

// Register is one small value with compare-and-swap: the last record of a journal, whose
// file keeps earlier values up to 1 MiB. A loaded value is always durable, so a caller may
// sign it. Earlier versions kept the value as the plain content of the file;
// [OpenRegister] converts that.
type Register struct {
	name string
	max  int
	cut  int64 // see Truncated

	mu      sync.Mutex
	journal *Journal // nil: the outcome of the last write is unknown, and the file must be read
	value   []byte   // the last value known to be durable; nil: none is
	intent  []byte   // of a swap that failed, so the file holds value or intent; nil: there is none
	failed  error    // ErrChanged or fs.ErrClosed; never reset
}

const (
	registerLabel = "register"
	registerLimit = 1 << 20 // bytes of a register's file beyond which the next swap drops earlier values
)

// CreateRegister makes the register name with its first value of 1 to max bytes, or
// fails with [fs.ErrExist]. It refuses an empty value ([ErrTooLarge]), since an empty
// file may be a failed copy.
func CreateRegister(name string, max int, value []byte) (*Register, error) {
	r := &Register{name: name, max: max, value: bytes.Clone(value)}
	if err := r.checkSize(len(value)); err != nil {
		return nil, err
	}
	if err := CreateFile(name, registerFile(value), 0o600); err != nil {
		return nil, err
	}
	return r, nil
}

// OpenRegister opens an existing register, else fails with [ErrMissing]. It makes the value
// durable, since the last owner may have crashed before its fsync. A damaged file is
// [ErrCorrupt], an empty one [ErrTooLarge].
func OpenRegister(name string, max int) (*Register, error) {
	r := &Register{name: name, max: max}
	if err := r.open(); err != nil {
		return nil, err
	}
	r.cut = r.journal.Truncated()
	return r, nil
}

// Truncated returns the length in bytes of the torn tail that OpenRegister cut off. If no crash
// tore it, the file was damaged, and the value may be an earlier one.
func (r *Register) Truncated() int64 { return r.cut }

// Close closes the file. Later calls fail with [fs.ErrClosed].
func (r *Register) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = fmt.Errorf("register %s: %w", r.name, fs.ErrClosed)
	}
	return r.release()
}

// Load returns a copy of the value. It fails while the file must be read and can't be: at
// the first call after CreateRegister, and after a failed swap. It fails for good after
// [ErrChanged] and Close.
func (r *Register) Load() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
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
	if err := r.open(); err != nil {
		return err
	}
	if !bytes.Equal(old, r.value) {
		return fmt.Errorf("%w: %s", ErrConflict, r.name)
	}
	if r.journal.Size() > registerLimit {
		if err := r.journal.Rewrite(one(r.value)); err != nil {
			return r.doubt(err)
		}
	}
	r.intent = bytes.Clone(new)
	if err := r.journal.Append(new); err != nil {
		return r.doubt(err)
	}
	r.value, r.intent = r.intent, nil
	return nil
}

// doubt makes the next call read the file again after a failed write.
func (r *Register) doubt(err error) error {
	if errors.Is(err, ErrChanged) {
		err = r.fail()
	}
	return errors.Join(err, r.release())
}

func (r *Register) fail() error {
	r.failed = fmt.Errorf("%w: %s; find and stop that process, then restart", ErrChanged, r.name)
	return r.failed
}

func (r *Register) release() error {
	j := r.journal
	if r.journal = nil; j == nil {
		return nil
	}
	return j.Close()
}

// open opens the journal, unless it is open, and so determines the outcome of a failed
// swap. r.mu must be held.
func (r *Register) open() error {
	if r.failed != nil || r.journal != nil {
		return r.failed
	}
	if err := r.convert(); err != nil {
		return err
	}
	var value []byte
	j, err := OpenJournal(r.name, registerLabel, r.max, func(rec []byte) error {
		value = bytes.Clone(rec)
		return nil
	})
	if err != nil {
		return err
	}
	if err = r.checkSize(len(value)); err == nil && !r.expects(value) {
		err = r.fail()
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	r.journal, r.value, r.intent = j, value, nil
	return nil
}

// expects reports whether the file may hold value: this process wrote it, or has read none.
func (r *Register) expects(value []byte) bool {
	return r.value == nil || bytes.Equal(value, r.value) || r.intent != nil && bytes.Equal(value, r.intent)
}

// convert replaces a file that holds the plain value by a journal.
func (r *Register) convert() error {
	file, err := os.Open(r.name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrMissing, r.name)
	} else if err != nil {
		return err
	}
	magic := make([]byte, len(journalMagic))
	n, err := file.ReadAt(magic, 0)
	if err == io.EOF {
		err = nil // shorter than the magic
	}
	if err := errors.Join(err, file.Close()); err != nil || string(magic) == journalMagic {
		return err
	}
	plain, err := ReadFile(r.name, r.max)
	switch {
	case strings.Contains(string(plain), frameMagic):
		return &CorruptError{Name: r.name, Reason: "bad header line"}
	case err != nil:
		return err
	case n == 0:
		return r.checkSize(0)
	case !r.expects(plain):
		return r.fail()
	}
	return WriteFile(r.name, registerFile(plain), 0o600)
}

// registerFile returns a journal with one record.
func registerFile(value []byte) []byte {
	line, err := newHeader(registerLabel)
	if err != nil {
		panic(err) // never: the label is valid
	}
	frame := addRecord(newFrame(), value)
	seal(frame, newChain(line))
	return append(line, frame...)
}

func one(rec []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(rec, nil) }
}

func (r *Register) checkSize(n int) error {
	if n < 1 || n > r.max {
		return fmt.Errorf("%w: %s: %d bytes (1 to %d allowed)", ErrTooLarge, r.name, n, r.max)
	}
	return nil
}
