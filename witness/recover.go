// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"time"
)

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
			return fmt.Errorf("the journal on the disk lacks accepted heads of %q: another process has changed it", l.origin)
		}
	}
	for origin, a := range last {
		// An unchanged head keeps its pointer, and so the witness's lines.
		l := s.log(origin)
		if was := l.last.Load(); was == nil || string(was.record()) != string(a.record()) {
			l.last.Store(a)
		}
	}
	s.failed.Store(false)
	s.logger.Info("the journal can be written again", "file", s.name)
	return nil
}
