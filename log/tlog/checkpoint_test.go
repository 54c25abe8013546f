// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckpointRoundTrip(t *testing.T) {
	cp := testCheckpoint(t)
	got := checkRoundTrip(t, ParseCheckpoint, string(cp.Bytes()))
	if diff := cmp.Diff(cp, got); diff != "" {
		t.Errorf("parsed another checkpoint (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(string(cp.Bytes()), testOrigin+"\n20852163\n") {
		t.Errorf("unexpected text: %s", cp.Text())
	}
}

// Forms that other logs may write, though Vasistas logs don't.
func TestCheckpointOfStrangers(t *testing.T) {
	signer := testSigner(t, "other.example", Ed25519)
	for name, h := range map[string]Head{
		"origin with spaces":    {Origin: "go.sum database tree", Size: 1},
		"origin with plus":      {Origin: "a+b", Size: 1},
		"origin of 255 bytes":   {Origin: strings.Repeat("o", 255), Size: 1},
		"origin with a DEL":     {Origin: "a\x7fb", Size: 1}, // signed-note forbids those below U+0020 only
		"empty tree":            {Origin: "o", Size: 0},
		"largest tree":          {Origin: "o", Size: 1<<63 - 1},
		"extension lines":       {Origin: "o", Size: 1, Extension: []string{"a", "— looks like a signature", " "}},
		"many extension lines":  {Origin: "o", Size: 1, Extension: strings.Split(strings.Repeat("x", MaxExtensionLines), "")},
		"extension not ASCII":   {Origin: "o", Size: 1, Extension: []string{"ünïcödé"}},
		"origin not ASCII":      {Origin: "journal.exemple/été", Size: 1},
		"extension like header": {Origin: "o", Size: 1, Extension: []string{"c2sp.org/tlog-proof@v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkRoundTrip(t, ParseCheckpoint, string(sign(t, h, signer).Bytes()))
			if diff := cmp.Diff(h, got.Head); diff != "" {
				t.Errorf("another head (-want +got):\n%s", diff)
			}
			if _, err := signer.Verifier().Verify(&got.Head, &got.Signatures[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckpointMalformed(t *testing.T) {
	cp := testCheckpoint(t)
	good := string(cp.Bytes())
	root := b64(cp.Root[:])
	line := string(SignatureLines(cp.Signatures[2:3]))
	size := "\n20852163\n"
	cases := []badCase{
		{"empty", "", "no empty line"},
		{"text only", string(cp.Text()), "no empty line"},
		{"no signature", string(cp.Text()) + "\n", "no signature line"},
		{"no final line feed", strings.TrimSuffix(good, "\n"), "no line feed"},
		{"one line feed more", good + "\n", "em dash"},
		{"trailing data", good + "x\n", "em dash"},
		{"CRLF throughout", strings.ReplaceAll(good, "\n", "\r\n"), "control character"},
		{"CRLF after the origin", swap(t, good, "\n", "\r\n"), "control character"},
		{"CRLF at the end", strings.TrimSuffix(good, "\n") + "\r\n", "control character"},
		{"tab in the origin", "a\t" + good, "control character"},
		{"NUL in the origin", "a\x00" + good, "control character"},
		{"not UTF-8", "\xff" + good, "UTF-8"},
		{"overlong UTF-8", "\xc0\xaf" + good, "UTF-8"},
		{"surrogate", "\xed\xa0\x80" + good, "UTF-8"},
		{"empty origin", swap(t, good, testOrigin, ""), "origin: it is empty"},
		{"empty first lines", "\n\n" + good, "at least 3"},
		{"origin of 256 bytes", swap(t, good, testOrigin, strings.Repeat("o", 256)), "256 bytes"},
		{"two lines", "o\n1\n\n" + line, "at least 3"},
		{"size with a leading zero", swap(t, good, size, "\n020852163\n"), "tree size"},
		{"size 00", swap(t, good, size, "\n00\n"), "tree size"},
		{"size with a sign", swap(t, good, size, "\n+20852163\n"), "tree size"},
		{"negative size", swap(t, good, size, "\n-1\n"), "tree size"},
		{"size with a space", swap(t, good, size, "\n20852163 \n"), "tree size"},
		{"size in hex", swap(t, good, size, "\n0x10\n"), "tree size"},
		{"size with an underscore", swap(t, good, size, "\n1_000\n"), "tree size"},
		{"size in other digits", swap(t, good, size, "\n١٢\n"), "tree size"},
		{"size 2^63", swap(t, good, size, "\n9223372036854775808\n"), "tree size"},
		{"size 2^64", swap(t, good, size, "\n18446744073709551616\n"), "tree size"},
		{"size of 20 digits that wraps", swap(t, good, size, "\n18446744073709551617\n"), "tree size"},
		{"size of a million digits", swap(t, good, size, "\n"+strings.Repeat("1", 200_000)+"\n"), "tree size"},
		{"root of 31 bytes", swap(t, good, root, b64(cp.Root[:31])), "root hash"},
		{"root of 33 bytes", swap(t, good, root, b64(append(cp.Root[:], 0))), "root hash"},
		{"root without padding", swap(t, good, root, strings.TrimSuffix(root, "=")), "root hash"},
		{"root with double padding", swap(t, good, root, root+"="), "root hash"},
		{"root with trailing bits", swap(t, good, root, trailingBits(t, root)), "root hash"},
		{"root in base64url", swap(t, good, root, strings.Repeat("-_", 21)+"A="), "root hash"},
		{"root with a space", swap(t, good, root, " "+root), "root hash"},
		{"empty line in the text", swap(t, good, size, "\n\n20852163\n"), "at least 3"},
		{"empty extension line", swap(t, good, "\n\n", "\n\n\n"), "em dash"},
		{"extension after an empty line", swap(t, good, "\n\n", "\n\nextension\n\n"), "em dash"},
		{"17 extension lines", swap(t, good, "\n\n", "\n"+strings.Repeat("x\n", 17)+"\n"), "extension"},
		{"too large", swap(t, good, testOrigin, strings.Repeat("o", MaxCheckpointSize)), "are allowed"},
		{"two lines of one key", good + line, "two lines of key"},
		{"two signatures of one key", good + string(SignatureLines(sign(t, Head{Origin: "o"}, testSigner(t, "witness.example/w1", CosignatureEd25519)).Signatures[:1])), "two lines of key"},
		{"byte order mark before a signature", swap(t, good, "\n\n—", "\n\n\ufeff—"), "em dash"},
	}
	checkBad(t, ParseCheckpoint, cases)
}

// trailingBits returns another base64 text that sloppy readers decode to the
// same bytes.
func trailingBits(t testing.TB, s string) string {
	t.Helper()
	i := strings.IndexByte(s, '=')
	if i < 1 {
		t.Fatalf("%q has no padding", s)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return s[:i-1] + string(alphabet[strings.IndexByte(alphabet, s[i-1])+1]) + s[i:]
}

func TestSignatureLines(t *testing.T) {
	var sigs []Signature
	for i := range MaxSignatures {
		sigs = append(sigs, Signature{Name: "same.example/name", KeyID: uint32(i), Bytes: []byte{1}})
	}
	sigs[0].Name = strings.Repeat("n", 255)
	sigs[1].Bytes = make([]byte, maxSigBytes-4)
	got, err := ParseSignatureLines(SignatureLines(sigs))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sigs, got); diff != "" {
		t.Errorf("other lines (-want +got):\n%s", diff)
	}
	one := Signature{Name: "n", KeyID: 0x01020304, Bytes: []byte{5}}
	line := string(SignatureLines([]Signature{one})) // 5 bytes, so one padding character
	encoded := "AQIDBAU="
	if line != "— n "+encoded+"\n" {
		t.Fatalf("line %q", line)
	}
	for len(sigs) <= MaxSignatures {
		sigs = append(sigs, one)
	}
	checkBad(t, ParseSignatureLines, []badCase{
		{"empty", "", "no signature line"},
		{"no line feed", strings.TrimSuffix(line, "\n"), "no line feed"},
		{"empty line before", "\n" + line, "em dash"},
		{"empty line after", line + "\n", "em dash"},
		{"hyphen", swap(t, line, "—", "-"), "em dash"},
		{"en dash", swap(t, line, "—", "–"), "em dash"},
		{"leading space", " " + line, "em dash"},
		{"no space after the dash", swap(t, line, "— ", "—"), "em dash"},
		{"no-break space after the dash", swap(t, line, "— ", "—\u00a0"), "em dash"},
		{"two spaces after the dash", swap(t, line, "— ", "—  "), "key name"},
		{"two spaces after the name", swap(t, line, "n ", "n  "), "not base64"},
		{"space after the signature", swap(t, line, "=", "= "), "not base64"},
		{"no signature", "— n\n", "no space"},
		{"empty signature", "— n \n", "not base64"},
		{"key ID only", "— n AQIDBA==\n", "not base64 of a key ID"},
		{"short key ID", "— n AQID\n", "not base64 of a key ID"},
		{"empty name", swap(t, line, " n ", "  "), "key name"},
		{"plus in the name", swap(t, line, " n ", " n+m "), "plus"},
		{"no-break space in the name", swap(t, line, " n ", " n\u00a0m "), "space"},
		{"ideographic space in the name", swap(t, line, " n ", " n\u3000m "), "space"},
		{"next line (U+0085) in the name", swap(t, line, " n ", " n\u0085m "), "space"},
		{"tab in the name", swap(t, line, " n ", " n\tm "), "control character"},
		{"carriage return in the name", swap(t, line, " n ", " n\rm "), "control character"},
		{"name not UTF-8", swap(t, line, " n ", " \xfe "), "UTF-8"},
		{"name of 256 bytes", swap(t, line, " n ", " "+strings.Repeat("n", 256)+" "), "256 bytes"},
		{"CRLF", swap(t, line, "\n", "\r\n"), "not base64"},
		{"carriage return in the base64", swap(t, line, encoded, "AQID\rBAU="), "not base64"},
		{"no padding", swap(t, line, "=", ""), "not base64"},
		{"trailing bits", swap(t, line, encoded, trailingBits(t, encoded)), "not base64"},
		{"base64url", swap(t, line, encoded, "AQIDBA_-"), "not base64"},
		{"padding inside", swap(t, line, encoded, "AQ==AQIDBAUG"), "not base64"},
		{"too long", swap(t, line, encoded, strings.Repeat("AAAA", 4000)), "too long"},
		{"one key twice", line + line, "two lines of key n+01020304"},
		{"one key twice, other signature", line + swap(t, line, "BAU=", "BAY="), "two lines of key"},
		{"65 lines", string(SignatureLines(sigs)), "more than 64"},
		{"too large", strings.Repeat("x", MaxCheckpointSize+1), "are allowed"},
	})
}

// Sign refuses a note that readers would refuse, or read as another one.
func TestSignRefusesWhatIsNoHead(t *testing.T) {
	for name, h := range map[string]Head{
		"empty origin":               {Origin: "", Size: 1},
		"line feed in the origin":    {Origin: "a\n5", Size: 1},
		"origin of 256 bytes":        {Origin: strings.Repeat("o", 256)},
		"size 2^63":                  {Origin: "o", Size: 1 << 63},
		"empty extension line":       {Origin: "o", Extension: []string{""}},
		"line feed in an extension":  {Origin: "o", Extension: []string{"a\n\n— forged AAAA"}},
		"17 extension lines":         {Origin: "o", Extension: strings.Split(strings.Repeat("x", 17), "")},
		"tab in an extension line":   {Origin: "o", Extension: []string{"\t"}},
		"extension that isn't UTF-8": {Origin: "o", Extension: []string{"\xff"}},
	} {
		for _, a := range []Algorithm{Ed25519, CosignatureEd25519, CosignatureMLDSA44} {
			t.Run(name+"/"+a.String(), func(t *testing.T) {
				if sig, err := testSigner(t, "n", a).Sign(&h, 1); err == nil || len(sig.Bytes) != 0 {
					t.Errorf("signed: %v", err)
				}
			})
		}
	}
}
