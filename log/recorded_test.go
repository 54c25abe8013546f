// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// again signs the event of an envelope by other signers.
func again(t testing.TB, env *event.Envelope, by ...event.Signer) *event.Envelope {
	t.Helper()
	out, err := event.Sign(env.Event, by...)
	check(t, err)
	return out
}

// TestStrangersSignatureBlocksNoOne checks that another party's signature of an event
// does not make the signer's own envelope a duplicate, one by one and within one batch.
func TestStrangersSignatureBlocksNoOne(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, 1, 1)
	stranger := w.Signer("holder2")
	w.extra = func(ch *event.Charter) { w.Cast(ch, event.RoleCustodian, "holder", "holder2") }
	w.create()
	w.start()
	now := time.Now()
	for batch := range 2 {
		beat := signedAt(t, now, &event.Heartbeat{From: whole(now.Add(time.Duration(batch-2) * time.Hour)), To: whole(now.Add(time.Duration(batch-1) * time.Hour))}, w.custodian)
		theirs := again(t, beat, stranger)
		var at [2]uint64
		if batch == 0 {
			at = [2]uint64{w.mustSequence(theirs.Bytes()), w.mustSequence(beat.Bytes())}
		} else {
			for i, r := range w.stream([][]byte{theirs.Bytes(), beat.Bytes()}, "sequenced") {
				at[i] = *r.Index
			}
		}
		if at[0] == at[1] {
			t.Fatalf("the custodian's event is answered with the stranger's, at %d", at[0])
		}
		if p := w.append(beat.Bytes()); p.Index != at[1] || !bytes.Equal(p.Extra, beat.Bytes()) {
			t.Errorf("again: at %d; want %d", p.Index, at[1])
		}
		if p := w.append(theirs.Bytes()); p.Index != at[0] {
			t.Errorf("the stranger's again: at %d; want %d", p.Index, at[0])
		}
	}
	w.audit()
}

// newKMSWorld returns a world whose authority's key makes another signature each time.
func newKMSWorld(t *testing.T) *world {
	w := prepareWorld(t, 1, 1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	w.authority, err = event.NewSigner(key)
	check(t, err)
	w.create()
	return w
}

// signedTwice returns two envelopes of a warrant.
func (w *world) signedTwice() (first, second []byte) {
	s := newWarrant(w.t, origin, warrantTerms{}, w.authority)
	first = bytesOf(w.t, s)
	for second = first; bytes.Equal(first, second); second = bytesOf(w.t, s) {
		s.Envelope = again(w.t, s.Envelope, w.authority)
	}
	return first, second
}

// TestSignedTwice checks that an event whose key makes another signature each time, as a
// KMS may, is answered with its first envelope, also within one batch.
func TestSignedTwice(t *testing.T) {
	t.Parallel()
	w := newKMSWorld(t)
	w.start()
	first, second := w.signedTwice()
	at := w.mustSequence(first)
	resp, answer := w.post("", "application/json", second)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("signed again: %s: %s", resp.Status, answer)
	}
	p, err := tlog.ParseProof(answer)
	check(t, err)
	if p.Index != at || !bytes.Equal(p.Extra, entryOf(first)) {
		t.Errorf("signed again: at %d; want %d", p.Index, at)
	}
	first, second = w.signedTwice()
	results := w.lines(fmt.Sprintf("%s\n%s\n", first, second), "cosigned")
	if len(results) != 2 || results[0].Error != nil || results[1].Error != nil || *results[0].Index != *results[1].Index || !results[1].Duplicate {
		t.Errorf("in one batch: %+v", results)
	}
	w.audit()
}

// TestStrangersEntry checks that the log neither signs nor serves an entry that another
// writer of the engine added and that admission would have refused, and that it names
// the entry: while it runs, and at a start.
func TestStrangersEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	f := new(faulty)
	w.wrap = f.wrap
	w.start()
	w.append(w.warrant())
	strange := entryOf(warrant(t, origin, newSigner()))
	f.onAdd(func(ctx context.Context, _ [][]byte) (uint64, error) {
		f.heal()
		_, err := f.Engine.Add(ctx, [][]byte{strange})
		return 0, errors.Join(err, errors.New("lost"))
	})
	if index, err := w.sequence(w.warrant()); err == nil {
		t.Fatalf("acknowledged at %d", index)
	}
	eventually(t, func() error {
		if err := w.log.Err(); !errors.Is(err, log.ErrStranger) {
			return fmt.Errorf("the log says %w", err)
		}
		return nil
	})
	check(t, says(w.log.Err(), "entry 2"))
	if cp := w.checkpoint(); cp.Size != 2 || w.seen.size() > 2 {
		t.Errorf("a head with the stranger's entry was signed: %d", w.seen.size())
	}
	w.stop()
	w.refuses(log.ErrStranger, "entry 2")
}

// says returns nil if the error has the text.
func says(err error, text string) error {
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte(text)) {
		return fmt.Errorf("%v does not say %q", err, text)
	}
	return nil
}

// TestRetiredKeyStopsNothing checks that a head signed with a log key that an amendment
// has replaced, shown by a witness, does not stop the log.
func TestRetiredKeyStopsNothing(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, 1, 1)
	next, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	old := w.keys
	w.witnesses = nil
	for i := range 2 {
		w.witnesses = append(w.witnesses, newWitness(t, fmt.Sprintf("w%d.example", i), append(slices.Clone(old), next), w.seen))
	}
	w.setPolicy(1)
	w.create()
	w.config.Keys = append(slices.Clone(old), next)
	w.start()
	w.append(w.warrant())
	w.keys = []*tlog.Signer{next}
	w.append(w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes())
	w.setPolicy(1)
	w.append(w.warrant())
	for _, size := range []uint64{2, 4, 1000} {
		head := tlog.Head{Origin: origin, Size: size, Root: [32]byte{1}}
		sig, err := old[0].Sign(&head, 0)
		check(t, err)
		shown := (&tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}).Bytes()
		var asked atomic.Int32
		w.witnesses[1].answer(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
			switch {
			case r.Method == http.MethodGet:
				asked.Add(1)
				rw.Write(shown)
			case size == 1000:
				rw.WriteHeader(http.StatusConflict)
				io.WriteString(rw, "1000\n")
			default:
				rw.WriteHeader(http.StatusUnprocessableEntity)
			}
		})
		eventually(t, func() error {
			w.append(w.warrant())
			if asked.Load() < 2 {
				return errors.New("the head was not shown")
			}
			return nil
		})
		if err := w.log.Err(); err != nil {
			t.Errorf("a head of size %d by the old key: %v", size, err)
		}
		w.witnesses[1].answer(nil)
	}
}

// TestStrippedRecovery checks that a recovery works if a copy of it without one of its
// signatures was logged before, as an ordinary amendment.
func TestStrippedRecovery(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, 1, 1)
	second := w.Signer("founder2")
	w.extra = func(ch *event.Charter) {
		w.Cast(ch, event.RoleCharter, "founder", "founder2")
		ch.Thresholds.Amend, ch.Thresholds.Recover = 1, 2
	}
	w.create()
	w.start()
	w.append(w.warrant())
	lost := w.witnesses
	w.witnesses = []*witnessServer{newWitness(t, "new1.example", w.keys, w.seen)}
	w.urls(append(slices.Clone(w.witnesses), lost...))
	stripped := w.amendment(2, referTo(0, w.founding), func(ch *event.Charter) { ch.WitnessPolicy = policyOf(w.witnesses, 1, false) })
	lost[0].answer(down)
	w.mustSequence(stripped.Bytes())
	w.stop()
	w.urls(w.witnesses)
	w.config.Recovery = again(t, stripped, w.founder, second).Bytes()
	w.start()
	w.append(w.warrant())
}
