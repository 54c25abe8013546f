// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

var (
	// ErrLabel: the journal belongs to another owner. Nothing was replayed.
	ErrLabel = errors.New("durable: journal has another label")
	// ErrFailed: a write, fsync or rename failed earlier, so this Journal takes no more
	// records. Records that were not acknowledged may be in the file or not; opening it
	// again shows which. The error also wraps the first failure.
	ErrFailed = errors.New("durable: journal has failed and must be opened again")
	// ErrBusy: Rewrite was called during an Append. Nothing was changed.
	ErrBusy = errors.New("durable: journal is being appended to")
)

// Journal is an append-only file of records. See frame.go for its format.
type Journal struct {
	name      string
	label     string
	maxRecord int
	truncated int64
	size      atomic.Int64 // chain.offset, for Size

	commit sync.Mutex // held during any change of the file; taken before mu
	file   *os.File   // guarded by commit, like the next two
	info   fs.FileInfo
	chain  chain // the end of the file; everything below it is durable

	mu       sync.Mutex
	next     *batch // records that wait for the next commit
	inflight int    // running calls of Append
	err      error  // why the journal takes no more records; never reset
}

// CreateJournal makes the journal name in an existing directory and opens it. If name
// exists, it fails with [fs.ErrExist]. The label, 1 to 255 printable ASCII characters,
// names the journal's owner. A record has 1 to maxRecord bytes, 16 MiB at most.
func CreateJournal(name, label string, maxRecord int) (*Journal, error) {
	line, err := newHeader(label)
	if err != nil {
		return nil, err
	}
	if err := checkMaxRecord(maxRecord); err != nil {
		return nil, err
	}
	if err := CreateFile(name, line, 0o600); err != nil {
		return nil, err
	}
	return OpenJournal(name, label, maxRecord, func([]byte) error { return nil })
}

// OpenJournal opens an existing journal and calls replay with each record, in order. A
// record is valid only during the call. The records are durable only once OpenJournal
// succeeds, so the caller uses their effect only then. An error of replay ends it and is
// returned wrapped. OpenJournal cuts off a torn tail, which a crash leaves and which
// holds no acknowledged record; [Journal.Truncated] returns its length.
//
// Errors: [ErrMissing], [ErrLabel], [ErrCorrupt] (the file stays as it is).
func OpenJournal(name, label string, maxRecord int, replay func(rec []byte) error) (*Journal, error) {
	if err := checkMaxRecord(maxRecord); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if err != nil {
		return nil, fmt.Errorf("durable: %w", err)
	}
	j := &Journal{name: name, label: label, maxRecord: maxRecord, file: file}
	if err := j.recover(replay); err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

func checkMaxRecord(n int) error {
	if n < 1 || n > maxRecord {
		return fmt.Errorf("%w: record limit of %d bytes (1 to %d allowed)", ErrTooLarge, n, maxRecord)
	}
	return nil
}

// recover replays the file and makes the replayed records durable.
func (j *Journal) recover(replay func([]byte) error) error {
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	r, err := replayJournal(j.file, j.name, j.label, info.Size(), replay)
	if err != nil {
		return err
	}
	j.info, j.chain, j.truncated = info, r.chain, info.Size()-r.chain.offset
	j.size.Store(j.chain.offset)
	if err := j.harden(r); err != nil {
		return fmt.Errorf("durable: recovering %s: %w", j.name, err)
	}
	return nil
}

// harden cuts off the torn tail, rewrites the last good frame and syncs. The rewrite is
// needed if the last owner died before its fsync or because of a failed one: the kernel
// may then take pages for clean that never reached the disk.
func (j *Journal) harden(r *replayer) error {
	if j.truncated > 0 {
		if err := Truncate.Do(j.name, func() error { return j.file.Truncate(j.chain.offset) }); err != nil {
			return err
		}
	}
	last := make([]byte, j.chain.offset-r.last)
	if err := r.readAt(last, r.last); err != nil {
		return err
	}
	err := Write.Write(j.name, last, func(p []byte) (int, error) { return j.file.WriteAt(p, r.last) })
	if err != nil {
		return err
	}
	if err := Sync.Do(j.name, j.file.Sync); err != nil {
		return err
	}
	return FsyncDir(filepath.Dir(j.name))
}

// Truncated returns the length in bytes of the torn tail that OpenJournal cut off.
func (j *Journal) Truncated() int64 { return j.truncated }

// Size returns the length of the durable part of the file in bytes.
func (j *Journal) Size() int64 { return j.size.Load() }

// Close closes the file after a running commit. Waiting and later calls of Append fail
// with [fs.ErrClosed].
func (j *Journal) Close() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.err, fs.ErrClosed) {
		return j.err
	}
	j.err = fmt.Errorf("durable: journal %s: %w", j.name, fs.ErrClosed)
	return j.file.Close()
}
