// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const testOrigin = "log.example/first"

// world is a small log with three witnesses, all with real keys, whose tree
// and proofs are made by golang.org/x/mod/sumdb/tlog.
type world struct {
	t         testing.TB
	log       *tlog.Signer
	witnesses []*tlog.Signer
	signers   []event.Signer
	entries   [][]byte
	hashes    []sumdb.Hash
}

func (w *world) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	out := make([]sumdb.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = w.hashes[x]
	}
	return out, nil
}

// newWorld makes a log of n entries, each a warrant signed by both signers.
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	p := people.New(testOrigin, "")
	w := &world{t: t, log: p.Log(), signers: []event.Signer{p.Signer("one"), p.Signer("two")}}
	for i := range 3 {
		w.witnesses = append(w.witnesses, p.Note(fmt.Sprintf("witness.example/w%d", i), tlog.CosignatureEd25519))
	}
	for range n {
		w.add(w.envelope(testOrigin, w.signers[0]).Bytes())
	}
	return w
}

func (w *world) envelope(log string, signers ...event.Signer) *event.Envelope {
	w.t.Helper()
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e, err := event.New(log, &event.Warrant{
		Decision: event.Granted, Provider: "provider", Instrument: "stpo-100b", Offence: "murder",
		Accounts: 1, Accesses: 1, NotBefore: from, NotAfter: from.AddDate(0, 1, 0),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	digests := func(n int) (d []event.Digest) {
		for i := range n {
			d = append(d, sha256.Sum256(append(e.ID[:], byte(n), byte(i))))
		}
		return d
	}
	e.Sealed = &event.Sealed{Until: from.AddDate(1, 0, 0), Public: digests(4), Subject: digests(3)}
	if err := e.Sort(); err != nil {
		w.t.Fatal(err)
	}
	env, err := event.Sign(e, signers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return env
}

func (w *world) add(entry []byte) (index int) {
	w.t.Helper()
	more, err := sumdb.StoredHashes(int64(len(w.entries)), entry, w)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hashes = append(w.hashes, more...)
	w.entries = append(w.entries, entry)
	return len(w.entries) - 1
}

func (w *world) head() tlog.Head {
	w.t.Helper()
	root, err := sumdb.TreeHash(int64(len(w.entries)), w)
	if err != nil {
		w.t.Fatal(err)
	}
	return tlog.Head{Origin: testOrigin, Size: uint64(len(w.entries)), Root: tlog.Hash(root)}
}

// at is when the i-th signer signs.
func at(i int) uint64 { return 1_800_000_000 + 10*uint64(i) }

// proof returns the proof of an entry under a head that all the signers sign,
// the i-th at at(i).
func (w *world) proof(index int, signers ...*tlog.Signer) *tlog.Proof {
	w.t.Helper()
	h := w.head()
	c := &tlog.Checkpoint{Head: h}
	for i, s := range signers {
		line, err := people.Cosign(h, at(i), s)
		if err != nil {
			w.t.Fatal(err)
		}
		c.Signatures = append(c.Signatures, line.Signatures...)
	}
	hashes, err := sumdb.ProveRecord(int64(h.Size), int64(index), w)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &tlog.Proof{Extra: w.entries[index], Index: uint64(index), Checkpoint: c}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	return p
}

// whole is the proof with the log's line and those of all three witnesses.
func (w *world) whole(index int) *tlog.Proof {
	w.t.Helper()
	return w.proof(index, append([]*tlog.Signer{w.log}, w.witnesses...)...)
}

// policy asks for k of the three witnesses A, B, C.
func (w *world) policy(k int) *Policy {
	w.t.Helper()
	var list []people.Witness
	for i, s := range w.witnesses {
		list = append(list, people.Witness{Name: string(rune('A' + i)), Keys: []*tlog.VerifierKey{s.Verifier()}})
	}
	return parsePolicy(w.t, fmt.Sprintf("log %s\n%s", w.log.Verifier(), people.Policy(k, list...)))
}

func parsePolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// know is an Options.Signers of these keys.
func know(signers ...event.Signer) func(string) *event.PublicKey {
	return func(id string) *event.PublicKey {
		for _, s := range signers {
			if s.KeyID() == id {
				return s.Public()
			}
		}
		return nil
	}
}

func wantReason(t *testing.T, in *Inclusion, err error, want Reason) {
	t.Helper()
	if err == nil {
		t.Fatalf("verified: %+v", in.Report())
	}
	if in != nil {
		t.Error("an Inclusion with an error")
	}
	if got := reasonOf(err); got != want {
		t.Errorf("reason %q, want %q: %v", got, want, err)
	}
	if VerdictOf(err) != want.Verdict() || VerdictOf(err) == Proven {
		t.Errorf("verdict %v for %v", VerdictOf(err), err)
	}
}
