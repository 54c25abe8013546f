// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

func testOpenings(names ...string) *event.Openings {
	o := &event.Openings{Event: event.Digest{1}, Public: []event.Opening{event.NewOpening("unit", event.Text("legal"))}}
	for _, n := range names {
		o.Subject = append(o.Subject, event.NewOpening("account", event.Text(n)), event.NewOpening("identifier", event.Text(n)))
	}
	return o
}

func testNotice(t testing.TB) *Notice {
	return &Notice{Origin: testOrigin, Warrant: &event.Reference{Index: 1, Leaf: [32]byte{1}}, Access: event.Reference{Index: 2, Leaf: [32]byte{2}},
		Custodian: "custodian-1", Seq: 3, Recipient: newKey(t, event.KEMX25519).Public(),
		WarrantOpenings: testOpenings("ada"), AccessOpenings: testOpenings("ada")}
}

func testRequest(t testing.TB) *Request {
	c := newCustodians(t, 2, 3)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	q, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "bob@example.org")
	return &Request{Warrant: []byte("warrant"), Access: []byte("access"), WarrantOpenings: testOpenings("ada"),
		AccessOpenings: testOpenings("ada"), Packages: []*Package{p, q}}
}

func testAnswer(t testing.TB) []byte {
	c := newCustodians(t, 1, 1)
	a := &Answer{Index: 1, Delivery: Delivery{Origin: testOrigin, Access: event.Reference{Index: 1}, Release: event.Reference{Index: 2},
		Recipient: newKey(t, event.KEMX25519).Public()}, Shares: []SealedShare{{Sealed: make([]byte, sharePartX25519)}}}
	b, err := a.Sign(c.signers[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mutations are JSON texts that say something else, or the same in another way.
func mutations(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{
		"space": append(bytes.Clone(b), ' '), "LF": append(bytes.Clone(b), '\n'), "trailing": append(bytes.Clone(b), "{}"...),
		"empty": nil, "null": []byte("null"), "list": []byte("[]"), "no members": []byte("{}"),
		"unknown member": append([]byte(`{"a":1,`), b[1:]...), "truncated": b[:len(b)-1],
	}
	for name := range m {
		for what, v := range map[string]string{"null": "null", "number": "-1", "fraction": "1.5", "text": `" "`, "list": "[]", "object": "{}", "large": "18446744073709551616"} {
			c := make(map[string]json.RawMessage)
			for k := range m {
				c[k] = m[k]
			}
			c[name] = json.RawMessage(v)
			out[name+": "+what], _ = json.Marshal(c) // sorts the members
		}
		upper := bytes.Replace(b, []byte(`"`+name+`"`), []byte(`"`+strings.ToUpper(name)+`"`), 1)
		out[name+": case"] = upper
		c := make(map[string]json.RawMessage)
		for k := range m {
			if k != name {
				c[k] = m[k]
			}
		}
		out[name+": missing"], _ = json.Marshal(c)
		out[name+": twice"] = append(fmt.Appendf(nil, `{"%s":%s,`, name, m[name]), b[1:]...)
	}
	return out
}

func TestRequest(t *testing.T) {
	r := testRequest(t)
	b, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range mutations(t, b) {
		if _, err := parseRequest(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := newKey(t, event.KEMMLKEMX25519)
	sealed, err := r.Seal(testOrigin, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	holders := []KeyHolder{newKey(t, event.KEMX25519), k}
	got, err := OpenRequest(testOrigin, holders, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := got.Bytes(); err != nil || !bytes.Equal(again, b) {
		t.Errorf("it comes out as another: %v", err)
	}
	if _, err := OpenRequest("other.example", holders, sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("another log: %v", err)
	}
	if _, err := OpenRequest(testOrigin, holders[:1], sealed); !errors.Is(err, ErrNotMine) {
		t.Errorf("another gate: %v", err)
	}
	for _, n := range []int{0, 31, 32, len(sealed) - 1} {
		if _, err := OpenRequest(testOrigin, holders, sealed[:n]); err == nil {
			t.Errorf("%d bytes are accepted", n)
		}
	}
	for i := 0; i < len(sealed); i += 97 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := OpenRequest(testOrigin, holders, bad); err == nil {
			t.Errorf("byte %d: accepted", i)
		}
	}
	if _, err := OpenRequest(testOrigin, holders, make([]byte, MaxRequestSize+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
	for name, edit := range map[string]func(*Request){
		"no access":          func(r *Request) { r.Access = nil },
		"no access openings": func(r *Request) { r.AccessOpenings = nil },
		"no openings":        func(r *Request) { r.WarrantOpenings = nil },
		"no warrant":         func(r *Request) { r.Warrant = nil },
		"no packages":        func(r *Request) { r.Packages = nil },
		"a package twice":    func(r *Request) { r.Packages = append(r.Packages, r.Packages[0]) },
		"long proof":         func(r *Request) { r.Access = make([]byte, 1<<21) },
	} {
		bad := *r
		edit(&bad)
		if _, err := bad.Bytes(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	emergency := *r
	emergency.Warrant, emergency.WarrantOpenings = nil, nil
	b, err = emergency.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseRequest(b); err != nil || got.Warrant != nil || got.WarrantOpenings != nil {
		t.Errorf("emergency: %+v, %v", got, err)
	}
}

func TestAnswer(t *testing.T) {
	b := testAnswer(t)
	if _, err := parseAnswer(b); err != nil {
		t.Fatal(err)
	}
	for name, bad := range mutations(t, b) {
		if _, err := parseAnswer(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnswerBound has an answer that is not about what was asked in one respect.
func TestAnswerBound(t *testing.T) {
	c := newCustodians(t, 1, 2)
	g := c.group(t)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	q, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	recipient := newKey(t, event.KEMX25519)
	d := Delivery{Origin: testOrigin, Access: event.Reference{Index: 1}, Release: event.Reference{Index: 2}, Recipient: recipient.Public()}
	s, err := p.OpenShare(c.holders[0][event.KEMX25519], g)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal(&d)
	if err != nil {
		t.Fatal(err)
	}
	base := Answer{Delivery: d, Index: 1, Shares: []SealedShare{sealed}}
	for name, edit := range map[string]func(*Answer){
		"origin":       func(a *Answer) { a.Delivery.Origin = "other.example" },
		"access":       func(a *Answer) { a.Delivery.Access.Index = 9 },
		"access leaf":  func(a *Answer) { a.Delivery.Access.Leaf[0] = 9 },
		"release":      func(a *Answer) { a.Delivery.Release.Index = 9 },
		"release leaf": func(a *Answer) { a.Delivery.Release.Leaf[0] = 9 },
		"recipient":    func(a *Answer) { a.Delivery.Recipient = newKey(t, event.KEMX25519).Public() },
		"index":        func(a *Answer) { a.Index = 2 },
		"package":      func(a *Answer) { a.Shares = []SealedShare{{q.Digest(), sealed.Sealed}} },
		"two shares":   func(a *Answer) { a.Shares = []SealedShare{sealed, {q.Digest(), sealed.Sealed}} },
		"damaged":      func(a *Answer) { a.Shares = []SealedShare{{p.Digest(), make([]byte, sharePartX25519)}} },
	} {
		a := base
		edit(&a)
		b, err := a.Sign(c.signers[0])
		if err != nil {
			t.Fatal(err)
		}
		want := d
		if _, err := OpenAnswer(b, &want, 1, c.signers[0].Public(), recipient, []*Package{p}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b, err := base.Sign(c.signers[1])
	if err != nil {
		t.Fatal(err)
	}
	want := d
	if _, err := OpenAnswer(b, &want, 1, c.signers[0].Public(), recipient, []*Package{p}); !errors.Is(err, event.ErrBadSignature) {
		t.Errorf("another signer: %v", err)
	}
	if b, err = base.Sign(c.signers[0]); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(b, []byte(`"index":2`), []byte(`"index":3`), 1) // of the release
	if _, err := OpenAnswer(forged, &want, 1, c.signers[0].Public(), recipient, []*Package{p}); !errors.Is(err, event.ErrBadSignature) {
		t.Errorf("forged: %v", err)
	}
	if _, err := OpenAnswer(b, &want, 1, c.signers[0].Public(), recipient, []*Package{p}); err != nil {
		t.Errorf("as it is: %v", err)
	}
}

func TestNotice(t *testing.T) {
	for _, kem := range kems {
		n := testNotice(t)
		k := newKey(t, kem)
		b, err := n.Seal(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > event.MaxNoticeSize || kemOf(b) != kem {
			t.Errorf("%d bytes are taken for one of %q", len(b), kemOf(b))
		}
		got, err := OpenNotice(testOrigin, k, b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Seq != 3 || got.Access != n.Access || *got.Warrant != *n.Warrant || got.AccessOpenings.Subject[0].Value.Text() != "ada" {
			t.Errorf("%+v", got)
		}
		if _, err := OpenNotice("other.example", k, b); !errors.Is(err, ErrOpen) {
			t.Errorf("another log: %v", err)
		}
		if _, err := OpenNotice(testOrigin, newKey(t, kem), b); !errors.Is(err, ErrOpen) {
			t.Errorf("another person: %v", err)
		}
	}
	// Sizes, up to the largest; one beyond is an error.
	n := testNotice(t)
	sizes := make(map[int]bool)
	for range 200 {
		b, err := n.plaintext()
		if err != nil {
			break
		}
		sizes[len(b)] = true
		n.AccessOpenings.Subject = append(n.AccessOpenings.Subject, event.NewOpening("account", event.Text(strings.Repeat("x", 300))))
	}
	if len(sizes) != len(noticeSizes) {
		t.Errorf("sizes: %v", sizes)
	}
	if _, err := n.Seal(newKey(t, event.KEMX25519).Public()); !errors.Is(err, ErrMalformed) {
		t.Errorf("too large: %v", err)
	}
	plain, err := testNotice(t).plaintext()
	if err != nil {
		t.Fatal(err)
	}
	text := plain[4 : 4+int(plain[2])<<8+int(plain[3])]
	for name, bad := range mutations(t, text) {
		if name == "empty" {
			continue
		}
		padded := append([]byte{0, 0, byte(len(bad) >> 8), byte(len(bad))}, bad...)
		padded = append(padded, make([]byte, max(0, 4096-len(padded)))...)
		if _, err := parseNotice(padded); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []int{0, 3, len(plain) - 1} {
		bad := bytes.Clone(plain)
		bad[at]++
		if _, err := parseNotice(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if _, err := parseNotice(append(plain, make([]byte, 4096)...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("longer padding: %v", err)
	}
}

// TestSubjectOpenings tells a subject its own, and nothing of others.
func TestSubjectOpenings(t *testing.T) {
	mine, other := event.Digest{1}, event.Digest{2}
	all := testOpenings("ada", "bob")
	all.Public = append(all.Public, event.Decoy())
	all.Subject = append(all.Subject, event.NewOpening("case", event.Text("12 Js 7/26")), event.Decoy(),
		event.NewOpening("package", event.Text(mine.String())), event.NewOpening("package", event.Text(other.String())))
	got := SubjectOpenings(all, []string{"ada"}, []event.Digest{mine})
	if len(got.Public) != 2 || len(got.Subject) != 4 || got.Event != all.Event {
		t.Fatalf("%d public, %d of the subject", len(got.Public), len(got.Subject))
	}
	for _, o := range got.Subject {
		if o.Value.Text() == "bob" || o.Value.Text() == other.String() || o.Name == event.DecoyName {
			t.Errorf("%s %s", o.Name, o.Value.Text())
		}
	}
	if SubjectOpenings(nil, nil, nil) != nil {
		t.Error("openings of nothing")
	}
}

func TestSecretKey(t *testing.T) {
	for _, kem := range kems {
		k := newKey(t, kem)
		b, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSecretKey(b)
		if err != nil || !bytes.Equal(again.Public().Public, k.Public().Public) {
			t.Fatalf("%v", err)
		}
		if _, err := ParseSecretKey(b[:len(b)-1]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v", err)
		}
		for name, bad := range mutations(t, b[:len(b)-1]) {
			if _, err := ParseSecretKey(append(bad, '\n')); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func kemOf(notice []byte) event.KEM {
	kem, _ := NoticeKEM(len(notice))
	return kem
}
