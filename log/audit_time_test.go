// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// direct asks auditors by their host names, without a network, so that a bubble's time
// can pass.
type direct map[string]*auditor

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	a := d[r.URL.Host]
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.Path, bytes.NewReader(body))
	rec := httptest.NewRecorder()
	a.Config.Handler.ServeHTTP(rec, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// still is the engine of a log that gets no events: Tessera's looks for work all the
// time, which is slow over a day.
type still struct {
	dir  string
	size uint64
	root [32]byte
}

func (e *still) Add(context.Context, [][]byte) (uint64, error) { return 0, errors.ErrUnsupported }
func (e *still) Wait(context.Context, uint64) error            { return nil }
func (e *still) Show(context.Context, uint64) error            { return nil }

func (e *still) Close(context.Context) error { return nil }

func (e *still) Tree(context.Context) (uint64, [32]byte, error) { return e.size, e.root, nil }

func (e *still) ReadTile(_ context.Context, t tlog.Tile) ([]byte, error) {
	return os.ReadFile(filepath.Join(e.dir, t.Path()))
}

// idleLog is a log in a bubble that gets no events. Its auditors are asked without a
// network.
type idleLog struct {
	*world
	engine *still
	list   []*auditor
}

// inBubble runs a test of an idle log with three auditors, of which two must cosign.
func inBubble(t *testing.T, f func(t *testing.T, w *idleLog)) {
	t.Helper()
	w := &idleLog{world: prepareWorld(t, 0, 0)}
	w.profile.Round, w.profile.Stale = 600, 3600
	for _, name := range []string{"dog", "cat", "cow"} {
		w.list = append(w.list, w.newAuditorAt(name))
	}
	w.extra = w.auditors(2, w.list...)
	w.create()
	engine, err := w.openTree()
	check(t, err)
	w.engine = &still{dir: w.tree()}
	w.engine.size, w.engine.root, err = engine.Tree(t.Context())
	check(t, err)
	check(t, engine.Show(t.Context(), w.engine.size))
	check(t, engine.Close(t.Context()))
	synctest.Test(t, func(t *testing.T) {
		d := make(direct)
		for _, a := range w.list {
			d[a.name+".example"] = a
		}
		w.vault, err = vault.Open(w.vaultConfig())
		check(t, err)
		w.log, err = log.Open(t.Context(), log.Config{StateDir: w.state(), Engine: w.engine, Vault: w.vault, Keys: w.keys, Interval: time.Second,
			Refresh: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler), HTTP: &http.Client{Transport: d}})
		check(t, err)
		defer w.close()
		f(t, w)
	})
}

func (w *idleLog) close() {
	check(w.t, w.log.Close(context.Background()))
	check(w.t, w.vault.Close())
}

func (w *idleLog) read(path string) (int, []byte) {
	rec := httptest.NewRecorder()
	w.log.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.Bytes()
}

func (w *idleLog) named() *round.Round {
	w.t.Helper()
	_, b := w.read("/audit/round")
	n, err := round.Parse(b)
	if err != nil {
		w.t.Fatalf("%v: %s", err, b)
	}
	return n
}

// age returns how old the audited checkpoint's cosignatures are.
func (w *idleLog) age() time.Duration {
	w.t.Helper()
	status, b := w.read("/audit/checkpoint")
	if status != http.StatusOK {
		w.t.Fatalf("%d: %s", status, b)
	}
	cp, err := tlog.ParseCheckpoint(b)
	check(w.t, err)
	p, err := tlog.ParsePolicy([]byte("log " + w.keys[0].Verifier().String() + "\n" + w.charter().AuditPolicy))
	check(w.t, err)
	ok, err := p.WithSpread(tlog.NoSpread).Verify(cp, "")
	check(w.t, err)
	return time.Since(time.Unix(int64(ok.LoggedAfter), 0))
}

// TestAuditOfAnIdleLog checks over a day that the cosignatures of auditors stay younger
// than two rounds, also if one of three hangs; and that auditors who answer are asked
// about once in a round.
func TestAuditOfAnIdleLog(t *testing.T) {
	inBubble(t, func(t *testing.T, w *idleLog) {
		w.list[2].answer(hang)
		time.Sleep(time.Minute)
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if age := w.age(); age > 2*600*time.Second {
				t.Fatalf("the cosignatures are %v old", age)
			}
		}
		if n := w.list[0].asked(); n < 24*6 || n > 2*24*6 {
			t.Errorf("in a day of 144 rounds an auditor was asked %d times", n)
		}
	})
}

// TestRoundEndsWithItsTime checks that a head that is not met stays named for one round,
// and that silent auditors are asked again at growing intervals.
func TestRoundEndsWithItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, w *idleLog) {
		for _, a := range w.list {
			a.answer(hang)
		}
		time.Sleep(5 * time.Second)
		first, asked := w.named(), w.list[0].asked()
		time.Sleep(590 * time.Second)
		if n := w.named(); !n.Named.Equal(first.Named) || n.State != round.Open {
			t.Fatalf("after 595 s: %s", n.Bytes())
		}
		if n := w.list[0].asked() - asked; n < 10 || n > 40 {
			t.Errorf("a silent auditor was asked %d times in a round", n)
		}
		time.Sleep(10 * time.Second)
		if n := w.named(); n.Named.Equal(first.Named) || n.State != round.Open {
			t.Fatalf("after 605 s: %s", n.Bytes())
		}
		if status, b := w.read("/audit/checkpoint"); status != http.StatusServiceUnavailable {
			t.Errorf("%d: %s", status, b)
		}
		for _, a := range w.list {
			a.answer(nil)
		}
		time.Sleep(time.Minute)
		if age := w.age(); age > time.Minute {
			t.Errorf("once they answer, the cosignatures are %v old", age)
		}
	})
}

// TestRoundDeclinedAgain checks that a head that all auditors decline is named again, as
// seldom as the auditors ask for, and is met soon after the bar has ended.
func TestRoundDeclinedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *idleLog) {
		for _, a := range w.list {
			a.answer(declines("barred", overdue))
		}
		time.Sleep(time.Hour)
		if n := w.list[0].asked(); n < 60 || n > 3601 { // each second, both ends counted
			t.Errorf("in an hour a barred auditor was asked %d times", n)
		}
		for _, a := range w.list {
			a.answer(nil)
		}
		time.Sleep(40 * time.Second)
		if age := w.age(); age > 40*time.Second {
			t.Errorf("after the bar the cosignatures are %v old", age)
		}
	})
}
