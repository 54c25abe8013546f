// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
)

// MaxExportSize bounds one export, in bytes of clear text.
const MaxExportSize = 64 << 20

// An ExportEntry is an entry of the log whose openings are exported.
type ExportEntry struct {
	Event event.Digest `json:"event"`
	Index uint64       `json:"index"`
}

// An ExportRequest asks for an export to an inspector.
type ExportRequest struct {
	Entries []ExportEntry // 1 to MaxExportEntries, each once
	To      string        // the inspector's age recipient: age1... or age1pq1...
	By      string        // the exporter's name: 1 to 255 printable ASCII characters
	Time    time.Time     // of the export, for the audit file
}

// Export writes an age file for the inspector to w: a tar archive with a file
// INDEX.openings for each entry ([event.Openings]), and INDEX-1.notice,
// INDEX-2.notice, ... with the ciphertexts of a release's notices. The records stay in
// the vault.
//
// Export makes the line in the audit file durable before it writes the first byte, so
// the audit file may name an export whose writing failed. If a record is missing or
// damaged, Export writes neither.
func (v *Vault) Export(ctx context.Context, req ExportRequest, w io.Writer) (*AuditRecord, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(req.To))
	if err != nil || len(recipients) != 1 || fmt.Sprint(recipients[0]) != req.To {
		return nil, fmt.Errorf("vault: exporting: the recipient is not one age recipient (age1...): %w", errors.Join(err, ErrMalformed))
	}
	a := &AuditRecord{By: req.By, Entries: slices.Clone(req.Entries), To: req.To, Time: req.Time.UTC().Truncate(time.Second)}
	if err := a.check(); err != nil {
		return nil, err
	}
	records, err := v.exported(ctx, a.Entries)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := writeExport(&out, recipients[0], a.Entries, records); err != nil {
		return nil, fmt.Errorf("vault: exporting: %w", err)
	}
	a.SHA256, a.Size = sha256.Sum256(out.Bytes()), int64(out.Len())
	if err := v.appendAudit(a); err != nil {
		return nil, fmt.Errorf("nothing was exported: %w", err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return nil, fmt.Errorf("vault: writing the export, which the audit file already names: %w", err)
	}
	return a, nil
}

// exported reads the records to export, within MaxExportSize.
func (v *Vault) exported(ctx context.Context, entries []ExportEntry) ([]*Record, error) {
	seen := make(map[event.Digest]bool, len(entries))
	var events []event.Digest
	for _, e := range entries {
		if seen[e.Event] {
			return nil, fmt.Errorf("vault: exporting: entry %d is named twice", e.Index)
		}
		seen[e.Event] = true
		events = append(events, e.Event)
	}
	var size int
	for _, places := range v.locate(events, nil) {
		for _, p := range places {
			size += p.n
		}
	}
	if size > MaxExportSize {
		return nil, fmt.Errorf("%w: an export of %d bytes, at most %d: export fewer entries at a time", ErrTooLarge, size, MaxExportSize)
	}
	records, err := v.Get(ctx, events...)
	if err != nil {
		return nil, fmt.Errorf("nothing was exported: %w", err)
	}
	return records, nil
}

func writeExport(out io.Writer, to age.Recipient, entries []ExportEntry, records []*Record) error {
	enc, err := age.Encrypt(out, to)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(enc)
	add := func(name string, b []byte) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(b)), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		_, err := archive.Write(b)
		return err
	}
	for i, r := range records {
		o := event.Openings{Event: r.hash, Public: r.Openings()}
		b, err := o.Bytes()
		if err != nil {
			return err
		}
		if err := add(fmt.Sprintf("%d.openings", entries[i].Index), b); err != nil {
			return err
		}
		for k, n := range r.notices {
			if err := add(fmt.Sprintf("%d-%d.notice", entries[i].Index, k+1), n); err != nil {
				return err
			}
		}
	}
	return errors.Join(archive.Close(), enc.Close())
}

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
	b, err := strictjson.Line(a)
	if err != nil {
		return nil, fmt.Errorf("vault: audit: %w", err)
	}
	return b, nil
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
