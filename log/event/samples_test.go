// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

const testLog = "log.example/2026"

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// Keys are made of their names, so that failures repeat.
func edSigner(name string) Signer {
	seed := hash(name)
	s, err := NewSigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	return s
}

func ecKey(name string) *ecdsa.PrivateKey {
	seed := hash(name)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

func ecSigner(name string) Signer {
	s, err := NewSigner(ecKey(name))
	if err != nil {
		panic(err)
	}
	return s
}

func lookup(signers ...Signer) func(string) *PublicKey {
	return func(id string) *PublicKey {
		for _, s := range signers {
			if s.KeyID() == id {
				return s.Public()
			}
		}
		return nil
	}
}

// fill returns n bytes that depend on the name.
func fill(name string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		h := hash(fmt.Sprint(name, i))
		out = append(out, h[:]...)
	}
	return out[:n]
}

func vkey(name string, alg tlog.Algorithm, raw []byte) string {
	b := append([]byte{byte(alg)}, raw...)
	h := sha256.Sum256(append([]byte(name+"\n"), b...))
	return name + "+" + hex.EncodeToString(h[:4]) + "+" + base64.StdEncoding.EncodeToString(b)
}

func ref(i uint64) Reference { return Reference{i, hash(fmt.Sprint("leaf", i))} }

func refp(i uint64) *Reference { r := ref(i); return &r }

func sampleProfile() Profile {
	d := Deadline{Within: 86400, Grace: 3600}
	return Profile{
		ID: "de", AccessLife: 86400, Publication: 60, Inclusion: 600, Lag: 86400, Skew: 180, Stale: 3600,
		Spread: 60, WitnessTimeout: 15, Round: 300, Budget: Budget{Events: 1000, Interval: 86400},
		Unfulfilled: 604800, DisclosureGrace: 86400,
		Anchor: d, Heartbeat: d, MissingRelease: d, Return: Deadline{31536000, 86400},
		Seal: SealLimit{Default: 2592000, Longest: 31536000},
		Deferral: DeferralLimit{
			Steps: []Step{{After: 0, Signatures: 1, Longest: 31536000}, {After: 31536000, Kinds: []string{"court"}, Signatures: 1, Longest: 15768000}},
			Total: 157680000,
			Never: &Step{After: 157680000, Kinds: []string{"commission"}, Signatures: 5},
		},
		Emergency: &Emergency{Open: 2, Accounts: 3, Decision: Deadline{259200, 3600}, Grounds: []string{"life"}, Categories: []string{"subscriber"}},
		Instruments: []Instrument{
			{Code: "epo-preservation", Window: 5184000, Preserves: true, Issuers: []string{"court"}, Validated: []string{"police"}, Validators: []string{"court"}},
			{Code: "stpo-100a", Window: 7689600, Category: "content", With: []string{"subscriber", "traffic"}},
			{Code: "stpo-100b", Window: 2419200, Seal: &SealLimit{1, 2}, Deferral: &DeferralLimit{Steps: []Step{{Signatures: 1, Longest: 15768000}}}},
		},
		Categories: []string{"content", "subscriber", "traffic"}, NonExecution: []string{"data-not-held", "immunity"},
		Offences: []string{"c-organised", "a-life"}, Grounds: []string{"investigation"}, Reasons: []string{"ended", "unreadable"},
		Bars:    []string{"disclosure", "missing-release"},
		Sources: []Source{{"deferral.steps", "StPO 101(6)"}, {"emergency.decision.within", "StPO 100e(1)"}},
	}
}

func sampleCharter() *Charter {
	log := vkey(testLog, tlog.Ed25519, fill("log", 32))
	auditor := vkey("auditor.example", tlog.CosignatureEd25519, fill("auditor", 32))
	custodian := func(name string) Party {
		return Party{Name: name, Role: RoleCustodian, Keys: []*PublicKey{ecSigner(name).Public()},
			Gates: []HPKEKey{{KEMX25519, fill(name, 32)}, {KEMMLKEMX25519, fill(name, 1216)}}}
	}
	return &Charter{
		Version: 1, Rules: 2,
		LogKeys: []string{log, vkey(testLog, tlog.CosignatureMLDSA44, fill("log", 1312))},
		Parties: []Party{
			{Name: "founder-1", Role: RoleCharter, Keys: []*PublicKey{edSigner("founder-1").Public()}},
			{Name: "founder-2", Role: RoleCharter, Keys: []*PublicKey{edSigner("founder-2").Public()}},
			{Name: "ag-berlin", Role: RoleAuthority, Kind: "court", Keys: []*PublicKey{edSigner("judge-1").Public(), ecSigner("judge-2").Public()}},
			{Name: "lg-berlin", Role: RoleAuthority, Kind: "court", Above: []string{"ag-berlin"}, Enforces: []string{"ag-berlin"}, Keys: []*PublicKey{edSigner("judge-3").Public()}},
			{Name: "ag-berlin", Role: RoleDuty, Keys: []*PublicKey{edSigner("duty").Public()}},
			{Name: "messenger", Role: RoleProvider, Keys: []*PublicKey{edSigner("messenger").Public()}},
			{Name: "watchdog", Role: RoleAuditor, Keys: []*PublicKey{edSigner("watchdog").Public()}, Cosigners: []string{auditor}},
			custodian("custodian-1"), custodian("custodian-2"), custodian("custodian-3"),
		},
		Groups:        []Group{{"main", 2, []string{"custodian-2", "custodian-1", "custodian-3"}}},
		Thresholds:    Thresholds{Amend: 1, Recover: 2},
		Void:          []Void{{9, edSigner("lost").KeyID()}},
		Profile:       sampleProfile(),
		WitnessPolicy: "log " + log + "\nwitness w1 " + vkey("witness.example", tlog.CosignatureEd25519, fill("w1", 32)) + " https://witness.example\ngroup g 1 w1\nquorum g\n",
		AuditPolicy:   "witness a1 " + auditor + "\nquorum a1\n",
	}
}

func sampleBodies() []Body {
	recipient := HPKEKey{KEMX25519, fill("recipient", 32)}
	limits := Warrant{Decision: Granted, Provider: "messenger", Instrument: "stpo-100a", Offence: "a-life", Accounts: 2, Accesses: 1, Categories: []string{"content", "traffic"},
		NotBefore: testTime, NotAfter: testTime.AddDate(0, 3, 0)}
	validating := limits
	validating.Decision, validating.Validates = Modified, refp(9)
	return []Body{
		sampleCharter(),
		&limits,
		&validating,
		&Warrant{Decision: Denied, Provider: "messenger", Instrument: "stpo-100a", Offence: "a-life"},
		&Revocation{Warrant: ref(1), Reason: "ended", Scope: ScopeAll},
		&Revocation{Warrant: ref(1), Reason: "ended", Scope: ScopeCategories, Categories: []string{"content", "traffic"}},
		&Revocation{Warrant: ref(1), Reason: "ended", Scope: ScopeSuspended},
		&Revocation{Warrant: ref(1), Reason: "ended", Scope: ScopeResumed, Suspension: refp(4)},
		&Response{Warrant: ref(1), Outcome: Refused, Ground: "immunity"},
		&Response{Warrant: ref(1), Outcome: Partial, Ground: "data-not-held", Categories: []string{"traffic"}},
		&Warrant{Decision: Granted, Provider: "messenger", Instrument: "stpo-100a", Offence: "a-life", NotBefore: testTime, NotAfter: testTime.AddDate(0, 3, 0)},
		&Access{Warrant: refp(1), Group: "main", Recipient: recipient, Accounts: 2, Categories: []string{"content"}},
		&Access{Emergency: "life", Group: "main", Recipient: HPKEKey{KEMMLKEMX25519, fill("recipient", 1216)}, Accounts: 1},
		&Release{Access: ref(2), Seq: 1, Notices: []Digest{hash("n1"), hash("n2"), hash("n3")}, Head: Head{3, hash("root")}},
		&Release{Access: ref(2), Seq: 2, Prev: hash("before"), Notices: []Digest{hash("n1")}, Head: Head{3, hash("root")}},
		&Refusal{ref(2), "unreadable"},
		&Deferral{Event: ref(1), Until: testTime.AddDate(1, 0, 0), Ground: "investigation", Ordinal: 1},
		&Deferral{Event: ref(1), Never: true, Ground: "investigation", Ordinal: 3},
		&Disclosure{Event: ref(1), Openings: []Opening{{Name: "agency", Value: Text("lka-berlin")}, {Name: DecoyName},
			{Name: "grounds", Value: Codes("investigation", "danger")}}, Notices: [][]byte{fill("n", 100), fill("m", 100)}},
		&Return{Warrant: ref(1), Executed: true, Encryption: true, Persons: 2, Accounts: 3, Days: 30},
		&Return{Warrant: ref(1)},
		&Heartbeat{From: testTime, To: testTime.Add(time.Hour)},
		&Heartbeat{From: testTime, To: testTime.Add(time.Hour), Seq: 2, Prev: hash("release"), Resumed: true},
		&Anchor{testLog + "\n3\nzZ0=\n\n\u2014 " + testLog + " AAAA\n\u2014 witness.example BBBB\n"},
		&Finding{First: 3, Last: 3, Rule: "release-chain", State: FindingOpen, Digest: hash("text")},
	}
}

// sample makes the event of a body repeatable: a fixed id and time, salts
// that depend on names.
func sample(t testing.TB, body Body) *Event {
	t.Helper()
	e, err := New(testLog, body)
	if err != nil {
		t.Fatalf("%T: %v", body, err)
	}
	e.ID, e.Time = ID(fill(fmt.Sprintf("%T", body), 16)), testTime
	if seals(e.Type, ClassPublic) {
		public, subject := sampleOpenings(t, e)
		if err := e.Seal(testTime.AddDate(0, 6, 0), public, subject); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func sampleOpenings(t testing.TB, e *Event) (public, subject []Opening) {
	t.Helper()
	values := map[string]Value{
		"agency": Text("lka-berlin"), "agencyKey": Bytes(ecSigner("agency").Public().SPKI()), "grounds": Codes("investigation"),
		"case": Text("(274) 161 Js 12/26 \"\u00e4\""), "identifier": Text("subject@example.org"), "unit": Text("legal"),
		"account": Text("subject@example.org"), "agencySignature": Bytes(fill("sig", 64)), "package": Text(Digest(hash("package")).String()),
		"reasons": Codes("ended"), "dataPeriods": Periods(Period{testTime, testTime.Add(time.Hour)}, Period{testTime.AddDate(0, 1, 0), testTime.AddDate(0, 1, 0)}),
		"extends": Text(ref(3).String()), "proceeding": Text(Digest(hash("proceeding")).String()),
	}
	for _, n := range Names(e.Type) {
		v, ok := values[n.Name]
		if !ok {
			t.Fatalf("no sample value for %s", n.Name)
		}
		o := Opening{Salt: [16]byte(fill("salt"+n.Name, 16)), Name: n.Name, Value: v}
		if n.Class == ClassPublic {
			public = append(public, o)
		} else {
			subject = append(subject, o)
		}
	}
	return append(public, Opening{Salt: [16]byte(fill("decoy", 16)), Name: DecoyName}), subject
}
