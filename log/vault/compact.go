// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// fanIn is how many files of similar size Compact merges. It bounds both how often a
// record is rewritten, to a few times, and how many small files remain, to a few
// dozen.
const fanIn = 8

// Compact removes empty files, rewrites half-empty ones and merges small ones. Call
// it regularly from a goroutine of its own: with nothing to do it costs next to
// nothing, and it doesn't block puts and reads. An error loses no record.
func (v *Vault) Compact(ctx context.Context) error {
	v.compactor.Lock()
	defer v.compactor.Unlock()
	if v.lock == nil || v.closed {
		return ErrReadOnly
	}
	for {
		inputs := v.choose()
		if err := v.removeDoomed(); err != nil {
			return err
		}
		if len(inputs) == 0 {
			return nil
		}
		if err := v.rewrite(ctx, inputs); err != nil {
			return err
		}
	}
}

// choose dooms empty files and returns the files to merge or rewrite next, nil if
// there are none.
func (v *Vault) choose() []*batchFile {
	v.mu.Lock()
	defer v.mu.Unlock()
	tiers := make(map[int][]*batchFile)
	for seq, f := range v.batches {
		switch {
		case v.damage[seq] != nil: // left as it is
		case f.live == 0:
			v.forget(seq)
		case 2*f.liveBytes <= f.bytes:
			return []*batchFile{f}
		case f.bytes <= int64(v.cfg.maxFileSize()/2) && f.live <= maxRecords/2:
			tier := bits.Len64(uint64(f.bytes)) / 2 // sizes differ by up to 4
			tiers[tier] = append(tiers[tier], f)
		}
	}
	for _, tier := range slices.Sorted(maps.Keys(tiers)) {
		if group := v.group(tiers[tier]); group != nil {
			return group
		}
	}
	return nil
}

// group returns the oldest files that fit into one file, nil if they are too few.
func (v *Vault) group(files []*batchFile) []*batchFile {
	slices.SortFunc(files, func(a, b *batchFile) int { return cmp.Compare(a.seq, b.seq) })
	var size int64
	records := 0
	for i, f := range files {
		size, records = size+f.liveBytes, records+f.live
		if full := size > int64(v.cfg.maxFileSize()) || records > maxRecords; full && i >= 2 {
			return files[:i]
		} else if full {
			return nil
		}
	}
	if len(files) < fanIn {
		return nil
	}
	return files
}

// rewrite writes the live records of the inputs to new files and removes the inputs.
// compactor must be held. After a crash in between, records are there twice, which
// scan handles.
func (v *Vault) rewrite(ctx context.Context, inputs []*batchFile) error {
	var records []stored
	from := make(map[event.Digest]uint64)
	for _, f := range inputs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		live, err := v.readLive(f)
		if err != nil {
			return err
		}
		for _, r := range live {
			from[r.hash] = f.seq
		}
		records = append(records, live...)
	}
	// A record that was meanwhile deleted, or put again, is dead in the new file.
	only := func(h event.Digest) bool {
		at, ok := v.records[h]
		return ok && at.file == from[h]
	}
	for batch := range v.cut(records) {
		if err := v.write(batch, only); err != nil {
			return err
		}
	}
	v.mu.Lock()
	for _, f := range inputs {
		if v.batches[f.seq] == f && f.live == 0 && v.damage[f.seq] == nil {
			v.forget(f.seq)
		}
	}
	v.mu.Unlock()
	return v.removeDoomed()
}

// readLive reads the live records of a file: none if the file is damaged, so that it
// is not rewritten.
func (v *Vault) readLive(f *batchFile) ([]stored, error) {
	records := make(map[event.Digest]*Record)
	if err := v.readFile(f, nil, records); err != nil {
		if _, ok := errors.AsType[*DamagedError](err); ok {
			return nil, nil
		}
		return nil, err
	}
	out := make([]stored, 0, len(records))
	for _, r := range records {
		out = append(out, stored{r.hash, r.text})
	}
	return out, nil
}

// removeDoomed removes the doomed files. compactor must be held; files may be added
// meanwhile.
func (v *Vault) removeDoomed() error {
	v.mu.RLock()
	doomed := slices.Sorted(maps.Keys(v.doomed))
	v.mu.RUnlock()
	if len(doomed) == 0 {
		return nil
	}
	if err := v.files.Remove(doomed); err != nil {
		return fmt.Errorf("vault: removing files that are no longer needed: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, seq := range doomed {
		delete(v.doomed, seq)
	}
	return nil
}

// Erase forgets records, known or not, and returns when no file of the vault holds
// their ciphertext. It is for records that must never be disclosed. After an error
// the records are forgotten, but a restart may bring them back: erase again. For a
// damaged file that holds or may hold one of them, the error is a *[DamagedError]:
// remove that file by hand.
func (v *Vault) Erase(ctx context.Context, events ...event.Digest) error {
	v.compactor.Lock()
	defer v.compactor.Unlock()
	if v.lock == nil || v.closed {
		return ErrReadOnly
	}
	return v.erase(ctx, events)
}

func (v *Vault) erase(ctx context.Context, events []event.Digest) error {
	v.Delete(events...)
	// A put in progress may add one of the records.
	v.putting.Lock()
	v.Delete(events...)
	v.putting.Unlock()
	files, errs := v.holders(events)
	for _, f := range files {
		has, err := v.holds(f, events)
		if err == nil && has {
			err = v.eraseFrom(ctx, f)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := v.removeDoomed(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// eraseFrom rewrites a file without its dead records.
func (v *Vault) eraseFrom(ctx context.Context, f *batchFile) error {
	if err := v.rewrite(ctx, []*batchFile{f}); err != nil {
		return err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if bad := v.damage[f.seq]; bad != nil {
		return notErased(v.damaged(f.seq, bad))
	}
	return nil
}

func notErased(err error) error {
	return fmt.Errorf("vault: records to be erased may remain: %w", err)
}

// holders returns the files that may hold dead records, and an error for each file
// with a damaged header that may hold one of the events.
func (v *Vault) holders(events []event.Digest) (files []*batchFile, errs []error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, f := range v.batches {
		if f.live < f.records {
			files = append(files, f)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(v.damage)) {
		if v.batches[seq] != nil {
			continue
		}
		bad := v.damage[seq]
		claimed := func(h event.Digest) bool { return names(bad.claims, h) }
		believed := bad.claims != nil && errors.Is(bad.err, ErrWrongKey) // intact, but for another key
		if !believed || slices.ContainsFunc(events, claimed) {
			errs = append(errs, notErased(v.damaged(seq, bad)))
		}
	}
	return files, errs
}

func (v *Vault) holds(f *batchFile, events []event.Digest) (bool, error) {
	b, err := v.open(f.seq)
	if err != nil {
		return false, v.readError(f, v.livePlaces(f), err)
	}
	defer b.file.Close()
	return slices.ContainsFunc(events, func(h event.Digest) bool { return names(b.index, h) }), nil
}

// Retain erases all records for which keep returns false, and returns their events. It spares records that
// are too young. It calls keep once for each record, in no particular order. The log calls Retain at its
// start, to drop records that were disclosed before a crash, and records that were never sequenced.
func (v *Vault) Retain(ctx context.Context, keep func(event.Digest) bool) ([]event.Digest, error) {
	v.compactor.Lock()
	defer v.compactor.Unlock()
	if v.lock == nil || v.closed {
		return nil, ErrReadOnly
	}
	dropped := v.others(keep)
	if len(dropped) == 0 {
		return nil, v.removeDoomed()
	}
	return dropped, v.erase(ctx, dropped)
}

// others returns, sorted, the records that keep does not want and that are old enough to be dropped.
func (v *Vault) others(keep func(event.Digest) bool) (out []event.Digest) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for h, at := range v.records {
		if !keep(h) && time.Since(v.batches[at.file].made) >= v.cfg.Spare {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, compareEvents)
	return out
}
