// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// sealRaw encrypts to a notice key what need not be a notice.
func sealRaw(t *testing.T, to event.HPKEKey, plain []byte) []byte {
	t.Helper()
	kem := hpke.DHKEM(ecdh.X25519())
	if to.KEM == event.KEMMLKEMX25519 {
		kem = hpke.MLKEM768X25519()
	}
	pub, err := kem.NewPublicKey(to.Public)
	if err != nil {
		t.Fatal(err)
	}
	var info []byte
	for _, part := range []string{string(escrow.ForSubject), written.Origin} {
		info = append(binary.BigEndian.AppendUint32(info, uint32(len(part))), part...)
	}
	b, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// garbage has the length of a notice for the KEM, or another one.
func garbage(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Whatever a custodian publishes in place of notices, the true one is found, and the
// rest costs nothing.
func TestGarbage(t *testing.T) {
	w := newWorld(t)
	mine := w.release([]string{me}, w.key(0, kems[0]))
	c := &released{Case: w.NewCase(hour12, []string{"x"}, w.Wrap(w.stranger(kems[0]), "x"))}
	c.releases = append(c.releases, w.ReleaseWith(c.Access, "c1", garbage(1), garbage(4096), garbage(4096+48), garbage(4096+1136)))
	c.releases = append(c.releases, w.ReleaseWith(c.Access, "c2", garbage(3000)))
	w.disclose(mine, c)
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if len(r.Unproven) != 0 || r.Notices != 7 {
		t.Errorf("%d notices\n%s", r.Notices, text(t, r))
	}
}

// What opens under the subject's key and is no notice is told, and proves nothing.
func TestNoNotice(t *testing.T) {
	for name, plain := range map[string][]byte{
		"zeros":      make([]byte, 4096),
		"no end":     bytes.Repeat([]byte{255}, 4096),
		"other JSON": append([]byte("\x00\x00\x00\x02{}"), make([]byte, 4090)...),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[1]), me))}
			c.releases = append(c.releases, w.ReleaseWith(c.Access, "c1", sealRaw(t, w.key(0, kems[1]), plain)))
			w.disclose(c)
			r := w.scan(nil)
			wants(t, r, scan.Undecided, 0)
			if len(r.Unproven) != 1 {
				t.Fatal(text(t, r))
			}
			has(t, r.Unproven[0].Reason, "it opens under your key, but is not a notice")
		})
	}
}

// A notice that contradicts the log proves nothing, with any author.
func TestContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, n *escrow.Notice, other *escrow.Notice)
		why    string
	}{
		"openings of another access": {func(_ *world, n, o *escrow.Notice) { n.AccessOpenings = o.AccessOpenings }, "another event"},
		"openings of another access, renamed": {func(_ *world, n, o *escrow.Notice) {
			n.AccessOpenings = &event.Openings{Event: n.AccessOpenings.Event, Public: o.AccessOpenings.Public, Subject: o.AccessOpenings.Subject}
		}, "openings of the access: "},
		"openings of another warrant": {func(_ *world, n, o *escrow.Notice) { n.WarrantOpenings = o.WarrantOpenings }, "another event"},
		"another salt":                {func(_ *world, n, _ *escrow.Notice) { n.AccessOpenings.Subject[0].Salt[3] ^= 1 }, "openings of the access: "},
		"another value": {func(_ *world, n, _ *escrow.Notice) {
			for i := range n.WarrantOpenings.Subject {
				if n.WarrantOpenings.Subject[i].Name == "case" {
					n.WarrantOpenings.Subject[i].Value = event.Text("1 Js 1/26")
				}
			}
		}, "openings of the warrant: "},
		"a public opening less": {func(_ *world, n, _ *escrow.Notice) { n.WarrantOpenings.Public = n.WarrantOpenings.Public[1:] }, "openings are missing"},
		"no account":            {func(_ *world, n, _ *escrow.Notice) { n.AccessOpenings.Subject = nil }, "no account"},
		"another warrant": {func(_ *world, n, o *escrow.Notice) {
			n.Warrant, n.WarrantOpenings = o.Warrant, o.WarrantOpenings
		}, "same warrant"},
		"no warrant":        {func(_ *world, n, _ *escrow.Notice) { n.Warrant, n.WarrantOpenings = nil, nil }, "same warrant"},
		"another access":    {func(_ *world, n, o *escrow.Notice) { n.Access = o.Access }, "the release answers"},
		"another leaf":      {func(_ *world, n, _ *escrow.Notice) { n.Access.Leaf[0] ^= 1 }, "the notice is about the access"},
		"another recipient": {func(w *world, n, _ *escrow.Notice) { n.Recipient = w.stranger(kems[0]) }, "different recipient keys"},
		"another seq":       {func(_ *world, n, _ *escrow.Notice) { n.Seq++ }, "about release"},
		"another custodian": {func(_ *world, n, _ *escrow.Notice) { n.Custodian = "c3" }, "did not sign the release"},
		"beyond the log":    {func(_ *world, n, _ *escrow.Notice) { n.Access.Index = 1 << 40 }, "entry 1099511627776"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.release([]string{"bob@example.org"}, w.stranger(kems[1]))
			other := w.Notice(first.Case, "c1", 0)
			mine := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[1]), me))}
			n := w.Notice(mine.Case, "c1", 0)
			c.change(w, n, other)
			b, err := n.Seal(w.key(0, kems[1]))
			if err != nil {
				t.Fatal(err)
			}
			mine.releases = append(mine.releases, w.ReleaseWith(mine.Access, "c1", b))
			w.disclose(first, mine)
			r := w.scan(nil)
			wants(t, r, scan.Undecided, 0)
			if len(r.Unproven) != 1 {
				t.Fatal(text(t, r))
			}
			has(t, r.Unproven[0].Reason, c.why)
		})
	}
}

// A notice of an access that no release states proves nothing to its subject: it is shown as
// what it is.
func TestForged(t *testing.T) {
	w := newWorld(t)
	c := w.release([]string{me}, w.stranger(kems[1])) // she has nothing to do with it
	n := w.Notice(c.Case, "c1", 0)
	n.Seq--
	forged, err := n.Seal(w.key(0, kems[1]))
	if err != nil {
		t.Fatal(err)
	}
	w.disclose(c)
	w.LogEvent(w.Event(&event.Disclosure{Event: c.Access.Reference, Notices: [][]byte{forged}}), "messenger")
	r := w.scan(nil)
	wants(t, r, scan.Undecided, 0)
	if len(r.Unproven) != 1 {
		t.Fatal(text(t, r))
	}
	has(t, r.Unproven[0].Reason, "no release states it")
}

// A custodian that released for a key that no agency signed for has told on itself.
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.Consent = w.Signer("stranger")
	w.disclose(w.release([]string{me}, w.key(0, kems[0])))
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if n := r.Cases[0].Notices[0]; n.Consent || len(n.Warnings) != 1 || n.Warnings[0].Code != notice.WarnConsent || n.Warnings[0].Err == nil {
		t.Errorf("%+v", n.Verified)
	}
}

// An access in breach is shown with its breach.
func TestBreach(t *testing.T) {
	w := newWorld(t)
	c := w.release([]string{me}, w.key(0, kems[0]))
	again := w.ReleaseCase(c.Case, "c1") // it has answered
	w.disclose(c)
	w.Disclose(again, again)
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	has(t, strings.Join(r.Reasons, " "), scan.ReasonBreaches)
	if len(r.Cases[0].Breaches) == 0 {
		t.Error(text(t, r))
	}
}

// A notice that is published twice is one.
func TestRepeated(t *testing.T) {
	w := newWorld(t)
	c := w.release([]string{me}, w.key(0, kems[0]))
	w.disclose(c)
	w.Disclose(c.Access, c.releases...)
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if len(r.Cases[0].Notices) != 2 {
		t.Error(text(t, r))
	}
}
