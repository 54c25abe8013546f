// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Every index of trees of several shapes, with each of the three functions.
func TestEveryIndex(t *testing.T) {
	w := newWorld(t, 0)
	policy := w.policy(3)
	for size := 1; size <= 17; size++ {
		w.add(w.envelope(testOrigin, w.signers...).Bytes())
		for i := range size {
			file := w.whole(i).Bytes()
			in, err := Proof(policy, file, Options{Signers: know(w.signers...)})
			if err != nil {
				t.Fatalf("entry %d of %d: %v", i, size, err)
			}
			if in.Index() != uint64(i) || in.Size() != uint64(size) || in.Origin() != testOrigin || !in.SignaturesChecked() ||
				!bytes.Equal(in.Entry(), w.entries[i]) || in.LeafHash() != in.Envelope().LeafHash() || in.Root() != w.head().Root {
				t.Fatalf("entry %d of %d: %+v", i, size, in.Report())
			}
			if _, err := Entry(policy, file, Options{}); err != nil {
				t.Fatal(err)
			}
			leaf, err := Leaf(policy, file, in.LeafHash(), Options{})
			if err != nil || leaf.Entry() != nil || leaf.Envelope() != nil || leaf.Reference() != in.Reference() {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
		}
	}
}

func TestInclusion(t *testing.T) {
	w := newWorld(t, 5)
	file := w.whole(3).Bytes()
	in, err := Proof(w.policy(2), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, third := time.Unix(int64(at(2)), 0).UTC(), time.Unix(int64(at(3)), 0).UTC() // the witnesses signed at 1, 2 and 3
	if in.ExistedBefore() != third || in.LoggedAfter() != second || in.Spread() != tlog.DefaultSpread {
		t.Errorf("times %v and %v, want %v and %v", in.ExistedBefore(), in.LoggedAfter(), third, second)
	}
	var names []string
	for i, x := range in.Witnesses() {
		names = append(names, x.Name)
		if x.Time.Unix() != int64(at(i+1)) || !x.Counted || !strings.HasPrefix(x.Key, fmt.Sprintf("witness.example/w%d+", i)) {
			t.Errorf("witness %+v", x)
		}
	}
	if !slices.Equal(names, []string{"A", "B", "C"}) {
		t.Errorf("witnesses %v", names)
	}
	if in.SignaturesChecked() || !slices.Equal(in.NotShown(), []Gap{GapSignatures, GapRoles, GapLimits, GapLater, GapOffRecord}) {
		t.Errorf("checked %v, not shown %v", in.SignaturesChecked(), in.NotShown())
	}
	if !bytes.Equal(in.Checkpoint(), w.whole(3).Checkpoint.Bytes()) {
		t.Error("another checkpoint")
	}
	in.Entry()[0] ^= 1
	in.Witnesses()[0].Name = "X"
	if !bytes.Equal(in.Entry(), w.entries[3]) || in.Witnesses()[0].Name != "A" {
		t.Error("an accessor hands out what is inside")
	}
}

// What the verifier holds decides: the caller's bytes can change later.
func TestEntryIsCopied(t *testing.T) {
	w := newWorld(t, 2)
	entry := bytes.Clone(w.entries[1])
	in, err := Entry(w.policy(3), w.whole(1).Bytes(), Options{Entry: entry})
	if err != nil {
		t.Fatal(err)
	}
	entry[0] ^= 1
	if !bytes.Equal(in.Entry(), w.entries[1]) {
		t.Error("the inclusion changed with the caller's bytes")
	}
}

func TestZeroInclusionProvesNothing(t *testing.T) {
	var in Inclusion
	if in.Origin() != "" || in.Size() != 0 || in.Root() != [32]byte{} || in.Checkpoint() != nil || in.LogKeys() != nil {
		t.Error("the zero Inclusion has a checkpoint")
	}
	if r := in.Report(); r.Verdict != "undecided" {
		t.Errorf("the zero Inclusion reports %+v", r)
	}
}

// mustFail lists what is no proof, and why.
func TestRefused(t *testing.T) {
	w := newWorld(t, 7)
	other := newWorld(t, 7)
	all := append([]*tlog.Signer{w.log}, w.witnesses...)
	good := w.whole(4)
	edit := func(f func(p *tlog.Proof)) []byte {
		p := w.whole(4)
		f(p)
		return p.Bytes()
	}
	stray := w.envelope("log.example/other", w.signers[0])
	strayIndex := w.add(stray.Bytes())
	textIndex := w.add([]byte("no event"))
	mlLog := people.New(testOrigin, "").Note(testOrigin, tlog.CosignatureMLDSA44)
	three, strangers := w.policy(3), other.policy(3)
	noLogs := parsePolicy(t, "quorum none\n")
	otherName := parsePolicy(t, fmt.Sprintf("log %s\nquorum none\n", people.New(testOrigin, "").Note("log.example/other", tlog.Ed25519).Verifier()))

	many := good.Bytes() // anyone can add lines to a good proof
	for i := range tlog.MaxSignatures {
		many = fmt.Appendf(many, "\u2014 stranger%d %s\n", i, base64.StdEncoding.EncodeToString(make([]byte, 68)))
	}
	for _, c := range []struct {
		name   string
		policy *Policy
		file   []byte
		o      Options
		want   Reason
	}{
		{"no policy", nil, good.Bytes(), Options{}, NoPolicy},
		{"empty file", three, nil, Options{}, Malformed},
		{"truncated", three, good.Bytes()[:len(good.Bytes())-1], Options{}, Malformed},
		{"cut after the proof", three, good.Bytes()[:bytes.LastIndex(good.Bytes(), []byte("\n\n"))+1], Options{}, Malformed},
		{"trailing data", three, append(good.Bytes(), '\n'), Options{}, Malformed},
		{"a line too many", three, many, Options{}, ManySignatures},
		{"CRLF", three, bytes.ReplaceAll(good.Bytes(), []byte("\n"), []byte("\r\n")), Options{}, Malformed},
		{"a policy of other keys", strangers, good.Bytes(), Options{}, BadSignature},
		{"a policy without logs", noLogs, good.Bytes(), Options{}, UnknownLog},
		{"a policy without logs, origin given", noLogs, good.Bytes(), Options{Origin: testOrigin}, UnknownLog},
		{"a policy of another log", otherName, good.Bytes(), Options{}, UnknownLog},
		{"another origin wanted", three, good.Bytes(), Options{Origin: "log.example/other"}, WrongOrigin},
		{"two of three", three, w.proof(4, all[0], all[1], all[2]).Bytes(), Options{}, NoQuorum},
		{"witnesses alone", three, w.proof(4, all[1:]...).Bytes(), Options{}, BadSignature},
		{"log's line of another key", three, w.proof(4, append([]*tlog.Signer{mlLog}, all[1:]...)...).Bytes(), Options{}, BadSignature},
		{"log's signature flipped", three, edit(func(p *tlog.Proof) { p.Checkpoint.Signatures[0].Bytes[0] ^= 1 }), Options{}, BadSignature},
		{"witness's signature flipped", three, edit(func(p *tlog.Proof) { p.Checkpoint.Signatures[3].Bytes[70] ^= 1 }), Options{}, BadSignature},
		{"witness's time flipped", three, edit(func(p *tlog.Proof) { p.Checkpoint.Signatures[3].Bytes[7] ^= 1 }), Options{}, BadSignature},
		{"other size", three, edit(func(p *tlog.Proof) { p.Checkpoint.Size++ }), Options{}, BadSignature},
		{"other index", three, edit(func(p *tlog.Proof) { p.Index = 5 }), Options{}, NotIncluded},
		{"index beyond the tree", three, edit(func(p *tlog.Proof) { p.Index = 1<<63 - 1 }), Options{}, NotIncluded},
		{"a hash less", three, edit(func(p *tlog.Proof) { p.Hashes = p.Hashes[1:] }), Options{}, NotIncluded},
		{"a hash more", three, edit(func(p *tlog.Proof) { p.Hashes = append(p.Hashes, tlog.Hash{}) }), Options{}, NotIncluded},
		{"hashes swapped", three, edit(func(p *tlog.Proof) { p.Hashes[0], p.Hashes[1] = p.Hashes[1], p.Hashes[0] }), Options{}, NotIncluded},
		{"another entry", three, edit(func(p *tlog.Proof) { p.Extra = w.entries[3] }), Options{}, NotIncluded},
		{"another entry given", three, good.Bytes(), Options{Entry: w.entries[3]}, NotIncluded},
		{"an empty entry given", three, good.Bytes(), Options{Entry: []byte{}}, NotIncluded},
		{"no entry", three, edit(func(p *tlog.Proof) { p.Extra = nil }), Options{}, NoEntry},
		{"an event for another log", three, w.whole(strayIndex).Bytes(), Options{}, WrongOrigin},
		{"not an event", three, w.whole(textIndex).Bytes(), Options{}, NotAnEvent},
		{"unknown event key", three, good.Bytes(), Options{Signers: know(w.signers[1])}, UnknownSigner},
		{"no known signer", three, good.Bytes(), Options{Signers: know()}, UnknownSigner},
		{"another key under the id", three, good.Bytes(), Options{Signers: func(string) *event.PublicKey { return w.signers[1].Public() }}, UnknownSigner},
		{"all cosignatures in the future", three, good.Bytes(), Options{Now: time.Unix(int64(at(0)), 0).Add(-MaxSkew)}, InTheFuture},
		{"a clock before 1970", three, good.Bytes(), Options{Now: time.Unix(-1e6, 0)}, InTheFuture},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "an event for another log" || c.name == "not an event" {
				if _, err := Entry(c.policy, c.file, c.o); err != nil {
					t.Errorf("as an entry of any kind: %v", err)
				}
			}
			in, err := Proof(c.policy, c.file, c.o)
			wantReason(t, in, err, c.want)
			if r := Failure(err); r.Verdict != c.want.Verdict().String() || r.Reason != c.want || r.Error == "" {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// An entry given with the file, as well as in it.
func TestEntryGiven(t *testing.T) {
	w := newWorld(t, 3)
	bare, wrong := w.whole(1), w.whole(1)
	bare.Extra, wrong.Extra = nil, []byte("something else")
	for _, p := range []*tlog.Proof{bare, wrong, w.whole(1)} {
		in, err := Proof(w.policy(3), p.Bytes(), Options{Entry: w.entries[1]})
		if err != nil || !bytes.Equal(in.Entry(), w.entries[1]) {
			t.Error(err)
		}
	}
	in, err := Leaf(w.policy(3), bare.Bytes(), [32]byte{}, Options{Entry: w.entries[1]})
	wantReason(t, in, err, noReason)
	in, err = Leaf(w.policy(3), bare.Bytes(), [32]byte{1}, Options{})
	wantReason(t, in, err, NotIncluded)
	in, err = Leaf(nil, bare.Bytes(), [32]byte{1}, Options{})
	wantReason(t, in, err, NoPolicy)
}

// A forged event signature disproves, whether the other signer is known or not,
// and in either order.
func TestEventSignatures(t *testing.T) {
	for i := range 2 {
		w := newWorld(t, 1)
		env := w.envelope(testOrigin, w.signers...)
		forged := &event.Envelope{Event: env.Event, Payload: env.Payload, Signatures: slices.Clone(env.Signatures)}
		forged.Signatures[i].Sig = make([]byte, ed25519.SignatureSize)
		n := w.add(forged.Bytes())
		file := w.whole(n).Bytes()
		byID := slices.Clone(w.signers)
		slices.SortFunc(byID, func(a, b event.Signer) int { return strings.Compare(a.KeyID(), b.KeyID()) })

		in, err := Proof(w.policy(3), file, Options{Signers: know(byID...)})
		wantReason(t, in, err, BadEventSignature)
		in, err = Proof(w.policy(3), file, Options{Signers: know(byID[i])})
		wantReason(t, in, err, BadEventSignature)
		in, err = Proof(w.policy(3), file, Options{Signers: know(byID[1-i])})
		wantReason(t, in, err, UnknownSigner)
		in, err = Proof(w.policy(3), file, Options{})
		if err != nil || in.SignaturesChecked() || !slices.Contains(in.NotShown(), GapSignatures) {
			t.Errorf("signatures unchecked: %v", err)
		}
	}
}

// One witness with a fast clock neither counts nor stops the others.
func TestFutureWitness(t *testing.T) {
	w := newWorld(t, 3)
	sign := func(times ...uint64) []byte {
		p := w.proof(1, w.log)
		for i, s := range w.witnesses {
			sig, err := s.Sign(&p.Checkpoint.Head, times[i])
			if err != nil {
				t.Fatal(err)
			}
			p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
		}
		return p.Bytes()
	}
	now := time.Unix(1_800_000_000, 0)
	edge := uint64(now.Add(MaxSkew).Unix())
	for _, c := range []struct {
		name   string
		times  []uint64
		now    time.Time
		k      int
		counts []bool
		want   Reason
	}{
		{"all in time", []uint64{edge, edge - 5, edge - 3}, now, 3, []bool{true, true, true}, ""},
		{"one a second late", []uint64{edge + 1, edge - 5, edge - 3}, now, 2, []bool{false, true, true}, ""},
		{"one a second late, all needed", []uint64{edge + 1, edge - 5, edge - 3}, now, 3, nil, InTheFuture},
		{"no clock", []uint64{edge + 1, edge - 5, edge - 3}, time.Time{}, 3, []bool{true, true, true}, ""},
		{"year 10000, no clock", []uint64{lastTime + 1, lastTime - 5, lastTime - 3}, time.Time{}, 2, []bool{false, true, true}, ""},
		{"year 10000, no clock, all needed", []uint64{lastTime + 1, lastTime - 5, lastTime - 3}, time.Time{}, 3, nil, InTheFuture},
		{"end of time", []uint64{1<<63 - 1, 5, 7}, now, 2, []bool{false, true, true}, ""},
		{"a clock of the year 12000", []uint64{lastTime + 1, lastTime - 5, lastTime - 3}, time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), 3, nil, InTheFuture},
		{"two hours apart, all needed", []uint64{5, 7205, 7}, now, 3, nil, NoQuorum},
		{"two hours apart", []uint64{5, 7205, 7}, now, 2, []bool{true, true, true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := Proof(w.policy(c.k), sign(c.times...), Options{Now: c.now})
			if c.want != "" {
				wantReason(t, in, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range in.Witnesses() {
				if x.Counted != c.counts[i] {
					t.Errorf("witness %s: counted %v", x.Name, x.Counted)
				}
			}
			if last := max(c.times[1], c.times[2]); c.k == 2 && !c.counts[0] && (in.ExistedBefore().Unix() != int64(last) || in.LoggedAfter().Unix() != int64(min(c.times[1], c.times[2]))) {
				t.Errorf("times %v and %v", in.ExistedBefore(), in.LoggedAfter())
			}
		})
	}
}

// The audit policy decides by its own keys and quorum, at times of any spread.
func TestAudit(t *testing.T) {
	w := newWorld(t, 3)
	var auditors []*tlog.Signer
	var list []people.Witness
	for i := range 3 {
		s := people.New(testOrigin, "").Note(fmt.Sprintf("auditor.example/a%d", i), tlog.CosignatureEd25519)
		auditors, list = append(auditors, s), append(list, people.Witness{Name: fmt.Sprintf("a%d", i), Keys: []*tlog.VerifierKey{s.Verifier()}})
	}
	two := parsePolicy(t, people.Policy(2, list...))
	base := time.Unix(int64(at(0)), 0)
	now := base.Add(time.Hour)
	file := func(times ...uint64) *tlog.Proof {
		p := w.whole(1)
		for i, after := range times {
			if after == 0 {
				continue
			}
			sig, err := auditors[i].Sign(&p.Checkpoint.Head, at(0)+after)
			if err != nil {
				t.Fatal(err)
			}
			p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
		}
		return p
	}
	spoiled := file(10, 20)
	spoiled.Checkpoint.Signatures[4].Bytes[20] ^= 1
	for _, c := range []struct {
		name    string
		file    *tlog.Proof
		audit   *Policy
		want    Reason
		vouched time.Duration
		names   string
	}{
		{"all three, long apart", file(10, 3000, 2000), two, "", 2000 * time.Second, "a0 a1 a2"},
		{"two", file(10, 0, 2000), two, "", 10 * time.Second, "a0 a2"},
		{"one", file(10), two, NoAudit, 0, ""},
		{"none: witnesses don't count", file(), two, NoAudit, 0, ""},
		{"one in the future", file(10, 20, 8000), two, "", 10 * time.Second, "a0 a1 a2"},
		{"one in time", file(10, 9000, 8000), two, InTheFuture, 0, ""},
		{"a bad line", spoiled, two, BadSignature, 0, ""},
		{"a policy without auditors", file(10, 20), parsePolicy(t, "quorum none\n"), NoPolicy, 0, ""},
		{"not asked", file(10, 20), nil, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := Proof(w.policy(3), c.file.Bytes(), Options{Now: now, Audit: c.audit})
			if c.want != "" {
				wantReason(t, in, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, a := range in.Auditors() {
				names = append(names, a.Name)
			}
			if got := strings.Join(names, " "); got != c.names {
				t.Errorf("auditors %s, want %s", got, c.names)
			}
			if asked := c.audit != nil; asked && !in.VouchedAt().Equal(base.Add(c.vouched)) || asked == in.VouchedAt().IsZero() || asked != (in.Report().Audit != nil) {
				t.Errorf("vouched at %v, report %+v", in.VouchedAt(), in.Report().Audit)
			}
		})
	}
}

// The log's ML-DSA-44 line is as good as its Ed25519 line, and a bad one of
// either spoils the file.
func TestBothLogKeys(t *testing.T) {
	w := newWorld(t, 3)
	ml := people.New(testOrigin, "").Note(testOrigin, tlog.CosignatureMLDSA44)
	policy := parsePolicy(t, fmt.Sprintf("log %s\nlog %s\nquorum none\n", w.log.Verifier(), ml.Verifier()))
	for _, signers := range [][]*tlog.Signer{{w.log}, {ml}, {w.log, ml}} {
		in, err := Proof(policy, w.proof(1, signers...).Bytes(), Options{})
		if err != nil || len(in.LogKeys()) != len(signers) {
			t.Errorf("%d lines: %v", len(signers), err)
		}
	}
	for i := range 2 {
		p := w.proof(1, w.log, ml)
		p.Checkpoint.Signatures[i].Bytes[20] ^= 1
		in, err := Proof(policy, p.Bytes(), Options{})
		wantReason(t, in, err, BadSignature)
	}
}

// Errors that aren't ours, such as a file that can't be read, decide nothing.
func TestVerdictOf(t *testing.T) {
	_, readErr := os.ReadFile("testdata/no such file")
	_, policyErr := ParsePolicy([]byte("quorum\n"))
	var pe *PolicyError
	if !errors.As(policyErr, &pe) || pe.Line != 1 {
		t.Errorf("policy error %v", policyErr)
	}
	for _, c := range []struct {
		err  error
		want Verdict
	}{
		{nil, Proven},
		{readErr, Undecided},
		{policyErr, Undecided},
		{errors.New("x"), Undecided},
		{fail(NoQuorum, "x"), Disproven},
		{fmt.Errorf("file f: %w", fail(Malformed, "x")), Disproven},
		{fail(UnknownLog, "x"), Undecided},
		{fail("a reason of later versions", "x"), Undecided},
	} {
		if got := VerdictOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if Proven != 0 || Disproven != 1 || Undecided != 2 {
		t.Error("the exit codes have changed")
	}
}
