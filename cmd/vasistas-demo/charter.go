// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

// The profile is the one named demo, with two figures changed: the custodian of the
// rows' group runs no gate and sends no heartbeats, so the first is due after the
// demonstration; and an access lives as long as a slow machine may need.
const (
	profileID     = "demo-on-one-machine"
	heartbeatsDue = 10 * 365 * 24 * 60 * 60 // seconds
	accessLife    = 60
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
	p.ID, p.Heartbeat.Within, p.AccessLife = profileID, heartbeatsDue, accessLife
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
	for dir, named := range w.signers.keys {
		for name, s := range named {
			party := event.Party{Name: name, Role: roles[dir], Keys: []*event.PublicKey{s.Public()}}
			switch {
			case dir == courts:
				party.Kind = "court"
			case name == custodianName:
				party.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: gate.PublicKey().Bytes()}}
			case dir == custodians:
				k, err := w.loadGateKey(name)
				if err != nil {
					return nil, err
				}
				party.Gates = []event.HPKEKey{k.Public()}
			}
			ch.Parties = append(ch.Parties, party)
		}
	}
	ev, err := event.New(origin, ch)
	if err != nil {
		return nil, err
	}
	return event.Sign(ev, w.signers.keys[founders]["founder1"], w.signers.keys[founders]["founder2"])
}
