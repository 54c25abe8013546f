// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package vault keeps, encrypted, what a log must disclose later: the openings of
// events' public digests and the notices of releases. It never gets the openings for
// subjects.
//
// # Contract
//
// The vault promises the log:
//
//   - When [Vault.PutBatch] returns nil, the encrypted records are on stable
//     storage, so the log may sequence their events.
//   - A [Record] matches its event: [Prepare] alone makes records, and fails unless
//     every public digest (of a release: every notice's digest) is opened.
//     [Disclosures] checks it again before anything is published.
//   - When [Vault.Erase] returns nil, no file of the vault holds the ciphertext.
//     [Vault.Delete] is for disclosed records: it forgets them at once, and the next
//     [Vault.Compact] removes their ciphertext. A crash may bring a deleted record
//     back, which does no harm, since its content is public; [Vault.Retain] drops it
//     at the next start.
//   - Damage to a file affects only the records in it. A vault with a damaged file
//     opens, and errors name the events that can no longer be disclosed
//     ([DamagedError], [Vault.Has]). Losing the whole vault loses no log entry, but
//     the log will miss its deadlines, for all to see.
//   - [Vault.Export] writes its line of the audit file to stable storage before the
//     first byte of the export.
//
// The ledger, not the vault, knows when a record is due and whether it is needed.
//
// The vault trusts every user who can write to its directory (to delete files or add
// a recipient) and every user who can read the identity file (to read everything).
// Keep the identity on another disk, or in memory, if the vault's disk may be stolen.
//
// # Files
//
//	recipients.txt           age recipients, one for each line: the vault's own first,
//	                         then recovery keys that are held offline
//	<16 hex digits>.age      a batch of up to 4,096 records
//	audit/exports.jsonl      a line for each export, with the hash of the line before
//	lock, audit/lock
//
// A batch is an age file (C2SP age) with the usual stanzas of its recipients, and an
// index stanza, which age programs ignore as they do every unknown type:
//
//	-> github.com/vasistas/vasistas/vault v1
//	<for each record, sorted: 32 bytes event hash, 4 bytes length, big-endian>
//
// The index can be read without decrypting a record, and the header's MAC under the
// file key authenticates it. The ordinary age program decrypts a batch:
//
//	age -d -i vault.key 0000000000000001.age
//
// A record in the plaintext is an openings file ([event.Openings]: one line),
// followed by a line of base64url for each notice. Batches are immutable; Compact
// merges small ones and rewrites half-empty ones.
//
// # Decisions
//
//   - Encryption is post-quantum (ML-KEM-768 with X25519), since a copy of the disk
//     must stay secret for as long as a seal, which is years. age refuses to mix
//     recipients of both kinds, so age-keygen -pq makes the recovery keys.
//   - There is no list of deleted records. The ledger knows that a record which a
//     crash brings back is disclosed, and Erase returns only when it is done.
//   - Only Create makes a vault's directory, so that a lost vault is an error and not
//     an empty start.
//
// BUG(vault): removing a file leaves its blocks on the disk until they are reused,
// and doesn't reach backups. To be sure, encrypt the disk, and keep backups of the
// vault no longer than the seals last.
package vault

import (
	"bytes"
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

// A Vault keeps records until they are deleted. Its methods are safe for concurrent
// use. It takes about 100 bytes of memory for each record.
type Vault struct {
	cfg        Config
	identities []age.Identity
	recipients []age.Recipient
	files      Storage
	lock       io.Closer // nil: opened for reading only

	closed    bool       // changed under both of the next
	putting   sync.Mutex // held by PutBatch
	compactor sync.Mutex // held by Compact, Erase and Retain, which rewrite files

	mu      sync.RWMutex
	records map[event.Digest]location
	batches map[uint64]*batchFile
	seq     uint64              // the last number given to a file; never goes back
	doomed  map[uint64]bool     // files to remove: empty ones, and failed writes that may exist
	damage  map[uint64]*badFile // files that can't be read, or not in full
}

// String and GoString name the place of the vault and none of its keys.
func (v *Vault) String() string   { return "vault in " + v.files.String() }
func (v *Vault) GoString() string { return v.String() }

// location is the place of a live record. It has no pointer, since there may be millions of records.
type location struct {
	file uint64 // key of the file in Vault.batches
	off  uint32
	n    uint32
}

// batchFile is a file with at least one live record. Vault.mu guards live and
// liveBytes; the rest doesn't change.
type batchFile struct {
	seq       uint64
	size      int64 // of the file
	records   int
	bytes     int64 // of all records
	live      int   // records that Vault.records locates here
	liveBytes int64
	made      time.Time
}

// Erase depends on this invariant: every copy of a record's text is in the file where
// Vault.records locates it, or in a file with live < records, or in one that is doomed
// or damaged.

type badFile struct {
	claims []place // its index, verified or not; nil if unreadable
	err    error
}

// Open opens the vault for one owner. It reads the headers of all files and decrypts
// no record. It fails if another owner has the vault open, and with [ErrMissing] or
// [ErrWrongKey]. A damaged file is no error: see [Vault.Damage] and [Vault.Has].
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

// OpenReadOnly opens a vault for reading and exporting, even while its owner has it
// open.
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

// Close releases the vault's lock, after the writes under way. Later ones fail with
// [ErrReadOnly]: another process may have the vault.
func (v *Vault) Close() error {
	v.compactor.Lock()
	defer v.compactor.Unlock()
	v.putting.Lock()
	defer v.putting.Unlock()
	if v.lock == nil || v.closed {
		return nil
	}
	v.closed = true
	return v.lock.Close()
}

// scan fills the maps from the headers of the files. If another process owns the
// vault, a file may vanish meanwhile: then scan starts again.
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
		if broken, ok := errors.AsType[*brokenError](err); ok {
			v.damage[seq] = &badFile{broken.index, broken.err}
			continue
		} else if err != nil {
			return fmt.Errorf("vault: reading %s: %w", v.files.Path(seq), err)
		}
		b.file.Close()
		v.add(seq, b.size, b.index, nil)
		v.batches[seq].made = now.Add(-info.Age)
	}
	// Other files have all records of a file without a live one.
	for seq, f := range v.batches {
		if f.live == 0 {
			v.forget(seq)
		}
	}
	return nil
}

// add makes the records of a new file live, except those for which only, if not nil,
// returns false. mu must be held.
func (v *Vault) add(seq uint64, size int64, index []place, only func(event.Digest) bool) {
	f := &batchFile{seq: seq, size: size, records: len(index), made: time.Now()}
	v.batches[seq] = f
	for _, p := range index {
		f.bytes += int64(p.n)
		if only != nil && !only(p.hash) {
			continue
		}
		v.drop(p.hash)
		v.records[p.hash] = location{seq, uint32(p.off), uint32(p.n)}
		f.live++
		f.liveBytes += int64(p.n)
	}
}

// drop forgets a record, whose text stays in its file. mu must be held.
func (v *Vault) drop(h event.Digest) bool {
	at, ok := v.records[h]
	if ok {
		f := v.batches[at.file]
		f.live--
		f.liveBytes -= int64(at.n)
		delete(v.records, h)
	}
	return ok
}

// forget drops a file without live records and dooms it. mu must be held.
func (v *Vault) forget(seq uint64) {
	delete(v.batches, seq)
	if v.lock != nil {
		v.doomed[seq] = true
	}
}

// PutBatch adds records, skipping nil ones, and returns when they are durable, in one
// file unless they are very large. It skips records that the vault has, so a failed
// or interrupted put can be repeated. After an error the vault may have some of the
// records.
func (v *Vault) PutBatch(ctx context.Context, records []*Record) error {
	v.putting.Lock()
	defer v.putting.Unlock()
	if v.lock == nil || v.closed {
		return ErrReadOnly
	}
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

// fresh returns the records that the vault lacks, each once.
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

// cut splits records into the contents of single files.
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

// write makes records durable in a new file, then adds it with only, see add.
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
		// The file may exist all the same, and Erase must reach it.
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

// Writable returns nil if the vault could take a record now, as far as can be told.
func (v *Vault) Writable() error {
	if err := v.files.Probe(); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// Has reports whether the vault has a record of the event that is not known to be
// unreadable. The log calls it for each sealed entry, to find those that it can no
// longer disclose.
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
	slices.SortFunc(out, compareEvents)
	return out
}

func compareEvents(a, b event.Digest) int { return bytes.Compare(a[:], b[:]) }

// Delete forgets disclosed records and returns how many there were. Compact removes
// their ciphertext; until then a crash can bring them back, see [Vault.Retain]. To
// destroy undisclosed records, use Erase.
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

// Stats are the sizes of a vault.
type Stats struct {
	Records      int   // live ones
	RecordBytes  int64 // of live records, in clear
	Files        int
	FileBytes    int64 // encrypted, including dead records
	DamagedFiles int
}

// Stats returns the sizes of the vault.
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
