// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

var (
	// ErrMissing: there is no vault in the directory, or no identity file. It
	// wraps [fs.ErrNotExist].
	ErrMissing = durable.Like(fs.ErrNotExist, "missing")
	// ErrWrongKey: the identity file lacks the key that the vault, or one of its
	// files, is encrypted to.
	ErrWrongKey = errors.New("vault: encrypted to another key than those in the identity file")
	// ErrReadOnly: the vault was opened by OpenReadOnly, or is closed.
	ErrReadOnly = errors.New("vault: closed, or opened for reading only")
	// ErrTooLarge: a record, an audit line or an export exceeds its limit.
	ErrTooLarge = errors.New("vault: too large")
	// ErrMalformed: bytes that this package doesn't write.
	ErrMalformed = errors.New("vault: malformed")
)

// A SubmissionError is an error in a submission's openings or notices, caused by the
// submitter.
type SubmissionError struct {
	Event event.Digest // event hash
	Err   error
}

func (e *SubmissionError) Error() string {
	return fmt.Sprintf("submission of event %s: %v", e.Event, e.Err)
}

// Unwrap returns e.Err.
func (e *SubmissionError) Unwrap() error { return e.Err }

// A MissingError names events for which the vault has no record.
type MissingError struct {
	Events []event.Digest
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("vault: no record of %s: already disclosed, or lost", list(e.Events))
}

// A DamagedError names a file of the vault that can't be read, and the events that
// can no longer be disclosed because of it. The file is left as it is.
type DamagedError struct {
	File   string
	Events []event.Digest // that are in no other file; sorted
	// Unsure: the file's header is damaged, so Events is only what its index claims,
	// if anything. Call [Vault.Has] for each sealed event to be sure.
	Unsure bool
	Err    error
}

func (e *DamagedError) Error() string {
	what := "can no longer be disclosed: " + list(e.Events)
	switch {
	case e.Unsure && len(e.Events) == 0:
		what = "its index is unreadable, so events that can no longer be disclosed are unknown"
	case e.Unsure:
		what += ", according to its unverified index"
	case len(e.Events) == 0:
		what = "nothing is lost, since other files have all its records"
	}
	return fmt.Sprintf("vault: file %s is damaged (%v); %s; restore the file from a backup of the vault, or have the events submitted again", e.File, e.Err, what)
}

// Unwrap returns e.Err.
func (e *DamagedError) Unwrap() error { return e.Err }

// list names the first 20 events.
func list(events []event.Digest) string {
	const most = 20
	if len(events) == 0 {
		return "0 events"
	}
	text, end := fmt.Sprintf("%d events", len(events)), ")"
	if len(events) == 1 {
		text = "1 event"
	}
	if len(events) > most {
		events, end = events[:most], ", ..."
	}
	hashes := make([]string, len(events))
	for i, h := range events {
		hashes[i] = h.String()
	}
	return text + " (hash " + strings.Join(hashes, ", ") + end
}
