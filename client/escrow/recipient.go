// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"filippo.io/age"

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
		return nil, fmt.Errorf("the charter of %q has no custodian group %q", origin, id)
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

// maxAddressSize bounds an address in bytes, so that its Bech32 fits into a line of a
// recipients file, of 8,192 characters.
const maxAddressSize = 4096

// An Address is the content of a recipient string: all that escrowing a file needs,
// except the custodians' keys, which the charter has. It has the account, so that a
// plug-in can't take another file's account for it.
type Address struct {
	Origin  string
	Group   string
	KEM     event.KEM     // of the gates' keys
	Notice  event.HPKEKey // the subject's notice key of one period
	Account string
}

type addressText struct {
	Account blob          `json:"account"`
	Group   string        `json:"group"`
	KEM     event.KEM     `json:"kem"`
	Notice  event.HPKEKey `json:"notice"`
	Origin  string        `json:"origin"`
}

// Bytes checks and encodes the address.
func (a *Address) Bytes() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b, err := encode(addressText{Account: blob(a.Account), Group: a.Group, KEM: a.KEM, Notice: a.Notice, Origin: a.Origin})
	if err == nil && len(b) > maxAddressSize {
		err = malformed("an address of %d bytes, at most %d", len(b), maxAddressSize)
	}
	return b, err
}

func (a *Address) check() error {
	if err := checkName("origin", a.Origin); err != nil {
		return err
	}
	if err := checkName("group", a.Group); err != nil {
		return err
	}
	if suite(a.KEM) == nil {
		return fmt.Errorf("%w: unknown KEM %q", ErrKey, a.KEM)
	}
	if err := checkAccount(event.NewOpening(accountName, event.Text(a.Account))); err != nil {
		return err
	}
	if err := CheckKey(a.Notice); err != nil {
		return fmt.Errorf("the notice key: %w", err)
	}
	return nil
}

// ParseAddress parses exactly what Bytes returns.
func ParseAddress(b []byte) (*Address, error) {
	var t addressText
	if err := decode(b, maxAddressSize, &t); err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	a := &Address{Origin: t.Origin, Group: t.Group, KEM: t.KEM, Account: string(t.Account), Notice: t.Notice}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	return a, nil
}

// Recipient returns a recipient with the keys of g, which must be the address's group.
func (a *Address) Recipient(g *Group) (*Recipient, error) {
	if g.origin != a.Origin || g.id != a.Group {
		return nil, fmt.Errorf("%w: the address names group %s of %q, not %s of %q", ErrNotMine, a.Group, a.Origin, g.id, g.origin)
	}
	return NewRecipient(g, a.KEM, a.Notice, a.Account)
}

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
		return nil, fmt.Errorf("a file key of %d bytes, want %d", len(fileKey), fileKeySize)
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
