// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// forge signs another tree of a proof's head, with a key of the log and as witnesses.
func (w *testbed) forge(proof []byte, key *tlog.Signer, witnesses ...*world.Witness) *tlog.Proof {
	w.t.Helper()
	p, err := tlog.ParseProof(proof)
	check(w.t, err)
	p.Checkpoint.Root[0] ^= 1
	w.resign(p.Checkpoint, time.Now(), key, witnesses...)
	return p
}

// resign replaces a checkpoint's signatures.
func (w *testbed) resign(cp *tlog.Checkpoint, at time.Time, key *tlog.Signer, witnesses ...*world.Witness) {
	w.t.Helper()
	sig, err := key.Sign(&cp.Head, 0)
	check(w.t, err)
	cp.Signatures = []tlog.Signature{sig}
	for _, wit := range witnesses {
		sig, err := wit.Keys[0].Sign(&cp.Head, uint64(at.Unix()))
		check(w.t, err)
		cp.Signatures = append(cp.Signatures, sig)
	}
}

// serve makes the log serve a checkpoint in place of its own.
func (w *testbed) serve(cp *tlog.Checkpoint) {
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.URL.Path == "/checkpoint" {
			rw.Write(cp.Bytes())
			return
		}
		h.ServeHTTP(rw, r)
	})
}

// TestForkOfWitnesses: two heads that contradict each other and both meet the witness policy stop
// the gate, which keeps the evidence, over a restart too. Once its operator confirms that the gate's
// own head stands, the gate goes on, and the other head does not stop it again.
func TestForkOfWitnesses(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	p := w.forge(a.proof, w.LogKeys[0], w.Witnesses...)
	r := a.request()
	r.Access = p.Bytes()
	s.key.forget()
	no := w.wantCode(s, r, gate.CodeFork)
	t.Log(no)
	w.wantCode(s, a.request(), gate.CodeStopped)
	untouched(t, s)
	s.stop()
	w.open(s)
	w.wantCode(s, a.request(), gate.CodeStopped)
	untouched(t, s)
	if _, err := os.Stat(filepath.Join(s.Config.Dir, "fork")); err != nil {
		t.Fatal(err)
	}
	st, err := s.Running.Status(t.Context())
	check(t, err)
	if st.Stopped == "" || st.Shut == "" {
		t.Fatalf("%+v", st)
	}

	// The head that does not stand.
	dead := fmt.Sprintf("%d:%x", p.Checkpoint.Size, p.Checkpoint.Root)
	for _, unknown := range []string{dead[1:], "1" + dead} {
		if _, err := gate.Confirm(s.Config.Dir, unknown); !errors.Is(err, gate.ErrNotPending) || !strings.Contains(err.Error(), dead) {
			t.Errorf("%s is neither head: %v", unknown, err)
		}
	}
	_, err = gate.Confirm(s.Config.Dir, dead)
	check(t, err)
	eventually(t, func() error {
		if err := s.Running.Ready(); err == nil || !strings.Contains(err.Error(), "with a new key") {
			return fmt.Errorf("the gate does not say that it is to be founded again: %w", err)
		}
		return nil
	})
	untouched(t, s)

	// The one that stands is the other one that the refusal names.
	own := no.detail[strings.Index(no.detail, "confirm the one that stands: ")+len("confirm the one that stands: "):]
	one, two, _ := strings.Cut(own, " or ")
	if one == dead {
		one = two
	}
	_, err = gate.Confirm(s.Config.Dir, one)
	check(t, err)
	eventually(t, s.Running.Ready)
	for range 2 {
		w.wantCode(s, r, gate.CodeFork)
		w.refresh(a.logged)
		w.refresh(a.warrant)
		w.shares(s, a)
		s.stop()
		w.run(s)
	}
}

// TestSettledFork: what a gate's operator has confirmed of one fork settles no later one.
func TestSettledFork(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	r := a.request()
	r.Access = w.forge(a.proof, w.LogKeys[0], w.Witnesses...).Bytes()
	w.wantCode(s, r, gate.CodeFork)
	p, err := tlog.ParseProof(a.proof)
	check(t, err)
	own := fmt.Sprintf("%d:%x", p.Checkpoint.Size, p.Checkpoint.Root)
	_, err = gate.Confirm(s.Config.Dir, own)
	check(t, err)
	eventually(t, s.Running.Ready)
	if _, err := gate.Confirm(s.Config.Dir, own); !errors.Is(err, gate.ErrNotPending) {
		t.Errorf("no fork stops the gate: %v", err)
	}
	s.stop()
	w.run(s)
	b := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	r = b.request()
	r.Access = w.forge(b.proof, w.LogKeys[0], w.Witnesses...).Bytes()
	w.wantCode(s, r, gate.CodeFork)
	w.wantCode(s, b.request(), gate.CodeStopped)
}

// TestRetiredKey: who has the log's old key, or its present one alone, stops no gate, whether the
// contradicting head comes with a request or from the log's address. The gate keeps the evidence,
// raises an alarm, and goes on.
func TestRetiredKey(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	old := w.LogKeys[0]
	key, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w.recover(key)
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.wantCode(s, a.request(), gate.CodeTrust)
	w.confirm(s)
	w.shares(s, a)
	for name, by := range map[string]struct {
		key       *tlog.Signer
		witnesses []*world.Witness
	}{"retired": {old, nil}, "present": {key, nil}, "too few witnesses": {key, w.Witnesses[:1]}} {
		p := w.forge(a.proof, by.key, by.witnesses...)
		r := a.request()
		r.Access = p.Bytes()
		s.key.forget()
		if _, err := w.ask(s, r); err == nil {
			t.Fatalf("%s: the gate answers", name)
		}
		untouched(t, s)
		w.serve(p.Checkpoint)
		if err := s.Running.Sync(t.Context()); err == nil || errors.Is(err, gate.ErrForked) {
			t.Fatalf("%s: %v", name, err)
		}
		w.LogServer.Between(nil)
		w.refresh(a.logged)
		w.refresh(a.warrant)
		w.shares(s, a)
	}
	st, err := s.Running.Status(t.Context())
	check(t, err)
	if st.Stopped != "" || st.Alarm == "" {
		t.Fatalf("%+v", st)
	}
	if text := string(s.Running.Metrics()); strings.Contains(text, "\nvasistas_gate_contradictions 0\n") {
		t.Error("the metrics show no contradiction")
	}
	if _, err := os.Stat(filepath.Join(s.Config.Dir, "contradiction")); err != nil {
		t.Fatal(err)
	}
	s.stop()
	w.run(s)
	w.shares(s, a)
}

// TestPolicyBeforeTiles: heads that do not count cost the gate no reads of the log.
func TestPolicyBeforeTiles(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.shares(s, a)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))) // a larger head
	w.drain(s)
	var reads []string
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/tile/") {
			reads = append(reads, r.URL.Path)
		}
		h.ServeHTTP(rw, r)
	})
	for _, c := range []struct {
		code      gate.Code
		at        time.Time
		witnesses []*world.Witness
	}{{gate.CodeStale, time.Now().Add(-30 * 24 * time.Hour), w.Witnesses}, {gate.CodeQuorum, time.Now(), w.Witnesses[:1]}} {
		r := a.request()
		p, err := tlog.ParseProof(r.Access)
		check(t, err)
		w.resign(p.Checkpoint, c.at, w.LogKeys[0], c.witnesses...)
		r.Access = p.Bytes()
		s.key.forget()
		t.Log(w.wantCode(s, r, c.code))
		untouched(t, s)
	}
	w.LogServer.Between(nil)
	if len(reads) > 0 {
		t.Errorf("the gate read %q", reads)
	}
}

// TestOldHeadAfterRestart: the newest time that a gate has seen outlives a restart. A head of the
// same tree with older cosignatures does not replace it, and alone opens nothing.
func TestOldHeadAfterRestart(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	check(t, s.Running.Sync(t.Context()))
	w.drain(s)
	before, err := s.Running.Status(t.Context())
	check(t, err)
	s.stop()
	v, err := w.client.Checkpoint(t.Context())
	check(t, err)
	old := &tlog.Checkpoint{Head: v.Checkpoint.Head}
	w.resign(old, time.Now().Add(-30*24*time.Hour), w.LogKeys[0], w.Witnesses...)
	w.serve(old)
	if old.Size == before.Size {
		w.open(s)
		check(t, s.Running.Sync(t.Context()))
		after, err := s.Running.Status(t.Context())
		check(t, err)
		if after.LoggedAfter < before.LoggedAfter {
			t.Errorf("the newest head is of %s, and was of %s", after.LoggedAfter, before.LoggedAfter)
		}
	}
	// A gate that never saw a newer one.
	fresh := w.gates[1]
	fresh.stop()
	check(t, os.RemoveAll(fresh.Config.Dir))
	check(t, fresh.Create())
	w.open(fresh)
	fresh.key.forget()
	t.Log(w.wantCode(fresh, a.request(), gate.CodeStale))
	untouched(t, fresh)
	w.LogServer.Between(nil)
}

// TestConsentOfOtherLog: an agency's consent for another log is none for this one.
func TestConsentOfOtherLog(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(nil, accessTerms{emergency: true, log: "other.example/log"}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeRecipient))
	untouched(t, s)
	w.shares(s, w.access(nil, accessTerms{emergency: true}, w.escrow(alice)))
}

// TestWindow: a gate opens only inside of the warrant's window, by its now and not by what the
// access claims.
func TestWindow(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := func(from, to time.Duration) *logged {
		now := time.Now().UTC().Truncate(time.Second)
		return w.grant(now.Add(from), now.Add(to), alice)
	}
	begins := warrant(6*time.Second, time.Hour)
	ev := begins.env.Event.Body.(*event.Warrant)
	early := w.access(begins, accessTerms{at: ev.NotBefore}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, early.request(), gate.CodeAccess))
	untouched(t, s)
	eventually(t, func() error { _, err := w.ask(s, early.request()); return err })
	if time.Now().Before(ev.NotBefore) {
		t.Fatal("the gate has opened before the window")
	}

	ends := w.access(warrant(-time.Hour, 3*time.Second), accessTerms{}, w.escrow(alice))
	eventually(t, func() error {
		if !time.Now().After(ends.warrant.env.Event.Body.(*event.Warrant).NotAfter) {
			return errors.New("the window is not over")
		}
		return nil
	})
	s.key.forget()
	t.Log(w.wantCode(s, ends.request(), gate.CodeAccess))
	untouched(t, s)
}

// TestReplacedAuditors: auditors whom an amendment has replaced don't vouch any more, neither for
// newer heads nor for those of their time.
func TestReplacedAuditors(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) { w.Cast(ch, event.RoleAuditor, "dog") })
	w.runUnaudited()
	s := w.gates[0]
	audited := func(a *asked, by ...string) *escrow.Request {
		r := a.request()
		for _, proof := range []*[]byte{&r.Access, &r.Warrant} {
			p, err := tlog.ParseProof(*proof)
			check(t, err)
			for _, name := range by {
				sig, err := w.Witness(name).Sign(&p.Checkpoint.Head, uint64(time.Now().Add(-time.Second).Unix()))
				check(t, err)
				p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
			}
			*proof = p.Bytes()
		}
		return r
	}
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	if _, err := w.ask(s, audited(a, "dog")); err != nil {
		t.Fatal(err)
	}
	w.amend(func(ch *event.Charter) {
		var kept []event.Party
		for _, p := range ch.Parties {
			if p.Role != event.RoleAuditor {
				kept = append(kept, p)
			}
		}
		ch.Parties = kept
		w.Cast(ch, event.RoleAuditor, "cat")
	})
	check(t, s.Running.Sync(t.Context()))
	_, err := gate.Confirm(s.Config.Dir, w.pending(s))
	check(t, err)
	eventually(t, func() error {
		if err := s.Running.Ready(); err == nil || !strings.HasPrefix(err.Error(), "quorum: the policy of the auditors") {
			return fmt.Errorf("the charter is not confirmed: %w", err)
		}
		return nil
	})
	s.key.forget()
	t.Log(w.wantCode(s, audited(a, "dog"), gate.CodeQuorum))
	untouched(t, s)
	if _, err := w.ask(s, audited(a, "dog", "cat")); err != nil {
		t.Fatal(err)
	}
	w.refresh(a.logged)
	w.refresh(a.warrant)
	s.key.forget()
	t.Log(w.wantCode(s, audited(a, "dog"), gate.CodeQuorum))
	untouched(t, s)
	if _, err := w.ask(s, audited(a, "cat")); err != nil {
		t.Fatal(err)
	}
}
