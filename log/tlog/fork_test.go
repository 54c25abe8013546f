// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func sampleForks(f testing.TB) []*Fork {
	f.Helper()
	log, err := GenerateSigner("log.example", Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	head := func(size uint64, root byte) *Checkpoint {
		cp := &Checkpoint{Head: Head{Origin: "log.example", Size: size, Root: Hash{root}}}
		line, err := log.Sign(&cp.Head, 0)
		if err != nil {
			f.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, line)
		return cp
	}
	return []*Fork{
		{Small: head(3, 1), Large: head(3, 2), Prefix: Hash{2}},
		{Small: head(3, 1), Large: head(5, 2), Prefix: Hash{3}, Proof: []Hash{{4}, {5}}, Own: OwnLarge},
		{Small: head(3, 1), Large: head(5, 2), Own: OwnSmall},
	}
}

// FuzzFork: one encoding in, the same bytes out; and a fork survives a report's encoding.
func FuzzFork(f *testing.F) {
	for _, e := range sampleForks(f) {
		addSloppy(f, e.Bytes())
		f.Add(bytes.Replace(e.Bytes(), []byte(`"small"`), []byte(`"Small"`), 1))
		f.Add(bytes.Replace(e.Bytes(), []byte(`"proof"`), []byte(`"small":"","proof"`), 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := checkMalleability(t, ParseFork, b)
		if !ok {
			return
		}
		report, err := json.MarshalIndent(map[string]*Fork{"fork": e}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]*Fork
		if err := json.Unmarshal(report, &again); err != nil || !bytes.Equal(again["fork"].Bytes(), b) {
			t.Errorf("%s does not survive a report: %v", b, err)
		}
		if e.Small.Size > e.Large.Size || !strings.HasPrefix(e.Name(), e.Kind()+"-") {
			t.Errorf("%+v", e)
		}
	})
}

func TestForkRefuses(t *testing.T) {
	e := sampleForks(t)[1]
	for name, edit := range map[string]func(*Fork){
		"order":  func(f *Fork) { f.Small, f.Large = f.Large, f.Small },
		"own":    func(f *Fork) { f.Own = "both" },
		"hashes": func(f *Fork) { f.Proof = make([]Hash, MaxHashes+1) },
	} {
		bad := *e
		edit(&bad)
		if _, err := ParseFork(bad.Bytes()); err == nil {
			t.Errorf("%s: it was parsed", name)
		}
	}
	large := *e
	large.Proof = make([]Hash, MaxHashes)
	if _, err := ParseFork(large.Bytes()); err != nil {
		t.Error(err)
	}
}
