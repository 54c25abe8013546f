// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// maxMembers bounds the custodians of a group, like a charter's.
const maxMembers = 32

// A Group is a custodian group of a charter. NewGroup makes it; it is immutable.
type Group struct {
	origin    string
	id        string
	threshold int
	members   []Member
	digest    event.Digest
}

// A Member is one custodian of a group.
type Member struct {
	Index int             // of its shares, from 1
	Name  string          // of the custodian
	Keys  []event.HPKEKey // its gate's, at most one of each KEM, all checked
}

// NewGroup returns a group of a log's charter. It refuses malformed keys and those of low
// order, which the charter's signers may have missed.
func NewGroup(origin string, ch *event.Charter, id string) (*Group, error) {
	g := ch.Group(id)
	if g == nil {
		return nil, fmt.Errorf("escrow: the charter of %q has no custodian group %q", origin, id)
	}
	n := len(g.Members)
	if err := checkName("origin", origin); err != nil {
		return nil, err
	}
	if n == 0 || n > maxMembers || g.Threshold == 0 || g.Threshold > uint64(n) {
		return nil, malformed("group %s: %d of %d shares", g.ID, g.Threshold, n)
	}
	out := &Group{origin: origin, id: g.ID, threshold: int(g.Threshold)}
	for i, name := range g.Members {
		p := ch.Party(event.RoleCustodian, name)
		if p == nil || len(p.Gates) == 0 {
			return nil, malformed("group %s: %s is no custodian with a gate", g.ID, name)
		}
		for _, k := range p.Gates {
			if err := CheckKey(k); err != nil {
				return nil, fmt.Errorf("the gate of custodian %s: %w", name, err)
			}
		}
		out.members = append(out.members, Member{i + 1, name, p.Gates})
	}
	out.digest = groupDigest(origin, g.ID, out.threshold, n)
	return out, nil
}

// groupDigest returns the digest by which packages name a group.
func groupDigest(origin, id string, t, n int) event.Digest {
	return sha256.Sum256(labelled("vasistas group v1", []byte(origin), []byte(id), number(uint64(t)), number(uint64(n))))
}

// Origin returns the origin of the group's log.
func (g *Group) Origin() string { return g.origin }

// ID returns the group's id in the charter.
func (g *Group) ID() string { return g.id }

// Threshold returns how many shares are needed to open.
func (g *Group) Threshold() int { return g.threshold }

// Members returns the custodians in the order of their shares.
func (g *Group) Members() []Member { return slices.Clone(g.members) }

// Digest returns the digest by which packages name the group. It covers origin, id,
// threshold and number of members, not their names.
func (g *Group) Digest() event.Digest { return g.digest }

func (m *Member) key(kem event.KEM) (event.HPKEKey, error) {
	if i := slices.IndexFunc(m.Keys, func(k event.HPKEKey) bool { return k.KEM == kem }); i >= 0 {
		return m.Keys[i], nil
	}
	return event.HPKEKey{}, fmt.Errorf("%w: the gate of custodian %s has no %s key", ErrKey, m.Name, kem)
}
