// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/charters"
	"github.com/vasistas/vasistas/log/event"
)

// An Ask is what an agency asks for: one access, which the provider is to sign.
type Ask struct {
	Charter []byte // entry or proof file of the charter in force
	// Warrant and WarrantOpenings are a proof file and an openings file. In an emergency they are
	// nil, and Emergency is the code of the ground and Agency the agency's name.
	Warrant, WarrantOpenings []byte
	Emergency, Agency        string

	Signer     event.Signer      // the agency's key, which the warrant names
	KEM        event.KEM         // of the recipient key; "": post-quantum
	Accounts   []string          // to be opened; nil: the only one that the warrant names
	Categories []string          // of data, by their codes; nil: the warrant's
	Unit       string            // the acting unit of the provider, a code
	Until      time.Time         // by which public values are opened; zero: after the profile's default
	Gates      map[string]string // URLs by the custodians' names

	Files [][]*escrow.Package // the packages of each file; the access names those of one group
	Group string              // id of that group; "": the only one that has a package in each file

	packages []*escrow.Package // of the group
	sealEnd  time.Time         // of the warrant; zero in an emergency
}

// Case returns the case with a new recipient key for which the agency has signed. Its Event is
// the access, for the provider to sign and log with the openings: see [Case.Find].
func (a *Ask) Case() (*Case, error) {
	ch, err := charters.Parse(a.Charter)
	if err != nil {
		return nil, fmt.Errorf("the charter: %w", err)
	}
	if a.KEM == "" {
		a.KEM = event.KEMMLKEMX25519
	}
	key, err := escrow.GenerateKey(a.KEM)
	if err != nil {
		return nil, err
	}
	body := &event.Access{Emergency: a.Emergency, Recipient: key.Public(), Categories: a.Categories}
	if err := a.choose(ch); err != nil {
		return nil, err
	}
	body.Group = a.Group
	o := &event.Openings{Public: []event.Opening{event.NewOpening("unit", event.Text(a.Unit))}}
	var warrant event.Digest
	accounts := a.Accounts
	if a.Warrant != nil {
		if warrant, accounts, err = a.underWarrant(body); err != nil {
			return nil, fmt.Errorf("the warrant: %w", err)
		}
	} else {
		o.Public = append(o.Public, event.NewOpening("agency", event.Text(a.Agency)),
			event.NewOpening("agencyKey", event.Bytes(a.Signer.Public().SPKI())))
	}
	body.Accounts = uint64(len(accounts))
	ev, err := event.New(ch.Origin, body)
	if err != nil {
		return nil, err
	}
	msg, err := event.AgencyMessage(ch.Origin, warrant, ev.ID, body.Recipient)
	if err != nil {
		return nil, err
	}
	sig, err := a.Signer.Sign(msg)
	if err != nil {
		return nil, err
	}
	o.Subject = []event.Opening{event.NewOpening("agencySignature", event.Bytes(sig))}
	for _, account := range accounts {
		o.Subject = append(o.Subject, event.NewOpening("account", event.Text(account)))
	}
	for _, p := range a.packages {
		o.Subject = append(o.Subject, event.NewOpening("package", event.Text(p.Digest().String())))
	}
	return a.sealed(ch, ev, o, key)
}

// underWarrant takes from the warrant what the access repeats, and returns the warrant's event
// hash and the accounts to open.
func (a *Ask) underWarrant(body *event.Access) (event.Digest, []string, error) {
	env, ref, err := entryOf(a.Warrant)
	if err != nil {
		return event.Digest{}, nil, err
	}
	w, ok := env.Event.Body.(*event.Warrant)
	if !ok {
		return event.Digest{}, nil, fmt.Errorf("it is a %s", env.Event.Type)
	}
	_, values, err := openingsOf(a.WarrantOpenings, env)
	if err != nil {
		return event.Digest{}, nil, err
	}
	if k, err := agencyKeyOf(values); err != nil || k.KeyID() != a.Signer.KeyID() {
		return event.Digest{}, nil, errors.Join(fmt.Errorf("it does not name the key %s as the agency's", a.Signer.KeyID()), err)
	}
	body.Warrant, a.sealEnd = &ref, env.Event.Sealed.Until
	if body.Categories == nil {
		body.Categories = slices.Clone(w.Categories)
	}
	for _, c := range body.Categories {
		if !slices.Contains(w.Categories, c) {
			return event.Digest{}, nil, fmt.Errorf("it does not have the category %q of data, but %v", c, w.Categories)
		}
	}
	var named []string
	for _, v := range values["identifier"] {
		named = append(named, v.Text())
	}
	accounts := a.Accounts
	if accounts == nil && len(named) == 1 {
		accounts = named
	}
	if accounts == nil {
		return event.Digest{}, nil, fmt.Errorf("it names %d accounts: say which ones to open, of %s", len(named), strings.Join(named, ", "))
	}
	for _, account := range accounts {
		if !slices.Contains(named, account) {
			return event.Digest{}, nil, fmt.Errorf("it does not name the account %q, but %s", account, strings.Join(named, ", "))
		}
	}
	return env.Hash(), accounts, nil
}

// choose sets group and packages.
func (a *Ask) choose(ch *charters.Charter) error {
	var groups []string
	for _, g := range ch.Charter.Groups {
		group, err := escrow.NewGroup(ch.Origin, ch.Charter, g.ID)
		if err != nil || a.Group != "" && a.Group != g.ID {
			continue
		}
		var mine []*escrow.Package
		missing := slices.ContainsFunc(a.Files, func(file []*escrow.Package) bool {
			before := len(mine)
			for _, p := range file {
				if p.Group() == group.Digest() {
					mine = append(mine, p)
				}
			}
			return len(mine) == before
		})
		if !missing && len(mine) > 0 {
			groups, a.packages = append(groups, g.ID), mine
		}
	}
	switch {
	case len(groups) == 0:
		return errors.New("no custodian group of the charter has a package in each of the files: were they escrowed under another charter, or to several groups?")
	case len(groups) > 1:
		return fmt.Errorf("the files have packages for several groups: say which of %s", strings.Join(groups, ", "))
	}
	a.Group = groups[0]
	return nil
}

// sealed seals the access and returns its case.
func (a *Ask) sealed(ch *charters.Charter, ev *event.Event, o *event.Openings, key *escrow.SecretKey) (*Case, error) {
	until := a.Until
	if until.IsZero() {
		until = ev.Time.Add(time.Duration(ch.Charter.Profile.Seal.Default) * time.Second)
		if a.Warrant != nil && until.After(a.sealEnd) {
			until = a.sealEnd
		}
	}
	if a.Warrant != nil && until.After(a.sealEnd) {
		return nil, fmt.Errorf("the access is sealed until %s: give a time no later than the warrant's, %s", until.Format(time.RFC3339), a.sealEnd.Format(time.RFC3339))
	}
	if err := ev.Seal(until, o.Public, o.Subject); err != nil {
		return nil, err
	}
	c := &Case{Charter: a.Charter, Warrant: a.Warrant, WarrantOpenings: a.WarrantOpenings, Gates: a.Gates}
	var err error
	if c.Event, err = ev.Bytes(); err != nil {
		return nil, err
	}
	o.Event = (&event.Envelope{Payload: c.Event}).Hash()
	if c.AccessOpenings, err = o.Bytes(); err != nil {
		return nil, err
	}
	if c.Key, err = key.Bytes(); err != nil {
		return nil, err
	}
	for _, p := range a.packages {
		c.Packages = append(c.Packages, string(p.Text()))
	}
	return c, c.Check()
}
