// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

var (
	// ErrMissing: there is no vault in the directory, or no identity file. It
	// wraps [fs.ErrNotExist].
	ErrMissing = fmt.Errorf("vault: missing: %w", fs.ErrNotExist)
	// ErrWrongKey: the identity file has not the key that the vault, or one of
	// its files, is encrypted to.
	ErrWrongKey = errors.New("vault: encrypted to another key than those in the identity file")
	// ErrReadOnly: the vault was opened by OpenReadOnly.
	ErrReadOnly = errors.New("vault: opened for reading only")
	// ErrTooLarge: more than one record, or one export, may have.
	ErrTooLarge = errors.New("vault: too large")
	// ErrMalformed: bytes that are not what this package writes.
	ErrMalformed = errors.New("vault: malformed")
)

// A SubmissionError says what is wrong with what a submission carries beside its
// entry. It is the submitter's fault.
type SubmissionError struct {
	Event event.Digest // event hash
	Err   error
}

func (e *SubmissionError) Error() string {
	return fmt.Sprintf("submission of event %s: %v", e.Event, e.Err)
}

// Unwrap returns e.Err.
func (e *SubmissionError) Unwrap() error { return e.Err }

// A MissingError names events for which the vault has nothing.
type MissingError struct {
	Events []event.Digest
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("vault: nothing is kept for %s; they were disclosed, or can't be any more", list(e.Events))
}

// A DamagedError says that a file of the vault can't be read, and what can no
// longer be disclosed for it. The file is left as it is.
type DamagedError struct {
	File   string
	Events []event.Digest // that are in no other file; sorted
	// Unsure: the file's header is damaged too, so that Events is only what its
	// index claims, if it can be read at all. [Vault.Has] knows better, asked
	// of all events that are still sealed.
	Unsure bool
	Err    error
}

func (e *DamagedError) Error() string {
	what := "can no longer be disclosed: " + list(e.Events)
	switch {
	case e.Unsure && len(e.Events) == 0:
		what = "which events can no longer be disclosed it doesn't say (perhaps none)"
	case e.Unsure:
		what += ", as far as its index is to be believed"
	case len(e.Events) == 0:
		what = "nothing is lost, all its records are in other files"
	}
	return fmt.Sprintf("vault: file %s is damaged (%v); %s; restore it from a backup of the vault, or have the events submitted again", e.File, e.Err, what)
}

// Unwrap returns e.Err.
func (e *DamagedError) Unwrap() error { return e.Err }

// list names events: all of few, the first of many.
func list(events []event.Digest) string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%d event", len(events))
	if len(events) != 1 {
		b.WriteByte('s')
	}
	for i, h := range events {
		switch {
		case i == most:
			b.WriteString(", ...")
			return b.String()
		case i == 0:
			b.WriteString(" (hash ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(h.String())
	}
	if len(events) > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

var url = base64.RawURLEncoding.Strict()
