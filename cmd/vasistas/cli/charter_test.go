// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

const testOrigin = "log.example/2026"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventSigner(t testing.TB, name string) event.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	s, err := event.NewSigner(ed25519.NewKeyFromSeed(seed[:]))
	check(t, err)
	return s
}

func verifierKey(t testing.TB, name, seed string, a tlog.Algorithm) string {
	t.Helper()
	h := sha256.Sum256([]byte(seed))
	k, err := tlog.NewVerifierKey(name, a, ed25519.NewKeyFromSeed(h[:]).Public().(ed25519.PublicKey))
	check(t, err)
	return k.String()
}

// testCharter has something of everything, and n founders, two of which amend.
func testCharter(t testing.TB, n int) *event.Charter {
	t.Helper()
	p, err := profile.Load("de")
	check(t, err)
	party := func(role event.Role, name string, keys ...string) event.Party {
		out := event.Party{Name: name, Role: role}
		for _, k := range keys {
			out.Keys = append(out.Keys, eventSigner(t, k).Public())
		}
		return out
	}
	court, appeal, dog := party(event.RoleAuthority, "court", "judge-1", "judge-2"), party(event.RoleAuthority, "appeal", "judge-3"), party(event.RoleAuditor, "dog", "dog")
	court.Kind, appeal.Kind, appeal.Above = "court", "court", []string{"court"}
	dog.Cosigners = []string{verifierKey(t, "dog.example", "dog cosigner", tlog.CosignatureEd25519)}
	custodian := func(name string) event.Party {
		c, h := party(event.RoleCustodian, name, name), sha256.Sum256([]byte(name+" gate"))
		c.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: h[:]}}
		return c
	}
	ch := &event.Charter{
		Version: 1, Rules: 2, Profile: p, Thresholds: event.Thresholds{Amend: 2, Recover: 3},
		LogKeys:       []string{verifierKey(t, testOrigin, "log", tlog.Ed25519), verifierKey(t, testOrigin, "log 2", tlog.Ed25519)},
		Parties:       []event.Party{court, appeal, dog, party(event.RoleDuty, "court", "duty"), party(event.RoleProvider, "messenger", "messenger"), custodian("a"), custodian("b")},
		Groups:        []event.Group{{ID: "main", Threshold: 1, Members: []string{"a", "b"}}},
		Void:          []event.Void{{From: 9, Key: eventSigner(t, "lost").KeyID()}},
		WitnessPolicy: "witness w " + verifierKey(t, "w.example", "w", tlog.CosignatureEd25519) + "\nquorum w\n",
		AuditPolicy:   "witness dog " + dog.Cosigners[0] + "\nquorum dog\n",
	}
	for i := range n {
		name := fmt.Sprintf("founder-%d", i+1)
		ch.Parties = append(ch.Parties, party(event.RoleCharter, name, name))
	}
	return ch
}

// newCharter makes what a log would take, as the command does.
func newCharter(log string, ch *event.Charter) (*event.Event, error) {
	file, err := makeCharter(log, ch)
	if err != nil {
		return nil, err
	}
	return file.event, file.check()
}

func testEvent(t testing.TB, ch *event.Charter) *event.Event {
	t.Helper()
	ev, err := event.New(testOrigin, ch)
	check(t, err)
	return ev
}

// A charter in force may come as a proof file, which says where it stands.
func TestFromProof(t *testing.T) {
	envelope, err := event.Sign(testEvent(t, testCharter(t, 3)), eventSigner(t, "founder-1"))
	check(t, err)
	log, err := tlog.GenerateSigner(testOrigin, tlog.Ed25519)
	check(t, err)
	head := tlog.Head{Origin: testOrigin, Size: 8, Root: envelope.LeafHash()}
	sig, err := log.Sign(&head, 0)
	check(t, err)
	proof := tlog.Proof{Extra: envelope.Bytes(), Index: 7, Hashes: make([]tlog.Hash, 3), Checkpoint: &tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}}
	name := filepath.Join(t.TempDir(), "c.tlog-proof")
	check(t, os.WriteFile(name, proof.Bytes(), 0o600))
	e := &env{stdin: strings.NewReader("")}
	for _, index := range []int64{-1, 7} {
		now, err := e.readFrom(&fromFlags{name, index})
		check(t, err)
		if want := (event.Reference{Index: 7, Leaf: envelope.LeafHash()}); now.ref != want {
			t.Errorf("it refers to %s, want %s", now.ref, want)
		}
	}
	if _, err := e.readFrom(&fromFlags{name, 8}); err == nil || !strings.Contains(err.Error(), "has the index 7") {
		t.Errorf("another index than the proof's: %v", err)
	}
	proof.Extra = nil
	check(t, os.WriteFile(name, proof.Bytes(), 0o600))
	if _, err := e.readFrom(&fromFlags{name, -1}); err == nil || !strings.Contains(err.Error(), "does not carry its entry") {
		t.Errorf("a proof without entry: %v", err)
	}
}

// A charter that founders can't sign, or that no log accepts, is refused.
func TestUnsignable(t *testing.T) {
	unknown := testCharter(t, 3)
	unknown.Rules = 99
	if _, err := newCharter(testOrigin, unknown); err == nil || !strings.Contains(err.Error(), "rules 99: this version of the program does not know them") {
		t.Errorf("unknown rules: %v", err)
	}
	bars := testCharter(t, 3)
	bars.Profile.Bars = []string{"form"}
	if _, err := newCharter(testOrigin, bars); err == nil || !strings.Contains(err.Error(), `the profile names "form" in bars`) {
		t.Errorf("bars on what is never overdue: %v", err)
	}
	many := testCharter(t, 20)
	many.Thresholds = event.Thresholds{Amend: 2, Recover: event.MaxSignatures + 1}
	if _, err := newCharter(testOrigin, many); err == nil || !strings.Contains(err.Error(), "at most 16 signatures") {
		t.Errorf("%d signatures needed: %v", event.MaxSignatures+1, err)
	}
	many.Thresholds.Recover = event.MaxSignatures
	ev := testEvent(t, many)
	var signers []event.Signer
	for i := range event.MaxSignatures {
		signers = append(signers, eventSigner(t, fmt.Sprintf("founder-%d", i+1)))
	}
	if _, err := event.Sign(ev, signers...); err != nil {
		t.Errorf("accepted, and can't be signed: %v", err)
	}
	// The largest that is accepted can be signed by as many as it asks for.
	largest := ev
	for n := 25; ; n += 5 {
		ch := testCharter(t, n)
		ch.Thresholds.Recover = event.MaxSignatures
		ev, err := newCharter(testOrigin, ch)
		if err == nil {
			largest = ev
			continue
		}
		if !strings.Contains(err.Error(), "an entry has at most 48000") || n < 60 {
			t.Errorf("%d founders: %v", n, err)
		}
		break
	}
	if _, err := event.Sign(largest, signers...); err != nil {
		t.Errorf("accepted, and can't be signed: %v", err)
	}
}

// The rules take every profile that is shipped.
func TestShippedProfiles(t *testing.T) {
	for _, name := range profile.Names() {
		ch := testCharter(t, 3)
		var err error
		ch.Profile, err = profile.Load(name)
		check(t, err)
		if _, err := newCharter(testOrigin, ch); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A signature that doesn't verify, or is no founder's, is named and not counted.
func TestSignaturesVerified(t *testing.T) {
	ch := testCharter(t, 3)
	envelope, err := event.Sign(testEvent(t, ch), eventSigner(t, "founder-1"), eventSigner(t, "founder-2"), eventSigner(t, "founder-3"), eventSigner(t, "dog"))
	check(t, err)
	bent := slices.IndexFunc(envelope.Signatures, func(s event.Signature) bool { return s.KeyID == eventSigner(t, "founder-2").KeyID() })
	envelope.Signatures[bent].Sig[40] ^= 1
	file, err := parseCharter(envelope.Bytes())
	check(t, err)
	r := &checkReport{charterReport: file.report(3, nil)}
	r.count(file, ch)
	if r.Signatures != 2 || r.Good {
		t.Errorf("%d signatures are good (%v), want 2", r.Signatures, r.Good)
	}
	all := strings.Join(r.Problems, "\n")
	for _, want := range []string{"signature of founder-2: ", "signed by " + eventSigner(t, "dog").KeyID(), "2 of 3 signatures"} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem %q in:\n%s", want, all)
		}
	}
}

// What this command calls good, the ledger takes, and the other way round: the
// first charter, an amendment and a recovery, each with one signature too few and
// with enough.
func TestLedgerAgrees(t *testing.T) {
	signed := func(ev *event.Event, n int) *charterFile {
		var signers []event.Signer
		for i := range n {
			signers = append(signers, eventSigner(t, fmt.Sprintf("founder-%d", i+1)))
		}
		envelope, err := event.Sign(ev, signers...)
		check(t, err)
		file, err := parseCharter(envelope.Bytes())
		check(t, err)
		return file
	}
	good := func(file *charterFile, by *event.Charter, needed uint64, now *current) bool {
		r := &checkReport{charterReport: file.report(needed, nil)}
		if now != nil {
			r.Problems = follows(file, now)
		}
		r.count(file, by)
		return r.Good
	}
	ch := testCharter(t, 3)
	first := testEvent(t, ch)
	for _, n := range []int{1, 2, 3} {
		file := signed(first, n)
		v, err := ledger.New(testOrigin, nil).Check(ledger.Read(0, file.envelope.Bytes()))
		check(t, err)
		if good(file, ch, ch.Thresholds.Amend, nil) != (v == nil) {
			t.Errorf("first charter, %d signatures: the ledger says %v", n, v)
		}
	}
	file := signed(first, 2)
	l := ledger.New(testOrigin, nil)
	if found, _, err := l.Apply(ledger.Read(0, file.envelope.Bytes())); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	now := &current{file, event.Reference{Leaf: file.envelope.LeafHash()}}
	next := testCharter(t, 3)
	next.Version, next.Prev, next.WitnessPolicy = 2, &now.ref, "quorum none\n"
	amendment := testEvent(t, next)
	for _, n := range []int{1, 2, 3} {
		file := signed(amendment, n)
		v, err := l.Check(ledger.Read(1, file.envelope.Bytes()))
		check(t, err)
		if good(file, ch, ch.Thresholds.Amend, now) != (v == nil) {
			t.Errorf("amendment, %d signatures: the ledger says %v", n, v)
		}
		if _, err := l.Recovers(file.envelope, 1); good(file, ch, ch.Thresholds.Recover, now) != (err == nil) {
			t.Errorf("recovery, %d signatures: the ledger says %v", n, err)
		}
	}
	other := event.Reference{Index: 1, Leaf: now.ref.Leaf}
	next.Prev = &other
	file = signed(testEvent(t, next), 3)
	if v, err := l.Check(ledger.Read(1, file.envelope.Bytes())); err != nil || v == nil || good(file, ch, 2, now) {
		t.Errorf("an amendment of another entry: the ledger says %v, %v", v, err)
	}
}

// A policy in the charter's spelling says what the file said.
func FuzzNormalPolicy(f *testing.F) {
	w := verifierKey(f, "w.example", "w", tlog.CosignatureEd25519)
	f.Add("# a\nwitness\tw  " + w + " https://w.example/\n\n  # b\ngroup g any w \nquorum g\n")
	f.Add("quorum none\n")
	f.Add(" quorum\u00a0none\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := tlog.ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		normal := strings.Join(append(normalPolicy(text), ""), "\n")
		q, err := tlog.ParsePolicy([]byte(normal))
		if err != nil {
			t.Fatalf("%q became %q: %v", text, normal, err)
		}
		if diff := cmp.Diff(describePolicy(p), describePolicy(q)); diff != "" {
			t.Errorf("%q became %q: %s", text, normal, diff)
		}
		if again := strings.Join(append(normalPolicy(normal), ""), "\n"); again != normal {
			t.Errorf("%q is no fixed point: %q", normal, again)
		}
	})
}

// The help of each command has an example, and errors reach the person.
func TestCharterHelp(t *testing.T) {
	for _, name := range []string{"new", "sign", "check", "diff", "show", "recover"} {
		var out bytes.Buffer
		if exit := Run(t.Context(), []string{"charter", name, "--help"}, strings.NewReader(""), &out, &out); exit != 0 {
			t.Errorf("%s: exit code %d", name, exit)
		}
		if !strings.Contains(out.String(), "  vasistas charter "+name) || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s has no example:\n%s", name, out.String())
		}
	}
}
