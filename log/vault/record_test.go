// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

func TestPrepare(t *testing.T) {
	by := newSigner()
	w, other := warrant(t, by, 2), warrant(t, by, 0)
	r := prepared(t, w)
	if r.Event() != event.Digest(w.Envelope.Hash()) || len(r.Openings()) != 5 || len(r.notices) != 0 {
		t.Errorf("%+v", r)
	}
	rel := release(t, by, 3, 1000)
	if r := prepared(t, rel); len(r.notices) != 2 || len(r.Openings()) != 0 {
		t.Errorf("%+v", r)
	}
	ev, err := event.New(testLog, &event.Refusal{Reason: "ended"})
	check(t, err)
	if r, err := Prepare(&event.Submission{Envelope: sign(t, ev, by)}); r != nil || err != nil {
		t.Errorf("an event that seals nothing: %v, %v", r, err)
	}
	alter := func(s *event.Submission, f func(*event.Submission)) *event.Submission {
		c := *s
		c.Openings, c.Notices = append([]event.Opening(nil), s.Openings...), append([][]byte(nil), s.Notices...)
		f(&c)
		return &c
	}
	for name, c := range map[string]struct {
		s    *event.Submission
		want error
	}{
		"nothing":               {&event.Submission{}, event.ErrMalformed},
		"an opening missing":    {alter(w, func(s *event.Submission) { s.Openings = s.Openings[1:] }), event.ErrIncomplete},
		"a decoy missing":       {alter(w, func(s *event.Submission) { s.Openings = s.Openings[:4] }), event.ErrIncomplete},
		"none":                  {alter(w, func(s *event.Submission) { s.Openings = nil }), event.ErrIncomplete},
		"another's":             {alter(w, func(s *event.Submission) { s.Openings = other.Openings }), event.ErrNoMatch},
		"one twice":             {alter(w, func(s *event.Submission) { s.Openings = append(s.Openings, s.Openings[0]) }), event.ErrRepeated},
		"another salt":          {alter(w, func(s *event.Submission) { s.Openings[0].Salt[0] ^= 1 }), event.ErrNoMatch},
		"the subject's":         {alter(w, func(s *event.Submission) { s.Openings[0] = event.NewOpening("case", event.Text("x")) }), event.ErrWrongName},
		"notices of a warrant":  {alter(w, func(s *event.Submission) { s.Notices = [][]byte{{1}} }), event.ErrNoMatch},
		"openings of a release": {alter(rel, func(s *event.Submission) { s.Openings = w.Openings }), event.ErrWrongName},
		"a notice missing":      {alter(rel, func(s *event.Submission) { s.Notices = s.Notices[1:] }), event.ErrIncomplete},
		"a notice too many":     {alter(rel, func(s *event.Submission) { s.Notices = append(s.Notices, []byte{1}) }), event.ErrNoMatch},
		"a notice twice":        {alter(rel, func(s *event.Submission) { s.Notices[1] = s.Notices[0] }), event.ErrRepeated},
		"another notice":        {alter(rel, func(s *event.Submission) { s.Notices[1] = []byte{1} }), event.ErrNoMatch},
	} {
		r, err := Prepare(c.s)
		var bad *SubmissionError
		if r != nil || !errors.Is(err, c.want) || !errors.As(err, &bad) {
			t.Errorf("%s: %v, %v", name, r, err)
		} else if c.s.Envelope != nil && bad.Event != event.Digest(c.s.Envelope.Hash()) {
			t.Errorf("%s: names event %s", name, bad.Event)
		}
	}
}

// TestDisclosures signs every disclosure with the longest origin and the most
// signatures, so that none can be too large in any log.
func TestDisclosures(t *testing.T) {
	by := newSigner()
	var all []event.Signer
	for range event.MaxSignatures {
		all = append(all, newSigner())
	}
	var many []int
	for range maxNotices {
		many = append(many, 1000)
	}
	for name, c := range map[string]struct {
		s    *event.Submission
		want int
	}{
		"a warrant":           {warrant(t, by, 2), 1},
		"512 digests":         {warrant(t, by, 509), 1},
		"a notice":            {release(t, by, 100), 1},
		"the longest notice":  {release(t, by, event.MaxNoticeSize), 1},
		"two, filling one":    {release(t, by, event.MaxNoticeSize-6, 1), 1},
		"notices of all kind": {release(t, by, 24000, 24000, 24000, 24000, 24000, 24000), 6},
		"the most notices":    {release(t, by, many...), 3},
	} {
		r := prepared(t, c.s)
		bodies, err := Disclosures(7, c.s.Envelope, r)
		check(t, err)
		if len(bodies) != c.want {
			t.Errorf("%s: %d disclosures, want %d", name, len(bodies), c.want)
		}
		var openings []event.Opening
		var notices [][]byte
		for _, d := range bodies {
			ev, err := event.New(strings.Repeat("o", 255), d)
			check(t, err)
			env, err := event.Sign(ev, all...)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := len(env.Bytes()); n > event.MaxEntrySize {
				t.Errorf("%s: entry of %d bytes", name, n)
			}
			if d.Event != (event.Reference{Index: 7, Leaf: c.s.Envelope.LeafHash()}) {
				t.Errorf("%s: refers to %v", name, d.Event)
			}
			openings, notices = append(openings, d.Openings...), append(notices, d.Notices...)
		}
		if len(openings) > 0 {
			check(t, c.s.Envelope.Event.MatchAll(event.ClassPublic, openings))
		}
		if len(notices) != len(c.s.Notices) {
			t.Errorf("%s: %d notices of %d", name, len(notices), len(c.s.Notices))
		}
	}
	w := warrant(t, by, 0)
	if _, err := Disclosures(7, w.Envelope, prepared(t, warrant(t, by, 0))); err == nil {
		t.Error("another event's record was disclosed")
	}
	forged := &Record{hash: event.Digest(w.Envelope.Hash()), openings: warrant(t, by, 0).Openings}
	if _, err := Disclosures(7, w.Envelope, forged); !errors.Is(err, event.ErrNoMatch) {
		t.Errorf("openings that don't match: %v", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	by := newSigner()
	for _, s := range []*event.Submission{warrant(f, by, 1), release(f, by, 1, 2, 30)} {
		f.Add(prepared(f, s).text)
	}
	f.Add([]byte("{}\n"))
	f.Add([]byte("{}\nAA\nAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		again := &Record{hash: r.hash, openings: r.openings, notices: r.notices}
		check(t, again.encode())
		if !bytes.Equal(again.text, b) {
			t.Fatalf("%q is read, and %q written", b, again.text)
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 32) + "\x00\x00\x00\x01"))
	f.Add([]byte(strings.Repeat("a", 32) + "\x00\x00\x00\x01" + strings.Repeat("b", 32) + "\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		places, err := parseIndex(b)
		if err != nil {
			return
		}
		if again := encodeIndex(places); !bytes.Equal(again, b) {
			t.Fatalf("%x is read, and %x written", b, again)
		}
		for i, p := range places {
			if !names(places, p.hash) || i > 0 && p.off != places[i-1].off+int64(places[i-1].n) {
				t.Fatalf("place %d: %+v", i, p)
			}
		}
	})
}
