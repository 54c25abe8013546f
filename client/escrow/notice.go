// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// A Notice tells a subject of an access. Its openings are those for the public, and those
// for the subject alone. The gate writes it, so that no key is opened in silence.
type Notice struct {
	Origin          string
	Warrant         *event.Reference // nil in an emergency
	Access          event.Reference
	Custodian       string          // whose gate wrote it
	Seq             uint64          // of its release
	Recipient       event.HPKEKey   // the access's one-time key
	WarrantOpenings *event.Openings // nil in an emergency; see SubjectOpenings
	AccessOpenings  *event.Openings
}

type noticeText struct {
	Access          event.Reference  `json:"access"`
	AccessOpenings  openingsText     `json:"accessOpenings"`
	Custodian       string           `json:"custodian"`
	Origin          string           `json:"origin"`
	Recipient       event.HPKEKey    `json:"recipient"`
	Seq             uint64           `json:"seq"`
	Warrant         *event.Reference `json:"warrant,omitempty"`
	WarrantOpenings openingsText     `json:"warrantOpenings,omitzero"`
}

// noticeSizes are the possible lengths of a notice's plaintext, so that the length does not
// show the number of accounts.
var noticeSizes = [...]int{4096, 8192, 16384, 22528}

// NoticeDigest returns the digest by which a release names a notice: SHA-256 of its
// ciphertext.
func NoticeDigest(ciphertext []byte) event.Digest { return sha256.Sum256(ciphertext) }

func (n *Notice) check() error {
	for what, s := range map[string]string{"origin": n.Origin, "custodian": n.Custodian} {
		if err := checkName(what, s); err != nil {
			return err
		}
	}
	switch {
	case n.AccessOpenings == nil:
		return malformed("a notice without openings of the access")
	case (n.Warrant == nil) != (n.WarrantOpenings == nil):
		return malformed("a warrant without its openings, or openings without their warrant")
	case n.Seq == 0 || n.Seq > event.MaxInteger:
		return malformed("seq %d", n.Seq)
	}
	return nil
}

// Bytes encodes the notice as JSON, the plaintext without its padding.
func (n *Notice) Bytes() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	return encode(noticeText{Access: n.Access, Custodian: n.Custodian, Origin: n.Origin, Recipient: n.Recipient, Seq: n.Seq,
		Warrant: n.Warrant, AccessOpenings: openingsText{n.AccessOpenings}, WarrantOpenings: openingsText{n.WarrantOpenings}})
}

// plaintext returns the JSON with its length, padded with zeros to one of noticeSizes.
func (n *Notice) plaintext() ([]byte, error) {
	b, err := n.Bytes()
	if err != nil {
		return nil, err
	}
	for _, size := range noticeSizes {
		if 4+len(b) <= size {
			out := make([]byte, size)
			binary.BigEndian.PutUint32(out, uint32(len(b)))
			copy(out[4:], b)
			return out, nil
		}
	}
	return nil, malformed("a notice of %d bytes, at most %d", len(b), noticeSizes[len(noticeSizes)-1]-4)
}

// Seal encrypts the notice to a subject's notice key.
func (n *Notice) Seal(to event.HPKEKey) ([]byte, error) {
	b, err := n.plaintext()
	if err != nil {
		return nil, err
	}
	return seal(to, noticeInfo(n.Origin), b)
}

func noticeInfo(origin string) []byte { return labelled(string(ForSubject), []byte(origin)) }

// NoticeKEM returns the KEM to which a notice of this length is sealed, or false if no
// notice has this length. A scanner tries only keys of that KEM.
func NoticeKEM(length int) (event.KEM, bool) {
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		if slices.Contains(noticeSizes[:], length-overhead(kem)) {
			return kem, true
		}
	}
	return "", false
}

// OpenNotice opens a notice with one key. ErrOpen: it is for another key, or of another
// log. ErrMalformed: it is for this key, but its plaintext is not a notice.
func OpenNotice(origin string, h KeyHolder, ciphertext []byte) (*Notice, error) {
	if kem, _ := NoticeKEM(len(ciphertext)); kem != h.Public().KEM {
		return nil, ErrOpen
	}
	info := noticeInfo(origin)
	if k, ok := h.(*SecretKey); ok && !k.trial.opens(info, ciphertext) {
		return nil, ErrOpen
	}
	b, err := h.Open(ForSubject, info, ciphertext)
	if err != nil {
		return nil, err
	}
	n, err := parseNotice(b)
	if err == nil && n.Origin != origin {
		err = malformed("it names the log %q", n.Origin)
	}
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	return n, nil
}

func parseNotice(plain []byte) (*Notice, error) {
	if len(plain) < 4 || int64(binary.BigEndian.Uint32(plain)) > int64(len(plain)-4) {
		return nil, malformed("it has no end")
	}
	n, err := ParseNotice(plain[4 : 4+binary.BigEndian.Uint32(plain)])
	if err != nil {
		return nil, err
	}
	if again, err := n.plaintext(); err != nil || !bytes.Equal(again, plain) {
		return nil, malformed("its padding is not the canonical one")
	}
	return n, nil
}

// ParseNotice parses exactly what Bytes returns.
func ParseNotice(b []byte) (*Notice, error) {
	var t noticeText
	if err := decode(b, noticeSizes[len(noticeSizes)-1], &t); err != nil {
		return nil, err
	}
	n := &Notice{Origin: t.Origin, Warrant: t.Warrant, Access: t.Access, Custodian: t.Custodian, Seq: t.Seq, Recipient: t.Recipient,
		WarrantOpenings: t.WarrantOpenings.Openings, AccessOpenings: t.AccessOpenings.Openings}
	if err := CheckKey(n.Recipient); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return n, n.check()
}

// SubjectOpenings returns the openings of an event for the subject with these accounts and
// packages: all public ones, the case, the agency's signature, and its own identifiers,
// accounts and packages. It leaves out decoys and those of other subjects, who must stay
// unknown to this one.
func SubjectOpenings(all *event.Openings, accounts []string, packages []event.Digest) *event.Openings {
	if all == nil {
		return nil
	}
	out := &event.Openings{Event: all.Event, Public: slices.Clone(all.Public)}
	for _, o := range all.Subject {
		keep := true
		switch o.Name {
		case event.DecoyName:
			keep = false
		case "identifier", accountName:
			keep = slices.Contains(accounts, o.Value.Text())
		case "package":
			d, err := event.ParseDigest(o.Value.Text())
			keep = err == nil && slices.Contains(packages, d)
		}
		if keep {
			out.Subject = append(out.Subject, o)
		}
	}
	return out
}
