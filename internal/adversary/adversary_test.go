// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestAdversary plays random sequences of steps against the honest parts: the same ones
// each time, or those of the flag -rapid.seed.
func TestAdversary(t *testing.T) {
	if flag.Lookup("rapid.seed").Value.String() != "0" {
		rapid.Check(t, alone(t))
		return
	}
	for name, v := range map[string]string{"seed": "1", "checks": "50"} {
		old := flag.Lookup("rapid." + name).Value.String()
		if err := flag.Set("rapid."+name, v); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { flag.Set("rapid."+name, old) })
	}
	rapid.Check(t, alone(t))
	for what, n := range sights {
		if n == 0 {
			t.Errorf("the sequences met no case of %q", what)
		}
	}
	t.Log(sights)
}

// alone plays a sequence in a bubble of its own.
func alone(t *testing.T) func(*rapid.T) {
	return func(rt *rapid.T) {
		var panicked any // rapid ends a sequence by a panic, and has to see it
		dir, err := os.MkdirTemp("", "adversary")
		step(rt, err)
		defer os.RemoveAll(dir)
		synctest.Test(t, func(*testing.T) {
			defer func() {
				if panicked = recover(); strings.Contains(fmt.Sprint(panicked), "runtime error") {
					os.Stderr.Write(debug.Stack())
				}
			}()
			play(rt, dir)
		})
		switch fmt.Sprintf("%T", panicked) {
		case "<nil>":
		case "rapid.invalidData":
			panic(panicked) // on a line of its own: rapid compares failures by their lines
		default:
			panic(panicked)
		}
	}
}

// play plays one sequence, then stops the adversary.
func play(t *rapid.T, dir string) {
	s := &steps{newWorld(t, dir), t}
	defer s.end(t)
	s.check(t)
	shows := func(do func(*branch)) func() {
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			do(s.main())
		}
	}
	logs := func(do func(*branch)) func() {
		return shows(func(b *branch) {
			do(b)
			s.publish(b, rapid.SliceOfDistinct(rapid.SampledFrom(readers), rapid.ID[string]).Draw(t, "readers")...)
		})
	}
	all := map[string]func(){"access": logs(s.access), "ask": s.ask, "ask again": s.ask, "jump": s.jump, "revoke": logs(s.revoke), "scan": s.scan,
		"publish": shows(func(b *branch) { s.publish(b, readers...) }), "cure": logs(s.cure)}
	// Few kinds of attacks in one sequence reach further than all.
	attacks := map[string]func(){"show": shows(s.show), "fork": shows(s.fork), "times": shows(s.times), "anchor": logs(s.anchor), "claim": s.claim,
		"junk": logs(s.junk), "custodian": logs(s.custodian), "restart": s.restart, "bytes": s.bytes, "posts": shows(s.posts), "disk": s.disk,
		"court": s.court, "answer": s.answer}
	chosen := strings.Fields(os.Getenv("VASISTAS_ATTACKS"))
	if len(chosen) == 0 {
		chosen = rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(attacks))), 1, 5, rapid.ID[string]).Draw(t, "attacks")
	}
	for _, name := range chosen {
		all[name] = attacks[name]
	}
	names := rapid.SampledFrom(slices.Sorted(maps.Keys(all)))
	for range rapid.IntRange(10, 40).Draw(t, "steps") {
		all[names.Draw(t, "step")]()
		s.check(t)
	}
	s.recovers()
	s.check(t)
}

// steps are what the parties may do.
type steps struct {
	*world
	t *rapid.T
}

// readers are the gates and the subject.
var readers = []string{"c1", "c2", "subject"}

// some draws a value.
func some[T any](s *steps, what string, of ...T) T {
	return of[rapid.IntRange(0, len(of)-1).Draw(s.t, what)]
}

// newest draws one of a list, most often of its end.
func newest[T any](s *steps, what string, of []T) T {
	return of[len(of)-1-rapid.IntRange(0, len(of)-1).Draw(s.t, what)]
}

func (s *steps) view() *view { return s.views[some(s, "reader", readers...)] }

// access: the court and the provider log a case.
func (s *steps) access(b *branch) { b.newRequest(0, 0, some(s, "sealed", hour, 12*hour, 30*day)) }

// ask: the agency asks a gate, with proofs of its choice.
func (s *steps) ask() {
	c := some(s, "gate", s.gates...)
	s.mu.Lock()
	b := s.main()
	if len(b.requests) == 0 {
		s.mu.Unlock()
		return
	}
	r := newest(s, "request", b.requests)
	heads := slices.DeleteFunc(slices.Clone(s.met), func(h *head) bool { return h.on != b || h.checkpoint.Size <= r.Access.Index })
	if len(heads) == 0 {
		s.mu.Unlock()
		return
	}
	h := newest(s, "head", heads)
	if some(s, "shown", true, true, true, false) {
		s.views[c.name].show(b, h.checkpoint)
	}
	s.mu.Unlock()
	s.t.Log(c.ask(b, r, h.checkpoint))
}

// jump: time passes.
func (s *steps) jump() {
	time.Sleep(some(s, "time", time.Second, 20*time.Second, 40*time.Second, 5*minute, 50*minute, 70*minute, 3*hour, 13*hour, 26*hour))
}

// restart: a gate restarts, perhaps after a long time.
func (s *steps) restart() {
	c := some(s, "gate", s.gates...)
	c.stop(s.t)
	time.Sleep(some(s, "off", 0, 7*minute, 2*hour, 40*day))
	c.start(s.t)
}

// disk: the disk of a witness or a gate fails while a new access is logged and asked for.
func (s *steps) disk() {
	name := some(s, "of", append(slices.Sorted(maps.Keys(s.witnesses)), "c1", "c2")...)
	saw("failed disks")
	s.mu.Lock()
	s.diskless = name
	remove := durable.Inject(filepath.Join(s.dir, name), func(durable.Op, string) error { return errors.New("the disk fails") })
	b := s.main()
	s.access(b)
	s.publish(b, readers...)
	s.mu.Unlock()
	s.ask()
	synctest.Wait()
	remove()
	s.mu.Lock()
	s.diskless = ""
	s.mu.Unlock()
	for _, c := range s.gates {
		if c.name == name {
			c.stop(s.t)
			c.start(s.t)
		}
	}
	time.Sleep(2 * time.Second) // a witness opens its journal again
}

// revoke: the court ends a warrant.
func (s *steps) revoke(b *branch) {
	if len(b.requests) > 0 {
		b.LogEvent(b.Event(&event.Revocation{Warrant: some(s, "request", b.requests...).Warrant.Reference, Reason: "ended", Scope: event.ScopeAll}), "court")
	}
}

// court: the court suspends a warrant, in the log or at a gate alone, resumes it, or ends it in
// part. The agency asks for its access at once.
func (s *steps) court() {
	what, c := some(s, "what", "hand", "suspend", "resume", "part"), some(s, "gate", s.gates...)
	s.mu.Lock()
	b := s.main()
	if len(b.requests) == 0 {
		s.mu.Unlock()
		return
	}
	r := newest(s, "request", b.requests)
	body := &event.Revocation{Warrant: r.Warrant.Reference, Reason: "ended", Scope: event.ScopeSuspended}
	if at, ok := b.suspensions[body.Warrant]; ok && what == "resume" {
		body.Scope, body.Suspension = event.ScopeResumed, &at
	} else if what == "part" {
		body.Scope, body.Categories = event.ScopeCategories, []string{"content"}
	}
	e := b.Event(body)
	if what != "hand" {
		b.LogEvent(e, "court")
	}
	cp := s.publish(b, readers...)
	s.mu.Unlock()
	if what == "hand" {
		s.hand(c, e)
	}
	s.t.Log(c.ask(b, r, cp))
}

// hand hands a suspension to a gate.
func (s *steps) hand(c *custodian, e *event.Event) {
	env, err := s.Sign(e, "court")
	step(s.t, err)
	sub, err := (&event.Submission{Envelope: env}).Bytes()
	step(s.t, err)
	time.Sleep(time.Second) // a gate follows the log at most once at one time
	if s.post(c.gate.Handler(), gate.EventsPath, "application/json", sub).Code == http.StatusOK {
		saw("suspensions handed to a gate")
		c.handed = append(c.handed, handed{env.Hash(), e.Body.(*event.Revocation).Warrant, e.Time})
	}
}

// answer: the provider answers a warrant, or logs another access on it, whatever it has
// answered and the court has said. The agency asks for the access at once.
func (s *steps) answer() {
	what, c := some(s, "how", "refused", "partial", "content", "traffic"), some(s, "gate", s.gates...)
	s.mu.Lock()
	b := s.main()
	if len(b.requests) == 0 {
		s.mu.Unlock()
		return
	}
	r := newest(s, "request", b.requests)
	body := &event.Response{Warrant: r.Warrant.Reference, Outcome: event.Refused, Ground: "immunity"}
	switch what {
	case "partial":
		body.Outcome, body.Categories = event.Partial, []string{"traffic"}
		fallthrough
	case "refused":
		b.LogEvent(b.Event(body), "messenger")
	default:
		r = &request{Case: b.Again(r.Case, hour, what)}
		b.requests = append(b.requests, r)
	}
	cp := s.publish(b, readers...)
	s.mu.Unlock()
	s.t.Log(c.ask(b, r, cp))
}

// show: the provider shows a reader an older head, or withholds the tiles.
func (s *steps) show(*branch) {
	v, h := s.view(), some(s, "head", s.met...)
	v.show(h.on, h.checkpoint)
	v.dark = some(s, "dark", true, false, false, false)
}

// posts: the provider changes how it answers a gate's submissions.
func (s *steps) posts(*branch) { s.view().posts = some(s, "how", honestly, refusing, lying, variants) }

// fork: the provider writes another version, and shows it to witnesses and a reader.
func (s *steps) fork(b *branch) {
	if n := len(s.branches); n == 1 || n == 2 && some(s, "another", false, false, false, true) {
		b = newBranch(s.world, filepath.Join(s.dir, fmt.Sprintf("fork%d", n)), b)
	} else {
		b = some(s, "fork", s.branches[1:]...)
	}
	b.newRequest(0, 0, hour)
	s.cosign(b, now, append(s.draw(s.names()), s.forkers...)...)
	cp, _ := s.assemble(b, last)
	s.view().show(b, cp)
}

func (s *steps) draw(of []string) []string {
	return rapid.SliceOfDistinct(rapid.SampledFrom(of), rapid.ID[string]).Draw(s.t, "asked")
}

// times: the provider collects cosignatures with false times, and shows what it makes of
// them.
func (s *steps) times(b *branch) { s.view().show(b, s.lies(b, s.draw(s.names()))) }

// lies makes a head of cosignatures whose times liars choose.
func (s *steps) lies(b *branch, asked []string) *tlog.Checkpoint {
	s.cosign(b, func(name string) uint64 {
		off := some(s, name+" lies by", 0, -20*time.Second, 20*time.Second, -48*hour, 48*hour, 3650*day, -hour, hour)
		return uint64(max(1, time.Now().Add(off).Unix()))
	}, asked...)
	cp, _ := s.assemble(b, func(name string, n int) int { return rapid.IntRange(-1, n-1).Draw(s.t, name) })
	return cp
}

// anchor: the provider logs an anchor, of a good head or of whatever liars made.
func (s *steps) anchor(b *branch) {
	if some(s, "lies", true, false) {
		b.Anchor(s.lies(b, s.names()))
	} else {
		b.Anchor(s.met[len(s.met)-1].anchor)
	}
}

// claim: the provider logs an access that claims another time, perhaps with its warrant,
// and the agency asks for it at once.
func (s *steps) claim() {
	off := some(s, "off", 2*minute, 10*minute, hour, 100*day, 20000*day, -hour, -8*day)
	warrant, sealed, c := some(s, "warrant", 0, off), some(s, "sealed", hour, 30*day), some(s, "gate", s.gates...)
	s.mu.Lock()
	b := s.main()
	r := b.newRequest(warrant, off, sealed)
	cp := s.publish(b, readers...)
	s.mu.Unlock()
	s.t.Log(c.ask(b, r, cp))
}

// junk: the provider logs what no honest log has.
func (s *steps) junk(b *branch) {
	switch some(s, "what", "bytes", "forged", "repeated", "revocation") {
	case "bytes":
		b.Append([]byte("junk"))
	case "forged":
		b.LogBadly(b.Event(&event.Heartbeat{From: written.At(b.Now - 10), To: written.At(b.Now), Seq: 7, Prev: event.Digest{1}}), "c1")
	case "repeated":
		b.Append(some(s, "entry", b.entries...))
	case "revocation":
		if len(b.requests) > 0 {
			b.LogEvent(b.Event(&event.Revocation{Warrant: b.requests[0].Warrant.Reference, Reason: "ended", Scope: event.ScopeAll}), "messenger")
		}
	}
}

// custodian: the third custodian's key is the adversary's.
func (s *steps) custodian(b *branch) {
	what := some(s, "what", "gap", "states", "release", "twice")
	if what == "states" {
		b.LogEvent(b.Event(&event.Heartbeat{From: written.At(b.Now - 10), To: written.At(b.Now), Seq: 1000, Prev: event.Digest{1}}), "c3")
		return
	}
	if len(b.requests) == 0 {
		return
	}
	r := some(s, "access", b.requests...)
	if what == "gap" {
		b.LogEvent(b.Event(&event.Release{Access: r.Access.Reference, Seq: 30, Prev: event.Digest{1},
			Head: event.Head{Size: 1, Root: event.Digest(b.roots[1])}, Notices: []event.Digest{{1}}}), "c3")
	} else if len(s.auditors) == 0 || len(b.ledger.Barred(s.auditors[0], time.Now())) == 0 { // which signs for the release
		b.keep(b.ReleaseCase(r.Case, "c3"), "c3")
	}
}

// bytes: a stranger sends junk to the gates and the witnesses.
func (s *steps) bytes() {
	cp := s.met[0].checkpoint.Bytes()
	bad := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 200), rapid.Map(rapid.IntRange(0, len(cp)-1), func(n int) []byte {
		return append([]byte("old 0\n\n"), cp[:n]...)
	})).Draw(s.t, "bytes")
	for _, c := range s.gates {
		s.costsNothing(c.name, c.config.Dir, func() []int {
			return []int{s.post(c.gate.Handler(), escrow.RequestPath, escrow.RequestType, bad).Code, s.post(c.gate.Handler(), gate.EventsPath, "application/json", bad).Code}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.witnesses)) {
		h := s.witnesses[name]
		s.costsNothing(name, h.config.Dir, func() []int { return []int{s.post(h.Handler(), "/add-checkpoint", "", bad).Code} })
	}
}

// cure: the provider does what it owes.
func (s *steps) cure(b *branch) { b.cure(s.met[len(s.met)-1].anchor) }

// scan: the subject looks for notices.
func (s *steps) scan() {
	s.mu.Lock()
	v := *s.views["subject"]
	s.mu.Unlock()
	c, err := client.New(client.Config{URL: "http://subject.example", Policy: s.policy, HTTPClient: &http.Client{Transport: s.world}, Retries: -1})
	step(s.t, err)
	r, err := scan.Run(context.Background(), scan.Config{Config: audit.Config{Client: c, Policy: s.policy}, Seed: s.seed})
	step(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Log(r.Result, r.Reasons)
	s.statesNoAbsence(r, v.checkpoint)
}

// recovers is invariant 8: once the adversary stops, an honest access opens. The founders
// amend the charter, or the auditor closes a breach, if it bars gates; nothing else needs
// a person.
func (s *steps) recovers() {
	why := ""
	for round := range 50 {
		if why = s.tries(); why == "" {
			return
		}
		if round > 5 {
			time.Sleep(day - 17*minute)
		}
		time.Sleep(16 * minute)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks("8: no access opens after weeks without the adversary: %s", why)
}

// tries is one round of recovers. It returns why no access opened.
func (s *steps) tries() (why string) {
	s.mu.Lock()
	b := s.main()
	for _, v := range s.views {
		v.posts = honestly
	}
	s.publish(b, readers...)
	s.cure(b)
	for _, bar := range b.ledger.Barred("", time.Now()) {
		if bar.Breach == nil {
			continue
		}
		if len(s.auditors) == 0 {
			b.Amend(nil)
			break
		}
		b.Finding(s.auditors[0], bar.Breach.Rule, event.FindingClosed, bar.Breach.Index, bar.Breach.Index)
	}
	s.publish(b, readers...)
	r := b.newRequest(0, 0, 30*day)
	cp := s.publish(b, readers...)
	s.mu.Unlock()
	if cp == nil {
		return "the witnesses don't cosign: " + s.refused
	}
	for _, c := range s.gates {
		if got := c.ask(b, r, cp); got != "opened" {
			why += c.name + ": " + strings.TrimSpace(got) + "; "
		}
	}
	return why
}
