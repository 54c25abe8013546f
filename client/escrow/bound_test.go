// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// recorder is a key holder that remembers what it was asked to open.
type recorder struct {
	KeyHolder
	asked []Purpose
}

func (r *recorder) Open(p Purpose, info, sealed []byte) ([]byte, error) {
	r.asked = append(r.asked, p)
	return r.KeyHolder.Open(p, info, sealed)
}

// opens takes a package through all gates, and returns the first error.
func (c *custodians) opens(p *Package, g *Group, kem event.KEM) ([]byte, error) {
	var shares []*Share
	for _, h := range c.holders {
		if _, err := p.OpenNotice(h[kem], g); err != nil {
			return nil, err
		}
		s, err := p.OpenShare(h[kem], g)
		if err != nil {
			return nil, err
		}
		shares = append(shares, s)
	}
	return p.FileKey(shares)
}

func clone(stanzas []*age.Stanza) []*age.Stanza {
	var out []*age.Stanza
	for _, s := range stanzas {
		out = append(out, &age.Stanza{Type: s.Type, Args: slices.Clone(s.Args), Body: bytes.Clone(s.Body)})
	}
	return out
}

// TestBound exchanges each field of a package for that of another package, for the same
// gates and the same person, in all its stanzas and in one: it opens no more.
func TestBound(t *testing.T) {
	for _, kem := range kems {
		c := newCustodians(t, 2, 3)
		g := c.group(t)
		subject := newKey(t, kem)
		p, fileKey := c.wrapped(t, kem, subject.Public(), "ada@example.org")
		q, _ := c.wrapped(t, kem, subject.Public(), "ada@example.org")
		if got, err := c.opens(p, g, kem); err != nil || !bytes.Equal(got, fileKey) {
			t.Fatalf("%x, %v", got, err)
		}
		part1 := func(b []byte) []byte { return b[2 : 2+int(b[0])<<8+int(b[1])] }
		edits := map[string]func(to, from *age.Stanza){
			"part one": func(to, from *age.Stanza) { copy(part1(to.Body), part1(from.Body)) },
			"part two": func(to, from *age.Stanza) {
				n := len(part1(to.Body)) + 2
				copy(to.Body[n:], from.Body[n:])
			},
			"both parts": func(to, from *age.Stanza) { copy(to.Body, from.Body) },
		}
		for i, name := range []string{"group", "nonce", "account", "index", "threshold", "number", "key", "share", "file key"} {
			edits[name] = func(to, from *age.Stanza) { to.Args[i] = from.Args[i] }
		}
		same := map[string]bool{"group": true, "index": true, "threshold": true, "number": true, "key": true}
		for name, edit := range edits {
			for _, only := range []int{-1, 0, 1, 2} {
				to, from := clone(p.Stanzas()), q.Stanzas()
				for i := range to {
					if only < 0 || only == i {
						edit(to[i], from[i])
					}
				}
				bad, err := ParsePackage(to)
				if err == nil {
					_, err = c.opens(bad, g, kem)
				}
				if same[name] { // both packages have the same: next test
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				if err == nil {
					t.Errorf("%s: exchanged in %d, and it opens", name, only)
				}
			}
		}
		for i, name := range []string{"key", "index"} { // those of another stanza of its own
			arg := []int{6, 3}[i]
			to := clone(p.Stanzas())
			to[0].Args[arg], to[1].Args[arg] = to[1].Args[arg], to[0].Args[arg]
			bad, err := ParsePackage(to)
			if err == nil {
				_, err = c.opens(bad, g, kem)
			}
			if err == nil {
				t.Errorf("%s: exchanged between two stanzas, and it opens", name)
			}
		}
		// Whole stanzas in another order, each with its index set right again.
		to := clone(p.Stanzas())
		to[0], to[1] = to[1], to[0]
		to[0].Args[3], to[1].Args[3] = "1", "2"
		bad, err := ParsePackage(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.opens(bad, g, kem); !errors.Is(err, ErrOpen) {
			t.Errorf("stanzas in another order: %v", err)
		}
	}
}

// TestBoundGroup gives the same custodians to groups that differ in one thing that a
// package is bound to, and tells the package that it is of that group.
func TestBoundGroup(t *testing.T) {
	c := newCustodians(t, 2, 3)
	g := c.group(t)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	for name, edit := range map[string]func(*Group){
		"origin":    func(g *Group) { g.origin = "other.example" },
		"id":        func(g *Group) { g.id = "g2" },
		"threshold": func(g *Group) { g.threshold = 1 },
	} {
		other := *g
		edit(&other)
		other.digest = groupDigest(other.origin, other.id, other.threshold, len(other.members))
		if _, err := c.opens(p, &other, event.KEMX25519); !errors.Is(err, ErrNotMine) {
			t.Errorf("%s: %v", name, err)
		}
		to := clone(p.Stanzas())
		for i := range to {
			to[i].Args[0] = other.digest.String()
			if name == "threshold" {
				to[i].Args[4] = "1"
			}
		}
		bad, err := ParsePackage(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.opens(bad, &other, event.KEMX25519); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One custodian fewer.
	fewer := newCustodians(t, 2, 2)
	fewer.holders, fewer.charter.Parties = c.holders[:2], c.charter.Parties[:2]
	to := clone(p.Stanzas())[:2]
	for i := range to {
		to[i].Args[0], to[i].Args[5] = fewer.group(t).Digest().String(), "2"
	}
	bad, err := ParsePackage(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fewer.opens(bad, fewer.group(t), event.KEMX25519); !errors.Is(err, ErrOpen) {
		t.Errorf("fewer: %v", err)
	}
}

// TestOtherNotice makes a part one with an attacker's notice key, well bound: part two
// opens under no part one but its own, so that no notice can be led astray.
func TestOtherNotice(t *testing.T) {
	for _, kem := range kems {
		c := newCustodians(t, 1, 1)
		g := c.group(t)
		p, _ := c.wrapped(t, kem, newKey(t, kem).Public(), "ada@example.org")
		h := &recorder{KeyHolder: c.holders[0][kem]}
		honest, err := p.OpenNotice(h, g)
		if err != nil {
			t.Fatal(err)
		}
		attacker := newKey(t, kem)
		plain, err := encodeNoticePart(&NoticePart{attacker.Public(), honest.Account})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := seal(h.Public(), p.info(ForNotice, g, 1), plain)
		if err != nil {
			t.Fatal(err)
		}
		to := clone(p.Stanzas())
		copy(to[0].Body[2:], sealed)
		bad, err := ParsePackage(to)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := bad.OpenNotice(h, g); err != nil || !bytes.Equal(n.Key.Public, attacker.Public().Public) {
			t.Fatalf("%v", err)
		}
		if _, err := bad.OpenShare(h, g); !errors.Is(err, ErrOpen) {
			t.Errorf("%v", err)
		}
		if bad.Digest() == p.Digest() {
			t.Error("one digest for two packages")
		}
		// Another account under the digest of the first.
		account := event.NewOpening(accountName, event.Text("eve@example.org"))
		if plain, err = encodeNoticePart(&NoticePart{attacker.Public(), account}); err != nil {
			t.Fatal(err)
		}
		if sealed, err = seal(h.Public(), p.info(ForNotice, g, 1), plain); err != nil {
			t.Fatal(err)
		}
		copy(to[0].Body[2:], sealed)
		if bad, err = ParsePackage(to); err != nil {
			t.Fatal(err)
		}
		if _, err := bad.OpenNotice(h, g); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v", err)
		}
		if slices.Contains(h.asked[:1], ForShare) || h.asked[0] != ForNotice {
			t.Errorf("asked: %v", h.asked)
		}
	}
}

// TestPurposes has no ciphertext open for another purpose than its own.
func TestPurposes(t *testing.T) {
	k := newKey(t, event.KEMX25519)
	purposes := []Purpose{ForRequest, ForNotice, ForShare, ForAnswer, ForSubject}
	for _, a := range purposes {
		b, err := seal(k.Public(), labelled(string(a), []byte("x")), []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range purposes {
			if _, err := k.Open(o, labelled(string(o), []byte("x")), b); (err == nil) != (a == o) {
				t.Errorf("sealed for %q, opened for %q: %v", a, o, err)
			}
		}
	}
}

// TestBadShares has gates and clients that lie about shares.
func TestBadShares(t *testing.T) {
	c := newCustodians(t, 2, 3)
	g := c.group(t)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	recipient := newKey(t, event.KEMMLKEMX25519)
	d := &Delivery{Origin: testOrigin, Access: event.Reference{Index: 3}, Release: event.Reference{Index: 4}, Recipient: recipient.Public()}
	s, err := p.OpenShare(c.holders[0][event.KEMX25519], g)
	if err != nil {
		t.Fatal(err)
	}
	lie := *s
	lie.value[0] ^= 1
	sealed, err := lie.Seal(d)
	if err != nil {
		t.Fatal(err)
	}
	a := &Answer{Delivery: *d, Index: 1, Shares: []SealedShare{sealed}}
	b, err := a.Sign(c.signers[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAnswer(b, d, 1, c.signers[0].Public(), recipient, []*Package{p}); !errors.Is(err, ErrShare) {
		t.Errorf("a gate lies: %v", err)
	}
	// A client commits to shares that don't fit each other.
	r, err := NewRecipient(g, event.KEMX25519, recipient.Public(), "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	bad := *p
	bad.parts = slices.Clone(p.parts)
	secret, shares, err := split(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, others, err := split(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	shares[1] = others[1]
	account := event.NewOpening(accountName, event.Text("ada@example.org"))
	if bad.account, err = account.Digest(); err != nil {
		t.Fatal(err)
	}
	for i := range shares {
		if err := r.part(&bad, i+1, account, shares[i]); err != nil {
			t.Fatal(err)
		}
	}
	aead, err := bad.fileKeyCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	aead.Seal(bad.wrapped[:0], make([]byte, 12), make([]byte, 16), nil)
	whole, err := ParsePackage(bad.Stanzas())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.opens(whole, g, event.KEMX25519); !errors.Is(err, ErrOpen) {
		t.Errorf("a client lies: %v", err)
	}
	// A share of another package.
	other, err := whole.OpenShare(c.holders[1][event.KEMX25519], g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.FileKey([]*Share{s, other}); !errors.Is(err, ErrShare) {
		t.Errorf("another package's: %v", err)
	}
}

// TestSplit holds circl to what Shamir's scheme is: t shares give the secret, and t-1 don't
// even bound it, since every secret is possible with them.
func TestSplit(t *testing.T) {
	for n := 1; n <= maxMembers; n += 7 {
		for _, threshold := range []int{1, (n + 1) / 2, n} {
			secret, shares, err := split(threshold, n)
			if err != nil {
				t.Fatal(err)
			}
			if len(shares) != n {
				t.Fatalf("%d shares", len(shares))
			}
			if (threshold == 1) != (shares[0] == secret) {
				t.Errorf("%d of %d: share 1 is the secret: %v", threshold, n, shares[0] == secret)
			}
			for i := range shares {
				if slices.Contains(shares[:i], shares[i]) != (threshold == 1 && i > 0) {
					t.Errorf("%d of %d: two shares are the same", threshold, n)
				}
			}
		}
	}
	for _, bad := range [][2]int{{0, 1}, {2, 1}, {1, maxMembers + 1}, {-1, 3}} {
		if _, _, err := split(bad[0], bad[1]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
