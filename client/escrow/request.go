// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"

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
