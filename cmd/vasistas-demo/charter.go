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

// The profile is the one named demo, with three figures changed: the custodian of the
// rows' group runs no gate and sends no heartbeats, so the first is due after the
// demonstration; an access lives as long as a slow machine may need; and a head gets
// old while somebody watches.
const (
	profileID     = "demo-on-one-machine"
	heartbeatsDue = 10 * 365 * 24 * 60 * 60 // seconds
	accessLife    = 60
	headsStale    = 15
)

// charter makes the log's charter, entry 0, and signs it with two of its three
// founders' keys.
//
// A charter has at most 256 parties, and the data names more businesses than
// that. So one provider stands in for all of them: warrants address it, it signs
// accesses, and it runs the log. The courts are the counties of the data. The
// group that the rows' accesses name has one custodian, which holds nothing: the
// private half of its gate's key was not kept. The other group has three gates.
func (w *world) charter() (*event.Envelope, error) {
	p, err := profile.Load("demo")
	if err != nil {
		return nil, err
	}
	p.ID, p.Heartbeat.Within, p.AccessLife, p.Stale = profileID, heartbeatsDue, accessLife, headsStale
	gate, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ch := &event.Charter{
		Version: 1, Rules: 1, Profile: p,
		Groups: []event.Group{
			{ID: gateGroup, Threshold: gateThreshold},
			{ID: noGroup, Threshold: 1, Members: []string{custodianName}},
		},
		Thresholds:    event.Thresholds{Amend: 2, Recover: numFounders},
		WitnessPolicy: w.witnessPolicy(fmt.Sprint(quorum), nil), AuditPolicy: "quorum none\n",
	}
	for _, k := range w.log.keys {
		ch.LogKeys = append(ch.LogKeys, k.Verifier().String())
	}
	for i := range numGates {
		ch.Groups[0].Members = append(ch.Groups[0].Members, gateName(i))
	}
	for _, r := range w.signers.roles() {
		for name, s := range *r.keys {
			party := event.Party{Name: name, Role: r.role, Keys: []*event.PublicKey{s.Public()}}
			switch r.role {
			case event.RoleAuthority:
				party.Kind = "court"
			case event.RoleCustodian:
				party.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: gate.PublicKey().Bytes()}}
				if name != custodianName {
					k, err := w.loadGateKey(name)
					if err != nil {
						return nil, err
					}
					party.Gates = []event.HPKEKey{k.Public()}
				}
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
