// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestCosigns: two auditors cosign a named head, the ledger accepts their lines, and a later head
// follows. A head that the log does not name moves nothing.
func TestCosigns(t *testing.T) {
	w := newTestbed(t, 2, nil)
	for _, a := range w.Auditors {
		w.run(a)
	}
	for range 2 {
		w.grow(2)
		cp := w.head()
		for _, a := range w.Auditors {
			size := a.Running.Status().Size
			if _, err := w.ask(a, cp).declined("head"); err != nil {
				t.Fatal(err)
			}
			if got := a.Running.Status().Size; got != size {
				t.Fatalf("a head that is not named moved %d to %d", size, got)
			}
		}
		w.name(cp)
		audited := cp
		for _, a := range w.Auditors {
			var err error
			audited, err = w.ask(a, cp).cosigned(audited)
			check(t, err)
			if s := a.Running.Status(); s.Size != cp.Size || *s.Root != cp.Root {
				t.Errorf("the status is %+v", s)
			}
			eventually(t, a.Running.Ready) // the last look at the log may be older than the round
		}
		l := w.ledger()
		v, err := l.VerifyAudit(l.Charter(), audited)
		check(t, err)
		if len(v.Witnesses) != 4 || time.Since(time.Unix(int64(v.LoggedAfter), 0)).Abs() > time.Minute {
			t.Errorf("%d lines, logged after %d", len(v.Witnesses), v.LoggedAfter)
		}
		w.name(nil)
	}
	a := w.Auditors[0]
	eventually(t, func() error {
		if a.Running.Ready() == nil {
			return errors.New("it is ready, and the log names no head any more")
		}
		return nil
	})
	text := string(a.Config.Metrics.Text(a.Running))
	for _, want := range []string{`vasistas_auditor_requests_total{log="log.example/warrants",outcome="cosigned"} 2`,
		`vasistas_auditor_requests_total{log="log.example/warrants",outcome="head"} 2`, `vasistas_auditor_contradictions{log="log.example/warrants"} 0`} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// TestBarred: while a disclosure is overdue an auditor declines and says why, and its recorded head
// does not move. Once the disclosure is in the log, it cosigns.
func TestBarred(t *testing.T) {
	w := newTestbed(t, 1, func(_ *testbed, c *event.Charter) { c.Profile.DisclosureGrace = 3 })
	a := w.Auditors[0]
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	recorded := a.Running.Status()

	due := time.Now().Add(2 * time.Second)
	warrant, open := w.warrant(due)
	eventually(t, func() error {
		cp := w.head()
		w.name(cp)
		p, err := w.ask(a, cp).declined("barred")
		if err != nil {
			return err
		}
		if o := p.Bars[0].Obligation; len(p.Bars) != 1 || o == nil || o.Rule != "disclosure" || o.Index != warrant.Index || o.By != "provider messenger" || o.Cure == "" {
			t.Fatalf("the bars are %+v", p.Bars)
		}
		return nil
	})
	// Before it was overdue, heads were cosigned.
	before := a.Running.Status()
	if before.Size < recorded.Size || before.Bars == nil || before.Declines == "" {
		t.Fatalf("the status is %+v", before)
	}
	w.grow(1)
	cp = w.head()
	w.name(cp)
	if _, err := w.ask(a, cp).declined("barred"); err != nil {
		t.Fatal(err)
	}
	if s := a.Running.Status(); s.Size != before.Size || !s.Cosigned.Equal(*before.Cosigned) {
		t.Errorf("the recorded head moved from %+v to %+v", before, s)
	}
	w.submit(w.sign(&event.Disclosure{Event: warrant, Openings: open}, "court"), nil)
	cp = w.head()
	w.name(cp)
	audited, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	l := w.ledger()
	_, err = l.VerifyAudit(l.Charter(), audited)
	check(t, err)
}

// TestRefusals: each request that an auditor must refuse, and what it answers.
func TestRefusals(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	w.grow(2)
	first := w.head()
	w.name(first)
	if got := w.ask(a, first); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.grow(1)
	cp := w.head()
	w.name(cp)
	body := func(edit func(*tlog.AddCheckpoint)) []byte {
		r, err := tlog.ParseAddCheckpoint(w.request(first.Size, cp))
		check(t, err)
		edit(r)
		return r.Bytes()
	}
	forged := func(size uint64, root tlog.Hash) *tlog.Checkpoint {
		out := &tlog.Checkpoint{Head: tlog.Head{Origin: origin, Size: size, Root: root}}
		for _, k := range w.LogKeys {
			s, err := k.Sign(&out.Head, uint64(time.Now().Unix()))
			check(t, err)
			out.Signatures = append(out.Signatures, s)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		body   []byte
		status int
		says   string
	}{
		{"no request", []byte("hello"), http.StatusBadRequest, "malformed"},
		{"old size above", body(func(r *tlog.AddCheckpoint) { r.Old = cp.Size + 1 }), http.StatusBadRequest, "above"},
		{"other log", body(func(r *tlog.AddCheckpoint) { r.Checkpoint.Origin = "other.example" }), http.StatusNotFound, "unknown"},
		{"bad signature", body(func(r *tlog.AddCheckpoint) { r.Checkpoint.Signatures[0].Bytes[5] ^= 1 }), http.StatusForbidden, "does not verify"},
		{"no signature of the log", body(func(r *tlog.AddCheckpoint) {
			r.Checkpoint.Signatures = slices.DeleteFunc(slices.Clone(cp.Signatures), func(s tlog.Signature) bool { return s.Name == origin })
		}), http.StatusForbidden, "known key"},
		{"other root", body(func(r *tlog.AddCheckpoint) { r.Checkpoint.Root[0] ^= 1 }), http.StatusForbidden, "does not verify"},
		{"old size", body(func(r *tlog.AddCheckpoint) { r.Old, r.Proof = first.Size-1, nil }), http.StatusConflict, fmt.Sprintln(first.Size)},
		{"going back", w.request(0, forged(1, tlog.Hash{1})), http.StatusConflict, fmt.Sprintln(first.Size)},
		{"no proof", body(func(r *tlog.AddCheckpoint) { r.Proof = nil }), http.StatusUnprocessableEntity, "does not verify"},
		{"wrong proof", body(func(r *tlog.AddCheckpoint) { r.Proof[0][0] ^= 1 }), http.StatusUnprocessableEntity, "does not verify"},
		{"fork", w.request(first.Size, forged(first.Size, tlog.Hash{1})), http.StatusUnprocessableEntity, "another root"},
		{"large", make([]byte, 65<<10), http.StatusRequestEntityTooLarge, "65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.post(a, c.body)
			if got.status != c.status || !strings.Contains(string(got.body), c.says) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.status == http.StatusConflict && got.header.Get("Content-Type") != "text/x.tlog.size" {
				t.Errorf("a conflict of type %s", got.header.Get("Content-Type"))
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(a.Config.Dir, "evidence", "fork-*.json"))
	if err != nil || len(files) != 1 {
		t.Errorf("evidence: %v, %v", files, err)
	}
	// A head that the log names, and whose witnesses are missing or wrote it long ago.
	alone := &tlog.Checkpoint{Head: cp.Head, Signatures: slices.Clip(cp.Signatures[:len(w.LogKeys)])}
	w.name(alone)
	if _, err := w.ask(a, alone).declined("quorum"); err != nil {
		t.Error(err)
	}
	for code, at := range map[string]time.Time{"stale": time.Now().Add(-2 * time.Hour), "clock": time.Now().Add(time.Hour)} {
		old := &tlog.Checkpoint{Head: cp.Head, Signatures: alone.Signatures}
		for _, s := range w.Witnesses {
			sig, err := s.Keys[0].Sign(&cp.Head, uint64(at.Unix()))
			check(t, err)
			old.Signatures = append(old.Signatures, sig)
		}
		w.name(old)
		if _, err := w.ask(a, old).declined(code); err != nil {
			t.Error(err)
		}
	}
	if s := a.Running.Status(); s.Size != first.Size {
		t.Errorf("a refusal moved the head to %d", s.Size)
	}
	w.name(cp)
	if _, err := w.ask(a, cp).cosigned(cp); err != nil {
		t.Error(err)
	}
}

// TestCatchUp: an auditor that was off answers with what is missing, catches up by itself, also
// over a restart, and cosigns.
func TestCatchUp(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	check(t, a.Stop())
	w.grow(2000)
	cp = w.head()
	a.Config.Poll = time.Hour // so that it looks once
	w.name(nil)
	check(t, a.Start())
	eventually(t, func() error {
		if err := a.Running.Ready(); err == nil || !strings.Contains(err.Error(), "404") && !strings.Contains(err.Error(), "not exist") {
			return fmt.Errorf("it has not looked yet: %w", err)
		}
		return nil
	})
	w.name(cp)
	p, err := w.ask(a, cp).declined("not-ready")
	check(t, err)
	if !strings.Contains(p.Detail, fmt.Sprintf("of %d entries", cp.Size)) || len(p.Bars) > 0 {
		t.Errorf("it says %+v", p)
	}
	check(t, a.Stop())
	a.Config.Poll = 20 * time.Millisecond
	check(t, a.Start())
	eventually(t, func() error {
		_, err := w.ask(a, cp).cosigned(cp)
		return err
	})
	check(t, a.Stop())
	w.grow(1)
	cp = w.head()
	w.name(cp)
	check(t, a.Start()) // from the snapshot
	if n := a.Running.Status().Applied; n < 2000 {
		t.Errorf("it starts with %d entries", n)
	}
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
}

// TestOneKeyTwice: a second auditor over one directory does not start. One with the same keys
// and another state, and one that was restored, stop when the log shows what they have not
// cosigned, and go on once their operator resumes.
func TestOneKeyTwice(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	if err := a.Start(); !strings.Contains(fmt.Sprint(err), "in use") {
		t.Fatalf("two auditors over one directory: %v", err)
	}
	if err := a.Create(); err == nil {
		t.Fatal("a state that exists was created")
	}
	w.grow(1)
	old := w.head()
	w.name(old)
	audited, err := w.ask(a, old).cosigned(old)
	check(t, err)
	w.show(audited)
	check(t, a.Stop())
	state := filepath.Join(a.Config.Dir, "head")
	backup, err := os.ReadFile(state)
	check(t, err)

	check(t, a.Start())
	w.grow(1)
	cp := w.head()
	w.name(cp)
	audited, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	check(t, a.Stop())
	check(t, os.WriteFile(state, backup, 0o600))
	if _, err := auditor.ResumeLost(t.Context(), a.Config, w.Auditors[0].Keys[0].Verifier().Name); err != nil {
		t.Fatalf("the state is that of the head that the log shows: %v", err)
	}
	w.show(audited)
	check(t, a.Start())
	if _, err := w.ask(a, cp).declined("stopped"); err != nil {
		t.Fatal(err)
	}
	w.show(old) // it stays stopped
	if _, err := w.ask(a, cp).declined("stopped"); err != nil {
		t.Fatal(err)
	}
	if s := a.Running.Status(); s.Size != old.Size || !strings.Contains(s.Stopped, "resume-lost") {
		t.Errorf("the status is %+v", s)
	}
	check(t, a.Stop())
	if _, err := auditor.ResumeLost(t.Context(), a.Config, "other"); !errors.Is(err, auditor.ErrWrongName) {
		t.Errorf("resumed under another name: %v", err)
	}
	w.show(audited)
	size, err := auditor.ResumeLost(t.Context(), a.Config, a.Keys[0].Verifier().Name)
	if err != nil || size != cp.Size {
		t.Fatalf("resumed at %d, %v", size, err)
	}
	check(t, a.Start())
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	check(t, a.Stop())
	check(t, os.Remove(state))
	if err := a.Start(); !errors.Is(err, durable.ErrMissing) {
		t.Errorf("started without a state: %v", err)
	}
	size, err = auditor.ResumeLost(t.Context(), a.Config, a.Keys[0].Verifier().Name)
	if err != nil || size != cp.Size {
		t.Fatalf("resumed at %d, %v", size, err)
	}
	check(t, a.Start())
}

// TestFaults: whatever durable step of a cosignature fails, no line leaves unless the state has
// its head and time. After a restart, as after a crash at that moment, the auditor goes on, and
// its times do not go back.
func TestFaults(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	in := new(durabletest.Injector)
	in.Inject(t, a.Config.Dir)
	durably := func() (size uint64, at time.Time) {
		s := a.Running.Status()
		return s.Size, *s.Cosigned
	}
	for n := 0; ; n++ {
		w.grow(1)
		cp := w.head()
		w.name(cp)
		eventually(t, func() error { // so that the request's own write is the next one
			if s := a.Running.Status(); s.Applied != cp.Size {
				return fmt.Errorf("%d of %d", s.Applied, cp.Size)
			}
			return nil
		})
		before, at := durably()
		body := w.request(before, cp)
		in.FailAt(n, errors.New("not today"))
		got := w.post(a, body)
		hit := in.Hit()
		in.FailAt(1<<30, nil)
		if !hit {
			if n < 4 || got.status != http.StatusOK {
				t.Fatalf("%d steps, and then %d %s", n, got.status, got.body)
			}
			break
		}
		if got.status == http.StatusOK {
			// The step was not needed for durability.
		} else if _, err := got.declined("storage"); err != nil {
			t.Fatalf("step %d: %v", n, err)
		} else if strings.Contains(string(got.body), a.Config.Dir) {
			t.Fatalf("the answer has a path: %s", got.body)
		}
		check(t, a.Stop())
		check(t, a.Start())
		size, then := durably()
		if size != before && size != cp.Size || then.Before(at) || got.status == http.StatusOK && size != cp.Size {
			t.Fatalf("step %d: the state has the size %d of %d and %d, at %s after %s", n, size, before, cp.Size, then, at)
		}
		if _, err := w.ask(a, cp).cosigned(cp); err != nil {
			t.Fatalf("step %d, after the restart: %v", n, err)
		}
	}
}

// TestMirror: where the log serves no tiles or wrong ones, the auditor reads another source.
func TestMirror(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.grow(300)
	cp := w.head()
	w.name(cp)
	log, err := client.New(client.Config{URL: w.LogServer.URL})
	check(t, err)
	wrong := &source{Source: log.Source(), wrong: true}
	a.Config.Sources = []mirror.Source{{Name: "wrong", Source: wrong}, {Name: "right", Source: log.Source()}}
	w.run(a)
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	if wrong.asked.Load() == 0 {
		t.Error("the first source was not asked")
	}
}

// TestRounds: the log names its heads itself, asks two of three auditors, and serves the head that
// they cosigned. A disclosure falls overdue: the round shows that both decline, and why. Once it is
// logged, heads meet the policy again.
func TestRounds(t *testing.T) {
	w := newTestbed(t, 3, func(w *testbed, c *event.Charter) {
		c.Profile.DisclosureGrace = 3
		c.AuditPolicy = world.AuditPolicy(2, true, w.Auditors...)
	})
	w.LogServer.Between(nil)
	for _, a := range w.Auditors[:2] {
		w.run(a)
	}
	// audited waits until the log serves an audited head above a size.
	audited := func(above uint64) (cp *tlog.Checkpoint) {
		eventually(t, func() error {
			b, err := w.get("/audit/checkpoint")
			if err != nil {
				return err
			}
			if cp, err = tlog.ParseCheckpoint(b); err == nil && cp.Size <= above {
				err = fmt.Errorf("the audited head has the size %d", cp.Size)
			}
			return err
		})
		return cp
	}
	w.grow(1)
	cp := audited(1)
	l := w.ledger()
	_, err := l.VerifyAudit(l.Charter(), cp)
	check(t, err)
	due := time.Now().Add(2 * time.Second)
	warrant, open := w.warrant(due)
	eventually(t, func() error { // the ledger says it by itself, without a new head
		for _, a := range w.Auditors[:2] {
			if s := a.Running.Status(); len(s.Bars) != 1 {
				return fmt.Errorf("%s is not barred: %s", a.Name, s.Declines)
			}
		}
		return nil
	})
	w.grow(1)
	eventually(t, func() error {
		b, err := w.get("/audit/round")
		if err != nil {
			return err
		}
		r, err := round.Parse(b)
		if err != nil {
			return err
		}
		if r.State != round.Declined {
			return fmt.Errorf("the round is %s", r.State)
		}
		for _, a := range r.Auditors {
			if a.Auditor != "a3" && (a.Kind != round.Refused || len(a.Bars) != 1 || a.Bars[0].Obligation == nil || a.Bars[0].Obligation.Index != warrant.Index) {
				return fmt.Errorf("the answer of %s is %+v", a.Auditor, a)
			}
		}
		return nil
	})
	before := w.Auditors[0].Running.Status().Size
	cured := w.submit(w.sign(&event.Disclosure{Event: warrant, Openings: open}, "court"), nil)
	cp = audited(cured.Index)
	l = w.ledger()
	if _, err := l.VerifyAudit(l.CharterAt(cp.Size), cp); err != nil || before > cured.Index {
		t.Errorf("the head after the cure: %v; the recorded head before it had the size %d", err, before)
	}
}

// TestAmended: a head that ends with an amendment meets the witness policies of both charters; once a
// charter does not name an auditor's keys, it cosigns no more.
func TestAmended(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	// All three witnesses are asked by the new policy, and two by the old one.
	cp = w.amend(func(c *event.Charter) { c.WitnessPolicy = world.WitnessPolicy(3, false, w.Witnesses...) })
	two := &tlog.Checkpoint{Head: cp.Head}
	for _, s := range cp.Signatures {
		if !strings.HasPrefix(s.Name, "w3") {
			two.Signatures = append(two.Signatures, s)
		}
	}
	w.name(two)
	if _, err := w.ask(a, two).declined("quorum"); err != nil {
		t.Error(err)
	}
	w.name(cp)
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	cp = w.amend(func(c *event.Charter) { c.WitnessPolicy = world.WitnessPolicy(1, false, w.Witnesses...) })
	w.reads(1) // later heads may have one witness's lines
	one := &tlog.Checkpoint{Head: cp.Head}
	for _, s := range cp.Signatures {
		if s.Name == origin || strings.HasPrefix(s.Name, "w1") {
			one.Signatures = append(one.Signatures, s)
		}
	}
	w.name(one)
	if _, err := w.ask(a, one).declined("quorum"); err != nil {
		t.Error(err)
	}
	w.name(cp)
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)
	cp = w.amend(func(c *event.Charter) {
		c.Parties = slices.DeleteFunc(slices.Clone(c.Parties), func(p event.Party) bool { return p.Role == event.RoleAuditor })
		c.AuditPolicy = "quorum none\n"
	})
	w.name(cp)
	if _, err := w.ask(a, cp).declined("trust"); err != nil {
		t.Error(err)
	}
	if a.Running.Ready() == nil {
		t.Error("an auditor that no charter names is ready")
	}
}
