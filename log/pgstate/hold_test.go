// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/log/state"
)

// row is a lease's row in memory, for tests in synctest bubbles.
type row struct {
	mu    sync.Mutex
	lease Lease
}

func (r *row) Lease(context.Context) (Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lease, nil
}

func (r *row) swapLease(_ context.Context, self string, next Lease) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next.Version != r.lease.Version || next.Term < r.lease.Term || next.Holder == "" && r.lease.Holder != self {
		return 0, errLeaseMoved
	}
	next.Version++
	r.lease = next
	return next.Version, nil
}

// network connects a holder to the row. before and after, if not nil, are called around
// each call and may fail.
type network struct {
	rows
	mu            sync.Mutex
	before, after func(ctx context.Context) error
}

func (n *network) set(before, after func(context.Context) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before, n.after = before, after
}

func (n *network) around(ctx context.Context, call func() error) error {
	n.mu.Lock()
	before, after := n.before, n.after
	n.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	err := call()
	if after != nil {
		if err := after(ctx); err != nil {
			return err
		}
	}
	return err
}

func (n *network) Lease(ctx context.Context) (l Lease, err error) {
	err = n.around(ctx, func() error { l, err = n.rows.Lease(ctx); return err })
	return l, err
}

func (n *network) swapLease(ctx context.Context, self string, next Lease) (v int64, err error) {
	err = n.around(ctx, func() error { v, err = n.rows.swapLease(ctx, self, next); return err })
	return v, err
}

var errLost = errors.New("the connection is lost")

func lost(context.Context) error { return errLost }

// hangs waits until the caller gives up.
func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

const lease = 3 * time.Second

// candidate runs until the test ends. Its terms are sent, and last until they are over.
func candidate(t *testing.T, ctx context.Context, r rows, name string) (terms <-chan *Term) {
	out := make(chan *Term, 1)
	act := func(term *Term) time.Duration {
		out <- term
		select {
		case <-term.Context().Done():
		case <-ctx.Done():
		}
		return 0
	}
	go func() {
		c := Candidate{Name: name, Lease: lease, Act: act, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if err := run(ctx, &holder{Candidate: c, rows: r}); err != nil {
			t.Error(err)
		}
	}()
	return out
}

// bubble runs f in a bubble, with a context that ends before the bubble does.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f(t, ctx)
		cancel()
		synctest.Wait()
		time.Sleep(time.Minute) // of calls that give up
	})
}

// TestTakesAfterSilence: a candidate takes a lease a whole lease time after it saw the
// last change, regardless of the row's times, and a released lease at once.
func TestTakesAfterSilence(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		r := &row{lease: Lease{Holder: "x", Term: 7, Seconds: 10, Version: 1, Renewed: time.Unix(1, 0)}}
		terms := candidate(t, ctx, r, "a")
		for range 20 {
			time.Sleep(9 * time.Second)
			is, _ := r.Lease(ctx)
			if _, err := r.swapLease(ctx, "x", is); err != nil {
				t.Fatal("the lease was taken while it was renewed")
			}
		}
		last := time.Now()
		term := <-terms
		if waited := time.Since(last); waited < 10*time.Second || waited > 11*time.Second {
			t.Errorf("taken after %v, and it lasts 10s", waited)
		}
		if term.number != 8 {
			t.Errorf("term %d follows 7", term.number)
		}
	})
	bubble(t, func(t *testing.T, ctx context.Context) {
		began := time.Now()
		<-candidate(t, ctx, &row{lease: Lease{Seconds: 10}}, "a")
		if took := time.Since(began); took > 0 {
			t.Errorf("a free lease was taken after %v", took)
		}
	})
}

// TestRenews: a lease that is renewed stays, also if single answers are late or lost.
func TestRenews(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		r := &row{}
		n := &network{rows: r}
		term := <-candidate(t, ctx, n, "a")
		other := candidate(t, ctx, r, "b")
		for i := range 100 {
			switch i % 4 {
			case 0:
				n.set(nil, lost) // it is written, and the answer does not come
			case 1:
				n.set(lost, nil)
			case 2:
				n.set(nil, hangs)
			}
			time.Sleep(lease / 4)
			n.set(nil, nil)
			time.Sleep(lease)
			if err := term.Held(); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		select {
		case <-other:
			t.Error("another took it")
		default:
		}
	})
}

// TestEndsBeforeOthersBegin: however its calls fail, a term is over before another
// candidate takes the lease, and stays over when the calls succeed again.
func TestEndsBeforeOthersBegin(t *testing.T) {
	for name, cut := range map[string]func(context.Context) error{"lost": lost, "hanging": hangs,
		"standing still": func(context.Context) error { time.Sleep(10 * lease); return nil }} { // it ignores its context
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				r := &row{}
				n := &network{rows: r}
				term := <-candidate(t, ctx, n, "a")
				time.Sleep(5*lease + lease/20)
				n.set(cut, nil)
				other := candidate(t, ctx, r, "b")
				began := time.Now()
				for term.Held() == nil {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(began); took > lease*2/3 {
					t.Errorf("it is over after %v", took)
				}
				if err := context.Cause(term.Context()); !errors.Is(err, state.ErrOusted) {
					t.Errorf("it ended with %v", err)
				}
				select {
				case <-other:
					t.Fatal("another began before it was over")
				default:
				}
				next := <-other
				n.set(nil, nil)
				time.Sleep(20 * lease)
				if term.Held() == nil || next.Held() != nil {
					t.Errorf("afterwards: %v, %v", term.Held(), next.Held())
				}
			})
		})
	}
}

// TestLateAnswer: the answer to a renewal that comes after the deadline, as after a
// stopped process, does not extend the term.
func TestLateAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		n := &network{rows: &row{}}
		term := <-candidate(t, ctx, n, "a")
		n.set(nil, func(context.Context) error { time.Sleep(lease); return nil })
		time.Sleep(2 * lease)
		if err := term.Held(); !errors.Is(err, state.ErrOusted) {
			t.Errorf("it is held: %v", err)
		}
		term.extend(time.Now().Add(time.Hour))
		if term.Held() == nil {
			t.Error("it came back")
		}
	})
}

// TestLostTake: a candidate whose answer to taking the lease is lost takes it again.
func TestLostTake(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		n := &network{rows: &row{}}
		n.set(nil, lost)
		terms := candidate(t, ctx, n, "a")
		time.Sleep(lease / 20)
		n.set(nil, nil)
		began := time.Now()
		if term := <-terms; term.Held() != nil || time.Since(began) > lease/5 {
			t.Errorf("after %v: %v", time.Since(began), term.Held())
		}
	})
}

// TestReleasesItsOwn: a holder frees its own lease when it ends, and no other.
func TestReleasesItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		r := &row{}
		ending, end := context.WithCancel(ctx)
		<-candidate(t, ending, r, "a")
		end()
		synctest.Wait()
		if is, _ := r.Lease(ctx); is.Holder != "" || is.Name != "" || is.Term != 1 {
			t.Errorf("after it ended: %+v", is)
		}
		term := <-candidate(t, ctx, r, "b")
		is, _ := r.Lease(ctx)
		is.Holder, is.Term = "x", is.Term+1
		if _, err := r.swapLease(ctx, "x", is); err != nil {
			t.Fatal(err)
		}
		<-term.Context().Done()
		time.Sleep(lease / 2)
		if is, _ := r.Lease(ctx); is.Holder != "x" {
			t.Errorf("another's lease became %+v", is)
		}
	})
}

// TestOneAtATime: over a network with random losses, delays and cuts, never two terms
// are held at once.
func TestOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		rng := rand.New(rand.NewPCG(1, 2))
		r := &row{}
		var mu sync.Mutex
		var current *Term
		holders := make(map[string]int)
		for i := range 4 {
			n := &network{rows: r}
			weather := func() func(context.Context) error {
				switch wait := time.Duration(rng.Int64N(int64(2 * lease))); rng.IntN(6) {
				case 0:
					return lost
				case 1:
					return hangs
				case 2:
					return func(context.Context) error { time.Sleep(wait); return nil }
				}
				return nil
			}
			go func() {
				for ctx.Err() == nil {
					mu.Lock()
					before, after, wait := weather(), weather(), time.Duration(rng.Int64N(int64(2*lease)))
					mu.Unlock()
					n.set(before, after)
					sleep(ctx, wait)
				}
			}()
			terms := candidate(t, ctx, n, fmt.Sprint(i))
			go func() {
				for {
					select {
					case <-ctx.Done():
						return
					case term := <-terms:
						mu.Lock()
						if term.Held() == nil && current != nil && current.Held() == nil {
							t.Errorf("terms %d and %d are held at once", current.number, term.number)
						}
						if term.Held() == nil {
							current = term
							name, _, _ := strings.Cut(term.holder, "#")
							holders[name]++
						}
						mu.Unlock()
					}
				}
			}()
		}
		time.Sleep(2 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(holders) < 4 {
			t.Errorf("terms: %v", holders)
		}
		t.Logf("terms: %v", holders)
	})
}

func TestLeaseTime(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for lease, ok := range map[time.Duration]bool{0: false, -time.Second: false, time.Millisecond: false, 1500 * time.Millisecond: false, time.Second: true, 3 * time.Second: true, 2 * time.Hour: false} {
		if err := run(over, &holder{Candidate: Candidate{Lease: lease}}); (err == nil) != ok {
			t.Errorf("%v: %v", lease, err)
		}
	}
}
