// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/vasistas/vasistas/log/event"
)

// A Recipient encrypts to a custodian group. It is immutable and safe for concurrent
// use.
type Recipient struct {
	group   *Group
	notice  event.HPKEKey
	account string
	kem     event.KEM
}

var _ age.RecipientWithLabels = (*Recipient)(nil)

// NewRecipient returns a recipient that escrows to a group. notice and account are the
// subject's, the account in the service's one form. Each gate must have a key of kem; the
// notice key may be of another KEM.
func NewRecipient(g *Group, kem event.KEM, notice event.HPKEKey, account string) (*Recipient, error) {
	if err := CheckKey(notice); err != nil {
		return nil, fmt.Errorf("the notice key: %w", err)
	}
	if err := checkAccount(event.NewOpening(accountName, event.Text(account))); err != nil {
		return nil, err
	}
	for i := range g.members {
		if _, err := g.members[i].key(kem); err != nil {
			return nil, err
		}
	}
	return &Recipient{g, notice, account, kem}, nil
}

const accountName = "account"

const maxAccount = 512

// checkAccount checks an account against the bounds of an access's opening.
func checkAccount(o event.Opening) error {
	if n := len(o.Value.Text()); o.Name != accountName || n == 0 || n > maxAccount {
		return malformed("the account: want an opening named %s, of 1 to %d bytes", accountName, maxAccount)
	}
	if _, err := o.Encode(); err != nil {
		return fmt.Errorf("%w: the account: %w", ErrMalformed, err)
	}
	return nil
}

// Wrap implements [age.Recipient].
func (r *Recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	p, err := r.wrap(fileKey)
	if err != nil {
		return nil, err
	}
	return p.Stanzas(), nil
}

// WrapWithLabels implements [age.RecipientWithLabels]. If the gates' keys are
// post-quantum, age then refuses weaker recipients of the same file.
func (r *Recipient) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	s, err := r.Wrap(fileKey)
	if r.kem == event.KEMMLKEMX25519 {
		return s, []string{"postquantum"}, err
	}
	return s, nil, err
}

func (r *Recipient) wrap(fileKey []byte) (*Package, error) {
	if len(fileKey) != fileKeySize {
		return nil, fmt.Errorf("escrow: a file key of %d bytes, want %d", len(fileKey), fileKeySize)
	}
	account := event.NewOpening(accountName, event.Text(r.account))
	p := &Package{group: r.group.digest, threshold: r.group.threshold}
	rand.Read(p.nonce[:])
	var err error
	if p.account, err = account.Digest(); err != nil {
		return nil, err
	}
	secret, shares, err := split(p.threshold, len(r.group.members))
	if err != nil {
		return nil, err
	}
	p.parts = make([]part, len(shares))
	for i := range shares {
		if err := r.part(p, i+1, account, shares[i]); err != nil {
			return nil, err
		}
	}
	aead, err := p.fileKeyCipher(secret)
	if err != nil {
		return nil, err
	}
	aead.Seal(p.wrapped[:0], make([]byte, aead.NonceSize()), fileKey, nil)
	// Return what a reader will parse.
	return parseRun(p.Stanzas())
}

func (r *Recipient) part(p *Package, index int, account event.Opening, s share) error {
	key, err := r.group.members[index-1].key(r.kem)
	if err != nil {
		return err
	}
	q := &p.parts[index-1]
	if q.key, err = KeyHash(key); err != nil {
		return err
	}
	q.share = p.commitment(index, s)
	plain, err := encodeNoticePart(&NoticePart{r.notice, account})
	if err != nil {
		return err
	}
	if q.notice, err = seal(key, p.info(ForNotice, r.group, index), plain); err != nil {
		return err
	}
	q.sealed, err = seal(key, p.info(ForShare, r.group, index), s[:])
	return err
}

// info returns the bound fields of a part. Part two is bound to part one, so that part one
// can't be exchanged for one with another notice key. The group's id and numbers are g's,
// not the stanza's claims.
func (p *Package) info(purpose Purpose, g *Group, index int) []byte {
	q := &p.parts[index-1]
	parts := [][]byte{
		[]byte(g.origin), []byte(g.id), number(uint64(g.threshold)), number(uint64(len(g.members))),
		number(uint64(index)), q.key[:], p.nonce[:], p.account[:],
	}
	if purpose == ForShare {
		h := sha256.Sum256(q.notice)
		parts = append(parts, h[:])
	}
	return labelled(string(purpose), parts...)
}

// commitment returns the hash of a share, by which the package names it. A share is
// random, so the hash does not reveal it.
func (p *Package) commitment(index int, s share) event.Digest {
	return sha256.Sum256(labelled("vasistas share commitment v1", p.nonce[:], number(uint64(index)), s[:]))
}

// fileKeyCipher derives the cipher of the file key from the secret. The key is bound to
// all arguments of the stanzas and encrypts one message, so the nonce may be zero.
func (p *Package) fileKeyCipher(secret share) (cipher.AEAD, error) {
	parts := [][]byte{p.group[:], number(uint64(p.threshold)), number(uint64(len(p.parts))), p.nonce[:], p.account[:]}
	for i := range p.parts {
		parts = append(parts, p.parts[i].key[:], p.parts[i].share[:])
	}
	key, err := hkdf.Key(sha256.New, secret[:], nil, string(labelled("vasistas file key v1", parts...)), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(key)
}

// A NoticePart is part one of a stanza: the addressee of a notice.
type NoticePart struct {
	Key     event.HPKEKey // the subject's notice key
	Account event.Opening // of the digest that the package names
}

// noticeStep is the padding of part one, so that its length hides the account's.
const noticeStep = 256

const (
	maxNoticePlain = (2 + MaxKeyFile + 2 + event.MaxOpeningSize + noticeStep - 1) / noticeStep * noticeStep
	minNoticePart  = noticeStep + x25519Size + 16
	maxNoticePart  = maxNoticePlain + 1088 + x25519Size + 16
)

// encodeNoticePart returns the key's JSON and the opening's text, each with its length,
// padded with zeros to a multiple of noticeStep.
func encodeNoticePart(n *NoticePart) ([]byte, error) {
	key, err := n.Key.Bytes()
	if err != nil {
		return nil, err
	}
	account, err := n.Account.Encode()
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(key)))
	b = append(b, key...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(account)))
	b = append(b, account...)
	return append(b, make([]byte, -len(b)&(noticeStep-1))...), nil
}

func decodeNoticePart(b []byte) (*NoticePart, error) {
	key, rest, ok := cutField(b)
	account, _, ok2 := cutField(rest)
	if !ok || !ok2 {
		return nil, malformed("part one has no end")
	}
	n := new(NoticePart)
	var err error
	if n.Key, err = ParsePublicKey(key); err != nil {
		return nil, fmt.Errorf("the notice key: %w", err)
	}
	if n.Account, err = event.ParseOpening(string(account)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := checkAccount(n.Account); err != nil {
		return nil, err
	}
	again, err := encodeNoticePart(n)
	if err != nil || string(again) != string(b) {
		return nil, malformed("part one is not in its canonical encoding")
	}
	return n, nil
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}
