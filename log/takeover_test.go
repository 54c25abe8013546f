// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestRecoverQuorum loses the witnesses for good. It checks that a recovery takes the
// log to new witnesses, and that what was sequenced meanwhile is published, with
// amendments that the old witnesses would have had to cosign.
func TestRecoverQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 2)
	w.start()
	w.append(w.warrant())
	old := w.witnesses
	for _, s := range old {
		s.answer(down)
	}
	stuck := w.amendment(2, referTo(0, w.founding), func(*event.Charter) {})
	at := w.mustSequence(stuck.Bytes())
	w.mustSequence(w.warrant())
	eventually(t, func() error { // it has signed what it can't publish
		if w.seen.size() < at+1 {
			return errors.New("nothing was offered")
		}
		return nil
	})
	w.stop()

	w.witnesses = []*witnessServer{newWitness(t, "new1.example", w.keys, w.seen), newWitness(t, "new2.example", w.keys, w.seen)}
	w.urls(w.witnesses)
	recovery := w.amendment(3, referTo(at, stuck), func(ch *event.Charter) { ch.WitnessPolicy = policyOf(w.witnesses, 2, false) })
	w.config.Recovery = recovery.Bytes()
	w.start()
	p := w.append(w.warrant())
	if _, err := parsePolicy(t, w, policyOf(w.witnesses, 2, false)).Verify(p.Checkpoint, ""); err != nil {
		t.Error(err)
	}
	if !w.seen.has(at + 3) {
		t.Error("no head ends with the recovery")
	}
	// The next start does not need it, and accepts it again.
	w.stop()
	said := w.listen()
	w.start()
	check(t, said.says("took the log over before"))
	w.append(w.warrant())
	w.stop()
	w.config.Recovery = nil
	w.start()
	w.append(w.warrant())
	w.audit()
}

// TestRecoverKey loses the log's keys. It checks that a recovery names another, with
// which the log's own witness goes on.
func TestRecoverKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.append(w.warrant())
	w.stop()
	next, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	lost := w.keys
	w.keys = []*tlog.Signer{next}
	dir := filepath.Join(t.TempDir(), "witness")
	copyDir(t, w.witnesses[0].dir, dir)
	w.witnesses = []*witnessServer{openWitness(t, dir, w.witnesses[0].key, w.keys, w.seen)}
	w.urls(w.witnesses)
	if err := w.open(); err == nil || !strings.Contains(err.Error(), "no signature by any of the keys given") {
		t.Fatalf("opened with a new key alone: %v", err)
	}

	recovery := w.amendment(2, referTo(0, w.founding), func(*event.Charter) {})
	w.config.Recovery = recovery.Bytes()
	w.start()
	if p := w.append(w.warrant()); p.Checkpoint.Find(next.Verifier()) == nil || p.Checkpoint.Find(lost[0].Verifier()) != nil {
		t.Error("the head is not signed by the new key alone")
	}
	w.stop()
	w.config.Recovery = nil
	w.start()
	w.append(w.warrant())
	w.audit()
}

// TestRecoverRefused checks that an event that is no recovery of this log, or a
// recovery without its key, leaves the log as it was.
func TestRecoverRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 0)
	stranger, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	prev := referTo(0, w.founding)
	amend := func(change func(*event.Charter)) []byte { return w.amendment(2, prev, change).Bytes() }
	forged := w.amendment(2, prev, func(*event.Charter) {})
	forged.Signatures[0].Sig[7] ^= 1
	for _, c := range []struct {
		name     string
		recovery []byte
		says     string
	}{
		{"no entry", []byte("{}"), "malformed"},
		{"no charter", w.heartbeat(), "takes a charter"},
		{"the charter in force", w.founding.Bytes(), "middle"},
		{"another version", w.amendment(3, prev, func(*event.Charter) {}).Bytes(), "version"},
		{"of another entry", w.amendment(2, event.Reference{Index: 0, Leaf: [32]byte{1}}, func(*event.Charter) {}).Bytes(), "prev"},
		{"a signature that does not verify", forged.Bytes(), "signature"},
		{"by a stranger", signed(t, forged.Event.Body, newSigner()).Bytes(), "unknown"},
		{"a key that is not here", amend(func(ch *event.Charter) { ch.LogKeys = []string{stranger.Verifier().String()} }), errNoKeys},
	} {
		w.config.Recovery = c.recovery
		err := w.open()
		if err == nil {
			w.stop()
			t.Fatalf("%s: the log opened", c.name)
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	w.config.Recovery = nil
	w.start()
	w.append(w.warrant())
	w.audit()
}

const errNoKeys = "none of the keys given"
