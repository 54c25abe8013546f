// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"time"
)

// compact rewrites the journal to what still counts. If it fails, the witness
// goes on with the longer journal, or finds out that it has failed.
func (s *store) compact() {
	s.order.Lock()
	defer s.order.Unlock()
	if s.closed {
		return
	}
	before := s.journal.Size()
	err := s.journal.Rewrite(s.records())
	// Room to grow before the next one, whatever happened to this.
	s.limit = max(compactAt, 2*s.journal.Size())
	if err != nil {
		s.logger.Error("the journal could not be compacted", "file", s.name, "error", err)
		return
	}
	s.logger.Debug("compacted the journal", "file", s.name, "before", before, "after", s.journal.Size())
}

// reopenAfter is how long a failed journal is left alone.
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

// reopen reads a failed journal anew. What was not acknowledged may turn up as
// accepted. A state on the disk that is behind the one in memory was put there
// by somebody else, and is refused for good.
func (s *store) reopen() error {
	s.order.Lock()
	defer s.order.Unlock()
	switch {
	case s.closed:
		return errors.New("the witness is closed")
	case !s.failed.Load():
		return nil
	case time.Now().Before(s.retry):
		return errors.New("the journal has failed, and is tried again soon")
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
			return fmt.Errorf("the journal on the disk lacks heads of %q that were accepted: it was changed by another process", l.origin)
		}
	}
	for origin, a := range last {
		// A head that is the same keeps its pointer, and our lines with it.
		l := s.log(origin)
		if was := l.last.Load(); was == nil || string(was.record()) != string(a.record()) {
			l.last.Store(a)
		}
	}
	s.failed.Store(false)
	s.logger.Info("the journal can be written again", "file", s.name)
	return nil
}
