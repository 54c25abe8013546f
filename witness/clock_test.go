// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/witness"
)

// handle calls the handler without a network, which a bubble can't wait for.
func handle(w *witness.Witness, method, path string, body []byte) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, bytes.NewReader(body)))
	return rec
}

// TestClockBackwards: each bubble starts at the same time, so that a witness
// that ran for an hour in the first finds its clock an hour behind in the
// second.
func TestClockBackwards(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 20), newLog(t, "log.example/b", "b", 20)
	c := create(t, bothSigners(), a, b)
	var last uint64
	cosign := func(t *testing.T, w *witness.Witness, l *testLog, old, size uint64) uint64 {
		t.Helper()
		rec := handle(w, "POST", "/add-checkpoint", l.request(old, size))
		if rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		return verify(t, c.Signers, l.head(size), rec.Body.Bytes())
	}
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		if got := cosign(t, w, a, 0, 3); got != uint64(time.Now().Unix()) {
			t.Errorf("time %d", got)
		}
		time.Sleep(time.Hour)
		last = cosign(t, w, b, 0, 3)
		if last != uint64(time.Now().Unix()) {
			t.Errorf("time %d", last)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		// Another log than the one of the last timestamp.
		rec := handle(w, "POST", "/add-checkpoint", a.request(3, 5))
		retry, err := strconv.Atoi(rec.Header().Get("Retry-After"))
		if rec.Code != http.StatusServiceUnavailable || err != nil || retry < 3500 {
			t.Errorf("an hour behind: %d, %q", rec.Code, rec.Header())
		}
		if _, err := w.AddCheckpoint(t.Context(), a.request(3, 5)); !errors.As(err, new(*witness.ClockError)) {
			t.Error(err)
		}
		if rec := handle(w, "GET", "/readyz", nil); rec.Code != 503 || !strings.Contains(rec.Body.String(), "once the clock is right") {
			t.Errorf("readyz: %d", rec.Code)
		}
		if rec := handle(w, "GET", monitorURL("", a.origin), nil); rec.Code != 200 {
			t.Errorf("a claim that was made is not served: %d", rec.Code)
		}
		time.Sleep(time.Hour - 61*time.Second)
		if rec := handle(w, "POST", "/add-checkpoint", a.request(3, 5)); rec.Code != 503 {
			t.Errorf("61 s behind: %d", rec.Code)
		}
		time.Sleep(time.Second)
		if got := cosign(t, w, a, 3, 5); got != last {
			t.Errorf("a minute behind it signs at %d, want %d", got, last)
		}
		time.Sleep(59 * time.Second)
		if got := cosign(t, w, a, 5, 6); got != last {
			t.Errorf("a second behind it signs at %d, want %d", got, last)
		}
		time.Sleep(3 * time.Second)
		if got := cosign(t, w, a, 6, 7); got != last+2 {
			t.Errorf("it signs at %d, want %d", got, last+2)
		}
	})
}

// TestClockSurvivesCompaction: the head of the latest timestamp may have been
// replaced by one that was resumed at and never cosigned, so the timestamp is
// kept by itself.
func TestClockSurvivesCompaction(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	c := create(t, bothSigners()[:1], l)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		time.Sleep(time.Hour)
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
	})
	p := publish(t)
	p.set(l.checkpoint(5))
	resumed := c
	resumed.Logs = withURL(c.Logs, p.url)
	if _, err := witness.ResumeLost(t.Context(), resumed, witnessName, nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, c) // which compacts
			if _, err := w.AddCheckpoint(t.Context(), l.request(5, 5)); !errors.As(err, new(*witness.ClockError)) {
				t.Error(err)
			}
		})
	}
}
