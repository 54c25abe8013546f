// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// When every line is needed, no byte of a file may change.
func TestEveryByteMatters(t *testing.T) {
	w := newWorld(t, 6)
	file := w.whole(4).Bytes()
	policy := w.policy(3)
	o := Options{Signers: know(w.signers...)}
	if _, err := Proof(policy, file, o); err != nil {
		t.Fatal(err)
	}
	for i := range file {
		for _, mask := range []byte{0x01, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= mask
			if in, err := Proof(policy, bad, o); err == nil {
				t.Fatalf("byte %d ^ %#x still verifies: %+v", i, mask, in.Report())
			}
		}
	}
	for n := range file {
		if in, err := Proof(policy, file[:n], o); err == nil {
			t.Fatalf("the first %d bytes verify: %+v", n, in.Report())
		}
	}
}

// Where a line can be spared, a changed file fails or says the same thing, with
// a cosignature less at most.
func TestNothingElseIsSaid(t *testing.T) {
	w := newWorld(t, 6)
	file := w.whole(4).Bytes()
	policy := w.policy(2)
	good, err := Proof(policy, file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := good.Report()
	ignore := cmpopts.IgnoreFields(Report{}, "Witnesses", "ExistedBefore", "LoggedAfter")
	survived := 0
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 0x01
		in, err := Proof(policy, bad, Options{})
		if err != nil {
			continue
		}
		survived++
		got := in.Report()
		if diff := cmp.Diff(want, got, ignore); diff != "" {
			t.Fatalf("byte %d: says something else (-want +got):\n%s", i, diff)
		}
		if len(got.Witnesses) != 2 {
			t.Fatalf("byte %d: %d witnesses", i, len(got.Witnesses))
		}
		for _, x := range got.Witnesses {
			if !slices.Contains(want.Witnesses, x) {
				t.Fatalf("byte %d: witness %+v was not there", i, x)
			}
		}
	}
	if survived == 0 {
		t.Error("no change spared the file, so nothing was tested")
	}
}

// A fuzzer may change what it likes: a policy of fixed keys believes only what
// they signed.
func FuzzProof(f *testing.F) {
	w := newWorld(f, 6)
	policy := w.policy(2)
	for i := range w.entries {
		f.Add(w.whole(i).Bytes())
		f.Add(w.proof(i, w.log, w.witnesses[2], w.witnesses[0]).Bytes())
	}
	head := w.head()
	f.Fuzz(func(t *testing.T, file []byte) {
		in, err := Proof(policy, file, Options{Signers: know(w.signers...)})
		if err != nil {
			if in != nil || VerdictOf(err) == Proven {
				t.Fatalf("%v with %v", in, err)
			}
			return
		}
		if in.Size() != head.Size || in.Root() != head.Root || in.Origin() != testOrigin || !bytes.Equal(in.Entry(), w.entries[in.Index()]) {
			t.Fatalf("believed %+v", in.Report())
		}
	})
}

func TestReport(t *testing.T) {
	w := newWorld(t, 5)
	in, err := Proof(w.policy(2), w.whole(3).Bytes(), Options{Signers: know(w.signers...)})
	if err != nil {
		t.Fatal(err)
	}
	r := in.Report()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back); diff != "" {
		t.Errorf("JSON loses something (-want +got):\n%s", diff)
	}
	var members map[string]any
	if err := json.Unmarshal(b, &members); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"entry", "event", "existedBefore", "log", "loggedAfter", "notShown", "spread", "verdict", "witnesses"}; !slices.Equal(names, want) {
		t.Errorf("members %v, want %v", names, want)
	}
}
