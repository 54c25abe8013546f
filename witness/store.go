// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
)

type logState struct {
	origin string
	turn   chan struct{} // the lock: it holds one element while locked
	queue  atomic.Int32  // requests that have the lock or wait for it
	// last is the latest accepted head, nil if there is none. Only persist, under the
	// lock, and reopen replace it; its size never goes back.
	last atomic.Pointer[accepted]
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
		return nil, fmt.Errorf("witness: the state is not that of a witness named %s: %w", c.Name(), err)
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
			return fmt.Errorf("witness: the journal has conflicting heads of %q at sizes %d and %d", a.head.Origin, prev.head.Size, a.head.Size)
		}
		last[a.head.Origin] = a
		s.clock.observe(a.time)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("witness: opening the state: %w", err)
	}
	if n := j.Truncated(); n > 0 {
		s.logger.Warn("cut off an incomplete record at the end of the journal; it was never acknowledged", "file", s.name, "bytes", n)
	}
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
// durable. Many calls share one fsync. It calls stamped before it waits for the disk. It
// needs the lock of l.
func (s *store) persist(l *logState, prev, next *accepted, stamped func()) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.append(l, prev, next, stamped); err != nil {
		return err
	}
	if s.grown() {
		s.compact()
	}
	return nil
}

func (s *store) append(l *logState, prev, next *accepted, stamped func()) (err error) {
	s.order.RLock()
	defer s.order.RUnlock()
	if l.last.Load() != prev {
		return errMoved
	}
	if next.time, err = s.clock.stamp(); err != nil {
		return err
	}
	stamped()
	if err := s.journal.Append(next.record()); err != nil {
		s.fail(err)
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	l.last.Store(next)
	return nil
}

func (s *store) fail(err error) {
	if s.failed.CompareAndSwap(false, true) {
		s.logger.Error("the journal can't be written; the witness signs nothing until it can", "file", s.name, "error", err)
	}
}

// ready returns nil if the last write succeeded. It reopens a failed journal, like a
// request would, since a load balancer sends no requests to a witness that is not ready.
func (s *store) ready() error {
	if err := s.usable(); err != nil {
		return err
	}
	return s.clock.check()
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
		if !yield(clockRecord(s.clock.latest()), nil) {
			return
		}
		for _, l := range s.logs() {
			if a := l.last.Load(); a != nil && !yield(a.record(), nil) {
				return
			}
		}
	}
}
