// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// key is a party's event key. It is made of its name.
type key struct {
	private ed25519.PrivateKey
	public  *event.PublicKey
}

func (w *World) key(name string) *key {
	w.TB.Helper()
	if k := w.keys[name]; k != nil {
		return k
	}
	seed := sha256.Sum256([]byte("event key " + name))
	k := &key{private: ed25519.NewKeyFromSeed(seed[:])}
	var err error
	if k.public, err = event.NewPublicKey(k.private.Public()); err != nil {
		w.TB.Fatal(err)
	}
	w.keys[name] = k
	return k
}

// note is the key of the log, or of who cosigns under a name.
func (w *World) note(name string) *tlog.Signer {
	w.TB.Helper()
	if s := w.notes[name]; s != nil {
		return s
	}
	full, algorithm := name+".example", tlog.CosignatureEd25519
	if name == Origin {
		full, algorithm = Origin, tlog.Ed25519
	}
	s, err := tlog.GenerateSigner(full, algorithm)
	if err != nil {
		w.TB.Fatal(err)
	}
	w.notes[name] = s
	return s
}

// Policy returns a policy that wants k of the witnesses.
func (w *World) Policy(k int, witnesses ...string) *tlog.Policy {
	w.TB.Helper()
	p, err := tlog.ParsePolicy([]byte("log " + w.note(Origin).Verifier().String() + "\n" + w.policyText(k, witnesses...)))
	if err != nil {
		w.TB.Fatal(err)
	}
	return p
}

func (w *World) policyText(k int, names ...string) string {
	if len(names) == 0 {
		return "quorum none\n"
	}
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "witness %s %s\n", n, w.note(n).Verifier())
	}
	fmt.Fprintf(&b, "group g %d %s\nquorum g\n", k, strings.Join(names, " "))
	return b.String()
}

// charter is one with a few parties of each role, that are called f1 to f3 (charter
// keys), court, messenger (provider), c1 to c3 (custodians) and a1, a2 (auditors).
func (w *World) charter() *event.Charter {
	var parties []event.Party
	add := func(role event.Role, names ...string) {
		for _, n := range names {
			p := event.Party{Name: n, Role: role, Keys: []*event.PublicKey{w.key(n).public}}
			switch role {
			case event.RoleAuthority:
				p.Kind = "court"
			case event.RoleCustodian:
				k := sha256.Sum256([]byte("gate " + n))
				p.Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: k[:]}}
			case event.RoleAuditor:
				p.Cosigners = []string{w.note(n).Verifier().String()}
			}
			parties = append(parties, p)
		}
	}
	add(event.RoleCharter, "f1", "f2", "f3")
	add(event.RoleAuthority, "court")
	add(event.RoleProvider, "messenger")
	add(event.RoleCustodian, "c1", "c2", "c3")
	add(event.RoleAuditor, "a1", "a2")
	return &event.Charter{
		Version: 1, Rules: 1, LogKeys: []string{w.note(Origin).Verifier().String()}, Parties: parties,
		Groups:     []event.Group{{ID: "main", Threshold: 2, Members: []string{"c1", "c2", "c3"}}},
		Thresholds: event.Thresholds{Amend: 2, Recover: 3}, Profile: profile(),
		WitnessPolicy: w.policyText(2, "w1", "w2", "w3"), AuditPolicy: w.policyText(2, "a1", "a2"),
	}
}

func profile() event.Profile {
	return event.Profile{
		ID: "test", AccessLife: day, Publication: minute, Inclusion: hour, Lag: 7 * day, Skew: minute, Stale: hour,
		Unfulfilled: 30 * day, DisclosureGrace: day,
		Anchor: event.Deadline{Within: day, Grace: hour}, Heartbeat: event.Deadline{Within: 60 * day, Grace: day},
		MissingRelease: event.Deadline{Within: day, Grace: hour}, Return: event.Deadline{Within: 30 * day, Grace: day},
		Seal:        event.SealLimit{Default: 30 * day, Longest: 180 * day},
		Deferral:    event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: 90 * day}}, Total: 150 * day},
		Instruments: []event.Instrument{{Code: "search"}},
		Offences:    []string{"fraud"}, Grounds: []string{"investigation"}, Reasons: []string{"ended"},
		Bars: []string{"anchor", "disclosure", "missing-release"},
	}
}
