// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// MaxAddressSize bounds an address: in Bech32 it has fewer than the 8,192 characters
// that a line of a recipients file may have.
const MaxAddressSize = 4096

// An Address is what a recipient string holds: all that is needed to escrow a file, but
// for the custodians' keys, which a charter says. The account stands in it, since a
// plug-in has no other place to learn it that can't be another account's.
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

// Bytes encodes the address, after checking it.
func (a *Address) Bytes() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b, err := encode(addressText{Account: blob(a.Account), Group: a.Group, KEM: a.KEM, Notice: a.Notice, Origin: a.Origin})
	if err == nil && len(b) > MaxAddressSize {
		err = malformed("an address of %d bytes, at most %d", len(b), MaxAddressSize)
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

// ParseAddress reads what Bytes writes.
func ParseAddress(b []byte) (*Address, error) {
	var t addressText
	if err := decode(b, MaxAddressSize, &t); err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	a := &Address{Origin: t.Origin, Group: t.Group, KEM: t.KEM, Account: string(t.Account), Notice: t.Notice}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	return a, nil
}

// Recipient makes the address a recipient, with the group's keys of a charter. The
// group must be the one that it names.
func (a *Address) Recipient(g *Group) (*Recipient, error) {
	if g.origin != a.Origin || g.id != a.Group {
		return nil, fmt.Errorf("%w: the address names group %s of %q, not %s of %q", ErrNotMine, a.Group, a.Origin, g.id, g.origin)
	}
	return NewRecipient(g, a.KEM, a.Notice, a.Account)
}
