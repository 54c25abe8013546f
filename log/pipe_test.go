// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
)

// late is an engine that, like Trillian, integrates entries later than it stores them. It integrates
// all stored entries at once.
type late struct {
	log.Engine
	mu     sync.Mutex
	stored [][]byte
	adds   int
	gate   chan struct{}                            // nil: Wait integrates at once; else once gate is closed
	onAdd  func(entries [][]byte) ([][]byte, error) // returns what to store of a batch; nil: all
	onWait func() error                             // called by Wait before entries are integrated
}

func (l *late) wrap(e log.Engine) log.Engine {
	l.Engine = e
	return l
}

func (l *late) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, _, err := l.Engine.Tree(ctx)
	if err != nil {
		return 0, err
	}
	first += uint64(len(l.stored))
	if l.onAdd != nil {
		entries, err = l.onAdd(entries)
	}
	l.stored = append(l.stored, entries...)
	l.adds++
	return first, err
}

func (l *late) integrate(ctx context.Context, waited bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if waited && l.onWait != nil {
		if err := l.onWait(); err != nil {
			return err
		}
	}
	if len(l.stored) == 0 {
		return nil
	}
	_, err := l.Engine.Add(ctx, l.stored)
	l.stored = nil
	return err
}

func (l *late) Wait(ctx context.Context, _ uint64) error {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return l.integrate(ctx, true)
}

func (l *late) Tree(ctx context.Context) (uint64, [32]byte, error) {
	if err := l.integrate(ctx, false); err != nil {
		return 0, [32]byte{}, err
	}
	return l.Engine.Tree(ctx)
}

// hold makes l store entries without integrating them until release is called. adds is the number of
// batches before.
func (l *late) hold() (adds int, release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gate := make(chan struct{})
	l.gate = gate
	return l.adds, func() {
		l.mu.Lock()
		l.gate, l.onAdd = nil, nil
		l.mu.Unlock()
		close(gate)
	}
}

// added waits until the engine has got this many batches.
func (l *late) added(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.adds < n {
			return fmt.Errorf("%d of %d batches", l.adds, n)
		}
		return nil
	})
}

// answer is an answer to a submission.
type answer struct {
	index uint64
	err   error
}

// later submits an entry, and returns the channel of the answer.
func (w *world) later(entry []byte) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		index, err := w.sequence(entry)
		c <- answer{index, err}
	}()
	return c
}

// TestPipeFaults fails before and after each step of two batches under way, of which the second
// depends on the first. It checks that acknowledged entries are in the tree, that entries answered as
// not logged are not, that nothing follows a lost batch, and that the log goes on by itself.
func TestPipeFaults(t *testing.T) {
	t.Parallel()
	contested := errors.New("another program writes to this tree")
	lost := errors.New("lost")
	none := func([][]byte) ([][]byte, error) { return nil, syscall.ENOSPC }
	for _, c := range []struct {
		name   string
		add    func(w *world) func([][]byte) ([][]byte, error) // for the second batch, if the log stores it
		wait   func(w *world, l *late) error                   // for the first batch
		first  bool                                            // whether the first batch is acknowledged
		second bool
		size   uint64 // of the log in the end
	}{
		{"no fault", nil, nil, true, true, 4},
		{"the first is not integrated in time", nil, func(*world, *late) error { return lost }, true, true, 4},
		{"the first is lost, and the second", nil, func(_ *world, l *late) error { l.stored = nil; return lost }, false, false, 2},
		{"the second is lost", nil, func(_ *world, l *late) error { l.stored = l.stored[:1]; return lost }, true, false, 3},
		{"another writer has the place of the first", nil, func(w *world, l *late) error {
			l.stored = [][]byte{entryOf(w.warrant())}
			return contested
		}, false, false, 3},
		{"another writer has the place of the first, unnoticed", nil, func(w *world, l *late) error {
			l.stored = [][]byte{entryOf(w.warrant())}
			return nil
		}, false, false, 3},
		{"the second is not stored", func(*world) func([][]byte) ([][]byte, error) { return none }, nil, true, false, 3},
		{"the second is stored, with an error", func(*world) func([][]byte) ([][]byte, error) {
			return func(e [][]byte) ([][]byte, error) { return e, syscall.EIO }
		}, nil, true, true, 4},
		{"another writer has the place of the second", func(w *world) func([][]byte) ([][]byte, error) {
			return func([][]byte) ([][]byte, error) { return [][]byte{entryOf(w.warrant())}, contested }
		}, nil, true, false, 4},
		{"the second is not stored, and the first not integrated in time", func(*world) func([][]byte) ([][]byte, error) { return none },
			func(*world, *late) error { return lost }, true, false, 3},
		{"the second is not stored, and the first lost", func(*world) func([][]byte) ([][]byte, error) { return none },
			func(_ *world, l *late) error { l.stored = nil; return lost }, false, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, l := newWorld(t, 1, 1), new(late)
			w.wrap, w.config.Refresh = l.wrap, time.Second
			w.start()
			w.append(w.warrant())
			adds, release := l.hold()
			warrant := newWarrant(t, origin, warrantTerms{}, w.authority)
			access := bytesOf(t, w.newAccess(referTo(2, warrant.Envelope), w.now().Add(time.Hour)))
			first := w.later(bytesOf(t, warrant))
			l.added(t, adds+1)
			l.mu.Lock()
			if c.add != nil {
				l.onAdd = c.add(w)
			}
			if c.wait != nil {
				l.onWait = func() error {
					l.onWait = nil
					return c.wait(w, l)
				}
			}
			l.mu.Unlock()
			second := w.later(access)
			l.added(t, adds+2)
			select {
			case a := <-first:
				t.Fatalf("answered before it is in the tree: %+v", a)
			case a := <-second:
				t.Fatalf("the second is answered before the first: %+v", a)
			default:
			}
			release()
			for i, want := range []bool{c.first, c.second} {
				a := <-[]<-chan answer{first, second}[i]
				if want != (a.err == nil) || a.err == nil && a.index != uint64(2+i) || a.err != nil && !isProblem(a.err, "storage") {
					t.Errorf("submission %d: %+v; acknowledged should be %v", i, a, want)
				}
			}
			w.ready()
			if at := w.mustSequence(bytesOf(t, warrant)); c.first && at != 2 || !c.first && at != c.size {
				t.Errorf("the first again: at %d", at)
			}
			if c.first {
				if at := w.mustSequence(access); c.second && at != 3 || !c.second && at != c.size {
					t.Errorf("the second again: at %d", at)
				}
			} else if _, err := w.sequence(access); !isProblem(err, "rule") && c.size > 2 {
				t.Errorf("what refers to an entry of another writer: %v", err)
			}
			w.append(w.warrant())
			w.audit()
			w.stop()
			w.goesOn()
		})
	}
}

// TestPipeVault fails each durable step by which the vault keeps a batch's records, while the batch before
// is integrated. The batch before is acknowledged.
func TestPipeVault(t *testing.T) {
	t.Parallel()
	w, l := newWorld(t, 1, 1), new(late)
	w.wrap, w.config.Refresh = l.wrap, time.Second
	w.start()
	var in durabletest.Injector
	in.Inject(t, w.vaultConfig().Dir)
	w.append(w.warrant())
	points := len(in.Points())
	if points == 0 {
		t.Fatal("the vault has no durable step")
	}
	for n := range points {
		adds, release := l.hold()
		first := w.later(w.warrant())
		l.added(t, adds+1)
		in.FailAt(n, syscall.EIO)
		entry := w.warrant()
		second := w.later(entry)
		eventually(t, func() error {
			if !in.Hit() {
				return errors.New("no step failed")
			}
			return nil
		})
		release()
		one, two := <-first, <-second
		if one.err != nil || two.err != nil && !isProblem(two.err, "storage") {
			t.Errorf("step %d: the first %v; the second %v", n, one.err, two.err)
		}
		in.FailAt(0, nil)
		w.ready()
		if at := w.mustSequence(entry); at != one.index+1 || two.err == nil && at != two.index {
			t.Errorf("step %d: the second is at %d and %d, and the first at %d", n, two.index, at, one.index)
		}
	}
	w.audit()
}

// TestPipeSignedTwice checks that an event that is signed and submitted again while its first envelope is
// under way is answered with what becomes of that: where it is, or a place of its own.
func TestPipeSignedTwice(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%v", lost), func(t *testing.T) {
			t.Parallel()
			w, l := newKMSWorld(t), new(late)
			w.wrap, w.config.Refresh = l.wrap, time.Second
			w.start()
			adds, release := l.hold()
			one, two := w.signedTwice()
			first := w.later(one)
			l.added(t, adds+1)
			l.mu.Lock()
			l.onWait = func() error {
				if l.onWait = nil; lost {
					l.stored = nil
				}
				return errors.New("not integrated in time")
			}
			l.mu.Unlock()
			second, third := w.later(two), w.later(w.warrant())
			l.added(t, adds+2) // the third's, so the second was judged
			release()
			if a := <-first; lost != isProblem(a.err, "storage") || !lost && a.index != 1 {
				t.Errorf("the first: %+v", a)
			}
			// The answer names the first envelope's place, and its leaf.
			if a := <-second; lost && (a.err != nil || a.index != 1) || !lost && !strings.Contains(fmt.Sprint(a.err), `"index":1,`) {
				t.Errorf("the second: at %d, %v", a.index, a.err)
			}
			if a := <-third; lost != isProblem(a.err, "storage") {
				t.Errorf("the third: %+v", a)
			}
			w.audit()
		})
	}
}

// TestPipeRepeats checks that an envelope that is submitted again while it is under way is logged
// once, and that each submission is answered, even while the log shuts down. A charter ends its batch,
// and the tree is published at that size.
func TestPipeRepeats(t *testing.T) {
	t.Parallel()
	for _, drain := range []bool{false, true} {
		t.Run(fmt.Sprintf("drain=%v", drain), func(t *testing.T) {
			t.Parallel()
			testPipeRepeats(t, drain)
		})
	}
}

func testPipeRepeats(t *testing.T, drain bool) {
	w, l := newWorld(t, 1, 1), new(late)
	w.wrap = l.wrap
	w.start()
	adds, release := l.hold()
	amendment := w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes()
	entries := [][]byte{w.warrant(), amendment, w.warrant()}
	var answers []<-chan answer
	for i, e := range entries {
		answers = append(answers, w.later(e))
		l.added(t, adds+i+1)
	}
	next := w.warrant() // judged while the pipe is full
	entries = append(entries, next)
	answers = append(answers, w.later(next))
	for _, e := range entries {
		answers = append(answers, w.later(e))
	}
	for _, a := range answers {
		select {
		case a := <-a:
			t.Fatalf("answered before it is in the tree: %+v", a)
		default:
		}
	}
	if drain {
		w.log.Drain()
	}
	release()
	var at []uint64
	for i, a := range answers {
		if a := <-a; a.err == nil {
			at = append(at, a.index)
		} else if !drain || i < 3 || !isProblem(a.err, "shutting-down") {
			t.Errorf("submission %d: %v", i, a.err)
		} else {
			at = append(at, uint64(1+i%4))
		}
	}
	if want := []uint64{1, 2, 3, 4, 1, 2, 3, 4}; !slices.Equal(at, want) {
		t.Errorf("the entries are at %d; want %d", at, want)
	}
	w.published(4)
	if !w.seen.has(3) {
		t.Error("no head ends with the amendment")
	}
	w.stop()
	w.goesOn()
}
