// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testProof(t testing.TB) *Proof {
	t.Helper()
	return &Proof{Extra: []byte("entry"), Index: 73894, Hashes: testHashes(3), Checkpoint: testCheckpoint(t)}
}

func TestProofRoundTrip(t *testing.T) {
	cp := testCheckpoint(t)
	for name, p := range map[string]*Proof{
		"extra and hashes": testProof(t),
		"bare":             {Checkpoint: cp},
		"63 hashes":        {Index: 1<<63 - 1, Hashes: testHashes(MaxHashes), Checkpoint: cp},
		"largest extra":    {Extra: bytes.Repeat([]byte{0xff}, MaxExtra), Checkpoint: cp},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkRoundTrip(t, ParseProof, string(p.Bytes()))
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("another proof (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProofMalformed(t *testing.T) {
	p := testProof(t)
	good := string(p.Bytes())
	bare := string((&Proof{Index: 7, Checkpoint: p.Checkpoint}).Bytes())
	many := string((&Proof{Hashes: testHashes(64), Checkpoint: p.Checkpoint}).Bytes())
	large := string((&Proof{Extra: make([]byte, MaxExtra+1), Checkpoint: p.Checkpoint}).Bytes())
	hash := b64(p.Hashes[0][:])
	extra, index := "extra "+b64(p.Extra)+"\n", "index 73894\n"
	cp := string(p.Checkpoint.Bytes())
	checkBad(t, ParseProof, []badCase{
		{"empty", "", "first line"},
		{"header only", proofHeader, "no index line"},
		{"header without line feed", strings.TrimSuffix(proofHeader, "\n"), "first line"},
		{"other version", swap(t, good, "@v1", "@v2"), "first line"},
		{"CRLF throughout", strings.ReplaceAll(good, "\n", "\r\n"), "first line"},
		{"CRLF after the index", swap(t, good, index, "index 73894\r\n"), "index"},
		{"CRLF after a hash", swap(t, good, hash, hash+"\r"), "hash 1"},
		{"CRLF after the extra", swap(t, good, "=\n", "=\r\n"), "extra"},
		{"CRLF for the empty line", swap(t, good, "\n\n", "\n\r\n"), "hash 4"},
		{"CRLF in the checkpoint", strings.TrimSuffix(good, "\n") + "\r\n", "control character"},
		{"space before the header", " " + good, "first line"},
		{"empty extra", swap(t, good, extra, "extra \n"), "extra"},
		{"extra without a space", swap(t, good, extra, "extra\n"), "no index line"},
		{"extra twice", swap(t, good, extra, extra+extra), "no index line"},
		{"extra after the index", swap(t, swap(t, good, extra, ""), index, index+extra), "hash 1"},
		{"extra without padding", swap(t, good, extra, strings.Replace(extra, "=", "", 1)), "extra"},
		{"extra with trailing bits", swap(t, good, extra, "extra "+trailingBits(t, b64(p.Extra))+"\n"), "extra"},
		{"extra with a space", swap(t, good, "extra ", "extra  "), "extra"},
		{"extra without end", proofHeader + "extra AAAA", "it ends within its entry"},
		{"extra of 64 KiB and a byte", large, "65537 bytes of extra"},
		{"index 007", swap(t, good, index, "index 007\n"), "index"},
		{"index 00", swap(t, good, index, "index 00\n"), "index"},
		{"index +7", swap(t, good, index, "index +7\n"), "index"},
		{"index -0", swap(t, good, index, "index -0\n"), "index"},
		{"empty index", swap(t, good, index, "index \n"), "index"},
		{"index with two spaces", swap(t, good, index, "index  7\n"), "index"},
		{"index 2^63", swap(t, good, index, "index 9223372036854775808\n"), "index"},
		{"index of 20 digits that wraps", swap(t, good, index, "index 18446744073709551623\n"), "index"},
		{"no index", swap(t, good, index, ""), "no index line"},
		{"capital Index", swap(t, good, index, "Index 7\n"), "no index line"},
		{"index twice", swap(t, good, index, index+index), "hash 1"},
		{"hash of 31 bytes", swap(t, good, hash, b64(p.Hashes[0][:31])), "hash 1"},
		{"hash of 33 bytes", swap(t, good, hash, b64(append(p.Hashes[0][:], 1))), "hash 1"},
		{"hash with trailing bits", swap(t, good, hash, trailingBits(t, hash)), "hash 1"},
		{"hash without padding", swap(t, good, hash, strings.TrimSuffix(hash, "=")), "hash 1"},
		{"hash with a line break", swap(t, good, hash, hash[:20]+"\n"+hash[20:]), "hash 1"},
		{"hash that skips a carriage return", swap(t, good, hash, hash[:20]+"\r"+hash[20:]), "hash 1"},
		{"64 hashes", many, "more than 63"},
		{"empty line among the hashes", swap(t, good, hash, hash+"\n"), "checkpoint"},
		{"no empty line", swap(t, good, "\n\n", "\n"), "hash 4"},
		{"two empty lines", swap(t, good, "\n\n", "\n\n\n"), "origin: it is empty"},
		{"no checkpoint", strings.TrimSuffix(good, cp), "no empty line between"},
		{"no checkpoint, no empty line", strings.TrimSuffix(bare, "\n"+cp), "it ends before its checkpoint"},
		{"truncated checkpoint", strings.TrimSuffix(good, "\n"), "no line feed"},
		{"text of the checkpoint only", bare[:len(bare)-len(cp)] + string(p.Checkpoint.Text()), "no empty line"},
		{"trailing data", good + "x", "no line feed"},
		{"too large", proofHeader + strings.Repeat("x", MaxProofSize), "are allowed"},
	})
}

func TestAddCheckpointRoundTrip(t *testing.T) {
	cp := testCheckpoint(t)
	for _, r := range []*AddCheckpoint{
		{Checkpoint: cp},
		{Old: 20852014, Proof: testHashes(4), Checkpoint: cp},
		{Old: 1<<63 - 1, Proof: testHashes(MaxHashes), Checkpoint: cp},
	} {
		got := checkRoundTrip(t, ParseAddCheckpoint, string(r.Bytes()))
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("another request (-want +got):\n%s", diff)
		}
	}
}

func TestAddCheckpointMalformed(t *testing.T) {
	r := &AddCheckpoint{Old: 20852014, Proof: testHashes(4), Checkpoint: testCheckpoint(t)}
	good := string(r.Bytes())
	cp := string(r.Checkpoint.Bytes())
	old, hash := "old 20852014\n", b64(r.Proof[0][:])
	many := string((&AddCheckpoint{Proof: testHashes(64), Checkpoint: r.Checkpoint}).Bytes())
	checkBad(t, ParseAddCheckpoint, []badCase{
		{"empty", "", "old size"},
		{"checkpoint only", cp, "old size"},
		{"no old line", swap(t, good, old, ""), "old size"},
		{"old without a number", swap(t, good, old, "old \n"), "old size"},
		{"old without a space", swap(t, good, old, "old\n"), "old size"},
		{"old 0xyz", swap(t, good, old, "old 0xyz\n"), "old size"},
		{"old 007", swap(t, good, old, "old 007\n"), "leading zeros"},
		{"old +7", swap(t, good, old, "old +7\n"), "decimal"},
		{"old -7", swap(t, good, old, "old -7\n"), "decimal"},
		{"old with two spaces", swap(t, good, old, "old  7\n"), "decimal"},
		{"old with a space after", swap(t, good, old, "old 7 \n"), "decimal"},
		{"old 2^63", swap(t, good, old, "old 9223372036854775808\n"), "decimal"},
		{"capital Old", swap(t, good, old, "Old 7\n"), "old size"},
		{"old twice", swap(t, good, old, old+old), "hash 1"},
		{"CRLF after old", swap(t, good, old, "old 7\r\n"), "decimal"},
		{"CRLF after a hash", swap(t, good, hash, hash+"\r"), "hash 1"},
		{"CRLF throughout", strings.ReplaceAll(good, "\n", "\r\n"), "decimal"},
		{"hash of 3 bytes", swap(t, good, hash, "AAAA"), "hash 1"},
		{"hash of 31 bytes", swap(t, good, hash, b64(r.Proof[0][:31])), "hash 1"},
		{"hash with trailing bits", swap(t, good, hash, trailingBits(t, hash)), "hash 1"},
		{"hash without padding", swap(t, good, hash, strings.TrimSuffix(hash, "=")), "hash 1"},
		{"64 hashes", many, "more than 63"},
		{"no empty line", swap(t, good, "\n\n", "\n"), "hash 5"},
		{"two empty lines", swap(t, good, "\n\n", "\n\n\n"), "origin: it is empty"},
		{"no checkpoint", strings.TrimSuffix(good, cp), "no empty line between"},
		{"no final line feed", strings.TrimSuffix(good, "\n"), "no line feed"},
		{"root of 3 bytes", swap(t, good, b64(r.Checkpoint.Root[:]), "AAAA"), "root hash"},
		{"too large", "old 0\n" + strings.Repeat("x", MaxAddCheckpointSize), "are allowed"},
	})
}

func TestTreeSize(t *testing.T) {
	for in, want := range map[string]uint64{"0\n": 0, "7\n": 7, "9223372036854775807\n": 1<<63 - 1} {
		if got, err := ParseTreeSize([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	var cases []badCase
	for _, in := range []string{"", "\n", "7", "07\n", "00\n", "+7\n", "-7\n", " 7\n", "7 \n", "7\r\n", "7\n\n", "7\n8\n", "0x7\n",
		"1_0\n", "7.0\n", "1e3\n", "9223372036854775808\n", "18446744073709551617\n", strings.Repeat("9", 1000) + "\n"} {
		cases = append(cases, badCase{in, in, "not a decimal"})
	}
	checkBad(t, ParseTreeSize, cases)
}
