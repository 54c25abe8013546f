// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// amendment returns the next charter, changed and signed.
func (w *world) amendment(version uint64, prev event.Reference, change func(ch *event.Charter)) *event.Envelope {
	w.t.Helper()
	ch := w.charter()
	ch.Version, ch.Prev = version, &prev
	change(ch)
	return signedAt(w.t, w.now(), ch, w.founder)
}

// TestAmendWitnesses checks that the head that first contains a change of the witnesses
// meets the old and the new policy, and is published as a step of its own. Later heads
// meet the new policy alone.
func TestAmendWitnesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 2)
	old := w.witnesses
	w.witnesses = append(old, newWitness(t, "new1.example", w.keys, w.seen), newWitness(t, "new2.example", w.keys, w.seen))
	w.quorum = 2
	w.urls(w.witnesses)
	w.start()
	w.append(w.warrant())
	added := w.witnesses[2:]
	added[0].answer(down)
	amend := w.amendment(2, referTo(0, w.founding), func(ch *event.Charter) { ch.WitnessPolicy = policyOf(added, 2, false) })
	at := w.mustSequence(amend.Bytes())
	w.mustSequence(w.warrant())
	w.mustSequence(w.warrant())
	// The old witnesses cosign; one of the new ones does not.
	eventually(t, func() error {
		if w.seen.size() < at+1 {
			return errors.New("the step was not offered")
		}
		return nil
	})
	if cp := w.checkpoint(); cp.Size != at {
		t.Fatalf("published without the new witnesses: %d entries", cp.Size)
	}
	var refused atomic.Int32
	old[0].answer(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		refused.Add(1)
		down(rw, r, h)
	})
	eventually(t, func() error { // a round in which it cosigned may still wait for the new one
		if refused.Load() < 2 {
			return errors.New("it was not asked again")
		}
		return nil
	})
	added[0].answer(nil)
	w.never(at+1, 20)
	old[0].answer(nil)
	w.published(at + 3)
	// The step itself was published; a client that follows finds it.
	if !w.seen.has(at + 1) {
		t.Error("no head ends with the amendment")
	}
	old[0].answer(down)
	old[1].answer(down)
	p := w.append(w.warrant())
	if _, err := parsePolicy(t, w, policyOf(added, 2, false)).Verify(p.Checkpoint, ""); err != nil {
		t.Error(err)
	}
	w.stop()
	w.start() // hears the new ones alone
	w.append(w.warrant())
	w.audit()
}

// TestStepIsRead checks that the tree of a head that ends with an amendment can be read
// while no later head can be published, also if the amendment came among other events.
func TestStepIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 2)
	fresh := newWitness(t, "new.example", w.keys, w.seen)
	w.witnesses = append(w.witnesses, fresh)
	w.urls(w.witnesses)
	w.start()
	w.append(w.warrant())
	amend := w.amendment(2, referTo(0, w.founding), func(ch *event.Charter) { ch.WitnessPolicy = policyOf([]*witnessServer{fresh}, 1, false) })
	entries := slices.Concat(w.warrants(100), [][]byte{amend.Bytes()}, w.warrants(100))
	const step = 2 + 101 // the size of the tree that ends with the amendment
	fresh.answer(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		body, err := io.ReadAll(r.Body)
		if req, perr := tlog.ParseAddCheckpoint(body); err != nil || perr != nil || req.Checkpoint.Size > step {
			down(rw, r, h)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(rw, r)
	})
	w.stream(entries, "sequenced")
	eventually(t, func() error {
		if cp := w.checkpoint(); cp.Size != step {
			return fmt.Errorf("a head of size %d is published; want %d", cp.Size, step)
		}
		return nil
	})
	if n := len(w.read()); n != step {
		t.Errorf("%d entries were read; want %d", n, step)
	}
	fresh.answer(nil)
	w.published(step + 100)
	w.audit()

	// So it can in a copy of the tree.
	w.stop()
	dir := filepath.Join(t.TempDir(), "tree")
	_, err := w.move(nil, dir)
	check(t, err)
	if _, err := client.Dir(dir).ReadTile(t.Context(), tlog.Tile{Level: tlog.Entries, Width: step}); err != nil {
		t.Errorf("the copy can't be read up to the amendment: %v", err)
	}
}

func parsePolicy(t testing.TB, w *world, text string) *tlog.Policy {
	t.Helper()
	p, err := tlog.ParsePolicy([]byte(fmt.Sprintf("log %s\n", w.keys[0].Verifier()) + text))
	check(t, err)
	return p
}

// urls makes a policy without a quorum that says where witnesses are.
func (w *world) urls(witnesses []*witnessServer) {
	w.t.Helper()
	text := ""
	for i, s := range witnesses {
		text += fmt.Sprintf("witness u%d %s %s\n", i, s.key.Verifier(), s.URL)
	}
	w.policy = parsePolicy(w.t, w, text+"quorum none\n")
}

// has returns whether a head of the size was seen.
func (s *sightings) has(size uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heads {
		if h.Size == size {
			return true
		}
	}
	return false
}

// never checks that the log does not publish a size while it asks its witnesses
// some more times.
func (w *world) never(size uint64, rounds int) {
	w.t.Helper()
	for range rounds {
		if cp := w.checkpoint(); cp.Size >= size {
			w.t.Fatalf("published: %d entries", cp.Size)
		}
		if _, err := w.sequence(w.warrant()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestAmendKeys checks that the keys that the charter in force names sign the heads,
// from the first head that contains the charter.
func TestAmendKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 0)
	next, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	first := w.keys
	w.config.Keys = []*tlog.Signer{first[0], first[1], next}
	w.start()
	if p := w.append(w.warrant()); p.Checkpoint.Find(next.Verifier()) != nil || len(p.Checkpoint.Signatures) != 2 {
		t.Errorf("a key signs that no charter names; %d lines", len(p.Checkpoint.Signatures))
	}
	w.keys = []*tlog.Signer{next}
	amend := w.amendment(2, referTo(0, w.founding), func(*event.Charter) {})
	// Both sign the head that ends with the amendment.
	if p := w.append(amend.Bytes()); p.Checkpoint.Find(next.Verifier()) == nil || len(p.Checkpoint.Signatures) != 3 {
		t.Errorf("%d lines when the keys change", len(p.Checkpoint.Signatures))
	}
	w.policy = parsePolicy(t, w, "quorum none\n") // by the new key
	if p := w.append(w.warrant()); p.Checkpoint.Find(next.Verifier()) == nil || len(p.Checkpoint.Signatures) != 1 {
		t.Errorf("%d lines under the new charter", len(p.Checkpoint.Signatures))
	}
	w.stop()
	w.config.Keys = first
	if err := w.open(); err == nil || !strings.Contains(err.Error(), "no signature by any of the keys given") {
		t.Errorf("opened with the old keys alone: %v", err)
	}
	w.config.Keys = []*tlog.Signer{next}
	w.start()
	w.append(w.warrant())
	w.audit()
}

// TestAmendRoles checks that a key that a charter no longer names signs nothing more,
// and that a new one does at once.
func TestAmendRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.append(w.warrant())
	was := w.authority
	w.authority = newSigner()
	if _, err := w.sequence(w.warrant()); !isProblem(err, "unknown-signer") {
		t.Errorf("before the amendment: %v", err)
	}
	w.append(w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes())
	w.append(w.warrant())
	w.refused(warrant(t, origin, was), "role", "ended")
	w.audit()
}

// TestSnapshots checks that a start reads what came since the last snapshot, and that a
// snapshot that is gone, damaged or of another log only costs time.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	ref := w.put(newWarrant(t, origin, warrantTerms{accesses: 40, accounts: 40}, w.authority))
	on := func() { w.put(w.newAccess(ref, w.now().Add(3600e9))) }
	on()
	w.stop()
	name := filepath.Join(w.state(), "ledger")
	good, err := os.ReadFile(name)
	check(t, err)
	other := newWorld(t, 0, 0)
	other.start()
	other.stop()
	foreign, err := os.ReadFile(filepath.Join(other.state(), "ledger"))
	check(t, err)
	other.start()
	other.stream(other.warrants(20), "sequenced")
	other.stop()
	longer, err := os.ReadFile(filepath.Join(other.state(), "ledger"))
	check(t, err)
	used := uint64(1)
	for _, c := range []struct {
		name string
		harm func()
		says string
	}{
		{"as it is", func() {}, ""},
		{"an earlier one", func() { check(t, os.WriteFile(name, good, 0o600)) }, ""},
		{"gone", func() { check(t, os.Remove(name)) }, ""},
		{"damaged", func() { flip(t, name, int64(len(good)/2)) }, "damaged"},
		{"cut off", func() { check(t, os.Truncate(name, 30)) }, "snapshot"},
		{"empty", func() { check(t, os.Truncate(name, 0)) }, "snapshot"},
		{"another log's", func() { check(t, os.WriteFile(name, foreign, 0o600)) }, "not a snapshot of this tree"},
		{"of a longer tree", func() { check(t, os.WriteFile(name, longer, 0o600)) }, "it has more entries"},
	} {
		c.harm()
		said := w.listen()
		w.start()
		if c.says != "" {
			check(t, said.says(c.says))
		} else if strings.Contains(said.String(), "snapshot") {
			t.Errorf("%s: %s", c.name, said)
		}
		on()
		used++
		w.stop()
	}
	w.start()
	for ; used < 40; used++ {
		on()
	}
	w.refused(bytesOf(t, w.newAccess(ref, w.now().Add(3600e9))), "warrant-live", "accesses")
	w.audit()
}

// TestFailedBatch checks that events that were applied and not stored do not change how
// the next ones are checked.
func TestFailedBatch(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			w := newWorld(t, 1, 1)
			var fail bool
			w.wrap = func(e log.Engine) log.Engine {
				return failing{e, func() error {
					if !fail {
						return nil
					}
					fail = false
					return errors.New("the disk is on fire")
				}, after}
			}
			w.start()
			ref := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
			fail = true
			first := bytesOf(t, w.newAccess(ref, w.now().Add(3600e9)))
			_, err := w.sequence(first)
			if after {
				check(t, err) // it was stored after all, and the log has read it
				w.refused(bytesOf(t, w.newAccess(ref, w.now().Add(3600e9))), "warrant-live", "accesses")
			} else {
				if !isProblem(err, "storage") {
					t.Errorf("a failed write: %v", err)
				}
				w.put(w.newAccess(ref, w.now().Add(3600e9))) // the warrant bears it still
				w.refused(first, "warrant-live", "accesses")
			}
			w.audit()
		})
	}
}
