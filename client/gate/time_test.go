// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// timed is a gate of a log that the test writes, at the time of a bubble of package synctest.
type timed struct {
	*cases.Log
	t     *testing.T
	gate  *gate.Gate
	keys  []*recorder
	shown *tlog.Checkpoint // with the lines of witnesses and auditors
}

func newTimed(t *testing.T) *timed {
	w := &timed{Log: cases.New(t.TempDir()), t: t}
	time.Sleep(time.Until(time.Unix(w.Now, 0)))
	c := gate.Config{Dir: t.TempDir() + "/gate", URL: "http://log.example", Origin: w.Origin, LogKeys: []*tlog.VerifierKey{w.People.Log().Verifier()},
		Founded: w.Charter.Leaf, Signer: w.Signer("c1"), Timeout: 10 * time.Second, HTTPClient: &http.Client{Transport: w}}
	for _, h := range w.Holders["c1"] {
		w.keys = append(w.keys, &recorder{SecretKey: h.(*escrow.SecretKey), name: "c1"})
		c.Keys = append(c.Keys, w.keys[len(w.keys)-1])
	}
	w.publish()
	check(t, gate.Create(c))
	var err error
	w.gate, err = gate.Open(c)
	check(t, err)
	t.Cleanup(func() {
		check(t, w.gate.Close())
		w.Report(t.Error)
	})
	return w
}

// RoundTrip is the log's server, which takes no submission.
func (w *timed) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	switch {
	case r.Method == http.MethodPost:
		problem.New(problem.NotReady, "", "not now").Answer(rec)
	case r.URL.Path == "/audit/checkpoint", r.URL.Path == "/checkpoint":
		rec.Write(w.shown.Bytes())
	default:
		http.FileServer(http.Dir(w.Dir)).ServeHTTP(rec, r)
	}
	out := rec.Result()
	out.Request = r
	return out, nil
}

// publish shows a head that witnesses and auditors have cosigned now.
func (w *timed) publish() { w.shown = w.Publish("w1", "w2", "w3", "a1", "a2") }

// until sleeps up to a time, at which the test may write to the log.
func (w *timed) until(at time.Time) {
	time.Sleep(time.Until(at))
	w.Now = time.Now().Unix()
}

// newCase logs a warrant and an access, sealed for so long.
func (w *timed) newCase(sealed time.Duration) *cases.Case {
	notice, err := escrow.GenerateKey(event.KEMX25519)
	check(w.t, err)
	return w.NewCase(sealed, []string{alice}, w.Wrap(notice.Public(), alice))
}

// ask asks for a case under the shown head, and returns the code of the refusal. The gate must say the
// same of itself, unless it refuses only since the log takes no release, and must open no share.
func (w *timed) ask(c *cases.Case) (code gate.Code, text string) {
	w.t.Helper()
	r := escrow.Request{Access: w.Proof(w.shown, c.Access), Warrant: w.Proof(w.shown, c.Warrant), WarrantOpenings: c.WarrantOpenings,
		AccessOpenings: c.AccessOpenings, Packages: c.Packages}
	sealed, err := r.Seal(w.Origin, w.keys[0].Public())
	check(w.t, err)
	check(w.t, w.gate.Sync(w.t.Context()))
	said := w.gate.Ready()
	_, err = w.gate.Release(w.t.Context(), sealed)
	no, ok := errors.AsType[*gate.Refusal](err)
	if !ok {
		w.t.Fatal("the gate opened: ", err)
	}
	var shut *gate.Refusal
	if errors.As(said, &shut) != (no.Code != gate.CodeLog) || shut != nil && shut.Code != no.Code {
		w.t.Errorf("the gate says %v of itself, and refuses by %v", said, no)
	}
	for _, k := range w.keys {
		if k.count(escrow.ForShare) > 0 {
			w.t.Error("the key was touched")
		}
	}
	return no.Code, no.Error()
}

// TestOverdueAtOnce: in the second in which a disclosure falls overdue the gate refuses by its own ledger,
// though no head is newer, and the auditors have just vouched for this one.
func TestOverdueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTimed(t)
		owed := w.newCase(2 * time.Hour)
		late := time.Unix(w.Now, 0).Add(2*time.Hour + people.Day*time.Second)
		w.publish()
		w.until(late.Add(-6 * time.Hour))
		w.publish()
		w.Anchor(w.Checkpoint("w1", "w2", "w3"))
		w.until(late.Add(-time.Minute))
		c := w.newCase(10 * 24 * time.Hour)
		w.publish()
		time.Sleep(time.Second)
		if code, text := w.ask(c); code != gate.CodeLog {
			t.Fatal("before it is late: ", text)
		}
		time.Sleep(time.Until(late))
		if err := w.gate.Ready(); err != nil {
			t.Fatal("in the last second: ", err)
		}
		time.Sleep(time.Second)
		code, text := w.ask(c)
		if code != gate.CodeOverdue || !strings.Contains(text, "disclosure") || w.shown.Size <= owed.Access.Index {
			t.Fatal(text)
		}
		t.Logf("1 second after it fell overdue: %s", text)
	})
}

// TestSilenceWithinStale: if auditors fall silent, and nothing else is wrong, the gate opens for as long as
// the profile's stale after their last cosignatures, and not a second longer.
func TestSilenceWithinStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTimed(t)
		c := w.newCase(10 * 24 * time.Hour)
		w.publish()
		silent := w.shown.Signatures
		after := time.Unix(w.Now, 0)
		again := func(at time.Time) {
			w.until(at)
			cp := w.Publish("w1", "w2", "w3") // the same head
			for _, s := range silent {
				if s.Name == w.Witness("a1").Verifier().Name || s.Name == w.Witness("a2").Verifier().Name {
					cp.Signatures = append(cp.Signatures, s)
				}
			}
			w.shown = cp
		}
		stale := after.Add(time.Duration(people.Profile().Stale) * time.Second)
		again(stale.Add(-time.Minute))
		if code, text := w.ask(c); code != gate.CodeLog {
			t.Fatal("within stale: ", text)
		}
		again(stale)
		check(t, w.gate.Sync(t.Context()))
		if err := w.gate.Ready(); err != nil {
			t.Fatal("in the last second: ", err)
		}
		again(stale.Add(time.Second))
		code, text := w.ask(c)
		if code != gate.CodeStale || !strings.Contains(text, "auditors have signed") || !strings.Contains(text, "more than 1 hour ago") {
			t.Fatal(text)
		}
		t.Log(text)
	})
}

// TestForkIsFound: a gate that follows a log finds a fork that witnesses have signed within two publication
// intervals after the log first shows it.
func TestForkIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTimed(t)
		interval := time.Duration(people.Profile().Publication) * time.Second
		publish := func(entry string) error {
			w.Append([]byte(entry))
			w.publish()
			w.until(time.Now().Add(interval))
			return w.gate.Sync(t.Context())
		}
		check(t, publish("the story"))
		other := w.Log.Log.Fork(t.TempDir())
		check(t, publish("and more"))
		w.Log.Log = other
		intervals := 1
		for err := publish("another story"); !errors.Is(err, gate.ErrForked); err = publish("and so on") {
			if intervals++; intervals > 2 {
				t.Fatalf("%d intervals later the gate says: %v", intervals, err)
			}
		}
		t.Logf("the fork was found %d publication intervals after it was shown", intervals)
	})
}

// TestHiddenReleaseIsFound: a reader of the log knows of a release that the log lacks with the first
// head that has a heartbeat that states the release.
func TestHiddenReleaseIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTimed(t)
		policy := w.ParsePolicy(3, "w1", "w2", "w3")
		c, err := client.New(client.Config{URL: "http://log.example", Policy: policy, HTTPClient: &http.Client{Transport: w}})
		check(t, err)
		r, err := replica.New(replica.Config{Client: c, Origin: w.Origin})
		check(t, err)
		// missing publishes, and returns the entries that state releases which the log lacks.
		missing := func() (list []uint64) {
			w.publish()
			_, err := r.Update(t.Context())
			check(t, err)
			check(t, r.Replay(t.Context(), replica.Observer{}))
			for _, o := range r.Ledger().Overdue(time.Unix(w.Now, 0).Add(30 * 24 * time.Hour)) {
				if o.Rule == "missing-release" {
					list = append(list, o.Index)
				}
			}
			return list
		}
		a := w.newCase(30 * 24 * time.Hour)
		w.See()
		w.Follow("c2", w.Sign(w.ReleaseEvent(a.Access, "c2", []byte("hidden")), "c2"))
		if list := missing(); list != nil {
			t.Fatalf("before the heartbeat: %d", list)
		}
		w.until(time.Now().Add(time.Hour))
		beat := w.Heartbeat("c2")
		if list := missing(); !slices.Equal(list, []uint64{beat.Index}) {
			t.Fatalf("with the heartbeat %d: %d", beat.Index, list)
		}
		t.Log("the hidden release was found 0 publication intervals after the first heartbeat that states it")
	})
}
