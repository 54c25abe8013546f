// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"sync"
)

// Reasons why a log does not admit events. Where the log can't mend it by
// itself, the error says what to do.
var (
	// ErrStarting: not enough witnesses have answered since the start.
	ErrStarting = errors.New("the log has not yet heard from enough witnesses since it started")
	// ErrClosing: the log is being shut down.
	ErrClosing = errors.New("the log is shutting down")
	// ErrTreeBehind: the engine has fewer entries than the recorded head, or
	// than it had.
	ErrTreeBehind = errors.New("the tree has fewer entries than this log has signed for or acknowledged: " +
		"it was restored from a backup, or its state was deleted or rolled back; nothing will be signed; " +
		"bring the entries back with \"vasistas-log recover -from MIRROR\"")
	// ErrTreeConflict: the engine's tree is not the one that the log built.
	ErrTreeConflict = errors.New("the tree is not an extension of the one that this log signed; nothing will be signed; " +
		"check the disk and put the file right, or rebuild the tree with \"vasistas-log recover -from MIRROR\"")
	// ErrTreeUnreadable: the engine can't read its tree.
	ErrTreeUnreadable = errors.New("the tree can't be read; nothing will be signed until it can")
	// ErrLogBehind: there is a later head with this log's own signature.
	ErrLogBehind = errors.New("there is a later head with this log's valid signature than its recorded one: " +
		"the log's state was restored from an older backup; nothing will be signed; " +
		"bring the later entries back with \"vasistas-log recover -from MIRROR\"")
	// ErrForked: there is a conflicting head with this log's own signature.
	ErrForked = errors.New("there is a head with this log's valid signature that conflicts with its recorded head: " +
		"two copies of this log have signed; nothing more will be signed; " +
		"keep both heads as evidence, and start a new log under a new origin")
)

// status says whether events are admitted. The publisher and the sequencer each
// write their own reason, everyone reads.
type status struct {
	held func() error // State.Held

	mu        sync.Mutex
	closing   bool
	halted    error         // stays; nil: not halted
	over      chan struct{} // closed when halted is set
	tree      error         // of the sequencer; nil: it can write
	publisher error         // of the publisher; nil: it may sign
}

func newStatus(held func() error) *status {
	return &status{held: held, publisher: ErrStarting, over: make(chan struct{})}
}

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

func (s *status) trouble() error {
	for _, err := range []error{s.halted, s.held(), s.tree, s.publisher} {
		if err != nil {
			return err
		}
	}
	return nil
}

// set gives the sequencer's or the publisher's reason to admit nothing, or nil. It
// returns whether that is news.
func (s *status) set(place *error, reason error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := fmt.Sprint(*place) != fmt.Sprint(reason)
	*place = reason
	return news && s.halted == nil
}

// halt gives a reason that only a restart can end. The first one stays.
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
