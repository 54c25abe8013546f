// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// TestSuppressed: notices that the provider does not publish in time, the gate does,
// also after a restart.
func TestSuppressed(t *testing.T) {
	w := prepare(t, 1)
	w.LogConfig.Provider = nil
	w.start(1, func(ch *event.Charter) { ch.Profile.DisclosureGrace = 3 })
	w.runAll()
	s := w.gates[0]
	w.until = time.Now().UTC().Truncate(time.Second).Add(10 * time.Second)
	one, two := w.escrow(alice), w.escrow(bob)
	a := w.access(w.warrant(alice, bob), accessTerms{accounts: []string{alice, bob}, count: 2}, one, two)
	w.shares(s, a)
	s.stop()
	w.open(s)
	found := make(map[*file]bool)
	eventually(t, func() error {
		for _, e := range w.of(s, event.TypeDisclosure) {
			for _, b := range e.Event.Body.(*event.Disclosure).Notices {
				for _, f := range []*file{one, two} {
					if _, err := escrow.OpenNotice(origin, f.notice, b); err == nil {
						found[f] = true
					}
				}
			}
		}
		if len(found) != 2 {
			return fmt.Errorf("%d of two subjects have a notice", len(found))
		}
		return nil
	})
}

// TestNotices: each notice key gets one notice, which says what its subject may know
// and nothing of others; the release names them all.
func TestNotices(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	var mu sync.Mutex
	var posted *event.Submission
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if sub, err := event.ParseSubmission(b); err == nil && sub.Envelope.Event.Type == event.TypeRelease {
				mu.Lock()
				posted = sub
				mu.Unlock()
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		h.ServeHTTP(rw, r)
	})
	one := w.escrow(alice)
	again := w.escrowTo(w.charter.env.Event.Body.(*event.Charter), alice, one.notice)
	two := w.escrow(bob)
	a := w.access(w.warrant(alice, bob, "carol@example.org"), accessTerms{accounts: []string{alice, bob}, count: 2}, one, again, two)
	w.shares(s, a)
	mu.Lock()
	defer mu.Unlock()
	body := posted.Envelope.Event.Body.(*event.Release)
	if len(posted.Notices) != 2 || len(body.Notices) != 2 {
		t.Fatalf("%d notices, and the release names %d", len(posted.Notices), len(body.Notices))
	}
	for _, f := range []*file{one, two} {
		opened := 0
		for _, b := range posted.Notices {
			if !slices.Contains(body.Notices, escrow.NoticeDigest(b)) {
				t.Error("a notice is not the release's")
			}
			n, err := escrow.OpenNotice(origin, f.notice, b)
			if errors.Is(err, escrow.ErrOpen) {
				continue
			}
			check(t, err)
			opened++
			if n.Access != a.Reference || *n.Warrant != a.warrant.Reference || n.Custodian != "c1" || n.Seq != 1 || !bytes.Equal(n.Recipient.Public, a.recipient.Public().Public) {
				t.Errorf("the notice is %+v", n)
			}
			got := make(map[string][]string)
			for _, o := range append(slices.Clone(n.AccessOpenings.Subject), n.WarrantOpenings.Subject...) {
				got[o.Name] = append(got[o.Name], o.Value.Text())
			}
			packages := map[string]int{alice: 2, bob: 1}[f.account]
			if !slices.Equal(got["account"], []string{f.account}) || !slices.Equal(got["identifier"], []string{f.account}) ||
				len(got["package"]) != packages || len(got[event.DecoyName]) != 0 || len(got["case"]) != 1 {
				t.Errorf("the notice of %s opens %q", f.account, got)
			}
		}
		if opened != 1 {
			t.Errorf("%s can read %d notices", f.account, opened)
		}
	}
}

// TestRefusedForNow: a heartbeat and a disclosure that the log refuses once are posted again, until the log
// has them.
func TestRefusedForNow(t *testing.T) {
	w := prepare(t, 1)
	w.LogConfig.Provider = nil
	w.start(1, func(ch *event.Charter) {
		ch.Profile.DisclosureGrace, ch.Profile.Heartbeat = 3, event.Deadline{Within: 8, Grace: 600}
	})
	w.runAll()
	s := w.gates[0]
	w.until = time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	var mu sync.Mutex
	refusals := make(map[event.Type]event.Digest) // the first of each type
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			if sub, err := event.ParseSubmission(b); err == nil {
				mu.Lock()
				_, refused := refusals[sub.Envelope.Event.Type]
				if !refused {
					refusals[sub.Envelope.Event.Type] = sub.Envelope.Hash()
				}
				mu.Unlock()
				if !refused {
					problem.New(problem.Rule, "no", "it claims to be ahead").Answer(rw)
					return
				}
			}
		}
		h.ServeHTTP(rw, r)
	})
	for _, kind := range []event.Type{event.TypeDisclosure, event.TypeHeartbeat} {
		eventually(t, func() error {
			mu.Lock()
			hash, ok := refusals[kind]
			mu.Unlock()
			for _, e := range w.of(s, kind) {
				if ok && e.Hash() == hash {
					return nil
				}
			}
			return fmt.Errorf("the log has no %s that was refused once", kind)
		})
	}
}

// TestNoticesByGateNow: a gate publishes no notice before it is due by its witnessed now, whatever its
// machine's clock says.
func TestNoticesByGateNow(t *testing.T) {
	w := prepare(t, 1)
	w.LogConfig.Provider = nil
	w.start(1, func(ch *event.Charter) { ch.Profile.DisclosureGrace = 3 })
	w.runAll()
	s := w.gates[0]
	w.until = time.Now().UTC().Truncate(time.Second).Add(3 * time.Second)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	w.drain(s)
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	s.stop()
	w.serve(cp.Checkpoint) // for the gate that starts, it is the time of this head
	eventually(t, func() error {
		if !time.Now().After(w.until.Add(4 * time.Second)) {
			return errors.New("the notices are not due by the machine's clock")
		}
		return nil
	})
	w.open(s)
	eventually(t, func() error {
		if !strings.Contains(string(s.Running.Metrics()), "vasistas_gate_looks_total{outcome=\"ok\"}") {
			return errors.New("the gate has not followed the log")
		}
		return nil
	})
	st, err := s.Running.Status(t.Context())
	check(t, err)
	if st.Outbox != 0 {
		t.Errorf("the gate publishes %d notices", st.Outbox)
	}
}
