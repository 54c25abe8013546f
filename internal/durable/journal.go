// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

var (
	// ErrLabel: the journal belongs to another owner. Nothing was replayed.
	ErrLabel = errors.New("the journal belongs to another owner")
	// ErrFailed: a write, fsync or rename failed earlier, so this Journal takes no more
	// records. Records that were not acknowledged may be in the file or not; opening it
	// again shows which. The error also wraps the first failure.
	ErrFailed = errors.New("a write to the journal failed; it takes no more until it is opened again, as at a start")
	// ErrBusy: Rewrite was called during an Append. Nothing was changed.
	ErrBusy = errors.New("journal is being appended to")
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
	inode  inode      // of the file, which has zeros behind the frames
	chain  chain      // the end of the frames; everything below it is durable

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
		return nil, err
	}
	j := &Journal{name: name, label: label, maxRecord: maxRecord, file: file}
	if err := j.recover(replay); err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

// ReadJournal calls do with each record of a journal, up to a torn tail, as OpenJournal does. It
// needs no owner and changes nothing, so what it reads may not be durable.
func ReadJournal(name, label string, do func(rec []byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	_, err = replayJournal(file, name, label, info.Size(), do)
	return err
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
		return err
	}
	r, err := replayJournal(j.file, j.name, j.label, info.Size(), replay)
	if err != nil {
		return err
	}
	// More zeros than a reserve are a frame that a crash tore before any of it was written.
	r.torn = r.torn || info.Size()-r.chain.offset > reserve
	if j.inode, j.chain = inodeOf(info), r.chain; r.torn {
		j.inode.size, j.truncated = j.chain.offset, info.Size()-j.chain.offset
	}
	j.size.Store(j.chain.offset)
	if err := j.harden(r); err != nil {
		return fmt.Errorf("recovering %s: %w", j.name, err)
	}
	return nil
}

// harden cuts off the torn tail, rewrites the last good frame and syncs. The rewrite is
// needed if the last owner died before its fsync or because of a failed one: the kernel
// may then take pages for clean that never reached the disk.
func (j *Journal) harden(r *replayer) error {
	if r.torn {
		if err := Truncate.Do(j.name, func() error { return j.file.Truncate(j.chain.offset) }); err != nil {
			return err
		}
	}
	last := make([]byte, j.chain.offset-j.chain.last)
	if err := r.readAt(last, j.chain.last); err != nil {
		return err
	}
	err := Write.Write(j.name, last, func(p []byte) (int, error) { return j.file.WriteAt(p, j.chain.last) })
	if err != nil {
		return err
	}
	if err := Sync.Do(j.name, j.file.Sync); err != nil {
		return err
	}
	return FsyncDir(filepath.Dir(j.name))
}

// Truncated returns the length in bytes of the torn tail that OpenJournal cut off. A tail of zeros is not torn.
func (j *Journal) Truncated() int64 { return j.truncated }

// WarnTruncated logs that opening a file cut off n bytes, unless n is 0.
func WarnTruncated(logger *slog.Logger, name string, n int64) {
	if n > 0 {
		logger.Warn("cut off an incomplete record, as a crash leaves it; if there was no crash, the file was damaged", "file", name, "bytes", n)
	}
}

// Size returns the length in bytes of the durable records in the file, which has zeros behind them.
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
	j.err = fmt.Errorf("journal %s: %w", j.name, fs.ErrClosed)
	return j.file.Close()
}

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
func (j *Journal) Append(rec []byte) error { return j.AppendWith(rec, nil) }

// AppendWith is Append, but it calls work, unless work is nil, while the disk writes. It calls work
// once, in the caller's goroutine. After an error, work may not have been called.
func (j *Journal) AppendWith(rec []byte, work func()) error {
	if len(rec) < 1 || len(rec) > j.maxRecord {
		return fmt.Errorf("%w: record of %d bytes for %s (1 to %d allowed)", ErrTooLarge, len(rec), j.name, j.maxRecord)
	}
	b, leader, err := j.join(rec)
	if err != nil {
		return err
	}
	if leader {
		j.lead(b, work)
	} else if work != nil {
		work()
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

// lead commits b when its turn comes. Until then other calls join b. lead calls work while the batch
// before is written or, if none is, while b is.
func (j *Journal) lead(b *batch, work func()) {
	if work != nil && !j.commit.TryLock() {
		work()
		work = nil
		j.commit.Lock()
	} else if work == nil {
		j.commit.Lock()
	}
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
	if err := j.write(b.frame, work); err != nil {
		b.err = j.fail(err)
	}
}

// write commits one frame. Unless work is nil, write calls it while the disk writes. j.commit must be held.
func (j *Journal) write(frame []byte, work func()) error {
	if err := j.checkOwned(); err != nil {
		return err
	}
	end, size := seal(frame, j.chain), j.inode.size
	if end.offset > size {
		frame = append(frame, make([]byte, reserve)...)
		size = end.offset + reserve
	}
	err := Append.Write(j.name, frame, func(p []byte) (int, error) { return j.file.WriteAt(p, j.chain.offset) })
	if err != nil {
		return err
	}
	err = AppendSync.Do(j.name, func() error {
		if work != nil {
			if err := startSync(j.file, j.chain.offset, len(frame)); err != nil {
				return err
			}
			work()
		}
		return datasync(j.file)
	})
	if err != nil {
		return err
	}
	j.chain, j.inode.size = end, size
	j.size.Store(end.offset)
	return nil
}

// checkOwned detects a second writer, and a file that was moved away or restored: the name must lead to
// this file, of its known size, with this journal's last frame and only zeros where the next one belongs.
// A failed stat or read shows no change, so it is not ErrChanged, unless the name is gone.
func (j *Journal) checkOwned() error {
	named, err := statInode(j.name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	} else if err != nil {
		return err
	}
	if named != j.inode {
		return fmt.Errorf("%w: %s", ErrChanged, j.name)
	}
	last := make([]byte, frameHeader)
	if j.chain.last == 0 {
		last = make([]byte, j.chain.offset)
	}
	next := make([]byte, min(frameHeader, j.inode.size-j.chain.offset))
	_, err1 := j.file.ReadAt(last, j.chain.last)
	_, err2 := j.file.ReadAt(next, j.chain.offset)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	sum := crc32.Checksum(last, castagnoli)
	if h, ok := parseFrame(last, j.chain.seed); ok {
		sum = h.sum
	}
	if sum != j.chain.previous || len(bytes.Trim(next, "\x00")) > 0 {
		return fmt.Errorf("%w: %s", ErrChanged, j.name)
	}
	return nil
}

// inode identifies a file on this machine, and has its size in bytes.
type inode struct {
	dev, ino uint64
	size     int64
}

func inodeOf(info fs.FileInfo) inode {
	s := info.Sys().(*syscall.Stat_t)
	return inode{uint64(s.Dev), s.Ino, info.Size()}
}

// statAll is statInode with stat(2), which reads the times too.
func statAll(name string) (inode, error) {
	info, err := os.Stat(name)
	if err != nil {
		return inode{}, err
	}
	return inodeOf(info), nil
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
	file, err := temp(filepath.Dir(j.name), j.name, 0o600, func(w io.Writer) (err error) {
		c, err = j.fill(w, line, records)
		return err
	})
	if err != nil {
		return fmt.Errorf("rewriting %s (it is unchanged): %w", j.name, err)
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
func (j *Journal) fill(w io.Writer, line []byte, records iter.Seq2[[]byte, error]) (chain, error) {
	c := newChain(line)
	if _, err := w.Write(line); err != nil {
		return c, err
	}
	frame := newFrame()
	flush := func() error {
		if len(frame) == frameHeader {
			return nil
		}
		c = seal(frame, c)
		_, err := w.Write(frame)
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
		return errors.Join(fmt.Errorf("rewriting %s (it is unchanged): %w", j.name, err), file.Close(), os.Remove(temp))
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
	j.file, j.inode, j.chain = file, inodeOf(info), c
	j.size.Store(c.offset)
	return nil
}
