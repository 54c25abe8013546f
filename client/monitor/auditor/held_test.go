// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// hand posts an event to an auditor.
func (w *testbed) hand(a *world.Auditor, env *event.Envelope) *answer {
	w.t.Helper()
	b, err := (&event.Submission{Envelope: env}).Bytes()
	check(w.t, err)
	resp, err := http.Post(a.URL+"/events", "application/json", bytes.NewReader(b))
	check(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w.t, err)
	return &answer{resp.StatusCode, resp.Header, body}
}

// TestHeld: an auditor declines while the log suppresses a revocation that was handed to it, over a
// restart, too, and goes on once the log has it. An event that has no effect is not taken, and one that
// has none any more is dropped.
func TestHeld(t *testing.T) {
	w := newTestbed(t, 1, func(_ *testbed, c *event.Charter) { c.Profile.Inclusion = 4 })
	a := w.Auditors[0]
	a.Config.Timeout = time.Second
	w.run(a)
	first, _ := w.warrant(time.Now().Add(24 * time.Hour))
	second, _ := w.warrant(time.Now().Add(24 * time.Hour))
	var cp *tlog.Checkpoint
	cosigned := func() error {
		cp = w.head()
		w.name(cp)
		_, err := w.ask(a, cp).cosigned(cp)
		return err
	}
	check(t, cosigned())
	revoke := func(of event.Reference, by string) *event.Envelope {
		return w.sign(&event.Revocation{Warrant: of, Reason: "ended", Scope: event.ScopeAll}, by)
	}
	// The next head may have the warrant.
	if _, err := w.hand(a, revoke(event.Reference{Index: 1000, Leaf: [32]byte{1}}, "court")).declined("not-ready"); err != nil {
		t.Error(err)
	}
	for name, env := range map[string]*event.Envelope{
		"of no warrant":   revoke(event.Reference{Index: 0, Leaf: first.Leaf}, "court"),
		"by the provider": revoke(first, "messenger"),
		"an anchor":       w.sign(&event.Anchor{Checkpoint: string(cp.Bytes())}, "messenger"),
	} {
		if got := w.hand(a, env); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}

	var blocked atomic.Bool
	blocked.Store(true)
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost && r.Header.Get("User-Agent") == "vasistas-monitor" && blocked.Load() {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		w.front(rw, r, h)
	})
	env, begun := revoke(first, "court"), time.Now()
	for range 2 {
		if got := w.hand(a, env); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	// For as long as the profile says, the log may lack the event.
	eventually(t, func() error {
		err := cosigned()
		switch since := time.Since(begun); {
		case since >= 4*time.Second:
			return nil
		case err != nil:
			t.Fatalf("after %s: %v", since, err)
		}
		return errors.New("the log still has time")
	})
	suppressed := func() error {
		p, err := w.ask(a, cp).declined("barred")
		if err != nil {
			return err
		}
		if o := p.Bars[0].Obligation; len(p.Bars) != 1 || o == nil || o.Rule != "inclusion" || o.By != "log" || !strings.Contains(o.Text, fmt.Sprintf("%x", env.Hash())) {
			return fmt.Errorf("the bars are %+v", p.Bars)
		}
		return nil
	}
	eventually(t, suppressed)
	check(t, a.Stop())
	// A crash may leave the file twice.
	dir := filepath.Join(a.Config.Dir, "held")
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%x", env.LeafHash())))
	check(t, err)
	temp := filepath.Join(dir, ".durable-1.tmp")
	check(t, os.WriteFile(temp, b, 0o600))
	check(t, a.Start())
	eventually(t, suppressed)
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file stays: %v", err)
	}

	// The log has another revocation of the same warrant, so the held one has no effect.
	w.submit(revoke(first, "court"), nil)
	check(t, cosigned())

	// What the log takes is held no longer.
	env = revoke(second, "court")
	if got := w.hand(a, env); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, suppressed)
	blocked.Store(false)
	eventually(t, cosigned)
	if w.ledger().Size() != cp.Size {
		t.Error("the cosigned head is not the last")
	}
}
