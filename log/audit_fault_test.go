// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
)

// TestAuditDisk checks that no audited checkpoint is served before it is durable, that
// publication does not depend on it, and that the log tries again.
func TestAuditDisk(t *testing.T) {
	t.Parallel()
	w, _ := auditWorld(t)
	var full atomic.Bool
	durabletest.Inject(t, w.state(), func(_ durable.Op, path string) error {
		if full.Load() && strings.Contains(path, "audited") {
			return syscall.ENOSPC
		}
		return nil
	})
	w.start()
	before := w.vouched(w.append(w.warrant()).Index + 1)
	full.Store(true)
	p := w.append(w.warrant())
	w.until("over", func(n *round.Round) bool { return n.Size > p.Index && n.State == round.Over })
	if cp, err := w.audited(); err != nil || !bytes.Equal(cp.Bytes(), before.Bytes()) {
		t.Fatalf("served before it is durable: %v", err)
	}
	w.append(w.warrant())
	if err := w.log.Err(); err != nil {
		t.Errorf("the log says %v", err)
	}
	full.Store(false)
	w.vouched(p.Index + 2)
}

// TestAuditOfBarredAuditors checks that cosignatures of auditors that a breach bars do not
// count, whatever they sign, and that they count once an audit quorum has closed it.
func TestAuditOfBarredAuditors(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	w.start()
	warrant := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	cp := w.vouched(warrant.Index + 1)
	head := event.Head{Size: cp.Size, Root: event.Digest(cp.Root)}
	breach := w.put(w.release(event.Reference{Index: 1, Leaf: [32]byte{1}}, 1, [32]byte{}, head))
	n := w.until("declined", func(n *round.Round) bool { return n.Size > breach.Index && n.State == round.Declined })
	if got := kinds(t, n); got["dog"] != round.Cosigned || got["cat"] != round.Cosigned || got["cow"] != round.Cosigned {
		t.Errorf("the answers are %v", got)
	}
	if cp, err := w.audited(); err != nil || cp.Size > breach.Index {
		t.Fatalf("barred auditors vouch: %v", err)
	}
	for _, a := range list[:2] {
		w.mustSequence(signed(t, &event.Finding{First: breach.Index, Last: breach.Index, Rule: "reference", State: event.FindingClosed, Digest: event.Digest{1}}, w.Signer(a.name)).Bytes())
	}
	vouched, counted := w.vouched(breach.Index+3), 0
	for _, a := range list { // a quorum's finding closes the breach for the third one too
		if vouched.Find(a.keys[0].Verifier()) != nil {
			counted++
		}
	}
	if counted < 2 {
		t.Errorf("lines of %d auditors; want a quorum of 2", counted)
	}
	w.audit()
}

// TestAuditStateFaults checks what a start does with a bad audited checkpoint: a damaged
// one, or one of another tree, is not served; one beyond the recorded head shows that the
// state is an old copy, and the log does not open.
func TestAuditStateFaults(t *testing.T) {
	t.Parallel()
	w, _ := auditWorld(t)
	w.start()
	w.vouched(1)
	w.append(w.warrant())
	w.stop()
	old := w.copy(t)
	w.start()
	cp := w.vouched(w.append(w.warrant()).Index + 1)
	w.stop()
	name := filepath.Join("state", "audited")
	check(t, os.WriteFile(filepath.Join(old.dir, name), cp.Bytes(), 0o644))
	old.refuses(log.ErrLogBehind, "audited checkpoint")
	other := *cp
	other.Root[0] ^= 1
	bare := *cp
	bare.Signatures = bare.Signatures[:2]
	for what, text := range map[string][]byte{"damaged": []byte("x"), "of another tree": other.Bytes(), "without cosignatures": bare.Bytes()} {
		check(t, os.WriteFile(filepath.Join(w.dir, name), text, 0o644))
		for _, s := range w.witnesses {
			s.answer(down)
		}
		w.mustOpen()
		if status, b := w.get("/audit/checkpoint"); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d: %s", what, status, b)
		}
		for _, s := range w.witnesses {
			s.answer(nil)
		}
		w.ready()
		w.vouched(cp.Size)
		w.stop()
	}
	if _, err := os.Stat(filepath.Join(w.dir, name)); errors.Is(err, os.ErrNotExist) {
		t.Error("the audited checkpoint is not in the state")
	}
}

// TestAuditDelaysNothing checks that each event is published, in a head of its own, while
// every auditor has a request that it does not answer.
func TestAuditDelaysNothing(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	for _, a := range list {
		a.answer(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			asked <- struct{}{}
			select {
			case <-release:
				h.ServeHTTP(rw, r)
			case <-r.Context().Done():
			}
		})
	}
	w.start()
	for range list {
		<-asked
	}
	const published = `vasistas_log_rounds_total{outcome="published"}`
	before, failed := metric(w.log.Metrics(), published), failedRounds(w.log)
	const events = 20
	var last uint64
	for range events {
		last = w.append(w.warrant()).Index
	}
	if n := metric(w.log.Metrics(), published) - before; n < events || failedRounds(w.log) != failed {
		t.Errorf("%d events were published in %v heads, and %v failed", events, n, failedRounds(w.log)-failed)
	}
	if n := w.until("open", func(*round.Round) bool { return true }); n.State != round.Open || n.Size > 2 {
		t.Errorf("meanwhile the head did not stay named: %s", n.Bytes())
	}
	close(release)
	w.vouched(last + 1)
}

// TestAuditYears checks that a bar whose times have no year in UTC that JSON can hold neither stops
// the log nor makes a round that auditors can't read.
func TestAuditYears(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	list[2].answer(declines("held", strings.ReplaceAll(overdue, "2026-01-03T03:04:05Z", "9999-12-31T23:59:59-23:59"),
		strings.ReplaceAll(overdue, "2026-01-02T03:04:05Z", "0001-01-01T00:00:00+23:59"), overdue))
	w.start()
	w.vouched(1)
	n := w.until("declined by cow", func(n *round.Round) bool { return kinds(t, n)["cow"] == round.Refused })
	for _, a := range n.Auditors {
		if a.Auditor == "cow" && len(a.Bars) != 1 {
			t.Errorf("the bars are %+v", a.Bars)
		}
	}
}
