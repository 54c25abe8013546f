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

// logState is the state of one log, configured or not.
type logState struct {
	origin string
	turn   chan struct{} // holds one element while somebody has the lock
	queue  atomic.Int32  // who has the lock or waits for it
	// last is the latest accepted head, nil if there is none. It moves under
	// the lock by persist, and by a store that reads itself anew; its size
	// never goes back.
	last atomic.Pointer[accepted]
}

// acquire takes the lock of l, so that its requests are decided one by one. At
// most limit wait, so that one log can't take the places of all others.
func (l *logState) acquire(ctx context.Context, limit int) error {
	if int(l.queue.Add(1)) > limit {
		l.queue.Add(-1)
		return fmt.Errorf("%w: %d requests for this log are at work", ErrBusy, limit)
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

// errMoved says that the state is not the one that was decided on.
var errMoved = errors.New("the state moved")

// compactAt is the size in bytes below which the journal is left alone.
const compactAt = 4 << 20

// store is the durable state: a journal of accepted heads, of which the last of
// each log counts, and what it says in memory.
type store struct {
	name   string
	label  string
	logger *slog.Logger
	clock  clock

	// order is held for reading during an Append and its effect on a log's
	// last, and for writing by who replaces the journal.
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
		return nil, fmt.Errorf("%w; make a state with init if this witness never signed anything, otherwise restore it or use resume-lost", err)
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

// replay opens the journal and returns what it says.
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
		s.logger.Warn("cut a torn record off the journal; it was never acknowledged", "file", s.name, "bytes", n)
	}
	s.journal, s.limit = j, compactAt
	return last, nil
}

// log returns the state of a log, an empty one if there was none.
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

// persist stamps next and makes it the accepted head of l, if that is still
// prev: otherwise errMoved. Once it returns nil, next is durable. Many calls
// share one fsync. It calls stamped before it waits for the disk. It needs the lock
// of l.
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
		s.logger.Error("the journal can't be written; nothing is signed until it can", "file", s.name, "error", err)
	}
}

// ready returns nil if heads can be recorded, as far as is known. It tries what
// a request would try, for where requests come only to who is ready.
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

// records is what a compacted journal says: the latest timestamp, and of each
// log the accepted head.
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
