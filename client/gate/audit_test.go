// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestAudited: where the charter asks for auditors, a head that they have not cosigned,
// or not of late, opens nothing; a breach that they have closed bars nothing.
func TestAudited(t *testing.T) {
	w := prepare(t, 2)
	w.start(1, func(ch *event.Charter) {
		w.Cast(ch, event.RoleAuditor, "dog")
	})
	auditor := w.Witness("dog")
	w.runUnaudited()
	s := w.gates[0]
	// audited is a proof whose head the auditor has cosigned at a time.
	audited := func(proof []byte, at time.Time) []byte {
		p, err := tlog.ParseProof(proof)
		check(t, err)
		sig, err := auditor.Sign(&p.Checkpoint.Head, uint64(at.Unix()))
		check(t, err)
		p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
		return p.Bytes()
	}
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	request := func(at time.Time) *escrow.Request {
		w.refresh(a.logged)
		w.refresh(a.warrant)
		r := a.request()
		r.Access, r.Warrant = audited(r.Access, at), audited(r.Warrant, at)
		return r
	}
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeQuorum))
	t.Log(w.wantCode(s, request(time.Now().Add(-2*time.Hour)), gate.CodeStale))
	untouched(t, s)
	if _, err := w.ask(s, request(time.Now().Add(-time.Second))); err != nil {
		t.Fatal(err)
	}

	// A breach, which also bars the auditor, and the auditor's finding that closes it.
	before := request(time.Now().Add(-time.Second))
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	notice := []byte("notice")
	w.sequence(w.sign(&event.Release{Access: event.Reference{Index: 1, Leaf: [32]byte{1}}, Seq: 1, Notices: []event.Digest{escrow.NoticeDigest(notice)},
		Head: event.Head{Size: cp.Checkpoint.Size, Root: event.Digest(cp.Checkpoint.Root)}}, "c2"), [][]byte{notice})
	s.key.forget()
	t.Log(w.wantCode(s, before, gate.CodeBreach))
	t.Log(w.wantCode(s, request(time.Now().Add(-time.Second)), gate.CodeQuorum))
	untouched(t, s)
	at := cp.Checkpoint.Size
	for i, e := range w.entries() {
		if r, ok := e.Event.Body.(*event.Release); ok && r.Access.Leaf == [32]byte{1} {
			at = uint64(i)
		}
	}
	w.submit(w.sign(&event.Finding{First: at, Last: at, Rule: "reference", State: event.FindingClosed, Digest: event.Digest{1}}, "dog"), nil)
	if _, err := w.ask(s, request(time.Now().Add(-time.Second))); err != nil {
		t.Fatal(err)
	}
}

// TestBehind: a gate whose clock is behind a witnessed time opens nothing.
func TestBehind(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	r := a.request()
	p, err := tlog.ParseProof(r.Access)
	check(t, err)
	p.Checkpoint.Signatures = p.Checkpoint.Signatures[:1]
	for _, wit := range w.Witnesses {
		sig, err := wit.Keys[0].Sign(&p.Checkpoint.Head, uint64(time.Now().Add(time.Hour).Unix()))
		check(t, err)
		p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
	}
	r.Access = p.Bytes()
	s.key.forget()
	t.Log(w.wantCode(s, r, gate.CodeClock))
	untouched(t, s)
}

// TestUnwitnessed: a head without its witnesses, or one that is older than what the gate
// has seen, is not followed, and leaves no trace.
func TestUnwitnessed(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	old, err := w.client.Checkpoint(t.Context())
	check(t, err)
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	check(t, s.Running.Sync(t.Context()))
	later := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	for name, change := range map[string]func(*tlog.Checkpoint) *tlog.Checkpoint{
		"unwitnessed": func(cp *tlog.Checkpoint) *tlog.Checkpoint {
			return &tlog.Checkpoint{Head: cp.Head, Signatures: cp.Signatures[:1]}
		},
		"old": func(*tlog.Checkpoint) *tlog.Checkpoint { return old.Checkpoint },
	} {
		w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			if r.URL.Path != "/checkpoint" {
				h.ServeHTTP(rw, r)
				return
			}
			var out sink
			out.header = make(http.Header)
			h.ServeHTTP(&out, r)
			cp, err := tlog.ParseCheckpoint(out.body.Bytes())
			if err != nil {
				http.Error(rw, err.Error(), http.StatusInternalServerError)
				return
			}
			rw.Write(change(cp).Bytes())
		})
		for _, x := range []*asked{a, later} {
			t.Log(name, w.wantCode(s, x.request(), gate.CodeNotReady))
		}
	}
	untouched(t, s)
	w.LogServer.Between(nil)
	w.shares(s, a)
	w.shares(s, later)
}

// TestAuditOfCountedLines: the audit is as old as the lines that count. The line of an auditor that is
// barred, since it has not closed a breach that the others have closed, makes no old audit fresh.
func TestAuditOfCountedLines(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) { w.Cast(ch, event.RoleAuditor, "dog", "cat", "cow") })
	w.runUnaudited()
	s := w.gates[0]
	denied := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	w.deny(denied)
	at := denied.Index
	for _, name := range []string{"cat", "cow"} {
		w.submit(w.sign(&event.Finding{First: at, Last: at, Rule: "emergency", State: event.FindingClosed, Digest: event.Digest{1}}, name), nil)
	}
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	request := func(old time.Duration) *escrow.Request {
		r := a.request()
		for _, proof := range []*[]byte{&r.Access, &r.Warrant} {
			p, err := tlog.ParseProof(*proof)
			check(t, err)
			for name, ago := range map[string]time.Duration{"dog": time.Second, "cat": time.Second, "cow": old} {
				sig, err := w.Witness(name).Sign(&p.Checkpoint.Head, uint64(time.Now().Add(-ago).Unix()))
				check(t, err)
				p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
			}
			*proof = p.Bytes()
		}
		return r
	}
	s.key.forget()
	t.Log(w.wantCode(s, request(2*time.Hour), gate.CodeStale))
	untouched(t, s)
	if _, err := w.ask(s, request(time.Second)); err != nil {
		t.Fatal(err)
	}
}

// TestReleaseTooLateForItsAudit: the log gets a release only after an anchor has proven that the release's
// audit is stale, so the release opens nothing. The gate signs another one under a newer audit, once.
func TestReleaseTooLateForItsAudit(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) {
		w.Cast(ch, event.RoleAuditor, "dog")
		ch.Profile.Anchor = event.Deadline{Within: 2, Grace: 7200}
	})
	s := w.gates[0]
	s.Config.Timeout = time.Second
	w.runUnaudited()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	request := func(at time.Time) *escrow.Request {
		w.refresh(a.logged)
		w.refresh(a.warrant)
		r := a.request()
		for _, proof := range []*[]byte{&r.Access, &r.Warrant} {
			p, err := tlog.ParseProof(*proof)
			check(t, err)
			sig, err := w.Witness("dog").Sign(&p.Checkpoint.Head, uint64(at.Unix()))
			check(t, err)
			p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
			*proof = p.Bytes()
		}
		return r
	}
	stale := time.Now().Add(5 * time.Second)
	posted := w.capture(event.TypeRelease)
	w.wantCode(s, request(stale.Add(-time.Hour)), gate.CodeLog)
	posted()
	untouched(t, s, escrow.ForNotice)
	eventually(t, func() error {
		if time.Now().Before(stale.Add(3 * time.Second)) {
			return errors.New("the audit is not stale")
		}
		return nil
	})
	w.warrant(bob) // it is owed an anchor
	eventually(t, func() error {
		for _, e := range w.entries() {
			if e.Event.Type == event.TypeAnchor && e.Event.Time.After(stale) {
				return nil
			}
		}
		return errors.New("no anchor proves that the audit is stale")
	})
	w.LogServer.Between(nil)
	eventually(t, func() error {
		if st, err := s.Running.Status(t.Context()); err != nil || len(st.Releases) > 0 {
			return errors.New("the release is not logged")
		}
		return nil
	})
	w.wantCode(s, request(stale.Add(-time.Hour)), gate.CodeStale)
	untouched(t, s, escrow.ForNotice)
	var answer []byte
	eventually(t, func() (err error) { answer, err = w.ask(s, request(time.Now().Add(-time.Second))); return err })
	_, one := w.openAnswer(s, a, answer)
	s.stop()
	w.open(s)
	answer, err := w.ask(s, request(time.Now().Add(-time.Second)))
	check(t, err)
	if _, two := w.openAnswer(s, a, answer); one != two || len(w.chain(s)) != 2 {
		t.Fatalf("the releases are %v, %v of %d", one, two, len(w.chain(s)))
	}
}
