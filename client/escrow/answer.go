// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// MaxAnswerSize bounds an answer in bytes.
const MaxAnswerSize = 2 << 20

// A SealedShare is a share of one package, encrypted to the recipient.
type SealedShare struct {
	Package event.Digest `json:"package"`
	Sealed  blob         `json:"sealed"`
}

// String names the package of the share.
func (s SealedShare) String() string { return "sealed share of package " + s.Package.String() }

// An Answer carries a gate's shares. The gate's event key signs it, so that an agency can
// prove which custodian gave a wrong answer.
type Answer struct {
	Delivery  Delivery // of its Recipient only the hash is sent
	Index     int      // of the gate's shares, from 1
	Shares    []SealedShare
	Signature event.Signature // by Sign
}

// answerText is an answer in JSON. The signature covers all other members.
type answerText struct {
	Access    event.Reference `json:"access"`
	Index     uint64          `json:"index"`
	Origin    string          `json:"origin"`
	Recipient event.Digest    `json:"recipient"`
	Release   event.Reference `json:"release"`
	Shares    []SealedShare   `json:"shares"`
	Signature *signatureTx    `json:"signature,omitempty"`
}

type signatureTx struct {
	KeyID string `json:"keyid"`
	Sig   blob   `json:"sig"`
}

func (a *Answer) text() (*answerText, error) {
	key, err := KeyHash(a.Delivery.Recipient)
	if err != nil {
		return nil, err
	}
	if err := checkName("origin", a.Delivery.Origin); err != nil {
		return nil, err
	}
	if a.Index < 1 || a.Index > maxMembers || len(a.Shares) == 0 || len(a.Shares) > MaxPackages {
		return nil, malformed("answer: share %d of %d packages", a.Index, len(a.Shares))
	}
	return &answerText{Access: a.Delivery.Access, Index: uint64(a.Index), Origin: a.Delivery.Origin,
		Recipient: key, Release: a.Delivery.Release, Shares: a.Shares}, nil
}

// message returns what the gate signs: the DSSE pre-authentication encoding (DSSE v1) of
// the answer without its signature, under AnswerType.
func (t *answerText) message() ([]byte, error) {
	unsigned := *t
	unsigned.Signature = nil
	b, err := encode(unsigned)
	if err != nil {
		return nil, err
	}
	return event.AppendPAE(nil, AnswerType, b), nil
}

// Sign signs the answer with the gate's event key and encodes it.
func (a *Answer) Sign(s event.Signer) ([]byte, error) {
	t, err := a.text()
	if err != nil {
		return nil, err
	}
	msg, err := t.message()
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign(msg)
	if err != nil {
		return nil, err
	}
	a.Signature = event.Signature{KeyID: s.KeyID(), Sig: sig}
	t.Signature = &signatureTx{s.KeyID(), sig}
	b, err := encode(t)
	if err == nil && len(b) > MaxAnswerSize {
		err = malformed("an answer of %d bytes, at most %d", len(b), MaxAnswerSize)
	}
	return b, err
}

// OpenAnswer parses, verifies and opens an answer. Its log and access must be want's, its
// recipient holder's key, its signer and index those of the custodian asked, and its
// shares one for each package, with the hash that the package names. OpenAnswer sets
// want.Release. Errors wrap ErrMalformed, ErrOpen, ErrShare, or event.ErrBadSignature.
func OpenAnswer(b []byte, want *Delivery, index int, signer *event.PublicKey, holder KeyHolder, packages []*Package) ([]*Share, error) {
	t, err := parseAnswer(b)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	d := *want
	d.Release = t.Release
	key, err := KeyHash(holder.Public())
	if err != nil {
		return nil, err
	}
	switch {
	case t.Origin != want.Origin || t.Access != want.Access:
		return nil, malformed("answer: it is about another access")
	case t.Recipient != key:
		return nil, malformed("answer: it is for another recipient key")
	case t.Index != uint64(index):
		return nil, malformed("answer: it has share %d, but this custodian's is %d", t.Index, index)
	case t.Signature.KeyID != signer.KeyID():
		return nil, fmt.Errorf("answer: %w: signed by key %s, but this custodian's is %s", event.ErrBadSignature, t.Signature.KeyID, signer.KeyID())
	}
	msg, err := t.message()
	if err != nil {
		return nil, err
	}
	if err := signer.Verify(msg, t.Signature.Sig); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	d.Recipient = holder.Public()
	shares, err := openShares(t, &d, index, holder, packages)
	if err == nil {
		want.Release = d.Release
	}
	return shares, err
}

func openShares(t *answerText, d *Delivery, index int, holder KeyHolder, packages []*Package) ([]*Share, error) {
	if len(t.Shares) != len(packages) {
		return nil, malformed("answer: shares of %d packages, want %d", len(t.Shares), len(packages))
	}
	var out []*Share
	for _, p := range packages {
		var sealed []byte
		for i := range t.Shares {
			if t.Shares[i].Package == p.digest {
				sealed = t.Shares[i].Sealed
			}
		}
		if sealed == nil {
			return nil, malformed("answer: no share of the package %s", p.digest)
		}
		info, err := d.info(index, p.digest)
		if err != nil {
			return nil, err
		}
		b, err := holder.Open(ForAnswer, info, sealed)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		s, err := p.newShare(index, b)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// parseAnswer parses an answer in its one encoding. It verifies no signature.
func parseAnswer(b []byte) (*answerText, error) {
	t := new(answerText)
	if err := decode(b, MaxAnswerSize, t); err != nil {
		return nil, err
	}
	if err := checkName("origin", t.Origin); err != nil {
		return nil, err
	}
	if t.Signature == nil || t.Index < 1 || t.Index > maxMembers {
		return nil, malformed("want an index from 1 to %d, and a signature", maxMembers)
	}
	if len(t.Shares) == 0 || len(t.Shares) > MaxPackages {
		return nil, malformed("shares of %d packages", len(t.Shares))
	}
	for _, s := range t.Shares {
		if n := len(s.Sealed); n != sharePartX25519 && n != sharePartHybrid {
			return nil, malformed("a share of %d bytes", n)
		}
	}
	return t, nil
}
