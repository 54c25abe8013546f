// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// Reasons why a log does not admit events. Where the log can't mend it by
// itself, the error says what to do.
var (
	// ErrStarting: no head was published since the start. Until then the log has no
	// time of its own, and may be a copy of another one.
	ErrStarting = errors.New("the log has not yet heard from enough witnesses since it started")
	// ErrClosing: the log is being shut down.
	ErrClosing = errors.New("the log is shutting down")
	// ErrTreeBehind: the engine has fewer entries than the recorded head, or
	// than it had.
	ErrTreeBehind = chain.ErrTreeBehind
	// ErrTreeConflict: the engine's tree is not the one that the log built.
	ErrTreeConflict = chain.ErrTreeConflict
	// ErrTreeUnreadable: the engine can't read its tree.
	ErrTreeUnreadable = chain.ErrTreeUnreadable
	// ErrStranger: the engine's tree has an entry that this log would have refused.
	ErrStranger = entries.ErrStranger
	// ErrLogBehind: there is a later head with this log's own signature.
	ErrLogBehind = chain.ErrLogBehind
	// ErrForked: there is a conflicting head with this log's own signature.
	ErrForked = chain.ErrForked
)

// status holds the reasons why no events are admitted. The publisher and the sequencer each
// write their own reasons; every goroutine reads.
type status struct {
	held func() error // state.Store.Held

	mu        sync.Mutex
	closing   bool
	halted    error         // stays; nil: not halted
	over      chan struct{} // closed when halted is set
	tree      error         // of the sequencer; nil: it can read the tree
	publisher error         // of the publisher; nil: it may sign
	// room, state and quorum do not end admission as such: see intake.submit.
	room   error // of the sequencer; nil: tree and vault can be written
	state  error // of the publisher; nil: there is room for the state
	quorum error // of the publisher; nil: the published head is as fresh as it should be
}

// ends says what ends a reason for not being ready, "" for one that the operator must end: that
// reason says how.
func ends(err error) string {
	switch {
	case err == nil, errors.Is(err, ErrLogBehind), errors.Is(err, ErrForked), errors.Is(err, ErrTreeBehind), errors.Is(err, ErrTreeConflict), errors.Is(err, ErrStranger):
		return ""
	case noRoom(err):
		return "its disk takes data; it needs no restart"
	case errors.Is(err, errStandby), errors.Is(err, state.ErrOusted):
		return "the active instance gives up the lease or dies; submit to the active one"
	case errors.Is(err, ErrClosing):
		return "it is started again"
	case errors.Is(err, ErrTreeUnreadable):
		return "its engine reads the tree; it needs no restart"
	case errors.Is(err, ErrStarting), errors.Is(err, tlog.ErrNoQuorum), errors.Is(err, errNoHead):
		return "enough witnesses of the charter answer, with times within its spread; it needs no restart"
	}
	return ""
}

// unready is a reason of the log's own not to take an event. Whatever its cause wraps, it
// is no fault of the event.
type unready struct{ error }

func (e unready) Unwrap() error { return e.error }

// err returns nil if events are admitted.
func (s *status) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing && s.halted == nil {
		return ErrClosing
	}
	return s.trouble()
}

// working returns nil if what was admitted can be sequenced, also while the log
// shuts down.
func (s *status) working() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble()
}

func (s *status) trouble() error { return s.first(s.halted, s.held(), s.tree, s.publisher) }

func (s *status) first(reasons ...error) error {
	for _, err := range reasons {
		if err != nil {
			return unready{err}
		}
	}
	return nil
}

// ready returns nil if the log does all that it should.
func (s *status) ready() error {
	if err := s.err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first(s.room, s.state, s.quorum)
}

// behind returns the reason if the log has halted since it was shown a later head of its
// own: what it published last is then older than what others have.
func (s *status) behind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.halted, ErrLogBehind) {
		return s.first(s.halted)
	}
	return nil
}

// full returns why tree, vault or state can't be written, or nil.
func (s *status) full() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first(s.room, s.state)
}

// noRoom returns whether an error counts as a full disk.
func noRoom(err error) bool { return durable.NoRoom(err) || errors.Is(err, errUnshown) }

// set sets the sequencer's or the publisher's reason to admit nothing, or nil. It
// returns whether that changed.
func (s *status) set(place *error, reason error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := fmt.Sprint(*place) != fmt.Sprint(reason)
	if noRoom(*place) && noRoom(reason) {
		news = false // the messages have names of temporary files
	}
	*place = reason
	return news && s.halted == nil
}

// halt sets a reason that only a restart can end. The first one stays.
func (s *status) halt(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted == nil {
		s.halted = reason
		close(s.over)
	}
}

// close stops admission for good.
func (s *status) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
}
