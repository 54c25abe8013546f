// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// A Vault keeps records until they are deleted. Its methods are safe for
// concurrent use. In memory it has about 100 bytes a record.
type Vault struct {
	cfg        Config
	identities []age.Identity
	recipients []age.Recipient
	files      Storage
	lock       io.Closer // nil: opened for reading only

	putting   sync.Mutex // held by PutBatch
	compactor sync.Mutex // held by what rewrites files: Compact, Erase, Retain

	mu      sync.RWMutex
	records map[event.Digest]location
	batches map[uint64]*batchFile
	seq     uint64              // of the last file that was named; never goes back
	doomed  map[uint64]bool     // files that may be there and must not: failed writes and removals
	damage  map[uint64]*badFile // files that can't be read, or not in full
}

// String and GoString say where the vault is, and nothing of its keys.
func (v *Vault) String() string   { return "vault in " + v.files.String() }
func (v *Vault) GoString() string { return v.String() }

// location is where a record is.
type location struct {
	file *batchFile
	off  uint32
	n    uint32
}

// batchFile is a file with at least one record that counts. All but seq and the
// totals is guarded by Vault.mu.
type batchFile struct {
	seq       uint64
	size      int64 // of the file
	records   int
	bytes     int64 // of all records
	live      int   // records that Vault.records finds here
	liveBytes int64
	made      time.Time
}

// Every copy of a record's text is in the file where Vault.records finds it, or in
// one with live < records, or in one that is doomed or damaged. Erase rests on that.

type badFile struct {
	claims []place // its index, believed or not; nil if unreadable
	err    error
}

// Open opens the vault for one owner. It reads the headers of all files and
// decrypts no record. It refuses a vault that is in use; other errors are
// [ErrMissing] and [ErrWrongKey]. A damaged file is no error: see [Vault.Damage] and
// [Vault.Has].
func Open(cfg Config) (*Vault, error) {
	v, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	if v.lock, err = v.files.Lock(); err != nil {
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	if err := v.scan(); err != nil {
		return nil, errors.Join(err, v.lock.Close())
	}
	return v, nil
}

// OpenReadOnly opens a vault to read and export from it, also while its owner
// has it open.
func OpenReadOnly(cfg Config) (*Vault, error) {
	v, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	return v, v.scan()
}

func prepare(cfg Config) (*Vault, error) {
	identities, recipients, err := readKeys(cfg)
	if err != nil {
		return nil, err
	}
	return &Vault{cfg: cfg, files: cfg.storage(), identities: identities, recipients: recipients, doomed: make(map[uint64]bool)}, nil
}

// Close gives the directory back. No call may follow.
func (v *Vault) Close() error {
	if v.lock == nil {
		return nil
	}
	return v.lock.Close()
}

func (v *Vault) path(seq uint64) string { return v.files.Path(seq) }

// scan fills the maps from the headers of the files. Files may vanish meanwhile,
// if another process owns them: then it begins again.
func (v *Vault) scan() error {
	const attempts = 100
	var err error
	for range attempts {
		if err = v.scanOnce(); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return err
}

func (v *Vault) scanOnce() error {
	list, err := v.files.List()
	if err != nil {
		return err
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.records, v.batches, v.damage = make(map[event.Digest]location), make(map[uint64]*batchFile), make(map[uint64]*badFile)
	for _, info := range list {
		seq := info.Seq
		v.seq = max(v.seq, seq)
		b, err := v.open(seq)
		var broken *brokenError
		switch {
		case errors.As(err, &broken):
			v.damage[seq] = &badFile{broken.index, broken.err}
			continue
		case err != nil:
			return fmt.Errorf("vault: reading %s: %w", v.path(seq), err)
		}
		b.file.Close()
		v.add(seq, b.size, b.index, nil)
		v.batches[seq].made = now.Add(-info.Age)
	}
	// All that is in files without a live record is in others too.
	for seq, f := range v.batches {
		if f.live == 0 {
			v.forget(seq)
		}
	}
	return nil
}

// add makes the records of a new file those that count, except where another file
// has one and only says otherwise. It needs mu.
func (v *Vault) add(seq uint64, size int64, index []place, only func(event.Digest) bool) {
	f := &batchFile{seq: seq, size: size, records: len(index), made: time.Now()}
	v.batches[seq] = f
	for _, p := range index {
		f.bytes += int64(p.n)
		if only != nil && !only(p.hash) {
			continue
		}
		v.drop(p.hash)
		v.records[p.hash] = location{f, uint32(p.off), uint32(p.n)}
		f.live++
		f.liveBytes += int64(p.n)
	}
}

// drop forgets a record. Its text stays in its file. It needs mu.
func (v *Vault) drop(h event.Digest) bool {
	at, ok := v.records[h]
	if ok {
		at.file.live--
		at.file.liveBytes -= int64(at.n)
		delete(v.records, h)
	}
	return ok
}

// forget takes a file without live records out of use; it is to be removed. It
// needs mu.
func (v *Vault) forget(seq uint64) {
	delete(v.batches, seq)
	if v.lock != nil {
		v.doomed[seq] = true
	}
}

// PutBatch keeps records, which may be nil, and returns when they are durable: one
// file, unless they are very large. A record that is there already is passed over,
// so what failed or was interrupted can simply be put again. After an error some
// of the records may be kept.
func (v *Vault) PutBatch(ctx context.Context, records []*Record) error {
	if v.lock == nil {
		return ErrReadOnly
	}
	v.putting.Lock()
	defer v.putting.Unlock()
	for batch := range v.cut(v.fresh(records)) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		if err := v.write(batch, nil); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns those that the vault hasn't, each once.
func (v *Vault) fresh(records []*Record) []stored {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]stored, 0, len(records))
	seen := make(map[event.Digest]bool, len(records))
	for _, r := range records {
		if r == nil || seen[r.hash] {
			continue
		}
		if _, ok := v.records[r.hash]; !ok {
			seen[r.hash] = true
			out = append(out, stored{r.hash, r.text})
		}
	}
	return out
}

// cut cuts records into what one file may hold.
func (v *Vault) cut(records []stored) iter.Seq[[]stored] {
	return func(yield func([]stored) bool) {
		begin, size := 0, 0
		for i, r := range records {
			if i > begin && (i-begin == maxRecords || size+len(r.text) > v.cfg.maxFileSize()) {
				if !yield(records[begin:i]) {
					return
				}
				begin, size = i, 0
			}
			size += len(r.text)
		}
		if begin < len(records) {
			yield(records[begin:])
		}
	}
}

// write makes records durable in a new file, then makes them count; only as in add.
func (v *Vault) write(records []stored, only func(event.Digest) bool) error {
	data, index, err := encodeBatch(v.recipients, records)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.seq++
	seq := v.seq
	v.mu.Unlock()
	if err := v.files.Create(seq, data); err != nil {
		// It may be there all the same, and what is in it may be erased later.
		v.mu.Lock()
		v.doomed[seq] = true
		v.mu.Unlock()
		return fmt.Errorf("vault: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(seq, int64(len(data)), index, only)
	return nil
}

// Has returns whether the vault has a record of the event that is not known to be
// unreadable. The log asks for each sealed entry, to learn what it can't disclose any
// more.
func (v *Vault) Has(h event.Digest) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	_, ok := v.records[h]
	return ok
}

// Len returns how many records the vault has.
func (v *Vault) Len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.records)
}

// All returns the events of all records, sorted.
func (v *Vault) All() []event.Digest {
	v.mu.RLock()
	out := slices.Collect(maps.Keys(v.records))
	v.mu.RUnlock()
	slices.SortFunc(out, func(a, b event.Digest) int { return slices.Compare(a[:], b[:]) })
	return out
}

// Delete forgets records whose content has been disclosed, and returns how many
// there were. Their ciphertext goes when Compact rewrites the file; until then a
// crash can bring them back, see [Vault.Retain]. To keep what was never disclosed
// from anybody for good, use Erase.
func (v *Vault) Delete(events ...event.Digest) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, h := range events {
		if v.drop(h) {
			n++
		}
	}
	return n
}

// Stats says how much there is.
type Stats struct {
	Records      int   // that count
	RecordBytes  int64 // in clear
	Files        int
	FileBytes    int64 // encrypted, including what Compact has yet to remove
	DamagedFiles int
}

// Stats returns how much there is.
func (v *Vault) Stats() Stats {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s := Stats{Records: len(v.records), Files: len(v.batches), DamagedFiles: len(v.damage)}
	for _, f := range v.batches {
		s.RecordBytes += f.liveBytes
		s.FileBytes += f.size
	}
	return s
}
