// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// ErrWrongName: the operator named another witness than the one configured.
var ErrWrongName = errors.New("that is not the name of this witness")

// Resumed is the outcome of [ResumeLost] for one log.
type Resumed struct {
	Origin string
	From   uint64 // size of the state before
	To     uint64 // size of the state now
	// Cosigned: the head at To has a cosignature of this witness. If false, the witness
	// may have cosigned larger heads, which can't be known.
	Cosigned bool
}

// ResumeLost replaces a lost state by the heads that the logs publish, under the same keys.
// It creates the state if there is none. If a log publishes less than was cosigned, or has
// forked, this breaks the witness's promise, so the operator must confirm it with the exact
// name of the witness.
//
// Every configured log must answer with a head that its key signed, except those in skip,
// whose state stays. If one does not, or publishes a head that conflicts with the state,
// nothing changes. A state never goes back.
func ResumeLost(ctx context.Context, config Config, name string, skip []string) ([]Resumed, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if name != c.Name() {
		return nil, fmt.Errorf("witness: %w: %q; give the name in its keys exactly", ErrWrongName, name)
	}
	logs, err := groupLogs(c, c.Logs)
	if err != nil {
		return nil, err
	}
	for _, origin := range skip {
		if logs[origin] == nil {
			return nil, fmt.Errorf("witness: skipping %[2]q: %[1]w", ErrUnknownLog, origin)
		}
		delete(logs, origin)
	}
	w, err := openOrCreate(c)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	heads, err := w.resumeHeads(ctx, logs)
	if err != nil {
		return nil, err
	}
	return w.resumeAt(heads)
}

func openOrCreate(c *Config) (*Witness, error) {
	lock, err := createDir(c)
	if err != nil {
		return nil, err
	}
	err = createJournal(c)
	lock.Close()
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return openState(c)
}

func (w *Witness) resumeHeads(ctx context.Context, logs map[string]*trusted) ([]*published, error) {
	var heads []*published
	var errs []error
	for origin, t := range logs {
		if len(t.urls) == 0 {
			errs = append(errs, fmt.Errorf("log %s has no URL; give it one, or skip it", origin))
		}
	}
	w.fetchAll(ctx, logs, func(origin string, p *published, err error) {
		if err == nil {
			err = w.resumable(p)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log %s: %w", origin, err))
			return
		}
		heads = append(heads, p)
	})
	if len(errs) > 0 {
		return nil, fmt.Errorf("witness: nothing was resumed: %w", errors.Join(errs...))
	}
	slices.SortFunc(heads, func(a, b *published) int { return strings.Compare(a.origin, b.origin) })
	return heads, nil
}

func (w *Witness) resumable(p *published) error {
	last := w.store.log(p.origin).last.Load()
	switch {
	case len(p.lines) == 0:
		return fmt.Errorf("its published head: %w", ErrUntrusted)
	case len(p.head.Text()) > maxHeadText:
		return fmt.Errorf("its published head: %w", ErrTooLarge)
	case p.head.Size == 0 && p.head.Root != emptyRoot:
		return errors.New("it publishes a head of size 0 with another root hash than the empty tree's")
	case last == nil || p.head.Size > last.head.Size:
		return nil
	case p.head.Size == last.head.Size && p.head.Root != last.head.Root:
		w.compare(p, last)
		return fmt.Errorf("it publishes another head of size %d than the state has; keep both as evidence, and go on under new keys", p.head.Size)
	case p.head.Size < last.head.Size && p.own > last.time:
		return fmt.Errorf("this witness cosigned size %d after size %d; go on under new keys", p.head.Size, last.head.Size)
	}
	return nil
}

// resumeAt records the heads that the state does not cover.
func (w *Witness) resumeAt(heads []*published) ([]Resumed, error) {
	var done []Resumed
	for _, p := range heads {
		w.store.clock.observe(p.own)
	}
	for _, p := range heads {
		l := w.store.log(p.origin)
		r := Resumed{Origin: p.origin, To: p.head.Size, Cosigned: p.own > 0}
		last := l.last.Load()
		if last != nil {
			r.From = last.head.Size
		}
		if last != nil && (p.head.Size < last.head.Size || p.head.Size == last.head.Size && p.own <= last.time) {
			r.To, r.Cosigned = r.From, last.time > 0
			done = append(done, r)
			continue
		}
		// Keep the time of the published cosignature.
		a := &accepted{head: p.head, time: p.own, lines: p.lines}
		if err := w.store.resume(l, a); err != nil {
			return done, err
		}
		done = append(done, r)
	}
	return done, nil
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
