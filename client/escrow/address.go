// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

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
