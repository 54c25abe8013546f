// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

const (
	auditDir  = "audit"
	auditFile = "exports.jsonl"
	// MaxExportEntries bounds the entries of one export.
	MaxExportEntries = 10000
	maxBy            = 255
	maxAuditLine     = MaxExportEntries*100 + 8192
)

// An AuditRecord is one line of the audit file: an export that was made, or was
// about to be made when the process ended.
type AuditRecord struct { // the members in the order of their names
	By      string        `json:"by"`            // the exporter, from ExportRequest
	Entries []ExportEntry `json:"entries"`       // from ExportRequest
	Prev    event.Digest  `json:"prev,omitzero"` // SHA-256 of the line before, with its LF; zero: the first
	SHA256  event.Digest  `json:"sha256"`        // of the exported age file
	Size    int64         `json:"size"`          // of that file, in bytes
	Time    time.Time     `json:"time"`          // UTC, whole seconds; from ExportRequest
	To      string        `json:"to"`            // age recipient
}

// Bytes returns the line, with LF.
func (a *AuditRecord) Bytes() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return nil, fmt.Errorf("vault: audit: %w", err)
	}
	return b.Bytes(), nil
}

func (a *AuditRecord) check() error {
	switch {
	case !printable(a.By, maxBy):
		return fmt.Errorf("%w: audit: the exporter's name must be 1 to %d printable ASCII characters", ErrMalformed, maxBy)
	case !printable(a.To, maxKeyFile/2):
		return fmt.Errorf("%w: audit: recipient", ErrMalformed)
	case len(a.Entries) == 0 || len(a.Entries) > MaxExportEntries:
		return fmt.Errorf("%w: audit: %d entries, 1 to %d are allowed", ErrMalformed, len(a.Entries), MaxExportEntries)
	case a.Time.Location() != time.UTC || a.Time.Nanosecond() != 0 || a.Time.Year() < 1970 || a.Time.Year() > 9999:
		return fmt.Errorf("%w: audit: the time must be UTC and in whole seconds", ErrMalformed)
	case a.Size < 0:
		return fmt.Errorf("%w: audit: negative size", ErrMalformed)
	}
	return nil
}

func printable(s string, limit int) bool {
	return len(s) > 0 && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// ParseAuditRecord reads a line in its one encoding.
func ParseAuditRecord(line []byte) (*AuditRecord, error) {
	if len(line) > maxAuditLine {
		return nil, fmt.Errorf("%w: audit: line of %d bytes", ErrTooLarge, len(line))
	}
	a := new(AuditRecord)
	if err := json.Unmarshal(line, a); err != nil {
		return nil, fmt.Errorf("%w: audit: %w", ErrMalformed, err)
	}
	again, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, line) {
		return nil, fmt.Errorf("%w: audit: not the canonical encoding", ErrMalformed)
	}
	return a, nil
}

// Audit reads the audit file and checks its chain of hashes. It leaves out a last
// line that a crash cut off, since that export was never written.
func (v *Vault) Audit() ([]*AuditRecord, error) {
	var out []*AuditRecord
	_, _, err := v.readAudit(func(a *AuditRecord) { out = append(out, a) })
	return out, err
}

// readAudit returns the hash of the last whole line, zero if there is none, and the
// length of all whole lines.
func (v *Vault) readAudit(each func(*AuditRecord)) (prev event.Digest, length int64, err error) {
	f, err := v.files.ReadAudit()
	if errors.Is(err, fs.ErrNotExist) {
		return prev, 0, nil
	} else if err != nil {
		return prev, 0, fmt.Errorf("vault: audit: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxAuditLine+1)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			return prev, length, nil
		} else if err != nil {
			return prev, length, fmt.Errorf("vault: audit: %s, line %d: %w", v.auditName(), n, err)
		}
		a, err := ParseAuditRecord(line)
		if err == nil && a.Prev != prev {
			err = fmt.Errorf("%w: a line before it was changed or removed", ErrMalformed)
		}
		if err != nil {
			return prev, length, fmt.Errorf("vault: audit: %s, line %d: %w; nothing is exported until you move that file away", v.auditName(), n, err)
		}
		prev, length = sha256.Sum256(line), length+int64(len(line))
		each(a)
	}
}

// auditName returns the place of the audit file, for messages.
func (v *Vault) auditName() string { return fmt.Sprintf("%s, %s/%s", v.files, auditDir, auditFile) }

// appendAudit sets Prev and appends the record to the audit file, durably.
func (v *Vault) appendAudit(a *AuditRecord) (err error) {
	lock, err := v.files.LockAudit()
	if err != nil {
		return fmt.Errorf("vault: audit: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	prev, length, err := v.readAudit(func(*AuditRecord) {})
	if err != nil {
		return err
	}
	a.Prev = prev
	line, err := a.Bytes()
	if err != nil {
		return err
	}
	if len(line) > maxAuditLine {
		return fmt.Errorf("%w: audit: line of %d bytes", ErrTooLarge, len(line))
	}
	if err := v.files.AppendAudit(length, line); err != nil {
		return fmt.Errorf("vault: audit: %w", err)
	}
	return nil
}
