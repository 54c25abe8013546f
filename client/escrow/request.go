// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// HTTP between agency and gate.
const (
	// RequestPath is the path to which an agency posts requests.
	RequestPath = "/release"
	// RequestType is the media type of a sealed request.
	RequestType = "application/vnd.vasistas.request"
	// AnswerType is the media type of an answer, and the payload type of its signature.
	AnswerType = "application/vnd.vasistas.answer+json"
)

// Bounds of a request.
const (
	// MaxRequestSize bounds a sealed request: about 250 post-quantum packages of
	// three custodians.
	MaxRequestSize = 4 << 20
	// MaxPackages bounds the packages of a request, like those of an access.
	MaxPackages = event.MaxDigests
)

// A Request asks a gate to release its shares for an access. The gate verifies all of it.
// The agency's signature over the recipient key is the opening agencySignature of the
// access.
type Request struct {
	Warrant         []byte          // proof file with the entry as extra data; nil in an emergency
	Access          []byte          // proof file with the entry as extra data
	WarrantOpenings *event.Openings // of all digests; nil in an emergency
	AccessOpenings  *event.Openings // of all digests
	Packages        []*Package      // at least one, no two the same
}

// requestText is a request in JSON, with its members in canonical order.
type requestText struct {
	Access          blob         `json:"access"`
	AccessOpenings  openingsText `json:"accessOpenings"`
	Packages        []blob       `json:"packages"`
	Warrant         blob         `json:"warrant,omitempty"`
	WarrantOpenings openingsText `json:"warrantOpenings,omitzero"`
}

// Bytes encodes the request. Bytes and Seal are safe for concurrent use.
func (r *Request) Bytes() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	t := requestText{Access: r.Access, AccessOpenings: openingsText{r.AccessOpenings},
		Warrant: r.Warrant, WarrantOpenings: openingsText{r.WarrantOpenings}}
	for _, p := range r.Packages {
		t.Packages = append(t.Packages, p.Text())
	}
	b, err := encode(t)
	if err == nil && len(b) > MaxRequestSize {
		err = malformed("a request of %d bytes, at most %d", len(b), MaxRequestSize)
	}
	return b, err
}

func (r *Request) check() error {
	switch {
	case len(r.Access) == 0 || r.AccessOpenings == nil:
		return malformed("a request without access")
	case (len(r.Warrant) == 0) != (r.WarrantOpenings == nil):
		return malformed("a warrant without its openings, or openings without their warrant")
	case len(r.Packages) == 0 || len(r.Packages) > MaxPackages:
		return malformed("%d packages, want 1 to %d", len(r.Packages), MaxPackages)
	case len(r.Access) > tlog.MaxProofSize || len(r.Warrant) > tlog.MaxProofSize:
		return malformed("a proof of more than %d bytes", tlog.MaxProofSize)
	}
	seen := make(map[event.Digest]bool)
	for _, p := range r.Packages {
		if seen[p.digest] {
			return malformed("the package %s is given twice", p.digest)
		}
		seen[p.digest] = true
	}
	return nil
}

// parseRequest parses a request in its one encoding, but for its proofs.
func parseRequest(b []byte) (*Request, error) {
	var t requestText
	if err := decode(b, MaxRequestSize, &t); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	r := &Request{Warrant: t.Warrant, Access: t.Access, WarrantOpenings: t.WarrantOpenings.Openings, AccessOpenings: t.AccessOpenings.Openings}
	if len(t.Packages) > MaxPackages {
		return nil, malformed("request: %d packages, at most %d", len(t.Packages), MaxPackages)
	}
	for _, text := range t.Packages {
		p, err := ParsePackageText(text)
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		r.Packages = append(r.Packages, p)
	}
	// decode and ParsePackageText have compared all of b with its encoding.
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	return r, nil
}

// requestInfo binds a sealed request to the log and the gate's key.
func requestInfo(origin string, key event.Digest) []byte {
	return labelled(string(ForRequest), []byte(origin), key[:])
}

// Seal encrypts the request to a gate's key. It returns the key's hash and the ciphertext.
func (r *Request) Seal(origin string, to event.HPKEKey) ([]byte, error) {
	b, err := r.Bytes()
	if err != nil {
		return nil, err
	}
	hash, err := KeyHash(to)
	if err != nil {
		return nil, err
	}
	sealed, err := seal(to, requestInfo(origin, hash), b)
	if err != nil {
		return nil, err
	}
	if n := len(hash) + len(sealed); n > MaxRequestSize {
		return nil, malformed("a request of %d bytes, at most %d", n, MaxRequestSize)
	}
	return append(hash[:], sealed...), nil
}

// OpenRequest opens and parses a request sealed to one of the holders' keys.
// Errors wrap ErrNotMine, ErrOpen or ErrMalformed.
func OpenRequest(origin string, holders []KeyHolder, sealed []byte) (*Request, error) {
	if n := len(sealed); n < 32 || n > MaxRequestSize {
		return nil, malformed("a request of %d bytes, at most %d", n, MaxRequestSize)
	}
	want := event.Digest(sealed[:32])
	for _, h := range holders {
		hash, err := KeyHash(h.Public())
		if err != nil {
			return nil, err
		}
		if hash != want {
			continue
		}
		b, err := h.Open(ForRequest, requestInfo(origin, hash), sealed[32:])
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		return parseRequest(b)
	}
	return nil, fmt.Errorf("%w: the request is sealed to another key", ErrNotMine)
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
	Delivery Delivery // of its Recipient only the hash is sent
	Index    int      // of the gate's shares, from 1
	Shares   []SealedShare
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
		i := slices.IndexFunc(t.Shares, func(s SealedShare) bool { return s.Package == p.digest })
		if i < 0 {
			return nil, malformed("answer: no share of the package %s", p.digest)
		}
		info, err := d.info(index, p.digest)
		if err != nil {
			return nil, err
		}
		b, err := holder.Open(ForAnswer, info, t.Shares[i].Sealed)
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
