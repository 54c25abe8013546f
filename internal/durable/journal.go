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
	// ErrLabel: the journal belongs to somebody else. Nothing was replayed.
	ErrLabel = errors.New("durable: journal has another label")
	// ErrFailed: a write, fsync or rename failed earlier, so that this Journal takes no
	// more records. What didn't get acknowledged may or may not be in the file; open
	// it again to find out. The error wraps the first failure too.
	ErrFailed = errors.New("durable: journal has failed and must be opened again")
	// ErrBusy: Rewrite was called while an Append was under way. Nothing was changed.
	ErrBusy = errors.New("durable: journal is being appended to")
)

// Journal is an append-only file of records. Its format stands in frame.go.
type Journal struct {
	name      string
	label     string
	maxRecord int
	truncated int64
	size      atomic.Int64 // chain.offset, for Size

	commit sync.Mutex // held during any change of the file; taken before mu
	file   *os.File   // guarded by commit; as the next two
	info   fs.FileInfo
	chain  chain // the end of the file; all below it is durable

	mu       sync.Mutex
	next     *batch // records that wait for the next commit
	inflight int    // calls of Append under way
	err      error  // why no more records are taken; never reset
}

// CreateJournal makes the journal name, whose directory exists, and opens it; if name
// exists it fails with [fs.ErrExist]. The label, 1 to 255 printable ASCII characters,
// says whose journal it is. A record has 1 to maxRecord bytes, 16 MiB at most.
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

// OpenJournal opens a journal that exists, and gives each record to replay, in order.
// A record is valid during the call only; what replay gathers counts only once
// OpenJournal has succeeded, for only then is it durable. An error of replay is
// returned wrapped, and ends it. A torn tail, as a crash leaves it, is cut off and
// told by [Journal.Truncated]; records in it were never acknowledged.
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

// recover replays the file and makes durable what it found.
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

// harden cuts off the torn tail, and writes the last good frame once more before it
// syncs: the last owner may have died before its fsync, or because of its failure,
// and after that the kernel may take pages for clean that never reached the disk.
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

// Truncated returns the length in bytes of the torn tail that opening cut off.
func (j *Journal) Truncated() int64 { return j.truncated }

// Size returns the length of the file in bytes, of what is durable.
func (j *Journal) Size() int64 { return j.size.Load() }

// Close closes the file, after a commit that is under way. Calls of Append that are
// still waiting, and all later ones, fail with [fs.ErrClosed].
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
