// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

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
