// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

func testLeaves(n int) []tlog.Hash {
	var leaves []tlog.Hash
	for i := range n {
		leaves = append(leaves, rfcLeaf(fmt.Append(nil, i)))
	}
	return leaves
}

// TestForgedTrees holds the forger's trees to the judge that the witnesses use:
// what it forges fails for what it says, and not for a mistake of the forger.
func TestForgedTrees(t *testing.T) {
	for n := 1; n <= 40; n++ {
		leaves := testLeaves(n)
		for m := 1; m <= n; m++ {
			if err := tiles.VerifyConsistency(uint64(m), treeRoot(leaves[:m]), uint64(n), treeRoot(leaves), consistency(leaves, uint64(m))); err != nil {
				t.Fatalf("from %d to %d: %v", m, n, err)
			}
		}
	}
}

// testProof is a proof of a real event in a tree of one, under two witnesses.
type testProof struct {
	log       operator
	witnesses []operator
	proof     *tlog.Proof
}

func newTestProof(t *testing.T) *testProof {
	t.Helper()
	p := &testProof{}
	check(t, eachOperator(func(file, name string, isLog bool) error {
		o := operator{name: file}
		for _, k := range keyFiles(isLog) {
			key, err := tlog.GenerateSigner(name, k.algorithm)
			if err != nil {
				return err
			}
			o.keys = append(o.keys, key)
		}
		if isLog {
			p.log = o
		} else {
			p.witnesses = append(p.witnesses, o)
		}
		return nil
	}))
	r := oneRow(t, nil)
	e := sign(t, testSigners(t, []row{*r}), r)
	head, err := signHead(p.log, tlog.Head{Origin: origin, Size: 1, Root: rfcLeaf(e.Envelope)})
	check(t, err)
	for _, w := range p.witnesses {
		for _, k := range w.keys {
			line, err := k.Sign(&head.Head, uint64(time.Now().Unix()))
			check(t, err)
			head.Signatures = append(head.Signatures, line)
		}
	}
	p.proof = &tlog.Proof{Extra: e.Envelope, Checkpoint: head}
	return p
}

// policy asks for a number of the witnesses, by their Ed25519 keys.
func (p *testProof) policy(t *testing.T, quorum string) *verify.Policy {
	t.Helper()
	text := fmt.Sprintf("log %s\n", p.log.keys[0].Verifier())
	names := ""
	for _, w := range p.witnesses {
		text += fmt.Sprintf("witness %s %s\n", w.name, w.keys[0].Verifier())
		names += " " + w.name
	}
	policy, err := verify.ParsePolicy([]byte(text + "group g " + quorum + names + "\nquorum g\n"))
	check(t, err)
	return policy
}

// TestAttacksCanSucceed shows each attack a victim that lets it pass: the demo
// must notice.
func TestAttacksCanSucceed(t *testing.T) {
	p := newTestProof(t)
	two, all := p.policy(t, "2"), p.policy(t, "all")
	last := p.witnesses[numWitnesses-1]
	if _, _, err := twoOfThree(two, all, p.proof, last); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if _, _, err := twoOfThree(two, two, p.proof, last); !errors.Is(err, errSucceeded) {
		t.Errorf("two of three, under a policy that two meet: %v", err)
	}
	if _, _, err := changeByte(two, p.proof); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if _, err := refusedBy(two, p.proof, verify.NotIncluded); !errors.Is(err, errSucceeded) {
		t.Errorf("a proof that was not changed: %v", err)
	}
	if _, err := refusedBy(all, &tlog.Proof{Extra: []byte("x"), Checkpoint: p.proof.Checkpoint}, verify.NoQuorum); err == nil || errors.Is(err, errSucceeded) {
		t.Errorf("a forgery that is refused for another reason: %v", err)
	}

	status := http.StatusOK
	gullible := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/checkpoint") {
			w.Write(p.proof.Checkpoint.Bytes())
			return
		}
		w.WriteHeader(status)
	}))
	defer gullible.Close()
	leaves := []tlog.Hash{p.proof.Checkpoint.Root}
	if _, err := forkHead(t.Context(), p.log, gullible.URL, last, leaves); !errors.Is(err, errSucceeded) {
		t.Errorf("a witness that cosigns a fork: %v", err)
	}
	status = http.StatusNotFound
	if _, err := forkHead(t.Context(), p.log, gullible.URL, last, leaves); err == nil {
		t.Error("a witness that answers 404 to a fork passes for one that refuses it")
	}
	status = http.StatusUnprocessableEntity
	if a, err := forkHead(t.Context(), p.log, gullible.URL, last, leaves); err != nil || len(a.Refused) != 2 {
		t.Errorf("a witness that refuses both forks: %v, %v", a, err)
	}
}

func TestSampled(t *testing.T) {
	for n := 1; n <= 70; n++ {
		for keep := 0; keep <= n+1; keep++ {
			got, want := 0, keep
			for i := range n {
				if sampled(i, n, keep) {
					got++
				}
			}
			if keep == 0 || keep > n {
				want = n
			}
			if got != want || !sampled(0, n, keep) || keep != 1 && !sampled(n-1, n, keep) {
				t.Errorf("%d of %d kept, %d wanted", got, n, keep)
			}
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, "events", 10)
	if p.bar {
		t.Fatal("a buffer passes for a terminal")
	}
	p.set(1) // too soon to say anything
	p.set(10)
	if lines := strings.Split(b.String(), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "10 of 10 events in ") {
		t.Errorf("progress: %q", lines)
	}
	if got := p.line(5, 2*time.Second); got != "5 of 10 events, 2 a second, 2s left" {
		t.Errorf("line: %q", got)
	}
	b.Reset()
	p.bar, p.every = true, 0
	p.set(5)
	if got := b.String(); !strings.HasPrefix(got, "\r\x1b[K[===============               ] 5 of 10 events") || strings.Contains(got, "\n") {
		t.Errorf("bar: %q", got)
	}
}
