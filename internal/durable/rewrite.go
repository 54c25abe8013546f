// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
)

// Rewrite atomically replaces the content of the journal by records, which must hold
// everything that the caller still promises. Rewrite iterates over records while no
// commit runs, so records must not call j. An error in it ends the rewriting.
//
// The caller must hold a lock of its own that excludes Append *and* Append's effect on
// the state that records is made from (Append and its effect under RLock, Rewrite under
// Lock). Otherwise an acknowledged record could be missing. During an Append, Rewrite
// fails with [ErrBusy].
//
// After a failure before the rename the journal is unchanged and usable. After a later
// failure it has failed for good ([ErrFailed]), and opening it finds the old or the new
// content.
func (j *Journal) Rewrite(records iter.Seq2[[]byte, error]) error {
	if err := j.idle(); err != nil {
		return err
	}
	j.commit.Lock()
	defer j.commit.Unlock()
	if err := j.idle(); err != nil {
		return err
	}
	if err := j.checkOwned(); err != nil {
		return j.fail(err)
	}
	line, err := newHeader(j.label)
	if err != nil {
		return err
	}
	c := newChain(line)
	file, err := temp(j.name, 0o600, func(file *os.File) (err error) {
		c, err = j.fill(file, line, records)
		return err
	})
	if err != nil {
		return fmt.Errorf("durable: rewriting %s (it is unchanged): %w", j.name, err)
	}
	return j.replace(file, c)
}

// idle returns an error unless the journal takes records and no Append is running.
func (j *Journal) idle() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil && j.inflight > 0 {
		return fmt.Errorf("%w: %s", ErrBusy, j.name)
	}
	return j.err
}

// fill writes a whole journal to file and returns its end.
func (j *Journal) fill(file *os.File, line []byte, records iter.Seq2[[]byte, error]) (chain, error) {
	c := newChain(line)
	if err := Write.Write(j.name, line, file.Write); err != nil {
		return c, err
	}
	frame := newFrame()
	flush := func() error {
		if len(frame) == frameHeader {
			return nil
		}
		c = seal(frame, c)
		err := Write.Write(j.name, frame, file.Write)
		frame = frame[:frameHeader]
		return err
	}
	for rec, err := range records {
		if err != nil {
			return c, err
		}
		if len(rec) < 1 || len(rec) > j.maxRecord {
			return c, fmt.Errorf("%w: record of %d bytes (1 to %d allowed)", ErrTooLarge, len(rec), j.maxRecord)
		}
		if len(frame)+recordHeader+len(rec) > frameHeader+batchLimit {
			if err := flush(); err != nil {
				return c, err
			}
		}
		frame = addRecord(frame, rec)
	}
	return c, flush()
}

// replace puts the synced temporary file in the journal's place.
func (j *Journal) replace(file *os.File, c chain) error {
	temp := file.Name()
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("durable: rewriting %s (it is unchanged): %w", j.name, err), file.Close(), os.Remove(temp))
	}
	err = Rename.Do(j.name, func() error { return os.Rename(temp, j.name) })
	if err == nil {
		err = FsyncDir(filepath.Dir(j.name))
	}
	if err != nil {
		file.Close()
		os.Remove(temp)
		return j.fail(fmt.Errorf("rewriting: %w", err))
	}
	j.file.Close() // the old file is no longer needed
	j.file, j.info, j.chain = file, info, c
	j.size.Store(c.offset)
	return nil
}
