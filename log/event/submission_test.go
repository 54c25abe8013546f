// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func sampleSubmission(t testing.TB) *Submission {
	t.Helper()
	ev, err := New(testLog, &Revocation{Warrant: ref(1), Reason: "ended", Scope: ScopeAll})
	if err != nil {
		t.Fatal(err)
	}
	env, err := Sign(ev, edSigner("judge-1"))
	if err != nil {
		t.Fatal(err)
	}
	return &Submission{
		Envelope: env,
		Openings: []Opening{NewOpening("agency", Text("police")), Decoy(), Decoy()},
		Notices:  [][]byte{{1, 2, 3}, {0}},
	}
}

func TestSubmission(t *testing.T) {
	s := sampleSubmission(t)
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSubmission(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Envelope.Bytes(), s.Envelope.Bytes()) || len(got.Openings) != 3 || len(got.Notices) != 2 {
		t.Errorf("%+v", got)
	}
	bare, err := (&Submission{Envelope: s.Envelope}).Bytes()
	if err != nil || !bytes.Equal(bare, s.Envelope.Bytes()) {
		t.Errorf("without anything: %s, %v", bare, err)
	}
	if got, err := ParseSubmission(bare); err != nil || got.Openings != nil {
		t.Errorf("a bare entry: %v", err)
	}
	text := string(b)
	for name, bad := range map[string]string{
		"space":            strings.Replace(text, `,"notices"`, `, "notices"`, 1),
		"trailing":         text + "\n",
		"nothing else":     `{"envelope":` + string(bare) + `}`,
		"unknown member":   strings.TrimSuffix(text, "}") + `,"z":1}`,
		"empty list":       `{"envelope":` + string(bare) + `,"openings":[]}`,
		"order":            `{"notices":["AAEC"],"envelope":` + string(bare) + `}`,
		"duplicate notice": `{"envelope":` + string(bare) + `,"notices":["AAEC","AAEC"]}`,
		"no envelope":      `{"envelope":null,"notices":["AAEC"]}`,
		"envelope altered": strings.Replace(text, `"payloadType"`, `"payloadtype"`, 1),
		"nothing":          "",
	} {
		if _, err := ParseSubmission([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseSubmission(make([]byte, MaxSubmissionSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func FuzzSubmission(f *testing.F) {
	b, err := sampleSubmission(f).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(sampleSubmission(f).Envelope.Bytes())
	e := sample(f, sampleBodies()[1])
	public, _ := sampleOpenings(f, e)
	b, err = (&Submission{Envelope: sign(f, sampleBodies()[1], edSigner("a")), Openings: public}).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSubmission(b)
		if err != nil {
			return
		}
		if again, err := s.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q became %q, %v", b, again, err)
		}
		// The texts that were read are those that would be encoded.
		made := &Submission{Envelope: s.Envelope, Openings: slices.Clone(s.Openings), Notices: s.Notices}
		hash := Digest(s.Envelope.Hash())
		want, _, err1 := made.OpeningsFile(hash)
		file, sorted, err2 := s.OpeningsFile(hash)
		if err1 != nil || err2 != nil || !bytes.Equal(file, want) || len(sorted) != len(s.Openings) {
			t.Errorf("the file is %q, not %q; %v, %v", file, want, err1, err2)
		}
		if err1, err2 := made.Complete(), s.Complete(); fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Errorf("complete: %v; as it was read: %v", err1, err2)
		}
		if !bytes.Equal(s.Entry(), s.Envelope.Bytes()) {
			t.Errorf("the entry is %q, not %q", s.Entry(), s.Envelope.Bytes())
		}
	})
}
