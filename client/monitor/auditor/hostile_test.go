// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestStrangers: requests for a head that the log does not name do not keep the auditor from the
// named one while the log is slow to say so.
func TestStrangers(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	a.Config.Poll = time.Hour
	w.run(a)
	w.grow(1)
	named := w.head()
	w.name(named)
	_, err := w.ask(a, named).cosigned(named)
	check(t, err)
	w.grow(1)
	body := w.request(named.Size, w.head())

	var slow atomic.Bool
	var asked atomic.Int32
	slow.Store(true)
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.URL.Path == "/audit/round" && slow.Load() {
			asked.Add(1)
			select {
			case <-time.After(300 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		w.front(rw, r, h)
	})
	var strangers sync.WaitGroup
	for range 24 {
		strangers.Go(func() {
			resp, err := http.Post(a.URL+"/add-checkpoint", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a stranger is answered %s", resp.Status)
			}
		})
	}
	eventually(t, func() error {
		if asked.Load() == 0 {
			return errors.New("the log was not asked")
		}
		return nil
	})
	_, err = w.ask(a, named).cosigned(named)
	check(t, err)
	slow.Store(false)
	strangers.Wait()
	if s := a.Running.Status(); s.Size != named.Size {
		t.Errorf("strangers moved the auditor to size %d", s.Size)
	}
	if h := a.Running.Copy().Head(); h.Size != named.Size {
		t.Errorf("strangers moved the copy to size %d", h.Size)
	}
}

// TestStrangerLeaves: a stranger who asks for the named head and leaves does not end the update of the copy. The next
// request joins it.
func TestStrangerLeaves(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	a.Config.Poll = time.Hour
	held := &heldSource{Source: w.client.Source(), reading: make(chan struct{}, 100), goOn: make(chan struct{})}
	a.Config.Sources = []mirror.Source{{Name: "log", Source: held}}
	w.run(a)
	w.grow(1)
	first := w.head()
	w.name(first)
	_, err := w.ask(a, first).cosigned(first)
	check(t, err)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	body := w.request(first.Size, cp)
	heads := held.heads.Load()
	held.on.Store(true)

	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/add-checkpoint", bytes.NewReader(body))
	check(t, err)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	<-held.reading
	leave()
	<-gone
	answered := make(chan *answer, 1)
	go func() { answered <- w.post(a, body) }()
	select {
	case <-held.reading:
		t.Error("the update began again")
	case <-time.After(300 * time.Millisecond):
	}
	held.on.Store(false)
	close(held.goOn)
	_, err = (<-answered).cosigned(cp)
	check(t, err)
	if n := held.heads.Load() - heads; n != 1 {
		t.Errorf("the source was asked %d times for its head", n)
	}
}

// heldSource holds the reads of bundles while it is on.
type heldSource struct {
	client.Source
	on            atomic.Bool
	heads         atomic.Int32
	reading, goOn chan struct{}
}

func (s *heldSource) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	s.heads.Add(1)
	return s.Source.ReadCheckpoint(ctx)
}

func (s *heldSource) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if s.on.Load() {
		s.reading <- struct{}{}
		select {
		case <-s.goOn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Source.ReadTile(ctx, t)
}

// TestHeldAge: the auditor holds no event of an authority that the log's admission refuses for the
// age of its claim, and drops one that gets so old.
func TestHeldAge(t *testing.T) {
	w := newTestbed(t, 1, func(_ *testbed, c *event.Charter) {
		p := &c.Profile
		p.WitnessTimeout, p.Spread, p.Skew, p.Lag, p.Inclusion = 1, 2, 4, 14, 2
	})
	a := w.Auditors[0]
	w.run(a)
	first, _ := w.warrant(time.Now().Add(24 * time.Hour))
	second, _ := w.warrant(time.Now().Add(24 * time.Hour))
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		w.front(rw, r, h)
	})
	revoke := func(of event.Reference, claim time.Time) *event.Envelope {
		env, err := w.Signed(claim, &event.Revocation{Warrant: of, Reason: "ended", Scope: event.ScopeAll}, "court")
		check(t, err)
		return env
	}
	for age, want := range map[time.Duration]int{time.Hour: 400, 12 * time.Second: 400, 0: 200} {
		of := first
		if want == http.StatusBadRequest {
			of = second
		}
		if got := w.hand(a, revoke(of, time.Now().Add(-age))); got.status != want {
			t.Fatalf("a claim %v old: %d %s", age, got.status, got.body)
		}
	}
	eventually(t, func() error {
		_, err := w.ask(a, cp).declined("barred")
		return err
	})
	eventually(t, func() error {
		_, err := w.ask(a, cp).cosigned(cp)
		return err
	})
}

// TestUnreached: an auditor that was cut off from the log does not accuse it of suppressing an
// event.
func TestUnreached(t *testing.T) {
	w := newTestbed(t, 1, func(_ *testbed, c *event.Charter) { c.Profile.Inclusion = 2 })
	a := w.Auditors[0]
	a.Config.Timeout = time.Second
	w.run(a)
	of, _ := w.warrant(time.Now().Add(24 * time.Hour))
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	var cut atomic.Bool
	var posts atomic.Int32
	cut.Store(true)
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if cut.Load() && strings.HasPrefix(r.Header.Get("User-Agent"), "vasistas-monitor") {
			if r.Method == http.MethodPost {
				posts.Add(1)
			}
			http.Error(rw, "the network is down", http.StatusBadGateway)
			return
		}
		w.front(rw, r, h)
	})
	env, begun := w.sign(&event.Revocation{Warrant: of, Reason: "ended", Scope: event.ScopeAll}, "court"), time.Now()
	if got := w.hand(a, env); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, func() error {
		if posts.Load() < 2 || time.Since(begun) < 5*time.Second {
			return errors.New("not long enough")
		}
		return nil
	})
	cut.Store(false)
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	eventually(t, func() error {
		if size := w.head().Size; size <= cp.Size {
			return errors.New("the log has not got the event")
		}
		return nil
	})
}

// TestTwinAuditors: two auditors with one key sign the same named heads. The one whose state lacks a
// cosignature that the log shows stops, and the other goes on.
func TestTwinAuditors(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	twin, err := w.NewAuditor(a.Name)
	check(t, err)
	twin.Config.Dir, twin.Config.CopyDir = t.TempDir(), t.TempDir()
	twin.Config.Poll, twin.Config.Timeout = a.Config.Poll, a.Config.Timeout
	w.run(twin)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	for _, one := range []*world.Auditor{a, twin} {
		_, err := w.ask(one, cp).cosigned(cp)
		check(t, err)
	}
	w.grow(1)
	next := w.head()
	w.name(next)
	audited, err := w.ask(a, next).cosigned(next)
	check(t, err)
	w.show(audited)
	for range 2 {
		if _, err := w.ask(twin, next).declined("stopped"); err != nil {
			t.Fatal(err)
		}
	}
	w.grow(1)
	next = w.head()
	w.name(next)
	_, err = w.ask(a, next).cosigned(next)
	check(t, err)
	if s := twin.Running.Status(); s.Size != cp.Size || s.Stopped == "" {
		t.Errorf("the status is %+v", s)
	}
}
