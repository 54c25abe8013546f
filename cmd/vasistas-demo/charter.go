// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

const (
	// founder signs the charter, and holder stands for the custodians of an
	// escrow that the rows don't know: an access must name a group.
	founder = "founder"
	holder  = "holder"
	// unlisted is the provider of a warrant whose row names one that is in few
	// rows: a charter has room for about as many parties as it has kilobytes,
	// and the rows name hundreds.
	unlisted  = "unlisted"
	minListed = 4 // rows
)

// charter is the first charter of the demo's log, signed.
func (w *world) charter() ([]byte, error) {
	p, err := demoProfile()
	if err != nil {
		return nil, err
	}
	// Nothing is released to the holder, so its private half is not kept.
	gate, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ch := &event.Charter{
		Version: 1, Rules: 1, Profile: p,
		Groups:        []event.Group{{ID: noGroup, Threshold: 1, Members: []string{holder}}},
		Thresholds:    event.Thresholds{Amend: 1, Recover: 1},
		WitnessPolicy: w.witnessLines(false) + fmt.Sprintf("group witnesses %d %s\nquorum witnesses\n", quorum, strings.Join(w.groups(), " ")),
		AuditPolicy:   "quorum none\n",
	}
	for _, k := range w.log.keys {
		ch.LogKeys = append(ch.LogKeys, k.Verifier().String())
	}
	for _, d := range keyDirs {
		keys := d.of(w.signers)
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			party := event.Party{Name: name, Role: d.role, Keys: []*event.PublicKey{keys[name].Public()}}
			if d.role == event.RoleCustodian {
				party.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: gate.PublicKey().Bytes()}}
			}
			ch.Parties = append(ch.Parties, party)
		}
	}
	ev, err := event.New(origin, ch)
	if err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, w.signers.founders[founder])
	if err != nil {
		return nil, err
	}
	return env.Bytes(), nil
}

// demoProfile is the profile demo, with seals as long as the law lets notice be
// delayed, and any age of a claim: what is signed once is submitted in every run.
func demoProfile() (event.Profile, error) {
	p, err := profile.Load("demo")
	p.Seal.Longest = uint64(sealDelayed / time.Second)
	p.Lag = 100 * 366 * 86400
	return p, err
}
