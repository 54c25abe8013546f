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

// fanIn is how many files of similar size make Compact merge them. So each
// record is rewritten a few times in its life, and there are at most a few
// dozen files that could be merged.
const fanIn = 8

// Compact removes files that nothing is left in, rewrites those that are half
// empty, and merges small ones. When there is nothing to do it costs next to
// nothing: call it now and then, from a goroutine of its own. Puts and reads go on
// meanwhile. After an error all records are where they were.
func (v *Vault) Compact(ctx context.Context) error {
	if v.lock == nil {
		return ErrReadOnly
	}
	v.compactor.Lock()
	defer v.compactor.Unlock()
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

// choose dooms the files that nothing is left in, and returns those to be merged or
// rewritten next: nil if all is well.
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

// group returns the oldest files that fit into one, if there are enough of them.
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

// rewrite puts the live records of the inputs into new files and removes the
// inputs. It needs compactor. A crash in between leaves records twice, which
// opening the vault notices.
func (v *Vault) rewrite(ctx context.Context, inputs []*batchFile) error {
	var records []stored
	from := make(map[event.Digest]*batchFile)
	for _, f := range inputs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		live, err := v.readLive(f)
		if err != nil {
			return err
		}
		for _, r := range live {
			from[r.hash] = f
		}
		records = append(records, live...)
	}
	// A record that was deleted meanwhile, or put again, is dead in the new file.
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

// readLive reads the records of a file that count. A file that turns out to be
// damaged is not rewritten, and none of its records is moved.
func (v *Vault) readLive(f *batchFile) ([]stored, error) {
	found := make(map[event.Digest]*Record)
	if err := v.readFile(f, nil, found); err != nil {
		if _, ok := errors.AsType[*DamagedError](err); ok {
			return nil, nil
		}
		return nil, err
	}
	out := make([]stored, 0, len(found))
	for _, r := range found {
		out = append(out, stored{r.hash, r.text})
	}
	return out, nil
}

// removeDoomed removes what must not be there. It needs compactor, except that
// files may be added meanwhile.
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

// Erase forgets records, whether they are known or not, and returns when no file of
// the vault holds their ciphertext. It is for what must not be disclosed by
// anybody any more. After an error the records are forgotten, but a restart may
// bring them back: erase again. A damaged file that holds one, or that doesn't
// say what it holds, is a *[DamagedError]: remove that file by hand.
func (v *Vault) Erase(ctx context.Context, events ...event.Digest) error {
	if v.lock == nil {
		return ErrReadOnly
	}
	v.compactor.Lock()
	defer v.compactor.Unlock()
	return v.erase(ctx, events)
}

func (v *Vault) erase(ctx context.Context, events []event.Digest) error {
	v.Delete(events...)
	// A put that is under way may be of a record that is to go.
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
	return fmt.Errorf("vault: it may still hold what was to be erased: %w", err)
}

// holders returns the files that may hold dead records, and an error for each
// damaged one that may hold one of the events for all that its header says.
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
		believed := bad.claims != nil && errors.Is(bad.err, ErrWrongKey) // not damaged, only closed
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

// spares returns whether a record is too young to be dropped.
func (v *Vault) spares(h event.Digest) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	at, ok := v.records[h]
	return ok && time.Since(at.file.made) < v.cfg.Spare
}

// Retain erases all records that keep does not want, and returns their events. Call
// it at start, with what the ledger knows: it drops what was disclosed before a
// crash, and what was put but never sequenced.
func (v *Vault) Retain(ctx context.Context, keep func(event.Digest) bool) ([]event.Digest, error) {
	if v.lock == nil {
		return nil, ErrReadOnly
	}
	v.compactor.Lock()
	defer v.compactor.Unlock()
	var dropped []event.Digest
	for _, h := range v.All() {
		if !keep(h) && !v.spares(h) {
			dropped = append(dropped, h)
		}
	}
	if len(dropped) == 0 {
		return nil, v.removeDoomed()
	}
	return dropped, v.erase(ctx, dropped)
}
