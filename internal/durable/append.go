// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"os"
)

// batch holds the records that one write and one fdatasync commit.
type batch struct {
	frame []byte        // guarded by Journal.mu until taken out of Journal.next
	done  chan struct{} // closed after the commit, when err is final
	err   error
}

// Append adds rec and returns once it is durable. Concurrent calls share one write and
// one fdatasync, and their records have no particular order. After an error other than
// [ErrTooLarge] the journal has failed for good ([ErrFailed], except [fs.ErrClosed]),
// and rec may be in the journal when it is opened again.
func (j *Journal) Append(rec []byte) error {
	if len(rec) < 1 || len(rec) > j.maxRecord {
		return fmt.Errorf("%w: record of %d bytes for %s (1 to %d allowed)", ErrTooLarge, len(rec), j.name, j.maxRecord)
	}
	b, leader, err := j.join(rec)
	if err != nil {
		return err
	}
	if leader {
		j.lead(b)
	}
	<-b.done
	j.mu.Lock()
	j.inflight--
	j.mu.Unlock()
	return b.err
}

// join puts rec into the next batch. The caller that starts a batch leads it.
func (j *Journal) join(rec []byte) (b *batch, leader bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, false, j.err
	}
	j.inflight++
	b = j.next
	if b == nil || len(b.frame)+recordHeader+len(rec) > frameHeader+batchLimit {
		// A full batch that is replaced here still has its leader.
		b, leader = &batch{frame: newFrame(), done: make(chan struct{})}, true
		j.next = b
	}
	b.frame = addRecord(b.frame, rec)
	return b, leader, nil
}

// lead commits b when its turn comes. Until then other calls join b.
func (j *Journal) lead(b *batch) {
	j.commit.Lock()
	defer j.commit.Unlock()
	defer close(b.done)
	j.mu.Lock()
	if j.next == b {
		j.next = nil
	}
	b.err = j.err
	j.mu.Unlock()
	if b.err != nil {
		return
	}
	if err := j.write(b.frame); err != nil {
		b.err = j.fail(err)
	}
}

// write commits one frame. j.commit must be held.
func (j *Journal) write(frame []byte) error {
	if err := j.checkOwned(); err != nil {
		return err
	}
	end := seal(frame, j.chain)
	err := Append.Write(j.name, frame, func(p []byte) (int, error) { return j.file.WriteAt(p, j.chain.offset) })
	if err != nil {
		return err
	}
	if err := AppendSync.Do(j.name, func() error { return datasync(j.file) }); err != nil {
		return err
	}
	j.chain = end
	j.size.Store(end.offset)
	return nil
}

// checkOwned detects a second writer, and a file that was moved away or restored.
func (j *Journal) checkOwned() error {
	info, err := os.Stat(j.name)
	if err != nil {
		return errors.Join(ErrChanged, err)
	}
	if !os.SameFile(info, j.info) || info.Size() != j.chain.offset {
		return fmt.Errorf("%w: %s", ErrChanged, j.name)
	}
	return nil
}

// fail makes the journal fail for good and returns the error of all later calls.
func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = fmt.Errorf("%w: %s: %w", ErrFailed, j.name, err)
	}
	return j.err
}
