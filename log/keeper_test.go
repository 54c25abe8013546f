// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// tick sets the time of all witnesses, which then stands still, and has them cosign the
// log's last signed head. So the machine's clock does not matter.
func (w *world) tick(at time.Time) {
	w.t.Helper()
	w.witnessed.Store(at.Unix())
	for _, s := range w.witnesses {
		s.answer(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			body, err := io.ReadAll(r.Body)
			if err == nil && r.Method == http.MethodPost {
				var req *tlog.AddCheckpoint
				if req, err = tlog.ParseAddCheckpoint(body); err == nil {
					w.seen.head(req.Checkpoint)
					line, serr := s.key.Sign(&req.Checkpoint.Head, uint64(w.witnessed.Load()))
					cosigned := (&tlog.Checkpoint{Head: req.Checkpoint.Head, Signatures: []tlog.Signature{line}}).Bytes()
					_, lines, _ := bytes.Cut(cosigned, []byte("\n\n"))
					if err = serr; err == nil {
						rw.Write(lines)
						return
					}
				}
			}
			http.Error(rw, fmt.Sprint(err), http.StatusBadRequest)
		})
	}
}

// pass lets time pass, in steps that a log accepts.
func (w *world) pass(to time.Time) {
	w.t.Helper()
	to = whole(to)
	for now := w.now(); now.Before(to); now = w.now() {
		next := now.Add(4 * time.Minute)
		if next.After(to) {
			next = to
		}
		w.witnessed.Store(next.Unix())
		w.tells(next)
	}
}

// tells waits until the published head has this time.
func (w *world) tells(at time.Time) {
	w.t.Helper()
	eventually(w.t, func() error {
		cp := w.checkpoint()
		ok, err := w.policy.Verify(cp, "")
		if err == nil && ok.LoggedAfter < uint64(at.Unix()) {
			err = fmt.Errorf("the published head is of %d, and it is %d", ok.LoggedAfter, at.Unix())
		}
		return err
	})
}

// oddWorld is a world whose witnesses' time is not the machine's, with an interval of
// anchors.
func oddWorld(t testing.TB, begin time.Time, interval uint64) *world {
	t.Helper()
	w := prepareWorld(t, 2, 3)
	w.tick(begin)
	w.profile.Anchor.Within = interval
	w.config.Refresh = 20 * time.Millisecond
	w.config.Provider = w.provider
	w.create()
	return w
}

// of returns the events of a type that the log publishes.
func (w *world) of(kind event.Type) (events []*event.Envelope) {
	w.t.Helper()
	for _, e := range w.read() {
		env, err := event.ParseEnvelope(e)
		check(w.t, err)
		if env.Event.Type == kind {
			events = append(events, env)
		}
	}
	return events
}

// awaits waits until the log publishes so many events of a type.
func (w *world) awaits(n int, kind event.Type) []*event.Envelope {
	w.t.Helper()
	eventually(w.t, func() error {
		if got := len(w.of(kind)); got < n {
			return fmt.Errorf("the log has %d of %d events of the type %s", got, n, kind)
		}
		return nil
	})
	got := w.of(kind)
	if len(got) != n {
		w.t.Fatalf("the log has %d events of the type %s; want %d", len(got), kind, n)
	}
	return got
}

// notes collects what the log tells its operator.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

func (n *notes) says(text string) error {
	if s := n.String(); !strings.Contains(s, text) {
		return fmt.Errorf("the log has not said %q:\n%s", text, s)
	}
	return nil
}

func (w *world) listen() *notes {
	n := new(notes)
	w.config.Logger = slog.New(slog.NewTextHandler(n, nil))
	return n
}

// TestAnchors checks that the log anchors what is published at the profile's interval,
// while there is an entry other than anchors.
func TestAnchors(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 600)
	w.start()
	w.pass(begin.Add(4 * time.Minute))
	if n := len(w.of(event.TypeAnchor)); n != 0 {
		t.Errorf("%d anchors before half of the interval", n)
	}
	w.pass(begin.Add(6 * time.Minute))
	first := w.awaits(1, event.TypeAnchor)[0]
	cp, err := tlog.ParseCheckpoint([]byte(first.Event.Body.(*event.Anchor).Checkpoint))
	check(t, err)
	if cp.Size != 1 || len(cp.Signatures) != 2+2 {
		t.Errorf("the first anchor is of size %d, with %d lines", cp.Size, len(cp.Signatures))
	}
	// There is no other entry, so no other anchor comes.
	w.pass(begin.Add(30 * time.Minute))
	w.awaits(1, event.TypeAnchor)
	w.put(newWarrant(t, origin, warrantTerms{at: w.now()}, w.authority))
	w.awaits(2, event.TypeAnchor)
	w.stop()
	w.start()
	w.pass(begin.Add(60 * time.Minute))
	w.awaits(2, event.TypeAnchor)
}

// TestDisclosure checks that a seal ends by the witnesses' time only. Here the
// machine's clock is a day ahead of them, or two hours behind.
func TestDisclosure(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": -24 * time.Hour, "behind": 2 * time.Hour, "right": 0} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			if off < 0 {
				begin = begin.Add(off)
			}
			w := oddWorld(t, begin, 30*86400)
			said := w.listen()
			w.start()
			if off > 0 {
				begin = begin.Add(off)
				w.pass(begin) // a clock that was set back is one that the witnesses leave behind
			}
			end := begin.Add(2 * time.Minute)
			warrant := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
			ref := w.put(warrant)
			deferred := w.put(newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority))
			w.mustSequence(signedAt(t, begin, &event.Deferral{Event: deferred, Until: whole(end.Add(10 * time.Minute)), Ground: "investigation", Ordinal: 1}, w.authority).Bytes())
			w.pass(end.Add(-time.Second))
			w.awaits(0, event.TypeDisclosure)
			w.pass(end)
			d := w.awaits(1, event.TypeDisclosure)[0]
			body := d.Event.Body.(*event.Disclosure)
			if body.Event != ref || len(body.Openings) != len(warrant.Openings) || d.Event.Time != whole(end) {
				t.Errorf("the disclosure of entry %d at %v opens %d", body.Event.Index, d.Event.Time, len(body.Openings))
			}
			check(t, warrant.Envelope.Event.MatchAll(event.ClassPublic, body.Openings))
			eventually(t, func() error {
				if w.vault.Has(warrant.Envelope.Hash()) {
					return errors.New("the vault still has what is disclosed")
				}
				return nil
			})
			w.pass(end.Add(9 * time.Minute))
			w.awaits(1, event.TypeDisclosure)
			w.pass(end.Add(10 * time.Minute))
			w.awaits(2, event.TypeDisclosure)
			if off != 0 {
				check(t, said.says("this machine's clock is not that of the witnesses"))
			}
			w.stop()
			w.start()
			w.pass(end.Add(12 * time.Minute))
			w.awaits(2, event.TypeDisclosure)
		})
	}
}

// TestNotices checks that the notices of an access's releases are published with it.
func TestNotices(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 30*86400)
	w.start()
	end := begin.Add(2 * time.Minute)
	warrant := w.put(newWarrant(t, origin, warrantTerms{at: begin, until: end.Add(time.Hour)}, w.authority))
	access := w.put(w.newAccess(warrant, end))
	w.published(access.Index + 1)
	cp := w.checkpoint()
	release := w.release(access, 1, [32]byte{}, event.Head{Size: cp.Size, Root: event.Digest(cp.Root)})
	ref := w.put(release)
	w.pass(end)
	published := false
	for _, env := range w.awaits(2, event.TypeDisclosure) {
		d := env.Event.Body.(*event.Disclosure)
		if d.Event == ref {
			published = len(d.Notices) == 1 && bytes.Equal(d.Notices[0], release.Notices[0])
		}
	}
	if !published {
		t.Error("the notice was not published")
	}
	eventually(t, func() error {
		if n := w.vault.Len(); n != 1 {
			return fmt.Errorf("the vault has %d records; want the warrant's", n)
		}
		return nil
	})
}

// TestLostVault checks that the log names an event that the vault has lost, can't
// disclose it, and goes on with everything else. It takes the openings back from anyone
// who submits them again, also after their disclosure is overdue, which remains a
// breach.
func TestLostVault(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 240)
	w.profile.DisclosureGrace, w.profile.Unfulfilled = 60, 600
	w.dir = t.TempDir()
	w.seen = newSightings()
	w.create()
	w.start()
	end := begin.Add(2 * time.Minute)
	first := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
	second := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
	lost := w.put(first)
	w.stop()
	files, err := filepath.Glob(filepath.Join(w.vaultConfig().Dir, "*.age"))
	check(t, err)
	for _, f := range files {
		check(t, os.Remove(f))
	}
	said := w.listen()
	w.start()
	if n := metric(w.log.Metrics(), "vasistas_log_vault_lost"); n != 1 {
		t.Errorf("the metric says that %v are lost", n)
	}
	for _, name := range []string{"owed", "overdue", "late_total"} {
		if text := string(w.log.Metrics()); !strings.Contains(text, "\nvasistas_log_"+name+`{rule="emergency"} 0`+"\n") {
			t.Errorf("%s does not begin with 0:\n%s", name, text)
		}
	}
	kept := w.put(second)
	for _, text := range []string{"can't be disclosed", fmt.Sprintf("entry=%d", lost.Index), event.Digest(first.Envelope.Hash()).String()} {
		check(t, said.says(text))
	}
	w.pass(end)
	if d := w.awaits(1, event.TypeDisclosure)[0].Event.Body.(*event.Disclosure); d.Event != kept {
		t.Errorf("disclosed: entry %d", d.Event.Index)
	}
	w.mustSequence(signedAt(t, end, &event.Return{Warrant: lost}, w.provider).Bytes()) // so nothing else keeps it open
	late := end.Add(20 * time.Minute)
	w.pass(late)
	w.put(newWarrant(t, origin, warrantTerms{at: late, until: late.Add(time.Hour)}, w.authority)) // to be anchored
	late = late.Add(8 * time.Minute)
	w.pass(late)
	eventually(t, func() error { return said.says("rule=unfulfilled") })
	if n := metric(w.log.Metrics(), `vasistas_log_late_total{rule="disclosure"}`); n != 1 {
		t.Errorf("the metric says that %v disclosures were late", n)
	}
	if i := w.mustSequence(bytesOf(t, first)); i != lost.Index {
		t.Errorf("the event again is at %d", i)
	}
	check(t, said.says("the vault has again what it had lost"))
	if n := metric(w.log.Metrics(), "vasistas_log_vault_lost"); n != 0 {
		t.Errorf("the metric says that %v are lost", n)
	}
	w.pass(late.Add(30 * time.Second)) // before the log would try again by itself
	w.awaits(2, event.TypeDisclosure)
}

// TestOrphans checks that the next start drops from the vault what was never sequenced,
// and keeps what is sealed.
func TestOrphans(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	s := newWarrant(t, origin, warrantTerms{}, w.authority)
	w.put(s)
	w.stop()
	orphan := newWarrant(t, origin, warrantTerms{}, w.authority)
	v, err := vault.Open(w.vaultConfig())
	check(t, err)
	record, err := vault.Prepare(orphan)
	check(t, err)
	check(t, v.PutBatch(t.Context(), []*vault.Record{record}))
	check(t, v.Close())
	w.start()
	if !w.vault.Has(s.Envelope.Hash()) || w.vault.Has(orphan.Envelope.Hash()) {
		t.Errorf("the vault has %d records", w.vault.Len())
	}
}

// TestStrayLeafKeepsItsOpenings checks that an entry is disclosed that an engine adds only
// after the log has failed, stopped and started again.
func TestStrayLeafKeepsItsOpenings(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 3600)
	w.spare = time.Hour
	f := new(faulty)
	w.wrap = f.wrap
	w.start()
	end := begin.Add(30 * time.Minute)
	s := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
	lost := errors.New("lost")
	var stray [][]byte
	f.onAdd(func(_ context.Context, entries [][]byte) (uint64, error) {
		stray = entries
		f.heal()
		return 0, lost
	})
	if i, err := w.sequence(bytesOf(t, s)); err == nil {
		t.Fatalf("acknowledged at %d", i)
	}
	w.stop()
	w.start()
	f.onAdd(func(ctx context.Context, _ [][]byte) (uint64, error) {
		f.heal()
		_, err := f.Engine.Add(ctx, stray)
		return 0, errors.Join(err, lost)
	})
	if i, err := w.sequence(bytesOf(t, newWarrant(t, origin, warrantTerms{at: begin, until: end.Add(time.Hour)}, w.authority))); err == nil {
		t.Fatalf("acknowledged at %d", i)
	}
	w.ready()
	w.pass(end)
	if d := w.awaits(1, event.TypeDisclosure)[0].Event.Body.(*event.Disclosure); d.Event.Leaf != s.Envelope.LeafHash() || len(d.Openings) != len(s.Openings) {
		t.Errorf("disclosed: entry %d with %d openings", d.Event.Index, len(d.Openings))
	}
}

// TestSealEndsBeforeStored checks that if a seal ends while its event is applied and
// not yet stored, the event is disclosed once it is stored.
func TestSealEndsBeforeStored(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 3600)
	gate := new(gate)
	w.wrap = gate.wrap
	w.start()
	gate.close()
	t.Cleanup(gate.open)
	end := begin.Add(time.Minute)
	s := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
	answered := make(chan error, 1)
	go func() {
		_, err := w.sequence(bytesOf(t, s))
		answered <- err
	}()
	eventually(t, gate.busy)
	for range 5 {
		w.pass(w.now().Add(time.Minute))
	}
	gate.open()
	check(t, <-answered)
	w.pass(w.now().Add(2 * time.Minute))
	if d := w.awaits(1, event.TypeDisclosure)[0].Event.Body.(*event.Disclosure); d.Event.Index != 1 {
		t.Errorf("disclosed: entry %d", d.Event.Index)
	}
}

// TestOpenedAndNotStored checks that the vault keeps what a disclosure would have
// opened that was applied and could not be stored.
func TestOpenedAndNotStored(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 3600)
	f := new(faulty)
	w.wrap = f.wrap
	w.start()
	end := begin.Add(30 * time.Minute)
	s := newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority)
	ref := w.put(s)
	fail, waits := make(chan struct{}), make(chan struct{})
	f.onAdd(func(context.Context, [][]byte) (uint64, error) {
		close(waits)
		<-fail
		f.heal()
		return 0, errors.New("no")
	})
	opening := signedAt(t, w.now(), &event.Disclosure{Event: ref, Openings: s.Openings}, w.authority)
	answered := make(chan error, 1)
	go func() {
		_, err := w.sequence(opening.Bytes())
		answered <- err
	}()
	<-waits
	for range 3 { // heads at which the keeper checks
		w.pass(w.now().Add(time.Minute))
	}
	close(fail)
	if err := <-answered; !isProblem(err, "storage") {
		t.Fatalf("the disclosure: %v", err)
	}
	w.ready()
	// Another entry takes the index that it would have had.
	w.put(newWarrant(t, origin, warrantTerms{at: w.now()}, w.authority))
	for range 3 {
		w.pass(w.now().Add(time.Minute))
	}
	if !w.vault.Has(s.Envelope.Hash()) {
		t.Fatal("the vault has forgotten what was not disclosed")
	}
	w.pass(end.Add(2 * time.Minute))
	w.awaits(1, event.TypeDisclosure)
}

// TestAnchorsGoOnAfterDowntime checks that a disclosure whose seal ended while the log was
// down waits until half of the grace is left, and that no anchor waits for it: a deferral
// that was signed in time still counts.
func TestAnchorsGoOnAfterDowntime(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 240)
	w.profile.DisclosureGrace = 1200
	w.dir = t.TempDir()
	w.seen = newSightings()
	w.create()
	w.start()
	end := begin.Add(4 * time.Minute)
	ref := w.put(newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority))
	deferred := w.put(newWarrant(t, origin, warrantTerms{at: begin, until: end}, w.authority))
	w.pass(begin.Add(3 * time.Minute))
	w.awaits(1, event.TypeAnchor)
	w.stop()
	up := end.Add(3 * time.Minute)
	w.witnessed.Store(up.Unix())
	w.start()
	w.tells(up)
	w.put(newWarrant(t, origin, warrantTerms{at: up, until: up.Add(time.Hour)}, w.authority))
	w.awaits(2, event.TypeAnchor)
	w.mustSequence(signedAt(t, begin.Add(time.Minute), &event.Deferral{Event: deferred, Until: whole(end.Add(time.Hour)), Ground: "investigation", Ordinal: 1}, w.authority).Bytes())
	w.pass(end.Add(9 * time.Minute))
	w.awaits(0, event.TypeDisclosure)
	w.pass(end.Add(10 * time.Minute)) // half of the grace
	if d := w.awaits(1, event.TypeDisclosure)[0].Event.Body.(*event.Disclosure); d.Event != ref {
		t.Errorf("disclosed: entry %d", d.Event.Index)
	}
}

// TestGapInReleases checks that a release ahead of its chain makes the log log nothing in
// vain: its notice is disclosed once the gap is filled, and anchors go on meanwhile.
func TestGapInReleases(t *testing.T) {
	begin := time.Now()
	w := oddWorld(t, begin, 600)
	w.start()
	end := begin.Add(2 * time.Minute)
	warrant := w.put(newWarrant(t, origin, warrantTerms{at: begin, until: begin.Add(time.Hour), accesses: 2, accounts: 2}, w.authority))
	accesses := []event.Reference{w.put(w.newAccess(warrant, end)), w.put(w.newAccess(warrant, end))}
	w.published(accesses[1].Index + 1)
	cp := w.checkpoint()
	head := event.Head{Size: cp.Size, Root: event.Digest(cp.Root)}
	first := w.release(accesses[0], 1, [32]byte{}, head)
	second := w.release(accesses[1], 2, first.Envelope.Hash(), head)
	w.put(second)
	w.pass(end.Add(20 * time.Minute))
	w.awaits(2, event.TypeDisclosure) // of the accesses
	if n := len(w.of(event.TypeAnchor)); n == 0 {
		t.Error("no anchor was logged")
	}
	w.put(first)
	w.pass(end.Add(22 * time.Minute))
	w.awaits(4, event.TypeDisclosure)
	w.pass(end.Add(40 * time.Minute))
	w.awaits(4, event.TypeDisclosure)
}
