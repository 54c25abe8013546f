// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// The stanza that carries a batch's index.
const (
	indexType    = "github.com/vasistas/vasistas/vault"
	indexVersion = "v1"
	indexEntry   = 32 + 4
	maxRecords   = 4096 // in one batch
	batchSuffix  = ".age"
)

// batchName returns the name of a batch file. A process uses no number twice, so a
// name stands for one content.
func batchName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, batchSuffix) }

func parseBatchName(name string) (uint64, bool) {
	if len(name) != 16+len(batchSuffix) {
		return 0, false
	}
	seq, err := strconv.ParseUint(name[:16], 16, 64)
	return seq, err == nil && batchName(seq) == name
}

// stored is a record whose text is not parsed, as files hold it.
type stored struct {
	hash event.Digest
	text []byte
}

// place is the place of a record in the plaintext of a batch.
type place struct {
	hash event.Digest
	off  int64
	n    int
}

// encodeBatch returns a batch file and its index. It sorts the records, which must
// be of different events.
func encodeBatch(recipients []age.Recipient, records []stored) ([]byte, []place, error) {
	slices.SortFunc(records, func(a, b stored) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	places := make([]place, len(records))
	var size int64
	for i, r := range records {
		places[i] = place{r.hash, size, len(r.text)}
		size += int64(len(r.text))
	}
	index := encodeIndex(places)
	if _, err := parseIndex(index); err != nil {
		return nil, nil, err
	}
	room := int(size) + int(size)/2048 + len(index)*3/2 + 2048*(len(recipients)+1)
	out := bytes.NewBuffer(make([]byte, 0, room))
	w, err := age.Encrypt(out, &indexed{recipients, index})
	if err != nil {
		return nil, nil, fmt.Errorf("vault: encrypting: %w", err)
	}
	for _, r := range records {
		if _, err := w.Write(r.text); err != nil {
			return nil, nil, fmt.Errorf("vault: encrypting: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, nil, fmt.Errorf("vault: encrypting: %w", err)
	}
	return out.Bytes(), places, nil
}

// indexed acts as all recipients of a batch and adds the stanza of the index.
// parseRecipients has checked that the recipients may be mixed.
type indexed struct {
	recipients []age.Recipient
	index      []byte
}

func (r *indexed) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	var out []*age.Stanza
	for _, to := range r.recipients {
		stanzas, err := to.Wrap(fileKey)
		if err != nil {
			return nil, err
		}
		out = append(out, stanzas...)
	}
	return append(out, &age.Stanza{Type: indexType, Args: []string{indexVersion}, Body: r.index}), nil
}

// unwrapper acts as all identities and takes the index from the stanzas.
type unwrapper struct {
	identities []age.Identity
	index      []byte
	err        error // about the stanza of the index
}

func (u *unwrapper) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	u.err = fmt.Errorf("%w: batch: no index", ErrMalformed)
	for i, n := 0, 0; i < len(stanzas); i++ {
		s := stanzas[i]
		if s.Type != indexType {
			continue
		}
		if n++; n > 1 || len(s.Args) != 1 || s.Args[0] != indexVersion {
			u.index, u.err = nil, fmt.Errorf("%w: batch: two indices, or one of an unknown version", ErrMalformed)
			break
		}
		u.index, u.err = s.Body, nil
	}
	for _, id := range u.identities {
		key, err := id.Unwrap(stanzas)
		if errors.Is(err, age.ErrIncorrectIdentity) {
			continue
		}
		return key, err
	}
	return nil, age.ErrIncorrectIdentity
}

func encodeIndex(places []place) []byte {
	b := make([]byte, 0, len(places)*indexEntry)
	for _, p := range places {
		b = append(b, p.hash[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(p.n))
	}
	return b
}

// parseIndex reads an index, whose records ascend by hash.
func parseIndex(b []byte) ([]place, error) {
	if len(b) == 0 || len(b)%indexEntry != 0 || len(b) > maxRecords*indexEntry {
		return nil, fmt.Errorf("%w: index of %d bytes", ErrMalformed, len(b))
	}
	out := make([]place, len(b)/indexEntry)
	var off int64
	for i := range out {
		p := place{hash: event.Digest(b[:32]), off: off, n: int(binary.BigEndian.Uint32(b[32:]))}
		if p.n == 0 || p.n > MaxRecordSize {
			return nil, fmt.Errorf("%w: index: record of %d bytes", ErrMalformed, p.n)
		}
		if i > 0 && bytes.Compare(out[i-1].hash[:], p.hash[:]) >= 0 {
			return nil, fmt.Errorf("%w: index is not sorted, or has an event twice", ErrMalformed)
		}
		out[i] = p
		off += int64(p.n)
		b = b[indexEntry:]
	}
	return out, nil
}

// ioErrors is a file that keeps its last read error, so that a failing disk doesn't
// pass for a damaged file.
type ioErrors struct {
	BatchFile
	err error
}

func (f *ioErrors) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.BatchFile.ReadAt(p, off)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// openBatch is a batch file that is being read.
type openBatch struct {
	file  *ioErrors
	size  int64 // of the file
	index []place
	plain io.ReaderAt
}

// open reads and authenticates the header of a batch. The caller closes the file. A
// *brokenError means that the file is damaged, and carries the index that the file
// claims. Any other error is one of the storage.
func (v *Vault) open(seq uint64) (*openBatch, error) {
	f, err := v.files.Open(seq)
	if err != nil {
		return nil, err
	}
	b := &openBatch{file: &ioErrors{BatchFile: f}, size: f.Size()}
	if err := b.read(v.identities); err != nil {
		f.Close()
		if b.file.err != nil {
			return nil, b.file.err
		}
		return nil, &brokenError{b.index, err}
	}
	return b, nil
}

func (b *openBatch) read(identities []age.Identity) error {
	u := &unwrapper{identities: identities, err: errors.New("not an age file")}
	plain, size, err := age.DecryptReaderAt(b.file, b.size, u)
	if u.err == nil {
		b.index, u.err = parseIndex(u.index)
	}
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &noMatch):
		return ErrWrongKey
	case err != nil:
		return err
	case u.err != nil:
		return u.err
	}
	if last := b.index[len(b.index)-1]; last.off+int64(last.n) != size {
		return fmt.Errorf("%w: the index covers %d bytes, and the batch has %d", ErrMalformed, last.off+int64(last.n), size)
	}
	b.plain = plain
	return nil
}

// record reads one record's text.
func (b *openBatch) record(p place) ([]byte, error) {
	text := make([]byte, p.n)
	if n, err := b.plain.ReadAt(text, p.off); n < p.n {
		if b.file.err != nil {
			return nil, b.file.err
		}
		return nil, &brokenError{err: err}
	}
	return text, nil
}

// names reports whether an index has an event.
func names(index []place, h event.Digest) bool {
	_, ok := slices.BinarySearchFunc(index, h, func(p place, h event.Digest) int { return bytes.Compare(p.hash[:], h[:]) })
	return ok
}

// brokenError: a file's bytes are not those that were written.
type brokenError struct {
	index []place // what the file claims to hold; nil if unreadable
	err   error
}

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }
