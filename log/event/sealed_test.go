// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
)

// Disclosures and digests printed in RFC 9901: sections 4.2.3 and 5.1.
var rfc9901 = []struct{ disclosure, digest, name, value string }{
	{"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0", "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0", "family_name", "\"M\u00f6bius\""},
	{"WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd", "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4", "given_name", `"John"`},
	{"WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd", "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo", "family_name", `"Doe"`},
	{"WyI2SWo3dE0tYTVpVlBHYm9TNXRtdlZBIiwgImVtYWlsIiwgImpvaG5kb2VAZXhhbXBsZS5jb20iXQ", "JzYjH4svliH0R3PyEMfeZu6Jt69u5qehZo7F7EPYlSE", "email", `"johndoe@example.com"`},
	{"WyJlSThaV205UW5LUHBOUGVOZW5IZGhRIiwgInBob25lX251bWJlciIsICIrMS0yMDItNTU1LTAxMDEiXQ", "PorFbpKuVu6xymJagvkFsFXAbRoc2JGlAUA2BA4o7cI", "phone_number", `"+1-202-555-0101"`},
	{"WyJHMDJOU3JRZmpGWFE3SW8wOXN5YWpBIiwgInVwZGF0ZWRfYXQiLCAxNTcwMDAwMDAwXQ", "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI", "updated_at", "1570000000"},
}

// The RFC's disclosures aren't in JCS form (they have spaces), so its digests
// check how Digest hashes a text, and their canonical form checks the shape.
func TestRFC9901(t *testing.T) {
	for _, v := range rfc9901 {
		if got := Digest(sha256.Sum256([]byte(v.disclosure))).String(); got != v.digest {
			t.Errorf("%s: digest is %s, want %s", v.name, got, v.digest)
		}
		text, err := base64.RawURLEncoding.DecodeString(v.disclosure)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseOpening(v.disclosure); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a disclosure with spaces: error is %v", v.name, err)
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(text, &parts); err != nil || len(parts) != 3 || string(parts[1]) != `"`+v.name+`"` || string(parts[2]) != v.value {
			t.Errorf("disclosure is %s", text)
		}
	}
	// The salts of section 5.1 have 128 bits. With one of our names, our text
	// is what JCS makes of an array of the RFC's shape.
	salt, err := base64.RawURLEncoding.DecodeString("2GLC42sKQveCfGfryNRN9w")
	if err != nil {
		t.Fatal(err)
	}
	o := Opening{Salt: [16]byte(salt), Name: "case", Value: Text("M\u00f6bius \"\\ <&>\u2028")}
	got, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	loose, err := json.Marshal([]string{"2GLC42sKQveCfGfryNRN9w", "case", "M\u00f6bius \"\\ <&>\u2028"})
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := jcs.Transform(loose)
	if err != nil {
		t.Fatal(err)
	}
	if want := base64.RawURLEncoding.EncodeToString(canonical); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
}

func TestOpeningRoundTrip(t *testing.T) {
	for _, o := range []Opening{
		NewOpening("agency", Text("lka-berlin")), NewOpening("grounds", Codes("b", "a", "b")), Decoy(),
		NewOpening("dataPeriods", Periods(Period{testTime, testTime})), NewOpening("extends", Text(ref(3).String())),
		NewOpening("case", Text("\u00e4 \"q\" \\ \U0001f512")), NewOpening("identifier", Text("+49 30 1")),
	} {
		s, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseOpening(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, again, cmpKeys); d != "" {
			t.Error(d)
		}
	}
	if a, b := Decoy(), Decoy(); a.Salt == b.Salt {
		t.Error("two openings have one salt")
	}
	if got := Codes("b", "a", "b").Codes(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("codes are %v", got)
	}
}

func TestParseOpeningRefuses(t *testing.T) {
	enc := base64.RawURLEncoding.EncodeToString
	salt := enc(fill("salt", 16))
	good := `["` + salt + `","agency","lka"]`
	if _, err := ParseOpening(enc([]byte(good))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": ``, "space": `["` + salt + `", "agency","lka"]`, "object": `{"salt":"` + salt + `"}`,
		"two elements":  `["` + salt + `","agency"]`,
		"four elements": `["` + salt + `","agency","lka","x"]`,
		"trailing":      good + " ", "null": `["` + salt + `","agency",null]`, "true": `["` + salt + `","agency",true]`,
		"number": `["` + salt + `","agency",1]`, "value 0": `["` + salt + `","agency",0]`,
		"decoy with a text": `["` + salt + `","_decoy","x"]`, "decoy with 00": `["` + salt + `","_decoy",00]`,
		"empty text": `["` + salt + `","agency",""]`, "empty list": `["` + salt + `","grounds",[]]`,
		"unsorted list": `["` + salt + `","grounds",["b","a"]]`, "list twice": `["` + salt + `","grounds",["a","a"]]`,
		"list of numbers": `["` + salt + `","grounds",[1]]`, "free text in a list": `["` + salt + `","grounds",["free text"]]`,
		"nested list":  `["` + salt + `","grounds",[["a"]]]`,
		"unknown name": `["` + salt + `","salary","lka"]`, "sd name": `["` + salt + `","_sd","lka"]`,
		"short salt":   `["` + salt[:21] + `","agency","lka"]`,
		"salt bits":    `["` + salt[:21] + `B","agency","lka"]`,
		"unicode esc":  `["` + salt + `","agency","\u006cka"]`,
		"slash esc":    `["` + salt + `","agency","\/"]`,
		"control":      `["` + salt + `","case","a\u0001"]`,
		"line":         `["` + salt + `","case","a\nb"]`,
		"raw line":     "[\"" + salt + "\",\"case\",\"a\nb\"]",
		"DEL":          "[\"" + salt + "\",\"case\",\"a\x7f\"]",
		"C1":           "[\"" + salt + "\",\"case\",\"a\u0085\"]",
		"bad utf-8":    "[\"" + salt + "\",\"case\",\"a\xff\"]",
		"surrogate":    "[\"" + salt + "\",\"case\",\"a\xed\xa0\x80\"]",
		"unterminated": `["` + salt + `","case","a`, "open escape": `["` + salt + `","case","a\`,
		"long": `["` + salt + `","case","` + strings.Repeat("a", 4000) + `"]`,
	} {
		if _, err := ParseOpening(enc([]byte(text))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	s := enc([]byte(good))
	tilde := enc([]byte(`["` + salt + `","case","~~~~~"]`)) // has a dash, however it is aligned
	if _, err := ParseOpening(tilde); err != nil || !strings.Contains(tilde, "-") {
		t.Fatal(tilde, err)
	}
	for name, bad := range map[string]string{
		"standard alphabet": strings.ReplaceAll(tilde, "-", "+"),
		"padded":            s + "==", "line break": s[:10] + "\n" + s[10:], "final line break": s + "\n", "CR": s[:10] + "\r" + s[10:],
	} {
		if _, err := ParseOpening(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestSealAndMatch(t *testing.T) {
	for _, typ := range []Type{TypeWarrant, TypeAccess} {
		bodies := sampleBodies()
		body := bodies[slices.IndexFunc(bodies, func(b Body) bool { return b.Type() == typ })]
		e := sample(t, body)
		public, subject := sampleOpenings(t, e)
		if e.Type == TypeAccess && len(e.Sealed.Public) < MinDigests(TypeAccess, ClassPublic) {
			t.Error("fewer digests than the type asks for")
		}
		for class, openings := range map[Class][]Opening{ClassPublic: public, ClassSubject: subject} {
			if err := e.MatchAll(class, openings); err != nil {
				t.Errorf("%s: %v", class, err)
			}
			closed, err := e.Match(class, openings[1:])
			if d, _ := openings[0].Digest(); err != nil || !slices.Equal(closed, []Digest{d}) {
				t.Errorf("%s: closed are %v, %v", class, closed, err)
			}
			if err := e.MatchAll(class, openings[1:]); !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s: one short: error is %v", class, err)
			}
			if _, err := e.Match(class, append(slices.Clone(openings), openings[0])); !errors.Is(err, ErrRepeated) {
				t.Errorf("%s: one twice: error is %v", class, err)
			}
			other := openings[0]
			other.Salt[0] ^= 1
			if _, err := e.Match(class, []Opening{other}); !errors.Is(err, ErrNoMatch) {
				t.Errorf("%s: other salt: error is %v", class, err)
			}
		}
		if _, err := e.Match(ClassPublic, subject); !errors.Is(err, ErrWrongName) {
			t.Errorf("subject's openings as public ones: error is %v", err)
		}
		if _, err := e.Match("x", public); !errors.Is(err, ErrWrongName) {
			t.Errorf("unknown class: error is %v", err)
		}
		if !slices.IsSortedFunc(e.Sealed.Public, func(a, b Digest) int { return strings.Compare(a.String(), b.String()) }) {
			t.Error("digests are not sorted by text")
		}
	}
}

func TestSealRefuses(t *testing.T) {
	e := sample(t, sampleBodies()[1])
	public, subject := sampleOpenings(t, e)
	sealed := *e.Sealed
	swap := func(list []Opening, name string, v Value) []Opening {
		out := slices.Clone(list)
		for i := range out {
			if out[i].Name == name {
				out[i].Value = v
			}
		}
		return out
	}
	for name, tc := range map[string]struct {
		public, subject []Opening
		want            error
	}{
		"classes swapped":    {subject, public, ErrWrongName},
		"one missing":        {public[1:], subject, ErrIncomplete},
		"agency twice":       {append(slices.Clone(public), NewOpening("agency", Text("bka"))), subject, ErrIncomplete},
		"one twice":          {append(slices.Clone(public), public[len(public)-1]), subject, ErrMalformed},
		"agency in words":    {swap(public, "agency", Text("The agency")), subject, ErrWrongName},
		"agency as list":     {swap(public, "agency", Codes("a")), subject, ErrWrongName},
		"agency as nothing":  {swap(public, "agency", Value{}), subject, ErrWrongName},
		"grounds as text":    {swap(public, "grounds", Text("a")), subject, ErrWrongName},
		"key is no key":      {swap(public, "agencyKey", Text("AAAA")), subject, ErrWrongName},
		"case with control":  {public, swap(subject, "case", Text("a\nb")), ErrWrongName},
		"name of an access":  {append(slices.Clone(public), NewOpening("unit", Text("legal"))), subject, ErrWrongName},
		"nothing for public": {nil, subject, ErrIncomplete},
	} {
		if err := e.Seal(sealed.Until, tc.public, tc.subject); !errors.Is(err, tc.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tc.want)
		}
		if d := cmp.Diff(&sealed, e.Sealed); d != "" {
			t.Fatalf("%s: the event changed: %s", name, d)
		}
	}
	r := sample(t, sampleBodies()[4])
	if err := r.Seal(testTime, []Opening{Decoy()}, nil); !errors.Is(err, ErrWrongName) {
		t.Errorf("sealed revocation: error is %v", err)
	}
	if _, err := r.Match(ClassPublic, nil); err != nil {
		t.Errorf("nothing to match: error is %v", err)
	}
}

func TestOpeningsFile(t *testing.T) {
	e := sample(t, sampleBodies()[1])
	o := &Openings{Event: hash("event")}
	o.Public, o.Subject = sampleOpenings(t, e)
	b, err := o.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseOpenings(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(o, again, cmpKeys); d != "" {
		t.Error(d)
	}
	if err := e.MatchAll(ClassPublic, again.Public); err != nil {
		t.Error(err)
	}
	if canonical, err := jcs.Transform(b); err != nil || !bytes.Equal(append(canonical, '\n'), b) {
		t.Errorf("jcs disagrees: %v", err)
	}
	good := string(b)
	for name, bad := range map[string]string{
		"no LF": strings.TrimSuffix(good, "\n"), "two LF": good + "\n", "crlf": strings.TrimSuffix(good, "\n") + "\r\n", "empty": "",
		"unknown member": strings.Replace(good, `"public"`, `"name":"x","public"`, 1),
		"empty list":     `{"event":"` + o.Event.String() + `","public":[]}` + "\n",
		"bad opening":    `{"event":"` + o.Event.String() + `","public":["AAAA"]}` + "\n",
		"too large":      good + strings.Repeat(" ", MaxOpeningsSize),
		"reordered":      strings.Replace(good, `{"event":"`+o.Event.String()+`",`, `{`, 1),
	} {
		if _, err := ParseOpenings([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestAgencyMessage(t *testing.T) {
	key := HPKEKey{KEMX25519, fill("r", 32)}
	m, err := AgencyMessage(testLog, hash("w"), ID(fill("a", 16)), key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(m, []byte("DSSEv1 32 application/vnd.vasistas.consent 151 ")) {
		t.Errorf("message is %q", m)
	}
	if other, err := AgencyMessage("other.example", hash("w"), ID(fill("a", 16)), key); err != nil || bytes.Equal(m, other) {
		t.Errorf("another log has the same message, %v", err)
	}
	other, err := AgencyMessage(testLog, hash("w"), ID(fill("b", 16)), key)
	if err != nil || bytes.Equal(m, other) {
		t.Errorf("another access has the same message, %v", err)
	}
	if _, err := AgencyMessage(testLog, hash("w"), ID{}, HPKEKey{KEMX25519, nil}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no key: error is %v", err)
	}
}

func TestDigestText(t *testing.T) {
	d := Digest(hash("x"))
	if again, err := ParseDigest(d.String()); err != nil || again != d {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := Text("AAAB").Bytes(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "AA==", "AB", "A\nAA", "AA\r\nAA", "AA+A", `AA"`} {
		if _, err := Text(bad).Bytes(); !errors.Is(err, ErrMalformed) {
			t.Errorf("bytes %q: error is %v", bad, err)
		}
	}
	bits := d.String()[:42] + string(d.String()[42]+1) // the last character has two bits that must be zero
	for _, bad := range []string{bits, "", d.String() + "=", d.String()[1:], d.String() + `"`, d.String()[:42] + "\n", `"` + d.String()} {
		if _, err := ParseDigest(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: error is %v", bad, err)
		}
	}
}
