// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

type logState struct {
	origin string
	turn   chan struct{} // the lock: it holds one element while locked
	queue  atomic.Int32  // requests that have the lock or wait for it
	// last is the latest accepted head, nil if there is none. Only persist, under the
	// lock, and reopen replace it; its size never goes back.
	last atomic.Pointer[accepted]
	told cosigning.Teller

	mu      sync.Mutex // held for no write of a head
	writing uint64     // time of the head that persist is writing; 0: none
	again   *accepted  // the recorded head with its latest time and lines; nil: not signed again
}

// acquire takes the lock of l, so that its requests are decided one by one. At most limit
// requests have it or wait, so that one log can't take all slots.
func (l *logState) acquire(ctx context.Context, limit int) error {
	if int(l.queue.Add(1)) > limit {
		l.queue.Add(-1)
		return fmt.Errorf("%w: %d requests for this log are under way", ErrBusy, limit)
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.queue.Add(-1)
		return ctx.Err()
	}
}

func (l *logState) release() {
	<-l.turn
	l.queue.Add(-1)
}

// errMoved: the state has changed since decide.
var errMoved = errors.New("the state moved")

// reserveAhead is how many seconds of timestamps one write reserves. After a crash the clock
// may be so far ahead.
const reserveAhead = 5

// compactAt is the size in bytes below which the journal is not compacted.
const compactAt = 4 << 20

// store is the durable state: a journal of accepted heads, of which each log's last counts,
// and these last heads in memory.
type store struct {
	name   string
	label  string
	logger *slog.Logger
	clock  clock

	// order is held for reading while appending to the journal and updating a log's last
	// head, and for writing while replacing the journal.
	order   sync.RWMutex
	journal *durable.Journal
	limit   int64 // of the journal's size, for the next compaction
	failed  atomic.Bool
	closed  bool
	retry   time.Time // when to open a failed journal again
	// reserved is a time in the journal up to which unchanged heads are signed again.
	reserved atomic.Uint64

	mu       sync.Mutex
	byOrigin map[string]*logState
}

func openStore(c *Config) (*store, error) {
	s := &store{
		name:     filepath.Join(c.Dir, journalFile),
		label:    journalLabel(c),
		logger:   c.Logger,
		byOrigin: make(map[string]*logState),
	}
	last, err := s.replay()
	switch {
	case errors.Is(err, durable.ErrMissing):
		return nil, fmt.Errorf("%w; create a state with init if this witness never signed anything, otherwise restore it or use resume-lost", err)
	case errors.Is(err, durable.ErrLabel):
		return nil, fmt.Errorf("the state is not that of a witness named %s: %w", c.Name(), err)
	case err != nil:
		return nil, err
	}
	for origin, a := range last {
		s.log(origin).last.Store(a)
	}
	return s, nil
}

// replay opens the journal and returns the last head of each log.
func (s *store) replay() (map[string]*accepted, error) {
	last := make(map[string]*accepted)
	j, err := durable.OpenJournal(s.name, s.label, maxRecord, func(rec []byte) error {
		if t, ok := parseClockRecord(rec); ok {
			s.clock.observe(t)
			return nil
		}
		a, err := parseRecord(rec)
		if err != nil {
			return err
		}
		if prev := last[a.head.Origin]; prev != nil && (a.head.Size < prev.head.Size || a.head.Size == prev.head.Size && a.head.Root != prev.head.Root) {
			return fmt.Errorf("the journal has conflicting heads of %q at sizes %d and %d", a.head.Origin, prev.head.Size, a.head.Size)
		}
		last[a.head.Origin] = a
		s.clock.observe(a.time)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("opening the state: %w", err)
	}
	durable.WarnTruncated(s.logger, s.name, j.Truncated())
	s.journal, s.limit = j, compactAt
	return last, nil
}

func (s *store) log(origin string) *logState {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byOrigin[origin]
	if l == nil {
		l = &logState{origin: origin, turn: make(chan struct{}, 1)}
		s.byOrigin[origin] = l
	}
	return l
}

func (s *store) logs() []*logState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byOrigin))
}

// persist gives next its timestamp and makes it the accepted head of l in place of prev. It
// returns errMoved if prev is no longer the accepted head. Once it returns nil, next is
// durable. Many calls share one fsync. persist calls sign while the disk writes, once next has its
// timestamp. The caller holds l's lock.
func (s *store) persist(l *logState, prev, next *accepted, sign func()) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.append(l, prev, next, sign); err != nil {
		return err
	}
	if s.grown() {
		s.compact()
	}
	return nil
}

func (s *store) append(l *logState, prev, next *accepted, sign func()) (err error) {
	s.order.RLock()
	defer s.order.RUnlock()
	if err := l.begin(prev, next, &s.clock); err != nil {
		return err
	}
	err = s.write(next.record(), sign)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = 0
	if err == nil {
		l.last.Store(next)
	}
	return err
}

// begin stamps next, which is to follow prev.
func (l *logState) begin(prev, next *accepted, c *clock) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.Load() != prev {
		return errMoved
	}
	next.time, err = c.stamp()
	l.writing = next.time
	return err
}

// write makes a record durable. Unless work is nil, write calls it while the disk writes. The caller
// holds order for reading.
func (s *store) write(record []byte, work func()) error {
	err := s.journal.AppendWith(record, work)
	if err == nil {
		return nil
	}
	if s.failed.CompareAndSwap(false, true) {
		s.logger.Error("the journal can't be written; the witness signs nothing until it can", "file", s.name, "error", err)
	}
	return fmt.Errorf("%w: %w", ErrNotDurable, err)
}

// refresh returns the accepted head prev with lines of the present second, which sign makes
// at most once a second. It returns errMoved if prev is no longer the accepted head. It
// writes no head, since prev is on the disk already, and its time is reserved there.
func (s *store) refresh(l *logState, prev *accepted, sign func(*accepted) ([]tlog.Signature, error)) (*accepted, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.order.RLock()
	defer s.order.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.last.Load() != prev:
		return nil, errMoved
	case s.failed.Load(): // a larger head, with an earlier time, may be on the disk
		return nil, ErrNotDurable
	}
	t := l.writing // a smaller head must not have a later time than the larger one
	if t == 0 {
		var err error
		if t, err = s.reserve(); err != nil {
			return nil, err
		}
	}
	for _, a := range []*accepted{l.again, prev} {
		if a != nil && a.ours != nil && a.head.Size == prev.head.Size && a.time >= t {
			return a, nil
		}
	}
	again := *prev
	again.time = t
	var err error
	if again.ours, err = sign(&again); err != nil {
		return nil, err
	}
	l.again = &again
	return l.again, nil
}

// reserve returns the next timestamp. A restarted witness knows no timestamp without a head,
// so the journal has a later one, which is written once for many. It needs order for reading.
func (s *store) reserve() (uint64, error) {
	t, err := s.clock.stamp()
	if err != nil || t <= s.reserved.Load() {
		return t, err
	}
	if err := s.write(clockRecord(t+reserveAhead), nil); err != nil {
		return 0, err
	}
	s.reserved.Store(t + reserveAhead)
	return t, nil
}

// ready returns nil if the journal can be written. It reopens a failed journal, like a
// request would, since a load balancer sends no requests to a witness that is not ready, and
// reserves timestamps, since a full disk shows only when something is written.
func (s *store) ready() error {
	if err := s.usable(); err != nil {
		return err
	}
	s.order.RLock()
	defer s.order.RUnlock()
	_, err := s.reserve()
	return err
}

func (s *store) close() error {
	s.order.Lock()
	defer s.order.Unlock()
	s.closed = true
	s.failed.Store(true)
	return s.journal.Close()
}

func (s *store) size() int64 {
	s.order.RLock()
	defer s.order.RUnlock()
	return s.journal.Size()
}

func (s *store) grown() bool {
	s.order.RLock()
	defer s.order.RUnlock()
	return s.journal.Size() > s.limit
}

// records yields the records of a compacted journal: the latest timestamp, and each log's
// accepted head.
func (s *store) records() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if !yield(clockRecord(max(s.clock.latest(), s.reserved.Load())), nil) {
			return
		}
		for _, l := range s.logs() {
			if a := l.last.Load(); a != nil && !yield(a.record(), nil) {
				return
			}
		}
	}
}

// compact rewrites the journal without superseded records. If that fails, the longer
// journal stays, or the next append fails.
func (s *store) compact() {
	s.order.Lock()
	defer s.order.Unlock()
	if s.closed {
		return
	}
	before := s.journal.Size()
	err := s.journal.Rewrite(s.records())
	// Leave room to grow before the next try, even after a failure.
	s.limit = max(compactAt, 2*s.journal.Size())
	if err != nil {
		s.logger.Error("the journal could not be compacted", "file", s.name, "error", err)
		return
	}
	s.logger.Debug("compacted the journal", "file", s.name, "before", before, "after", s.journal.Size())
}

// reopenAfter is the pause before opening a failed journal again.
const reopenAfter = time.Second

// usable opens the journal again if it has failed.
func (s *store) usable() error {
	if !s.failed.Load() {
		return nil
	}
	if err := s.reopen(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

var errChanged = errors.New("another process has changed it")

// reopen reads a failed journal again. Heads of failed requests may be in it, and are
// accepted then. If the disk's state is behind the one in memory, another process has
// changed it, and reopen fails for good.
func (s *store) reopen() error {
	s.order.Lock()
	defer s.order.Unlock()
	switch {
	case s.closed:
		return errors.New("the witness is closed")
	case !s.failed.Load():
		return nil
	case time.Now().Before(s.retry):
		return errors.New("writing the journal has failed; the witness tries again in a second")
	}
	s.retry = time.Now().Add(reopenAfter)
	s.journal.Close()
	last, err := s.replay()
	if err != nil {
		return err
	}
	for _, l := range s.logs() {
		was, is := l.last.Load(), last[l.origin]
		if was != nil && (is == nil || is.time < was.time || is.head.Size < was.head.Size || is.head.Size == was.head.Size && is.head.Root != was.head.Root) {
			s.journal.Close()
			return fmt.Errorf("the journal on the disk lacks accepted heads of %q: %w", l.origin, errChanged)
		}
	}
	for origin, a := range last {
		// An unchanged head keeps its pointer, and so the witness's lines.
		l := s.log(origin)
		if was := l.last.Load(); was == nil || string(was.record()) != string(a.record()) {
			l.last.Store(a)
		}
	}
	if err := s.journal.Append(clockRecord(s.clock.latest())); err != nil {
		return err // the disk is still full
	}
	s.failed.Store(false)
	s.logger.Info("the journal can be written again", "file", s.name)
	return nil
}

// resume records a without a new timestamp.
func (s *store) resume(l *logState, a *accepted) error {
	s.order.RLock()
	defer s.order.RUnlock()
	if err := s.journal.Append(a.record()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	l.last.Store(a)
	return nil
}

// accepted is the latest head of a log. It is immutable once another goroutine has it.
type accepted struct {
	head tlog.Head
	// time of this witness's cosignatures of head, in POSIX seconds. 0: the operator
	// resumed there, and the witness has not cosigned head (see [ResumeLost]).
	time  uint64
	lines []tlog.Signature // of the log, verified; one or more
	// ours are this witness's cosignatures at time; nil if none were made since the
	// start. They follow from the record in the journal.
	ours []tlog.Signature
}

// repeats reports whether a is the head prev, which this witness has cosigned.
func (a *accepted) repeats(prev *accepted) bool {
	return prev != nil && prev.time > 0 && a.head.Size == prev.head.Size && bytes.Equal(a.head.Text(), prev.head.Text())
}

// record returns a as the journal has it: a line "time N", and the checkpoint with the
// log's verified lines.
func (a *accepted) record() []byte {
	b := fmt.Appendf(nil, "time %d\n", a.time)
	return append(b, (&tlog.Checkpoint{Head: a.head, Signatures: a.lines}).Bytes()...)
}

// clockRecord returns the latest timestamp as a compacted journal has it, since the
// journal may no longer have the head of that timestamp.
func clockRecord(t uint64) []byte { return fmt.Appendf(nil, "clock %d", t) }

func parseClockRecord(rec []byte) (t uint64, ok bool) {
	digits, ok := strings.CutPrefix(string(rec), "clock ")
	if !ok {
		return 0, false
	}
	t, err := strconv.ParseUint(digits, 10, 63)
	return t, err == nil && bytes.Equal(clockRecord(t), rec)
}

// parseRecord parses exactly what record returns.
func parseRecord(rec []byte) (*accepted, error) {
	line, note, ok := strings.Cut(string(rec), "\n")
	digits, isTime := strings.CutPrefix(line, "time ")
	if !ok || !isTime {
		return nil, fmt.Errorf("a record of the journal does not begin with a time")
	}
	t, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("a record of the journal has a bad time: %w", err)
	}
	c, err := tlog.ParseCheckpoint([]byte(note))
	if err != nil {
		return nil, fmt.Errorf("a record of the journal: %w", err)
	}
	a := &accepted{head: c.Head, time: t, lines: c.Signatures}
	if !bytes.Equal(a.record(), rec) {
		return nil, fmt.Errorf("a record of the journal is not in its one encoding")
	}
	// Keep no pointers into the record.
	origin := strings.Clone(a.head.Origin)
	a.head = cosigning.CloneHead(&a.head, origin)
	for i := range a.lines {
		if a.lines[i].Name != origin {
			return nil, fmt.Errorf("a record of the journal: a line of %q on a head of %q", a.lines[i].Name, origin)
		}
		a.lines[i].Name = origin
	}
	return a, nil
}

// note returns the head for monitors: the log's lines, then this witness's.
func (a *accepted) checkpoint() *tlog.Checkpoint {
	return &tlog.Checkpoint{Head: a.head, Signatures: slices.Concat(a.lines, a.ours)}
}
