// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// breaks records a broken invariant, from any goroutine. mu is held.
func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// check fails the test if an invariant was broken in the last step.
func (w *world) check(t *rapid.T) {
	synctest.Wait() // a sequence must be the same each time
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept()
	w.duesAreNear()
	for _, b := range w.branches {
		b.Report(func(args ...any) { t.Fatal(args...) })
	}
	if len(w.broken) > 0 {
		t.Fatalf("invariant %s", strings.Join(w.broken, "\n"))
	}
}

// answer is a release that a gate has relied on.
type answer struct {
	event.Reference
	by string
}

// kept is invariant 1: what a gate has relied on is in every later head.
func (w *world) kept() {
	newest := w.met[len(w.met)-1]
	for _, a := range w.answered {
		if h := newest.checkpoint; h.Size <= a.Index || newest.on.find(newest.on.entries[a.Index]) < 0 {
			w.breaks("1: the release %d of %s is not in the head of size %d", a.Index, a.by, h.Size)
		}
	}
}

// meets notes a head that meets the policy, and checks what can be said about it.
func (w *world) meets(b *branch, v *tlog.Verified, by map[string][]line) {
	cp := v.Checkpoint
	h := &head{on: b, checkpoint: cp, at: time.Now().Unix(), live: make(map[uint64]bool)}
	for _, old := range w.met {
		if old.checkpoint.Root == cp.Root {
			h.at = min(h.at, old.at)
		}
	}
	for _, r := range b.requests {
		a, ok := b.ledger.Access(r.Access.Index)
		h.live[r.Access.Index] = ok && a.Dead == ""
	}
	for _, bar := range b.ledger.Barred("", time.Now()) {
		h.breach = h.breach || bar.Breach != nil
	}
	w.extends(h)
	w.timely(v, by)
	w.blamesTheGuilty(b)
	w.met = append(w.met, h)
}

// extends is invariant 2: no two heads that meet the policy conflict.
func (w *world) extends(h *head) {
	for _, old := range w.met {
		small, large := old, h
		if small.checkpoint.Size > large.checkpoint.Size {
			small, large = large, small
		}
		if large.on.roots[small.checkpoint.Size] != small.checkpoint.Root {
			w.breaks("2: two heads of sizes %d and %d meet the policy and conflict", small.checkpoint.Size, large.checkpoint.Size)
		}
	}
}

// timely checks the times of a head: fewer liars than Time move neither by more than the
// spread.
func (w *world) timely(v *tlog.Verified, by map[string][]line) {
	first, last := uint64(1)<<62, uint64(0)
	for _, c := range v.Witnesses {
		if w.witnesses[c.Witness.Name] != nil {
			first, last = min(first, c.Time), max(last, c.Time)
		}
	}
	spread := w.profile.Spread
	if a := v.LoggedAfter; a+spread < first || a > last {
		w.breaks("time: a head that honest witnesses cosigned from %d to %d was logged after %d", first, last, a)
	}
	if b := v.ExistedBefore; b < first || b > last+spread {
		w.breaks("time: a head that honest witnesses cosigned from %d to %d existed before %d", first, last, b)
	}
}

// duesAreNear checks the ledger's time: it is never later than the true one, and what an
// anchored entry owes is due within the longest spans of the profile, whatever it claims.
func (w *world) duesAreNear() {
	now, far := time.Now(), time.Now().Add(400*24*time.Hour)
	for _, b := range w.branches {
		if b.ledger.Time().After(now) {
			w.breaks("time: the ledger's time is %s, and the true one %s", b.ledger.Time(), now)
		}
		for _, o := range b.ledger.Overdue(now.Add(1 << 62)) {
			if o.Index < b.ledger.Anchored() && o.Due.After(far) {
				w.breaks("time: what the anchored entry %d owes (%s) is due %s", o.Index, o.Rule, o.Due)
			}
		}
	}
}

// blamesTheGuilty is invariant 7, at a head that meets the policy: no breach is an honest
// party's.
func (w *world) blamesTheGuilty(b *branch) {
	for _, v := range b.breaches {
		if slices.Contains([]string{"authority court", "custodian c1", "custodian c2"}, v.By) {
			w.breaks("7: %s is blamed: %v", v.By, v)
		}
	}
}

// durableWitness is invariant 3 for a witness: the state that a crash would leave has what
// was just signed.
func (w *world) durableWitness(h *honest, cp *tlog.Checkpoint, at uint64) {
	dir, err := os.MkdirTemp(w.dir, "crashed")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.CopyFS(filepath.Join(dir, "state"), os.DirFS(h.config.Dir))
	}
	c := h.config
	c.Dir = filepath.Join(dir, "state")
	var again *witness.Witness
	if err == nil {
		again, err = witness.Open(context.Background(), c)
	}
	if err != nil {
		w.breaks("3: opening the state that a crash leaves: %v", err)
		return
	}
	defer again.Close()
	rec := httptest.NewRecorder()
	again.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+hashOf(cp.Origin)+"/checkpoint", nil))
	got, err := tlog.ParseCheckpoint(rec.Body.Bytes())
	if err != nil || got.Size != cp.Size || got.Root != cp.Root {
		w.breaks("3: the witness %s signed the head of size %d at %d, and its state has not: %q", h.config.Name(), cp.Size, at, rec.Body)
	}
}

// durableGate is invariant 3 for a gate: its journal has what it posts.
func (w *world) durableGate(custodian string, sub *event.Submission) {
	b, err := os.ReadFile(filepath.Join(w.dir, custodian, "journal"))
	if err != nil || !bytes.Contains(b, sub.Envelope.Bytes()) {
		w.breaks("3: custodian %s posts a %s that its journal lacks", custodian, sub.Envelope.Event.Type)
	}
}

// watched is a gate's key.
type watched struct {
	escrow.KeyHolder
	c *custodian
}

func (k *watched) Open(p escrow.Purpose, info, sealed []byte) ([]byte, error) {
	if p == escrow.ForShare {
		k.c.opens()
	}
	return k.KeyHolder.Open(p, info, sealed)
}

// opens is invariant 4, at the moment at which a gate opens a share: its release is in a
// head that meets the policy, that head is fresh, and the gate has seen each head that met
// the policy longer ago than a head may be stale. Under all of those the access is live.
func (c *custodian) opens() {
	st, err := c.gate.Status(context.Background())
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || c.asked == nil {
		w.breaks("4: custodian %s opens a share unasked, or has no status: %v", c.name, err)
		return
	}
	now, access := time.Now(), c.asked.Access.Index
	i := slices.IndexFunc(w.met, func(h *head) bool { return h.checkpoint.Size == st.Size && h.checkpoint.Root.String() == st.Root })
	if i < 0 {
		w.breaks("4: custodian %s opens under a head of size %d that never met the policy", c.name, st.Size)
		return
	}
	h := w.met[i]
	index, ok := h.on.released[promise{access, c.name}]
	if !ok || index >= st.Size {
		w.breaks("4: custodian %s opens access %d at size %d without a release below it", c.name, access, st.Size)
	}
	w.answered = append(w.answered, answer{event.Reference{Index: index}, c.name})
	after, err := time.Parse(time.RFC3339, st.LoggedAfter)
	if stale := time.Duration(w.profile.Stale) * time.Second; err != nil || now.Sub(after) > stale || after.After(now) {
		w.breaks("time: custodian %s opens at %s under a head logged after %s", c.name, now, st.LoggedAfter)
	}
	skew, body := time.Duration(w.profile.Skew)*time.Second, c.asked.Warrant.Envelope.Event.Body.(*event.Warrant)
	if e := c.asked.Access.Envelope.Event; e.Time.After(now.Add(skew)) || now.Before(body.NotBefore) || now.After(body.NotAfter) {
		w.breaks("time: custodian %s opens access %d at %s, which claims %s and is allowed from %s to %s", c.name, access, now, e.Time, body.NotBefore, body.NotAfter)
	}
	if seen := w.largest(now.Unix() - int64(w.profile.Stale)); seen != nil && seen.checkpoint.Size > st.Size {
		w.breaks("4: custodian %s opens at size %d, and a head of size %d met the policy at %d", c.name, st.Size, seen.checkpoint.Size, seen.at)
	}
	if !h.live[access] || h.breach {
		w.breaks("4: custodian %s opens access %d, which is dead or barred at size %d", c.name, access, st.Size)
	}
}

// costsNothing is invariant 6: bad bytes cost a 4xx and change no state.
func (w *world) costsNothing(t *rapid.T, bad []byte) {
	for _, c := range w.gates {
		if c.gate == nil {
			continue
		}
		before, at := dirState(c.config.Dir), time.Now()
		for path, kind := range map[string]string{escrow.RequestPath: escrow.RequestType, "/events": "application/json", "/revocations": "application/json"} {
			if rec := c.post(path, kind, bad); rec.Code < 400 || rec.Code > 499 {
				t.Fatalf("invariant 6: gate %s answers %d to junk on %s: %s", c.name, rec.Code, path, rec.Body)
			}
		}
		// If time has passed, the gate may have done what it does by itself.
		if dirState(c.config.Dir) != before && time.Now().Equal(at) {
			t.Fatalf("invariant 6: junk changed the state of gate %s", c.name)
		}
	}
	for name, h := range w.witnesses {
		before := dirState(h.config.Dir)
		rec := httptest.NewRecorder()
		h.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(bad)))
		if rec.Code < 400 || rec.Code > 499 || dirState(h.config.Dir) != before {
			t.Fatalf("invariant 6: witness %s answers %d to junk, or its state changed: %s", name, rec.Code, rec.Body)
		}
	}
}

// statesNoAbsence is invariant 9: a scan that finds nothing was shown a fresh head, and no
// head that met the policy longer ago than a head may be stale has a notice.
func (w *world) statesNoAbsence(r *scan.Report, served []byte) {
	if r.Outcome() != scan.Nothing {
		return
	}
	now, stale := time.Now().Unix(), int64(w.profile.Stale)
	cp, err := tlog.ParseCheckpoint(served)
	if err != nil {
		w.breaks("9: the scan states an absence without a head")
		return
	}
	v, err := w.policy.Verify(cp, w.Origin)
	if err != nil || int64(v.LoggedAfter) < now-stale {
		w.breaks("9: the scan states an absence at %d under a head that is no fresh one: %+v %v", now, v, err)
	}
	if h := w.largest(now - stale); h != nil && h.on.shown > 0 && h.on.shown <= h.checkpoint.Size {
		w.breaks("9: the scan states an absence, and a notice is disclosed below size %d", h.on.shown)
	}
}

const minute, hour, day = people.Minute * time.Second, people.Hour * time.Second, people.Day * time.Second
