// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
)

// timed starts a world of n witnesses, k of which must cosign, with real clocks.
func timed(t testing.TB, k, n int) *world {
	t.Helper()
	w := prepareWorld(t, k, n)
	w.config.Provider = w.provider
	w.create()
	return w
}

// loggedAfter returns the published head's logged-after time.
func (w *world) loggedAfter() time.Time {
	w.t.Helper()
	ok, err := w.policy.Verify(w.checkpoint(), "")
	check(w.t, err)
	return time.Unix(int64(ok.LoggedAfter), 0)
}

// TestLiarAndSlowWitness checks that under 3 of 4 one witness with a false time stops
// nothing and moves nothing, even while an honest one is slow: the log waits for that one.
func TestLiarAndSlowWitness(t *testing.T) {
	t.Parallel()
	for _, lie := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		t.Run(lie.String(), func(t *testing.T) {
			t.Parallel()
			w := timed(t, 3, 4)
			w.witnesses[0].answer(cosign(t, w.witnesses[0].key, time.Now().Add(lie)))
			w.witnesses[3].answer(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
				select {
				case <-time.After(150 * time.Millisecond):
				case <-r.Context().Done():
				}
				h.ServeHTTP(rw, r)
			})
			w.start()
			for range 3 {
				before := whole(time.Now())
				w.append(w.warrant())
				if at := w.loggedAfter(); at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
					t.Errorf("at %v the head is logged after %v", before, at)
				}
			}
		})
	}
}

// TestMachineBehindWitnesses checks that witnesses which agree are believed, however far
// this machine's clock is behind: at the start, and after a sleep that no clock counted.
func TestMachineBehindWitnesses(t *testing.T) {
	t.Parallel()
	begin := time.Now().Add(6 * time.Minute)
	w := oddWorld(t, begin, 600)
	w.start()
	w.put(newWarrant(t, origin, warrantTerms{at: begin}, w.authority))
	w.witnessed.Store(begin.Add(6 * time.Hour).Unix())
	w.tells(begin.Add(6 * time.Hour))
	w.put(newWarrant(t, origin, warrantTerms{at: w.now()}, w.authority))
}

// TestNothingBeforeFirstHead checks that the log admits nothing before it published a
// head since its start, and that a head whose lines have no window is not published.
func TestNothingBeforeFirstHead(t *testing.T) {
	t.Parallel()
	w := timed(t, 2, 3)
	for i, s := range w.witnesses {
		s.answer(cosign(t, s.key, time.Now().Add(time.Duration(i)*time.Hour)))
	}
	w.mustOpen()
	eventually(t, func() error { // it has heard enough of them to sign
		if n := failedRounds(w.log); n < 2 {
			return fmt.Errorf("%v rounds", n)
		}
		return nil
	})
	if _, err := w.sequence(w.warrant()); !isProblem(err, "not-ready") || !errors.Is(w.log.Err(), log.ErrStarting) {
		t.Errorf("an event before the first head: %v; the log says %v", err, w.log.Err())
	}
	if status, _ := w.get("/checkpoint"); status != http.StatusNotFound {
		t.Errorf("a head without a window is served: %d", status)
	}
	w.witnesses[2].answer(cosign(t, w.witnesses[2].key, time.Now()))
	w.ready()
	if _, err := w.sequence(w.warrant()); err != nil {
		t.Error(err)
	}
}

// TestTwinAcknowledgesNothing checks that a second log over a copy of the directories of
// one that went on acknowledges no event, and stops.
func TestTwinAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	w.append(w.warrant())
	twin := w.copy(t)
	w.append(w.warrant())
	twin.mustOpen()
	eventually(t, func() error {
		if index, err := twin.sequence(twin.warrant()); !isProblem(err, "not-ready") {
			t.Fatalf("the twin says that an event is at %d: %v", index, err)
		}
		if err := twin.log.Err(); !errors.Is(err, log.ErrLogBehind) {
			return fmt.Errorf("the twin says %w", err)
		}
		return nil
	})
	// Nor does it serve a head, or a charter, that is older than what it was shown.
	for _, path := range []string{"/checkpoint", "/charter"} {
		if status, body := twin.get(path); status != http.StatusServiceUnavailable {
			t.Errorf("GET %s of the twin: %d: %s", path, status, body)
		}
	}
	w.append(w.warrant())
	w.audit()
}

// TestNonsenseAtStart checks that no answer of a witness, however malformed, is reported
// as the fault of an event or of a reader.
func TestNonsenseAtStart(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]lie{
		"empty": func(http.ResponseWriter, *http.Request, http.Handler) {},
		"prose": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { io.WriteString(w, "cosigned\n") },
		"no 409": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(409)
			io.WriteString(w, "x")
		},
		"huge": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			io.WriteString(w, strings.Repeat("—", 1<<20))
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, 3)
			for _, s := range w.witnesses {
				s.answer(lie)
			}
			w.mustOpen()
			eventually(t, func() error {
				if err := w.log.Err(); !strings.Contains(fmt.Sprint(err), "witness w") {
					return fmt.Errorf("the log says %w", err)
				}
				return nil
			})
			if _, err := w.sequence(w.warrant()); !isProblem(err, "not-ready") {
				t.Errorf("an event: %v", err)
			}
			resp, err := http.Get(w.url + "/readyz")
			check(t, err)
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("/readyz: %s", resp.Status)
			}
		})
	}
}

// TestLostQuorumShows checks that /readyz says so when the published head gets old, and
// that admission goes on.
func TestLostQuorumShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 2)
	w.config.Refresh = 100 * time.Millisecond
	w.start()
	w.witnesses[0].answer(down)
	eventually(t, func() error {
		if status, body := w.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "quorum") || !strings.Contains(string(body), "ready again once enough witnesses") {
			return fmt.Errorf("%d: %s", status, body)
		}
		return nil
	})
	w.mustSequence(w.warrant())
	w.witnesses[0].answer(nil)
	w.ready()
}

// TestClaimAhead checks that admission refuses a claim ahead of the log's time from any
// signer: once logged, the rules could not undo what follows from it.
func TestClaimAhead(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	w := oddWorld(t, begin, 600)
	w.start()
	ahead := begin.Add(time.Hour)
	for name, by := range map[string]event.Signer{"custodian": w.custodian, "provider": w.provider} {
		body := event.Body(&event.Heartbeat{From: whole(begin), To: whole(ahead)})
		if name == "provider" {
			body = &event.Return{Warrant: referTo(0, w.founding)}
		}
		p := w.refused(signedAt(t, ahead, body, by).Bytes(), "honest-time", "ahead")
		if !strings.Contains(p.Detail, "witnesses' clocks") {
			t.Error(p.Detail)
		}
	}
	ch := w.amendment(2, referTo(0, w.founding), func(*event.Charter) {})
	ev := *ch.Event
	ev.Time = whole(ahead)
	env, err := event.Sign(&ev, w.founder)
	check(t, err)
	w.refused(env.Bytes(), "honest-time", "ahead")
}
