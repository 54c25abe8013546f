// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	sumdbKey    = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
	sumdbOrigin = "go.sum database tree"
)

// sumdbEntries reads index.tsv: file name to record.
func sumdbEntries(t *testing.T) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/tlog-proofs/index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string][]byte{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if cells[0] == "file" {
			continue
		}
		if entries[cells[0]], err = base64.StdEncoding.DecodeString(cells[3]); err != nil {
			t.Fatal(err)
		}
	}
	if len(entries) != 16 {
		t.Fatalf("%d entries", len(entries))
	}
	return entries
}

// Records of the Go checksum database: a stranger's log, whose origin is not
// the name of its key, without witnesses.
func TestSumDB(t *testing.T) {
	policy := parsePolicy(t, "log "+sumdbKey+"\nquorum none\n")
	for name, entry := range sumdbEntries(t) {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("testdata/tlog-proofs", name))
			if err != nil {
				t.Fatal(err)
			}
			in, err := Entry(policy, file, Options{Origin: sumdbOrigin, Entry: entry})
			if err != nil {
				t.Fatal(err)
			}
			if in.Size() != 71848828 || !in.ExistedBefore().IsZero() || !in.LoggedAfter().IsZero() ||
				!slices.Equal(in.NotShown(), []Gap{GapWitnesses, GapTime, GapContent}) {
				t.Errorf("report %+v", in.Report())
			}
			if _, err := Leaf(policy, file, in.LeafHash(), Options{Origin: sumdbOrigin}); err != nil {
				t.Error(err)
			}

			in, err = Entry(policy, file, Options{Entry: entry})
			wantReason(t, in, err, UnknownLog)
			in, err = Entry(policy, file, Options{Origin: sumdbOrigin})
			wantReason(t, in, err, NoEntry)
			in, err = Entry(policy, file, Options{Origin: "sum.golang.org", Entry: entry})
			wantReason(t, in, err, WrongOrigin)
			in, err = Proof(policy, file, Options{Origin: sumdbOrigin, Entry: entry})
			wantReason(t, in, err, NotAnEvent)

			for i := range entry {
				bad := bytes.Clone(entry)
				bad[i] ^= 1
				in, err = Entry(policy, file, Options{Origin: sumdbOrigin, Entry: bad})
				wantReason(t, in, err, NotIncluded)
			}
			in, err = Entry(policy, file, Options{Origin: sumdbOrigin, Entry: append(bytes.Clone(entry), 0)})
			wantReason(t, in, err, NotIncluded)
			step := 11 // all bytes of one file, and a part of the others'
			if name == "409.tlog-proof" {
				step = 1
			}
			for i := 0; i < len(file); i += step {
				bad := bytes.Clone(file)
				bad[i] ^= 1
				if in, err := Entry(policy, bad, Options{Origin: sumdbOrigin, Entry: entry}); err == nil {
					t.Fatalf("byte %d changed: %+v", i, in.Report())
				}
			}
		})
	}
}

// An origin that is some log's own name is that log's: another log of the
// policy must not sign for it, even when the caller names the origin.
func TestOriginOfAnotherLogOfThePolicy(t *testing.T) {
	w, mallory := newWorld(t, 3), people.New(testOrigin, "").Note("log.example/mallory", tlog.Ed25519)
	policy := parsePolicy(t, "log "+w.log.Verifier().String()+"\nlog "+mallory.Verifier().String()+"\nquorum none\n")
	for _, origin := range []string{"", testOrigin} {
		in, err := Proof(policy, w.proof(1, mallory).Bytes(), Options{Origin: origin})
		wantReason(t, in, err, BadSignature)
		if _, err := Proof(policy, w.proof(1, w.log).Bytes(), Options{Origin: origin}); err != nil {
			t.Error(err)
		}
	}
}
