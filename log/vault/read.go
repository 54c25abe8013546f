// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// Get decrypts records. It returns the readable ones, in the order of events, and one
// error about the others: it wraps a *[MissingError] for records that the vault lacks
// and a *[DamagedError] for each damaged file. Get holds all records in memory, so
// the caller must bound their number.
func (v *Vault) Get(ctx context.Context, events ...event.Digest) ([]*Record, error) {
	found := make(map[event.Digest]*Record, len(events))
	var errs []error
	// Compact may rewrite a file between locate and readFile. Then locate again.
	const attempts = 100
	for attempt := 0; ; attempt++ {
		moved := false
		for f, places := range v.locate(events, found) {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("vault: %w", err)
			}
			err := v.readFile(f, places, found)
			_, damaged := errors.AsType[*DamagedError](err)
			if !damaged && errors.Is(err, fs.ErrNotExist) && attempt < attempts {
				moved = true
			} else if err != nil {
				errs = append(errs, err)
			}
		}
		if !moved {
			break
		}
		if v.lock == nil {
			if err := v.scan(); err != nil {
				return nil, err
			}
		}
	}
	out := make([]*Record, 0, len(events))
	missing := &MissingError{}
	for _, h := range events {
		if r := found[h]; r != nil {
			out = append(out, r)
		} else {
			missing.Events = append(missing.Events, h)
		}
	}
	if len(missing.Events) > 0 {
		errs = append(errs, missing)
	}
	return out, errors.Join(errs...)
}

// locate returns the places of those events that are not in found, by file.
func (v *Vault) locate(events []event.Digest, found map[event.Digest]*Record) map[*batchFile][]place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make(map[*batchFile][]place)
	for _, h := range events {
		if at, ok := v.records[h]; ok && found[h] == nil {
			f := v.batches[at.file]
			out[f] = append(out[f], place{h, int64(at.off), int(at.n)})
		}
	}
	for _, places := range out {
		slices.SortFunc(places, func(a, b place) int { return int(a.off - b.off) })
	}
	return out
}

// readFile reads records of one file into found: all live ones if places is nil. It
// drops damaged records from the vault.
func (v *Vault) readFile(f *batchFile, places []place, found map[event.Digest]*Record) error {
	b, err := v.open(f.seq)
	if err != nil {
		return v.readError(f, v.livePlaces(f), err) // no record can be read
	}
	defer b.file.Close()
	if places == nil {
		places = v.liveIn(f, b.index)
	}
	var lost []place
	var cause error
	for _, p := range places {
		r, err := readRecord(b, p)
		if _, ok := errors.AsType[*brokenError](err); ok {
			lost, cause = append(lost, p), err
			continue
		} else if err != nil {
			return v.readError(f, nil, err)
		}
		found[r.hash] = r
	}
	if len(lost) > 0 {
		return v.readError(f, lost, &brokenError{b.index, cause})
	}
	return nil
}

func readRecord(b *openBatch, p place) (*Record, error) {
	text, err := b.record(p)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(text)
	if err == nil && r.hash != p.hash {
		err = fmt.Errorf("%w: index and record name different events", ErrMalformed)
	}
	if err != nil {
		return nil, &brokenError{err: err}
	}
	return r, nil
}

// readError returns the error for a failed read of places, and records damage. A
// file that is gone although live records are in it is damaged too.
func (v *Vault) readError(f *batchFile, places []place, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	gone := errors.Is(err, fs.ErrNotExist)
	if gone && (v.lock == nil || v.batches[f.seq] != f) {
		return err // its owner has rewritten it: locate again
	}
	var broken *brokenError
	if !gone && !errors.As(err, &broken) {
		return fmt.Errorf("vault: reading %s: %w", v.files.Path(f.seq), err)
	}
	bad := v.damage[f.seq]
	if bad == nil {
		bad = &badFile{err: err}
		v.damage[f.seq] = bad
	}
	for _, p := range places {
		if at, ok := v.records[p.hash]; ok && at.file == f.seq {
			v.drop(p.hash)
			bad.claims = append(bad.claims, p)
		}
	}
	slices.SortFunc(bad.claims, func(a, b place) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	return v.damaged(f.seq, bad)
}

// damaged makes the error about a damaged file. mu must be held.
func (v *Vault) damaged(seq uint64, bad *badFile) *DamagedError {
	// If the header is not authenticated, the index may be wrong.
	e := &DamagedError{File: v.files.Path(seq), Unsure: v.batches[seq] == nil, Err: bad.err}
	for _, p := range bad.claims {
		if _, ok := v.records[p.hash]; !ok {
			e.Events = append(e.Events, p.hash)
		}
	}
	return e
}

// Damage returns the known damage: in headers, which Open reads, and in records read
// since. Check reads everything.
func (v *Vault) Damage() []*DamagedError {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var out []*DamagedError
	for _, seq := range slices.Sorted(maps.Keys(v.damage)) {
		out = append(out, v.damaged(seq, v.damage[seq]))
	}
	return out
}

// Check decrypts every record, with one file at a time in memory, and returns all
// damage. An error means that it could not read everything.
func (v *Vault) Check(ctx context.Context) ([]*DamagedError, error) {
	for _, f := range v.openFiles() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
		err := v.readFile(f, nil, make(map[event.Digest]*Record))
		_, damaged := errors.AsType[*DamagedError](err)
		// A file that is gone was read when it was rewritten.
		if err != nil && !damaged && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return v.Damage(), nil
}

func (v *Vault) openFiles() []*batchFile {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.SortedFunc(maps.Values(v.batches), func(a, b *batchFile) int { return cmp.Compare(a.seq, b.seq) })
}

// liveIn returns the places of live records in a file's index.
func (v *Vault) liveIn(f *batchFile, index []place) []place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(index), func(p place) bool {
		at, ok := v.records[p.hash]
		return !ok || at.file != f.seq
	})
}

// livePlaces is liveIn for a file whose index is unreadable. It visits every record.
func (v *Vault) livePlaces(f *batchFile) []place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var places []place
	for h, at := range v.records {
		if at.file == f.seq {
			places = append(places, place{h, int64(at.off), int(at.n)})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.off, b.off) })
	return places
}
