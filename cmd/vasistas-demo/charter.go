// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

// The profile is the one named demo, with one figure changed: nobody sends
// heartbeats, since no gate runs here, so the first is due after the demonstration.
const (
	profileID     = "demo-without-gates"
	heartbeatsDue = 10 * 365 * 24 * 60 * 60 // seconds
)

// charter makes the log's charter, entry 0, and signs it with two of its three
// founders' keys.
//
// A charter has at most 256 parties, and the data names more businesses than
// that. So one provider stands in for all of them: warrants address it, it signs
// accesses, and it runs the log. The courts are the counties of the data. One
// group of custodians is there since an access must name one; its one custodian
// holds nothing, and the private half of its gate's key was not kept.
func (w *world) charter() (*event.Envelope, error) {
	p, err := profile.Load("demo")
	if err != nil {
		return nil, err
	}
	p.ID, p.Heartbeat.Within = profileID, heartbeatsDue
	gate, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ch := &event.Charter{
		Version: 1, Rules: 1, Profile: p,
		Groups:        []event.Group{{ID: noGroup, Threshold: 1, Members: []string{custodianName}}},
		Thresholds:    event.Thresholds{Amend: 2, Recover: numFounders},
		WitnessPolicy: w.witnessPolicy(fmt.Sprint(quorum), nil), AuditPolicy: "quorum none\n",
	}
	for _, k := range w.log.keys {
		ch.LogKeys = append(ch.LogKeys, k.Verifier().String())
	}
	for _, r := range w.signers.roles() {
		for name, s := range *r.keys {
			party := event.Party{Name: name, Role: r.role, Keys: []*event.PublicKey{s.Public()}}
			switch r.role {
			case event.RoleAuthority:
				party.Kind = "court"
			case event.RoleCustodian:
				party.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: gate.PublicKey().Bytes()}}
			}
			ch.Parties = append(ch.Parties, party)
		}
	}
	ev, err := event.New(origin, ch)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(w.signers.founders))
	return event.Sign(ev, w.signers.founders[names[0]], w.signers.founders[names[1]])
}
