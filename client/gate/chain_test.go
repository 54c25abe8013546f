// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// block refuses all submissions to the log.
func (w *testbed) block() {
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
}

// chain checks that a gate's releases are numbered without gaps, and returns them.
func (w *testbed) chain(s *gateServer) []*event.Release {
	w.t.Helper()
	var out []*event.Release
	var prev event.Digest
	list := w.of(s, event.TypeRelease)
	slices.SortFunc(list, func(a, b *event.Envelope) int { // the log decides their order
		return cmp.Compare(a.Event.Body.(*event.Release).Seq, b.Event.Body.(*event.Release).Seq)
	})
	for i, e := range list {
		r := e.Event.Body.(*event.Release)
		if r.Seq != uint64(i+1) || r.Prev != prev {
			w.t.Fatalf("release %d has the number %d and another prev than the one before", i+1, r.Seq)
		}
		prev = e.Hash()
		out = append(out, r)
	}
	return out
}

// copyState copies a gate's state, as a backup does, without its lock.
func (w *testbed) copyState(from, to string) {
	w.t.Helper()
	check(w.t, os.RemoveAll(to))
	check(w.t, os.CopyFS(to, os.DirFS(from)))
}

// TestRestart: a gate that restarts answers by the release that it has promised, and continues its
// chain.
func TestRestart(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	one := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	_, ref := w.shares(s, one)
	s.stop()
	w.run(s)
	if _, again := w.shares(s, one); again != ref {
		t.Fatalf("the access is answered by %v and %v", ref, again)
	}
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	if n := len(w.chain(s)); n != 2 {
		t.Fatalf("%d releases", n)
	}
	// Without the ledger's snapshot, and with a damaged one, it replays.
	for _, damage := range []func(string) error{os.Remove, func(name string) error { return os.WriteFile(name, []byte("x"), 0o600) }} {
		s.stop()
		check(t, damage(filepath.Join(s.Config.Dir, "ledger")))
		w.run(s)
		w.shares(s, one)
	}
	if n := len(w.chain(s)); n != 2 {
		t.Fatalf("%d releases", n)
	}
}

// TestSameRelease: after a restart the gate posts the release of its journal without a request.
func TestSameRelease(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Timeout = 200 * time.Millisecond
	w.runAll()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.block()
	w.wantCode(s, a.request(), gate.CodeLog)
	s.stop()
	w.LogServer.Between(nil)
	s.Config.Timeout = 20 * time.Second
	w.run(s)
	eventually(t, func() error {
		if n := len(w.chain(s)); n != 1 {
			return fmt.Errorf("%d releases", n)
		}
		return nil
	})
	untouched(t, s, escrow.ForNotice)
	w.shares(s, a)
	if n := len(w.chain(s)); n != 1 {
		t.Fatalf("%d releases", n)
	}
}

// TestBackup: a gate that was restored from a backup learns it from the log and stops; resumed, it
// continues from the log's last release, and its heartbeat says that it was resumed.
func TestBackup(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	s.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	w.copyState(s.Config.Dir, backup)
	w.run(s)
	two := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.shares(s, two)
	s.stop()
	w.copyState(backup, s.Config.Dir)

	w.open(s)
	eventually(t, func() error {
		if err := s.Running.Ready(); !errors.Is(err, gate.ErrElsewhere) {
			return fmt.Errorf("the gate has not learned it: %w", err)
		}
		return nil
	})
	three := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, three.request(), gate.CodeStopped))
	untouched(t, s)
	s.stop()

	g, err := gate.Open(s.Config)
	check(t, err)
	seq, err := g.Resume(t.Context())
	check(t, err)
	check(t, g.Close())
	if seq != 2 {
		t.Fatalf("resumed after release %d", seq)
	}
	w.run(s)
	t.Log(w.wantCode(s, two.request(), gate.CodeAnswered))
	untouched(t, s)
	w.shares(s, three)
	if n := len(w.chain(s)); n != 3 {
		t.Fatalf("%d releases", n)
	}
	eventually(t, func() error {
		for _, e := range w.of(s, event.TypeHeartbeat) {
			if b := e.Event.Body.(*event.Heartbeat); b.Resumed && b.Seq >= 2 {
				return nil
			}
		}
		return errors.New("no heartbeat says that the chain was resumed")
	})
}

// TestResumedTwin: a gate that has promised a release under a number that another instance has
// used drops the release when it is resumed, and answers under the next number.
func TestResumedTwin(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	twin := w.newTwin(s)
	twin.Config.Timeout = 300 * time.Millisecond
	one := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	two := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.run(twin)
	w.block()
	w.wantCode(twin, two.request(), gate.CodeLog)
	twin.stop()
	w.LogServer.Between(nil)
	w.run(s)
	w.shares(s, one)
	s.stop()

	twin.Config.Timeout = 20 * time.Second
	g, err := gate.Open(twin.Config)
	check(t, err)
	if err := g.Sync(t.Context()); !errors.Is(err, gate.ErrElsewhere) {
		t.Fatalf("want ErrElsewhere: %v", err)
	}
	_, err = g.Resume(t.Context())
	check(t, err)
	check(t, g.Close())
	w.gates[0] = twin
	for range 2 { // as resumed, and as read again
		w.run(twin)
		w.refresh(two.logged)
		w.refresh(two.warrant)
		w.shares(twin, two)
		twin.stop()
	}
	if n := len(w.chain(twin)); n != 2 {
		t.Fatalf("%d releases", n)
	}
}

// TestJournalAlone: a gate with an old journal and a newer ledger stops, too.
func TestJournalAlone(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	old, err := os.ReadFile(filepath.Join(s.Config.Dir, "journal"))
	check(t, err)
	w.run(s)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	s.stop()
	check(t, os.WriteFile(filepath.Join(s.Config.Dir, "journal"), old, 0o600))
	w.open(s)
	eventually(t, func() error {
		if err := s.Running.Ready(); !errors.Is(err, gate.ErrElsewhere) {
			return fmt.Errorf("the gate has not learned it: %w", err)
		}
		return nil
	})
}

// TestOldJournal: a gate whose journal lacks that its release is logged, and whose ledger has read
// the release, learns it from the log.
func TestOldJournal(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	name, old := filepath.Join(s.Config.Dir, "journal"), []byte(nil)
	s.key.look = func(p escrow.Purpose) {
		if p == escrow.ForShare && old == nil {
			old, _ = os.ReadFile(name) // nil: the test fails below
		}
	}
	_, ref := w.shares(s, a)
	s.stop()
	now, err := os.ReadFile(name)
	check(t, err)
	if old == nil || len(old) > len(now) {
		t.Fatal("the journal was not read")
	}
	check(t, os.WriteFile(name, old, 0o600))
	w.run(s)
	if _, again := w.shares(s, a); again != ref {
		t.Fatalf("the release is %v, and was %v", again, ref)
	}
	if n := len(w.chain(s)); n != 1 {
		t.Fatalf("%d releases", n)
	}
}

// TestTwins: of two gates with one key, at most one release of a number counts, no key is used for
// another release, and at least one gate stops.
func TestTwins(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	twin := w.newTwin(s)
	w.run(s)
	w.run(twin)
	one := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	two := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	twin.key.forget()
	answers := make(chan error, 2)
	go func() { _, err := w.ask(s, one.request()); answers <- err }()
	go func() { _, err := w.ask(twin, two.request()); answers <- err }()
	good := 0
	for range 2 {
		if err := <-answers; err == nil {
			good++
		} else {
			t.Log(err)
		}
	}
	if good == 2 || s.key.count(escrow.ForShare)+twin.key.count(escrow.ForShare) > 1 {
		t.Fatalf("%d of two gates with one key answered", good)
	}
	stopped := 0
	eventually(t, func() error {
		stopped = 0
		for _, g := range []*gateServer{s, twin} {
			if errors.Is(g.Running.Ready(), gate.ErrElsewhere) {
				stopped++
			}
		}
		if stopped == 0 {
			return errors.New("none of the two has stopped")
		}
		return nil
	})
}

// TestDirectory: a state directory is one gate's and one process's.
func TestDirectory(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	s, other := w.gates[0], w.gates[1]
	if _, err := gate.Open(s.Config); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second instance: %v", err)
	}
	s.stop()
	other.stop()
	fails := func(what string, want error) {
		t.Helper()
		g, err := gate.Open(s.Config)
		if err == nil {
			check(t, g.Close())
			t.Fatalf("%s: the gate opened", what)
		}
		if want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
	}
	if err := gate.Create(s.Config); err == nil {
		t.Error("a gate's state is made twice")
	}
	journal := filepath.Join(s.Config.Dir, "journal")
	own, err := os.ReadFile(journal)
	check(t, err)
	foreign, err := os.ReadFile(filepath.Join(other.Config.Dir, "journal"))
	check(t, err)
	check(t, os.WriteFile(journal, foreign, 0o600))
	fails("a journal of another gate", durable.ErrLabel)
	check(t, os.WriteFile(journal, own[:20], 0o600))
	fails("a journal that was cut off in its header", durable.ErrCorrupt)
	check(t, os.WriteFile(journal, own[:len(bytes.TrimRight(own, "\x00"))-1], 0o600))
	fails("a journal that was cut off in its first record", nil)
	check(t, os.Remove(journal))
	fails("a missing journal", durable.ErrMissing)
	check(t, os.WriteFile(journal, own, 0o600))
	head := filepath.Join(s.Config.Dir, "head")
	register, err := os.ReadFile(head)
	check(t, err)
	mine, err := os.ReadFile(filepath.Join(other.Config.Dir, "head"))
	check(t, err)
	check(t, os.WriteFile(head, mine, 0o600))
	fails("a head of another gate", nil)
	check(t, os.WriteFile(head, register[1:], 0o600))
	fails("a damaged head", nil)
	check(t, os.Remove(head))
	fails("a missing head", durable.ErrMissing)
	check(t, os.WriteFile(head, register, 0o600))
	w.run(s)
}

// TestHeartbeats: an idle gate sends heartbeats on the profile's schedule, without gaps.
func TestHeartbeats(t *testing.T) {
	w := newTestbed(t, 1, 1, func(ch *event.Charter) { ch.Profile.Heartbeat = event.Deadline{Within: 1, Grace: 600} })
	w.runAll()
	s := w.gates[0]
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	eventually(t, func() error {
		if n := len(w.of(s, event.TypeHeartbeat)); n < 3 {
			return fmt.Errorf("%d heartbeats", n)
		}
		return nil
	})
	var last *event.Heartbeat
	for _, e := range w.of(s, event.TypeHeartbeat) {
		b := e.Event.Body.(*event.Heartbeat)
		if last != nil && !b.From.Equal(last.To) {
			t.Errorf("a period begins at %v, and the one before ended at %v", b.From, last.To)
		}
		last = b
	}
	if last.Seq != 1 {
		t.Errorf("the last one counts %d releases", last.Seq)
	}
}

// TestOtherLog: a log whose first charter is not the configured one is not followed. It does not stop a
// new gate either, which goes on once it is shown the right log: a key of the log alone may show another.
func TestOtherLog(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	other := written.Empty(t.TempDir(), w.People)
	other.Now = time.Now().Unix()
	other.LogEvent(other.Event(w.People.Charter(nil)), "f1", "f2")
	other.Publish()
	other.Report(t.Fatal)
	files := http.FileServer(http.Dir(other.Dir))
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) { files.ServeHTTP(rw, r) })
	check(t, s.Create())
	w.open(s)
	eventually(t, func() error {
		if err := s.Running.Sync(t.Context()); !errors.Is(err, gate.ErrFounded) {
			return fmt.Errorf("want ErrFounded: %w", err)
		}
		return nil
	})
	if err := s.Running.Ready(); err == nil {
		t.Error("the gate is ready")
	}
	w.LogServer.Between(nil)
	eventually(t, s.Running.Ready)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
}

// TestEmergency: a gate answers an emergency access that a duty key has signed. Once an authority
// has denied an access, the gate refuses it, and the breach bars all others.
func TestEmergency(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	one := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	shares, _ := w.shares(s, one)
	if w.decrypt(one.files[0], shares...) != one.files[0].plain {
		t.Fatal("another plaintext")
	}
	// The same with a recipient that the agency did not sign for.
	stranger, err := escrow.GenerateKey(event.KEMX25519)
	check(t, err)
	s.key.forget()
	two := w.access(nil, accessTerms{emergency: true, consent: stranger}, w.escrow(alice))
	w.wantCode(s, two.request(), gate.CodeRecipient)
	untouched(t, s)
	// An access that is not answered yet, and denied.
	three := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	w.deny(three)
	t.Log(w.wantCode(s, three.request(), gate.CodeDead))
	untouched(t, s)
	// The denial is a breach: until it is closed, nothing opens.
	four := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	t.Log(w.wantCode(s, four.request(), gate.CodeBreach))
	untouched(t, s)
}

// deny logs an authority's denial of an emergency access.
func (w *testbed) deny(a *asked) {
	w.t.Helper()
	w.submit(w.denial(a))
}

// denial returns an authority's denial of an emergency access.
func (w *testbed) denial(a *asked, more ...event.Opening) (*event.Envelope, *event.Openings) {
	w.t.Helper()
	ev := w.event(&event.Warrant{Decision: event.Denied, Provider: "messenger", Instrument: "search", Offence: "fraud", Validates: &a.Reference})
	o := w.seal(ev, append(more, event.NewOpening("agency", event.Text("police")),
		event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation"))), []event.Opening{event.NewOpening("case", event.Text("1/26"))})
	return w.signEvent(ev, "court"), o
}

// TestOldLedger: a gate replays the log in place of a ledger file of an earlier version, and the
// next start needs no replay.
func TestOldLedger(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	s.stop()
	name := filepath.Join(s.Config.Dir, "ledger")
	good, err := os.ReadFile(name)
	check(t, err)
	old := checksum.Append([]byte("vasistas gate ledger 1\n"+string(good[100:])), 0)
	for text, b := range map[string][]byte{"earlier version": old, "damaged": good[:len(good)-1]} {
		check(t, os.WriteFile(name, b, 0o600))
		var out bytes.Buffer
		s.Config.Logger = slog.New(slog.NewTextHandler(&out, nil))
		w.run(s)
		s.stop()
		if got := out.String(); !strings.Contains(got, "replaying the log") || !strings.Contains(got, text) {
			t.Errorf("it did not say that it is %s: %s", text, got)
		}
		out.Reset()
		w.run(s)
		w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
		s.stop()
		if got := out.String(); strings.Contains(got, "replaying") {
			t.Errorf("the new one is of no use: %s", got)
		}
	}
}

// capture answers each posted event of a type with 503 and returns a function that waits for the bytes of
// the last one.
func (w *testbed) capture(kind event.Type) (posted func() []byte) {
	var mu sync.Mutex
	var last []byte
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				w.t.Error(err)
			}
			if sub, err := event.ParseSubmission(b); err == nil && sub.Envelope.Event.Type == kind {
				mu.Lock()
				last = b
				mu.Unlock()
				http.Error(rw, "no", http.StatusServiceUnavailable)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		h.ServeHTTP(rw, r)
	})
	return func() (b []byte) {
		w.t.Helper()
		eventually(w.t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if b = last; b == nil {
				return fmt.Errorf("no %s was posted", kind)
			}
			return nil
		})
		return b
	}
}
