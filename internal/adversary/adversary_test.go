// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

func hashOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// TestAdversary plays random sequences of steps against the honest parts.
func TestAdversary(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
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
	})
}

// play plays one sequence, then stops the adversary.
func play(t *rapid.T, dir string) {
	w := newWorld(t, dir)
	defer w.end(t)
	s := &steps{w}
	all := map[string]func(*rapid.T){
		"access": s.access, "ask": s.ask, "ask again": s.ask, "jump": s.jump, "revoke": s.revoke, "scan": s.scan, "publish": s.publish, "cure": s.cure,
	}
	// Few kinds of attacks in one sequence reach further than all.
	attacks := map[string]func(*rapid.T){"show": s.show, "fork": s.fork, "times": s.times, "anchor": s.anchor, "claim": s.claim,
		"junk": s.junk, "custodian": s.custodian, "restart": s.restart, "bytes": s.bytes, "posts": s.posts}
	chosen := strings.Fields(os.Getenv("VASISTAS_ATTACKS"))
	if len(chosen) == 0 {
		chosen = rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(attacks))), 1, 5, rapid.ID[string]).Draw(t, "attacks")
	}
	for _, name := range chosen {
		all[name] = attacks[name]
	}
	names := rapid.SampledFrom(slices.Sorted(maps.Keys(all)))
	for range rapid.IntRange(10, 40).Draw(t, "steps") {
		all[names.Draw(t, "step")](t)
		w.check(t)
	}
	w.recovers(t)
	w.check(t)
}

// steps are what the parties may do.
type steps struct{ *world }

var readers = rapid.SampledFrom([]string{"c1", "c2", "subject"})

// one draws one of a list.
func one[T any](t *rapid.T, what string, list []T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(t, what)]
}

// honestLog returns the branch that honest parties write to, at the true time.
func (w *world) honestLog() *branch {
	b := w.branches[0]
	b.Now = time.Now().Unix()
	return b
}

// access: the court and the provider log a case; some readers see it.
func (s *steps) access(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.honestLog().newRequest(0, rapid.SampledFrom([]time.Duration{hour, 12 * hour, 30 * day}).Draw(t, "sealed"))
	s.publish2(t)
}

// publish2 publishes to drawn readers.
func (s *steps) publish2(t *rapid.T) {
	s.world.publish(s.honestLog(), rapid.SliceOfDistinct(readers, rapid.ID[string]).Draw(t, "readers")...)
}

// publish: the provider shows the newest head to everyone.
func (s *steps) publish(*rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.publish(s.honestLog(), "c1", "c2", "subject")
}

// ask: the agency asks a gate, with proofs of its choice.
func (s *steps) ask(t *rapid.T) {
	c := one(t, "gate", s.gates)
	s.mu.Lock()
	b := s.branches[0]
	if len(b.requests) == 0 || c.gate == nil {
		s.mu.Unlock()
		return
	}
	r := one(t, "request", b.requests)
	var heads []*head
	for _, h := range s.met {
		if h.on == b && h.checkpoint.Size > r.Access.Index {
			heads = append(heads, h)
		}
	}
	if len(heads) == 0 {
		s.mu.Unlock()
		return
	}
	slices.Reverse(heads)
	h := one(t, "head", heads)
	if rapid.IntRange(0, 3).Draw(t, "shown") < 3 {
		v := s.views[c.name]
		v.on, v.checkpoint, v.dark = b, h.checkpoint.Bytes(), false
	}
	sealed, err := r.seal(b, h.checkpoint, c)
	s.mu.Unlock()
	step(t, err)
	t.Log(c.ask(r, sealed))
}

// ask posts a request, and returns the status and the answer.
func (c *custodian) ask(r *request, sealed []byte) string {
	c.asked = r
	defer func() { c.asked = nil }()
	rec := c.post(escrow.RequestPath, escrow.RequestType, sealed)
	if rec.Code == http.StatusOK {
		return "opened"
	}
	return fmt.Sprint(rec.Code, " ", rec.Body)
}

// jump: time passes.
func (s *steps) jump(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, 40 * time.Second, 5 * minute, 50 * minute, 70 * minute, 3 * hour, 13 * hour, 26 * hour}).Draw(t, "time"))
}

// restart: a gate restarts, perhaps after a long time.
func (s *steps) restart(t *rapid.T) {
	c := one(t, "gate", s.gates)
	c.stop(t)
	time.Sleep(rapid.SampledFrom([]time.Duration{0, 7 * minute, 2 * hour, 40 * day}).Draw(t, "off"))
	c.start(t)
}

// revoke: the court ends a warrant; not all readers learn it.
func (s *steps) revoke(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	if len(b.requests) == 0 {
		return
	}
	r := one(t, "request", b.requests)
	b.LogEvent(b.Event(&event.Revocation{Warrant: r.Warrant.Reference, Reason: "ended"}), "court")
	s.publish2(t)
}

// show: the provider shows a reader an older head, or withholds the tiles.
func (s *steps) show(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[readers.Draw(t, "reader")]
	h := one(t, "head", s.met)
	v.on, v.checkpoint, v.dark = h.on, h.checkpoint.Bytes(), rapid.IntRange(0, 3).Draw(t, "dark") == 0
}

// posts: the provider changes how it answers a gate's submissions.
func (s *steps) posts(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views[rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "gate")].posts = rapid.SampledFrom([]answers{honestly, refusing, lying, variants}).Draw(t, "how")
}

// fork: the provider writes another version, and shows it to a reader with the
// cosignatures that it can get. One honest witness at most sees it first.
func (s *steps) fork(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b *branch
	if n := len(s.branches); n == 1 || n == 2 && rapid.IntRange(0, 3).Draw(t, "another") == 3 {
		b = newBranch(s.world, filepath.Join(s.dir, fmt.Sprintf("fork%d", len(s.branches))), s.branches[0])
	} else {
		b = one(t, "fork", s.branches[1:])
	}
	b.newRequest(0, hour)
	asked := slices.Clone(s.forkers)
	if honest := rapid.SampledFrom(s.names()).Draw(t, "shown to"); s.world.spare(honest) && !slices.Contains(asked, honest) {
		asked = append(asked, honest)
	}
	s.cosign(b, now, asked...)
	cp := s.assemble(b, last)
	v := s.views[readers.Draw(t, "reader")]
	v.on, v.checkpoint, v.dark = b, cp.Bytes(), false
}

// spare returns whether the witnesses that are still on the honest log meet the policy
// without one of them.
func (w *world) spare(name string) bool {
	b := w.branches[0]
	return w.policy.Satisfied(func(i int) bool {
		n := w.policy.Witnesses[i].Name
		h := w.witnesses[n]
		return n != name && (h == nil || h.size <= b.Size() && (h.size == 0 || h.on(b)))
	})
}

// on returns whether the last head of a witness is one of a branch.
func (h *honest) on(b *branch) bool { return h.last == nil || h.last.Root == b.roots[h.last.Size] }

// times: the provider collects cosignatures with false times, and shows what it makes of
// them.
func (s *steps) times(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	s.cosign(b, s.lies(t), rapid.SliceOfDistinct(rapid.SampledFrom(s.names()), rapid.ID[string]).Draw(t, "asked")...)
	cp := s.assemble(b, func(name string, n int) int { return rapid.IntRange(-1, n-1).Draw(t, name) })
	v := s.views[readers.Draw(t, "reader")]
	v.on, v.checkpoint = b, cp.Bytes()
}

// lies draws the times that liars state.
func (s *steps) lies(t *rapid.T) func(string) uint64 {
	return func(name string) uint64 {
		off := rapid.SampledFrom([]time.Duration{0, -20 * time.Second, 20 * time.Second, -48 * hour, 48 * hour, 3650 * day, -hour, hour}).Draw(t, name+" lies by")
		return uint64(max(1, time.Now().Add(off).Unix()))
	}
}

// anchor: the provider logs an anchor, of a good head or of whatever liars made.
func (s *steps) anchor(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	cp := s.met[len(s.met)-1].checkpoint
	if rapid.Bool().Draw(t, "lies") {
		s.cosign(b, s.lies(t), s.names()...)
		cp = s.assemble(b, func(name string, n int) int { return rapid.IntRange(-1, n-1).Draw(t, name) })
	}
	b.Anchor(cp)
	s.publish2(t)
}

// claim: the provider logs an access that claims another time.
func (s *steps) claim(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	off := rapid.SampledFrom([]time.Duration{-8 * day, -hour, 2 * minute, hour, 100 * day, 20000 * day}).Draw(t, "off")
	b.newRequest(off, hour)
	s.publish2(t)
}

// junk: the provider logs what no honest log has.
func (s *steps) junk(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	switch rapid.SampledFrom([]string{"bytes", "forged", "repeated", "revocation"}).Draw(t, "what") {
	case "bytes":
		b.Append([]byte("junk"))
	case "forged":
		b.LogBadly(b.Event(&event.Heartbeat{From: written.At(b.Now - 10), To: written.At(b.Now), Seq: 7, Prev: event.Digest{1}}), "c1")
	case "repeated":
		b.Append(one(t, "entry", b.entries))
	case "revocation":
		if len(b.requests) > 0 {
			b.LogEvent(b.Event(&event.Revocation{Warrant: b.requests[0].Warrant.Reference, Reason: "ended"}), "messenger")
		}
	}
	s.publish2(t)
}

// custodian: the third custodian's key is the adversary's.
func (s *steps) custodian(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	var body event.Body
	switch rapid.SampledFrom([]string{"gap", "states", "release", "twice"}).Draw(t, "what") {
	case "states":
		body = &event.Heartbeat{From: written.At(b.Now - 10), To: written.At(b.Now), Seq: 1000, Prev: event.Digest{1}}
	case "gap":
		if len(b.requests) == 0 {
			return
		}
		body = &event.Release{Access: one(t, "access", b.requests).Access.Reference, Seq: 30, Prev: event.Digest{1},
			Head: event.Head{Size: 1, Root: event.Digest(b.roots[1])}, Notices: []event.Digest{{1}}}
	default:
		if len(b.requests) == 0 {
			return
		}
		r := one(t, "access", b.requests)
		b.keep(b.ReleaseCase(r.Case, "c3"), "c3")
		s.publish2(t)
		return
	}
	b.LogEvent(b.Event(body), "c3")
	s.publish2(t)
}

// bytes: a stranger sends junk.
func (s *steps) bytes(t *rapid.T) {
	s.mu.Lock()
	v := *s.views["c1"]
	s.mu.Unlock()
	bad := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 200), rapid.Map(rapid.IntRange(0, len(v.checkpoint)-1), func(n int) []byte {
		return append([]byte("old 0\n\n"), v.checkpoint[:n]...)
	})).Draw(t, "bytes")
	s.costsNothing(t, bad)
}

// cure: the provider does what it owes.
func (s *steps) cure(t *rapid.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.honestLog()
	b.cure(b.Now, s.met[len(s.met)-1].checkpoint)
	s.publish2(t)
}

// scan: the subject looks for notices.
func (s *steps) scan(t *rapid.T) {
	s.mu.Lock()
	v := *s.views["subject"]
	s.mu.Unlock()
	c, err := client.New(client.Config{URL: "http://subject.example", Policy: s.policy, HTTPClient: &http.Client{Transport: s.world}, Retries: -1})
	step(t, err)
	r, err := scan.Run(context.Background(), scan.Config{Config: audit.Config{Client: c, Policy: s.policy}, Seed: s.seed})
	step(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Log(r.Result, r.Reasons)
	s.statesNoAbsence(r, v.checkpoint)
}

// cure does what the provider owes: it discloses cases whose seal has ended, and logs
// returns and an anchor.
func (b *branch) cure(now int64, anchor *tlog.Checkpoint) {
	if anchor != nil {
		b.Anchor(anchor)
	}
	for _, o := range b.ledger.Overdue(time.Unix(now, 0).Add(400 * day)) {
		for _, r := range b.requests {
			switch {
			case o.Due.Unix() > now:
			case o.Rule == "return" && o.Index == r.Warrant.Index:
				b.Return(&written.Logged{Reference: r.Warrant.Reference})
			case o.Rule == "disclosure" && o.Index == r.Warrant.Index:
				b.Disclose(&written.Logged{Reference: r.Warrant.Reference, Public: r.WarrantOpenings.Public})
			case o.Rule == "disclosure" && o.Index == r.Access.Index:
				b.Disclose(&written.Logged{Reference: r.Access.Reference, Public: r.AccessOpenings.Public})
			case o.Rule == "disclosure":
				for _, l := range r.releases {
					if l.Index == o.Index {
						b.Disclose(&written.Logged{Reference: l.Reference}, l)
					}
				}
			}
		}
	}
}

// recovers is invariant 8: once the adversary stops, an honest access opens. The founders
// amend the charter if a breach bars gates; nothing else needs a person.
func (w *world) recovers(t *rapid.T) {
	for _, c := range w.gates {
		if c.gate == nil {
			c.start(t)
		}
	}
	why := ""
	for round := range 50 {
		if why = w.tries(t); why == "" {
			return
		}
		if round > 5 {
			time.Sleep(day - 17*minute)
		}
		time.Sleep(16 * minute)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaks("8: no access opens after weeks without the adversary: %s", why)
}

// tries is one round of recovers. It returns why no access opened.
func (w *world) tries(t *rapid.T) (why string) {
	w.mu.Lock()
	b := w.honestLog()
	for _, v := range w.views {
		v.posts = honestly
	}
	w.publish(b, "c1", "c2", "subject")
	b.cure(b.Now, w.met[len(w.met)-1].checkpoint)
	for _, bar := range b.ledger.Barred("", time.Now()) {
		if bar.Breach != nil {
			b.Amend(nil)
			break
		}
	}
	w.publish(b, "c1", "c2", "subject")
	r := b.newRequest(0, 30*day)
	cp := w.publish(b, "c1", "c2", "subject")
	w.mu.Unlock()
	if cp == nil {
		return "the witnesses don't cosign: " + w.refused
	}
	for _, c := range w.gates {
		w.mu.Lock()
		sealed, err := r.seal(b, cp, c)
		w.mu.Unlock()
		step(t, err)
		if got := c.ask(r, sealed); got != "opened" {
			why += c.name + ": " + strings.TrimSpace(got) + "; "
		}
	}
	return why
}
