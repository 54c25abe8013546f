// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

const testOrigin = "log.example/escrow"

// custodians are gates with keys of both KEMs, and the charter that names them. Only
// what groups read of it is there.
type custodians struct {
	charter *event.Charter
	holders []map[event.KEM]*SecretKey
	signers []event.Signer
}

func newCustodians(t testing.TB, threshold, n int) *custodians {
	t.Helper()
	p := people.New(testOrigin, "")
	c := &custodians{charter: &event.Charter{}}
	g := event.Group{ID: "g1", Threshold: uint64(threshold)}
	for i := range n {
		name := fmt.Sprintf("custodian-%d", i+1)
		party := p.Party(event.RoleCustodian, name)
		keys := make(map[event.KEM]*SecretKey)
		party.Gates = nil
		for _, kem := range []event.KEM{event.KEMMLKEMX25519, event.KEMX25519} {
			keys[kem] = newKey(t, kem)
			party.Gates = append(party.Gates, keys[kem].Public())
		}
		c.charter.Parties = append(c.charter.Parties, party)
		c.holders = append(c.holders, keys)
		c.signers = append(c.signers, p.Signer(name))
		g.Members = append(g.Members, name)
	}
	c.charter.Groups = []event.Group{g}
	return c
}

func (c *custodians) group(t testing.TB) *Group {
	t.Helper()
	g, err := NewGroup(testOrigin, c.charter, "g1")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newKey(t testing.TB, kem event.KEM) *SecretKey {
	t.Helper()
	k, err := GenerateKey(kem)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wrapped makes a package for a new file key.
func (c *custodians) wrapped(t testing.TB, kem event.KEM, notice event.HPKEKey, account string) (*Package, []byte) {
	t.Helper()
	r, err := NewRecipient(c.group(t), kem, notice, account)
	if err != nil {
		t.Fatal(err)
	}
	fileKey := make([]byte, 16)
	rand.Read(fileKey)
	s, err := r.Wrap(fileKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePackage(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, fileKey
}

var kems = []event.KEM{event.KEMX25519, event.KEMMLKEMX25519}
