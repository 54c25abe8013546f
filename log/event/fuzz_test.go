// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
)

func FuzzParse(f *testing.F) {
	for _, body := range sampleBodies() {
		b, err := sample(f, body).Bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"type":"warrant"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		again, err := e.Bytes()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s\nwas read as\n%s (%v)", b, again, err)
		}
		if canonical, err := jcs.Transform(b); err != nil || !bytes.Equal(canonical, b) {
			t.Fatalf("not canonical for jcs: %v\n%s", err, b)
		}
	})
}

func FuzzParseEnvelope(f *testing.F) {
	a, b := edSigner("a"), ecSigner("b")
	for _, body := range sampleBodies()[1:] {
		f.Add(sign(f, body, a).Bytes())
	}
	f.Add(sign(f, sampleBodies()[1], a, b).Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		env, err := ParseEnvelope(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if !bytes.Equal(env.Bytes(), in) {
			t.Fatalf("%s\nwas read as\n%s", in, env.Bytes())
		}
		if canonical, err := jcs.Transform(in); err != nil || !bytes.Equal(canonical, in) {
			t.Fatalf("not canonical for jcs: %v", err)
		}
		payload, err := env.Event.Bytes()
		if err != nil || !bytes.Equal(payload, env.Payload) {
			t.Fatalf("event and payload differ: %v", err)
		}
		_ = env.Verify(lookup(a, b)) // must not panic on what signatures hold
	})
}

func FuzzOpening(f *testing.F) {
	for _, o := range []Opening{
		Decoy(), NewOpening("agency", Text("lka")), NewOpening("grounds", Codes("a", "b")), NewOpening("case", Text("\u00e4\"\\")),
		NewOpening("dataPeriods", Periods(Period{testTime, testTime.Add(time.Hour)}, Period{testTime.AddDate(1, 0, 0), testTime.AddDate(2, 0, 0)})),
		NewOpening("extends", Text(ref(7).String())), NewOpening("proceeding", Text(Digest(hash("p")).String())),
	} {
		s, err := o.Encode()
		if err != nil {
			f.Fatal(err)
		}
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s, b)
	}
	for _, v := range rfc9901 {
		f.Add(v.disclosure, []byte(v.value))
	}
	f.Fuzz(func(t *testing.T, s string, inner []byte) {
		for _, in := range []string{s, base64.RawURLEncoding.EncodeToString(inner)} {
			o, err := ParseOpening(in)
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("error is %v", err)
				}
				continue
			}
			if again, err := o.Encode(); err != nil || again != in {
				t.Fatalf("%s was read as %s (%v)", in, again, err)
			}
			b, err := base64.RawURLEncoding.DecodeString(in)
			if err != nil {
				t.Fatal(err)
			}
			if canonical, err := jcs.Transform(b); err != nil || !bytes.Equal(canonical, b) {
				t.Fatalf("not canonical for jcs: %v\n%s", err, b)
			}
		}
	})
}

func FuzzPeriod(f *testing.F) {
	f.Add(Period{testTime, testTime}.String())
	f.Add("1970-01-01T00:00:00Z/9999-12-31T23:59:59Z")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePeriod(s)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Fatalf("error is %v", err)
		case err == nil && (p.String() != s || p.To.Before(p.From)):
			t.Fatalf("%q was read as %q", s, p)
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Add(ref(0).String())
	f.Add(Reference{Index: MaxInteger}.String())
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Fatalf("error is %v", err)
		case err == nil && (r.String() != s || r.Index > MaxInteger):
			t.Fatalf("%q was read as %q", s, r)
		}
	})
}

func FuzzPublicKeyPEM(f *testing.F) {
	f.Add(edSigner("a").Public().PEM())
	f.Add(ecSigner("b").Public().PEM())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParsePublicKeyPEM(b)
		if err != nil {
			if !errors.Is(err, ErrBadKey) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if !bytes.Equal(k.PEM(), b) {
			t.Fatalf("%q was read as %q", b, k.PEM())
		}
	})
}

func FuzzOpenings(f *testing.F) {
	o := &Openings{Event: hash("event"), Public: []Opening{Decoy(), NewOpening("agency", Text("lka"))}}
	b, err := o.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOpenings(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if again, err := o.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s\nwas read as\n%s (%v)", b, again, err)
		}
	})
}
