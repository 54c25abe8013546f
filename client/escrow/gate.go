// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// OpenNotice opens part one of the stanza for this holder's key, and checks that it has
// the package's account. A gate opens part one before it signs a release: part one does
// not help to open the file. Errors wrap ErrNotMine, ErrOpen, ErrKey or ErrMalformed.
func (p *Package) OpenNotice(h KeyHolder, g *Group) (*NoticePart, error) {
	index, err := p.mine(h, g)
	if err != nil {
		return nil, err
	}
	plain, err := h.Open(ForNotice, p.info(ForNotice, g, index), p.parts[index-1].notice)
	if err != nil {
		return nil, fmt.Errorf("part one: %w", err)
	}
	n, err := decodeNoticePart(plain)
	if err != nil {
		return nil, err
	}
	if d, err := n.Account.Digest(); err != nil || d != p.account {
		return nil, malformed("part one opens another account than the package names")
	}
	return n, nil
}

// OpenShare opens part two of the stanza for this holder's key, the share. A gate opens
// it last. Errors are OpenNotice's, and ErrShare.
func (p *Package) OpenShare(h KeyHolder, g *Group) (*Share, error) {
	index, err := p.mine(h, g)
	if err != nil {
		return nil, err
	}
	b, err := h.Open(ForShare, p.info(ForShare, g, index), p.parts[index-1].sealed)
	if err != nil {
		return nil, fmt.Errorf("part two: %w", err)
	}
	return p.newShare(index, b)
}

// mine returns the index of the holder's share. Group, threshold and number of shares must
// be g's.
func (p *Package) mine(h KeyHolder, g *Group) (int, error) {
	if p.group != g.digest {
		return 0, fmt.Errorf("%w: the package is for another group than %s of %q", ErrNotMine, g.id, g.origin)
	}
	if p.threshold != g.threshold || len(p.parts) != len(g.members) {
		return 0, fmt.Errorf("%w: the package takes %d of %d shares, and the group %d of %d", ErrNotMine, p.threshold, len(p.parts), g.threshold, len(g.members))
	}
	hash, err := KeyHash(h.Public())
	if err != nil {
		return 0, err
	}
	if i := slices.IndexFunc(p.parts, func(q part) bool { return q.key == hash }); i >= 0 {
		return i + 1, nil
	}
	return 0, fmt.Errorf("%w: none of its stanzas is for this gate's key", ErrNotMine)
}

// A Delivery is bound to an answer and its shares.
type Delivery struct {
	Origin    string
	Access    event.Reference
	Release   event.Reference
	Recipient event.HPKEKey // the access's one-time key
}

func (d *Delivery) info(index int, pkg event.Digest) ([]byte, error) {
	key, err := KeyHash(d.Recipient)
	if err != nil {
		return nil, err
	}
	return labelled(string(ForAnswer), []byte(d.Origin), number(d.Access.Index), d.Access.Leaf[:],
		number(d.Release.Index), d.Release.Leaf[:], key[:], number(uint64(index)), pkg[:]), nil
}

// Seal re-encrypts a share to the recipient.
func (s *Share) Seal(d *Delivery) (SealedShare, error) {
	info, err := d.info(s.index, s.of)
	if err != nil {
		return SealedShare{}, err
	}
	b, err := seal(d.Recipient, info, s.value[:])
	return SealedShare{Package: s.of, Sealed: b}, err
}
