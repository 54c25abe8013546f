// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// sights counts what the checks met: a check that meets nothing proves nothing.
var sights = map[string]int{"acknowledged releases, kept": 0, "forks that a witness refused": 0, "crashed states": 0, "opened shares": 0,
	"audited heads": 0, "failed disks": 0, "junk": 0, "late disclosures": 0, "barred gates": 0, "stated absences": 0,
	"claims ahead of time, refused by a gate": 0, "false times": 0, "nested policies": 0, "breaches": 0,
	"suspended accesses, refused by a gate": 0, "suspensions handed to a gate": 0, "openings after a response": 0}

var counting sync.Mutex // guards sights

func saw(what string) {
	if _, ok := sights[what]; !ok {
		panic(what)
	}
	counting.Lock()
	defer counting.Unlock()
	sights[what]++
}

// breaks records a broken invariant, from any goroutine. mu is held.
func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, "invariant "+fmt.Sprintf(format, args...))
}

// check fails the test if an invariant was broken in the last step.
func (w *world) check(t *rapid.T) {
	synctest.Wait() // a sequence must be the same each time
	outbox := make(map[*custodian][]string)
	for _, c := range w.gates {
		if c.gate == nil {
			continue
		}
		if st, err := c.status(); err == nil { // else it is in the middle of a request
			outbox[c] = append(st.Releases, "known")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept(outbox)
	w.duesAreNear()
	for _, b := range w.branches {
		b.Report(func(args ...any) { t.Fatal(args...) })
	}
	if len(w.broken) > 0 {
		t.Fatal(strings.Join(w.broken, "\n"))
	}
}

func (c *custodian) status() (*gate.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.gate.Status(ctx)
}

// kept is invariant 1: what a gate holds to be logged is in the largest head. By
// invariant 2 it is in every later one.
func (w *world) kept(outbox map[*custodian][]string) {
	newest := w.largest(time.Now().Unix())
	for hash, p := range w.posted {
		if len(outbox[p.by]) == 0 || slices.Contains(outbox[p.by], p.seq) {
			continue
		}
		if i, ok := newest.on.logged[hash]; !ok || i >= newest.checkpoint.Size {
			w.breaks("1: the release %s of %s is not in the head of size %d", p.seq, p.by.name, newest.checkpoint.Size)
		}
		saw("acknowledged releases, kept")
	}
}

// meets notes a head that meets the policy, and checks what can be said about it.
func (w *world) meets(b *branch, v *tlog.Verified, anchor *tlog.Checkpoint) {
	cp := v.Checkpoint
	h := &head{on: b, checkpoint: cp, anchor: anchor, at: time.Now().Unix(), live: make(map[uint64]bool)}
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
		if bar.Obligation != nil && bar.Obligation.Rule == "disclosure" {
			saw("late disclosures")
		}
	}
	w.extends(h)
	w.timely(v)
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
		if !large.on.has(&small.checkpoint.Head) {
			w.breaks("2: two heads of sizes %d and %d meet the policy and conflict", small.checkpoint.Size, large.checkpoint.Size)
		}
	}
}

// timely checks the times of a head: fewer liars than Time move neither by more than the
// spread.
func (w *world) timely(v *tlog.Verified) {
	first, last := uint64(1)<<62, uint64(0)
	for _, c := range v.Witnesses {
		if !slices.Contains(w.liars, strings.TrimSuffix(c.Witness.Name, ".example")) {
			first, last = min(first, c.Time), max(last, c.Time)
		} else if c.Time != now("") {
			saw("false times")
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
	now, far := time.Now(), time.Now().Add(400*day)
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
		if saw("breaches"); slices.Contains([]string{"authority court", "custodian c1", "custodian c2", "auditor a1"}, v.By) {
			w.breaks("7: %s is blamed: %v", v.By, v)
		}
	}
}

// durableWitness is invariant 3 for a witness: the state that a crash would leave has what
// was just signed.
func (w *world) durableWitness(h *honest, at uint64) {
	c := h.config
	dir, err := os.MkdirTemp(w.dir, "crashed")
	if err == nil {
		defer os.RemoveAll(dir)
		c.Dir = filepath.Join(dir, "state")
		err = os.CopyFS(c.Dir, os.DirFS(h.config.Dir))
	}
	var again *witness.Witness
	if err == nil {
		again, err = witness.Open(context.Background(), c)
	}
	if err != nil {
		w.breaks("3: opening the state that a crash leaves: %v", err)
		return
	}
	defer again.Close()
	saw("crashed states")
	rec := httptest.NewRecorder()
	again.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/%x/checkpoint", sha256.Sum256([]byte(w.Origin))), nil))
	if got, err := tlog.ParseCheckpoint(rec.Body.Bytes()); err != nil || got.Size != h.last.Size || got.Root != h.last.Root {
		w.breaks("3: the witness %s signed the head of size %d at %d, and its state has not: %q", h.config.Name(), h.last.Size, at, rec.Body)
	}
}

// durableGate is invariant 3 for a gate: its journal has what it posts. It notes releases.
func (w *world) durableGate(name string, sub *event.Submission) {
	e := sub.Envelope.Event
	if b, err := os.ReadFile(filepath.Join(w.dir, name, "journal")); err != nil || !bytes.Contains(b, sub.Envelope.Bytes()) {
		w.breaks("3: custodian %s posts a %s that its journal lacks", name, e.Type)
	}
	for _, c := range w.gates {
		if body, ok := e.Body.(*event.Release); ok && c.name == name {
			w.posted[sub.Envelope.Hash()] = post{c, fmt.Sprint(body.Seq)}
		}
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

// opens is checked at the moment at which a gate opens a share. Invariant 4: its release
// is in a head that meets the policy, and the gate has seen each head that met the policy
// longer ago than a head may be stale. Under all of those the access is live. Invariant 5:
// witnesses and auditors vouch for the head that proves the access, and lately.
func (c *custodian) opens() {
	st, err := c.status()
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
		w.breaks("5: custodian %s opens under a head of size %d that never met the policy", c.name, st.Size)
		return
	}
	h := w.met[i]
	if index, ok := h.on.released[promise{access, c.name}]; !ok || index >= st.Size {
		w.breaks("4: custodian %s opens access %d at size %d without a release below it", c.name, access, st.Size)
	}
	saw("opened shares")
	if h.on.answered[c.asked.Warrant.Reference] {
		saw("openings after a response")
	}
	stale, skew := time.Duration(w.profile.Stale)*time.Second, time.Duration(w.profile.Skew)*time.Second
	if after, err := time.Parse(time.RFC3339, st.LoggedAfter); err != nil || now.Sub(after) > stale || after.After(now) {
		w.breaks("time: custodian %s opens at %s under a head logged after %s", c.name, now, st.LoggedAfter)
	}
	for _, p := range []*tlog.Policy{h.on.ledger.Charter().Witnesses, h.on.ledger.Charter().Auditors}[:1+len(w.auditors)] {
		v, err := p.Verify(c.under, w.Origin)
		if err != nil || now.Sub(time.Unix(int64(v.LoggedAfter), 0)) > stale {
			w.breaks("5: custodian %s opens access %d at %s under a head of size %d for which none vouches: %v", c.name, access, now, c.under.Size, err)
		}
	}
	if len(w.auditors) > 0 {
		saw("audited heads")
	}
	body := c.asked.Warrant.Envelope.Event.Body.(*event.Warrant)
	if e := c.asked.Access.Envelope.Event; e.Time.After(now.Add(skew)) || now.Before(body.NotBefore) || now.After(body.NotAfter) {
		w.breaks("time: custodian %s opens access %d at %s, which claims %s and is allowed from %s to %s", c.name, access, now, e.Time, body.NotBefore, body.NotAfter)
	}
	if seen := w.largest(now.Add(-stale).Unix() - 1); seen != nil && seen.checkpoint.Size > st.Size {
		w.breaks("4: custodian %s opens at size %d, and a head of size %d met the policy at %d", c.name, st.Size, seen.checkpoint.Size, seen.at)
	}
	for _, e := range c.handed {
		if e.warrant != c.asked.Warrant.Reference || e.at.Before(h.on.resumed[e.warrant]) {
			continue // a suspension that is older than a resumption has no effect
		}
		if i, ok := h.on.logged[e.hash]; (!ok || i >= st.Size) && now.Sub(e.at) < time.Duration(w.profile.Inclusion)*time.Second {
			w.breaks("4: custodian %s opens access %d, and a suspension of its warrant that was handed in is not in the log", c.name, access)
		}
	}
	if !h.live[access] || h.breach {
		w.breaks("4: custodian %s opens access %d, which is dead or barred at size %d", c.name, access, st.Size)
	}
}

// costsNothing is invariant 6: bad bytes cost a 4xx, change no state and hold up nothing.
// junk posts them, several times, since a gate may be in the middle of work of its own.
func (w *world) costsNothing(name, dir string, junk func() (codes []int)) {
	for range 5 {
		synctest.Wait()
		before, at := dirState(dir), time.Now()
		codes := junk()
		if bad := slices.IndexFunc(codes, func(c int) bool { return c < 400 || c > 499 }); bad >= 0 {
			w.breaks("6: %s answers %d to junk", name, codes[bad])
			return
		}
		if synctest.Wait(); dirState(dir) == before && time.Now().Equal(at) {
			saw("junk")
			return
		}
		time.Sleep(10 * time.Second)
	}
	w.breaks("6: junk changes the state of %s, or holds it up", name)
}

// dirState returns the content of a state directory.
func dirState(dir string) string {
	var out strings.Builder
	filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, _ := os.ReadFile(name)
			fmt.Fprintf(&out, "%s %q\n", name, b)
		}
		return nil
	})
	return out.String()
}

// statesNoAbsence is invariant 9: a scan that finds nothing was shown a fresh head, and no
// head that met the policy longer ago than a head may be stale has a notice.
func (w *world) statesNoAbsence(r *scan.Report, served []byte) {
	if r.Outcome() != scan.Nothing {
		return
	}
	saw("stated absences")
	stale := time.Now().Unix() - int64(w.profile.Stale)
	cp, err := tlog.ParseCheckpoint(served)
	var v *tlog.Verified
	if err == nil {
		v, err = w.policy.Verify(cp, w.Origin)
	}
	if err != nil || int64(v.LoggedAfter) < stale {
		w.breaks("9: the scan states an absence after %d under a head that is no fresh one: %+v %v", stale, v, err)
	}
	if h := w.largest(stale - 1); h != nil && h.on.shown > 0 && h.on.shown <= h.checkpoint.Size {
		w.breaks("9: the scan states an absence, and a notice is disclosed below size %d", h.on.shown)
	}
}
