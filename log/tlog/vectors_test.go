// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// armoredWitness returns a production checkpoint and a policy made of the
// public keys of its network.
func armoredWitness(t testing.TB) (checkpoint []byte, p *Policy) {
	t.Helper()
	checkpoint, err := os.ReadFile("testdata/checkpoints/aw_firmware_ci3_size59_2witnesses.txt")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile("testdata/checkpoints/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var names []string
	for sc := bufio.NewScanner(bytes.NewReader(keys)); sc.Scan(); {
		name, _, _ := strings.Cut(sc.Text(), "+")
		isLog := name == "transparency.dev-aw-ftlog-ci-3"
		if !isLog && !strings.HasPrefix(name, "ArmoredWitness-") {
			continue // other networks' keys, some of types unknown here
		}
		k, err := ParseVerifierKey(sc.Text())
		if err != nil {
			t.Fatal(err)
		}
		if isLog {
			text.WriteString("log " + k.String() + "\n")
			continue
		}
		// Listed as type 1, though the devices make cosignatures.
		w, err := NewVerifierKey(name, CosignatureEd25519, k.Key)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("witness " + name + " " + w.String() + "\n")
		names = append(names, name)
	}
	text.WriteString("group g 2 " + strings.Join(names, " ") + "\nquorum g\n")
	p, err = ParsePolicy([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Witnesses) < 20 || len(p.Logs) != 1 {
		t.Fatalf("%d witnesses and %d logs", len(p.Witnesses), len(p.Logs))
	}
	return checkpoint, p
}

const armoredWitnessOrigin = "transparency.dev/armored-witness/firmware_transparency/ci/3"

func TestArmoredWitnessCheckpoint(t *testing.T) {
	file, p := armoredWitness(t)
	c := checkRoundTrip(t, ParseCheckpoint, string(file))
	v, err := p.Verify(c, armoredWitnessOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size != 59 || len(c.Signatures) != 3 || len(v.Witnesses) != 2 || v.ExistedBefore != 0x67191ac7 || v.LoggedAfter != 0x67191ac3 {
		t.Errorf("size %d, %d lines, %d witnesses, times %x and %x", c.Size, len(c.Signatures), len(v.Witnesses), v.ExistedBefore, v.LoggedAfter)
	}
	if _, err := p.Verify(c, ""); err == nil {
		t.Error("accepted without an origin, though the key has another name")
	}
	if _, err := p.Verify(c, armoredWitnessOrigin+"/"); err == nil {
		t.Error("another origin passes")
	}

	// Each line is needed: the log's, and two cosignatures for the quorum.
	for i := range c.Signatures {
		less := *c
		less.Signatures = slices.Delete(slices.Clone(c.Signatures), i, i+1)
		if _, err := p.Verify(&less, armoredWitnessOrigin); err == nil {
			t.Errorf("verifies without line %d", i)
		}
	}
}

// All three lines are needed, so no byte may change.
func TestArmoredWitnessEveryByte(t *testing.T) {
	file, p := armoredWitness(t)
	for i := range file {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= mask
			c, err := ParseCheckpoint(bad)
			if err != nil {
				continue
			}
			if !bytes.Equal(c.Bytes(), bad) {
				t.Fatalf("byte %d ^ %#x is read as another checkpoint", i, mask)
			}
			if _, err := p.Verify(c, c.Origin); err == nil {
				t.Fatalf("byte %d ^ %#x verifies", i, mask)
			}
		}
	}
}

func TestSumDBProofs(t *testing.T) {
	files, err := filepath.Glob("testdata/tlog-proofs/*.tlog-proof")
	if err != nil || len(files) != 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	p := mustPolicy(t, "log sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\nquorum none\n")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		proof := checkRoundTrip(t, ParseProof, string(b))
		if got := strings.TrimSuffix(filepath.Base(name), ".tlog-proof"); got != strconv.FormatUint(proof.Index, 10) {
			t.Errorf("%s has the index %d", name, proof.Index)
		}
		if proof.Checkpoint.Size != 71848828 || len(proof.Extra) != 0 {
			t.Errorf("%s: size %d, %d bytes of extra", name, proof.Checkpoint.Size, len(proof.Extra))
		}
		if _, err := p.Verify(proof.Checkpoint, "go.sum database tree"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Verify(proof.Checkpoint, ""); err == nil {
			t.Errorf("%s: verifies as a log of the name of its key", name)
		}
	}
}
