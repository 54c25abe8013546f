// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Seconds.
const (
	Minute = 60
	Hour   = 60 * Minute
	Day    = 24 * Hour
)

// Charter returns a first charter, which edit, unless nil, has changed. Its parties are
// f1 to f3 (founders: 2 amend, 3 recover), court (an authority, with the duty key "duty"),
// messenger (provider), c1 to c3 (custodians of the group main, of which 2 open) and a1, a2
// (auditors). Its policies ask for 2 of the witnesses w1 to w3 and for both auditors.
func (p *People) Charter(edit func(*event.Charter)) *event.Charter {
	c := &event.Charter{Version: 1, Rules: 1, LogKeys: []string{p.Log().Verifier().String()}, Profile: Profile(),
		WitnessPolicy: p.Policy(2, "w1", "w2", "w3")}
	p.Cast(c, event.RoleCharter, "f1", "f2", "f3")
	p.Cast(c, event.RoleAuthority, "court")
	p.Cast(c, event.RoleProvider, "messenger")
	p.Cast(c, event.RoleCustodian, "c1", "c2", "c3")
	p.Cast(c, event.RoleAuditor, "a1", "a2")
	c.Parties = append(c.Parties, p.Party(event.RoleDuty, "court", "duty"))
	if edit != nil {
		edit(c)
	}
	return c
}

// Cast makes these names the parties of a role, in place of those that c has. Whatever
// counts the parties then asks for more than half of them: amendments, the group main of the
// custodians, the policy of the auditors. All founders recover.
func (p *People) Cast(c *event.Charter, role event.Role, names ...string) {
	c.Parties = slices.DeleteFunc(slices.Clone(c.Parties), func(p event.Party) bool { return p.Role == role })
	for _, n := range names {
		c.Parties = append(c.Parties, p.Party(role, n))
	}
	most := len(names)/2 + 1
	switch role {
	case event.RoleCharter:
		c.Thresholds = event.Thresholds{Amend: uint64(most), Recover: uint64(len(names))}
	case event.RoleCustodian:
		c.Groups = []event.Group{{ID: "main", Threshold: uint64(most), Members: names}}
	case event.RoleAuditor:
		c.AuditPolicy = p.Policy(min(most, len(names)), names...)
	}
}

// Party returns a party with the event keys of these names; without names, with that of its
// own. An authority is a court, an auditor cosigns, and a custodian has the key that Gate
// returns.
func (p *People) Party(role event.Role, name string, keys ...string) event.Party {
	if len(keys) == 0 {
		keys = []string{name}
	}
	out := event.Party{Name: name, Role: role}
	for _, k := range keys {
		out.Keys = append(out.Keys, p.Public(k))
	}
	switch role {
	case event.RoleAuthority:
		out.Kind = "court"
	case event.RoleCustodian:
		out.Gates = []event.HPKEKey{p.Gate(name)}
	case event.RoleAuditor:
		out.Cosigners = []string{p.Witness(name).Verifier().String()}
	}
	return out
}

// Policy returns the text of a policy that k of the witnesses meet, without a log line.
func (p *People) Policy(k int, witnesses ...string) string {
	var list []Witness
	for _, n := range witnesses {
		list = append(list, Witness{Name: n, Keys: []*tlog.VerifierKey{p.Witness(n).Verifier()}})
	}
	return Policy(k, list...)
}

// ParsePolicy returns the policy of the log's Ed25519 key and k of the witnesses.
func (p *People) ParsePolicy(k int, witnesses ...string) *tlog.Policy {
	return must(tlog.ParsePolicy([]byte("log " + p.Log().Verifier().String() + "\n" + p.Policy(k, witnesses...))))
}

// Witness is a witness as a policy names it.
type Witness struct {
	Name string
	URL  string // "": the policy does not say it
	Keys []*tlog.VerifierKey
}

var suffixes = map[tlog.Algorithm]string{tlog.CosignatureEd25519: "ed25519", tlog.CosignatureMLDSA44: "mldsa44"}

// Policy returns the text of a policy that k of the witnesses meet; if k is 0, one without a
// quorum that names them. The keys of one witness count once.
func Policy(k int, witnesses ...Witness) string {
	var b strings.Builder
	var members []string
	for _, w := range witnesses {
		members = append(members, w.Name)
		var names []string
		for _, key := range w.Keys {
			name := w.Name
			if len(w.Keys) > 1 {
				name = w.Name + "-" + suffixes[key.Algorithm]
			}
			names = append(names, name)
			b.WriteString(strings.TrimRight(fmt.Sprintf("witness %s %s %s", name, key, w.URL), " ") + "\n")
		}
		if len(names) > 1 && k > 0 {
			fmt.Fprintf(&b, "group %s any %s\n", w.Name, strings.Join(names, " "))
		}
	}
	if k == 0 {
		return b.String() + "quorum none\n"
	}
	fmt.Fprintf(&b, "group quorate %d %s\nquorum quorate\n", k, strings.Join(members, " "))
	return b.String()
}

// Profile returns a profile with short deadlines, for logs whose time the test sets.
func Profile() event.Profile {
	return event.Profile{
		ID: "test", AccessLife: Day, Publication: Minute, Inclusion: Hour, Lag: 7 * Day, Skew: Minute, Stale: Hour,
		Unfulfilled: 30 * Day, DisclosureGrace: Day,
		Anchor: event.Deadline{Within: Day, Grace: Hour}, Heartbeat: event.Deadline{Within: 60 * Day, Grace: Day},
		MissingRelease: event.Deadline{Within: Day, Grace: Hour}, Return: event.Deadline{Within: 30 * Day, Grace: Day},
		Seal:        event.SealLimit{Default: 30 * Day, Longest: 180 * Day},
		Deferral:    event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: 90 * Day}}, Total: 150 * Day},
		Instruments: []event.Instrument{{Code: "search"}},
		Offences:    []string{"fraud"}, Grounds: []string{"investigation"}, Reasons: []string{"ended"},
		Bars: []string{"anchor", "disclosure", "missing-release"},
	}
}

// LongProfile returns a profile under which nothing gets overdue while a test runs, for logs
// that live by the clock. It allows emergencies, and has every reason that gates give.
func LongProfile() event.Profile {
	p := Profile()
	within := event.Deadline{Within: 30 * Day, Grace: Day}
	p.Publication, p.Deferral.Total = 1, 0
	p.Anchor = event.Deadline{Within: 30 * Day, Grace: Hour}
	p.Heartbeat, p.MissingRelease, p.Return = within, within, within
	p.Emergency = &event.Emergency{Open: 8, Accounts: 2, Decision: within, Grounds: []string{"life"}}
	p.Reasons = []string{"account-mismatch", "breach-open", "ended", "expired", "limits-exceeded", "openings-mismatch", "overdue-bars",
		"package-mismatch", "recipient-mismatch", "revoked", "unreadable"}
	p.Bars = []string{"anchor", "disclosure", "emergency", "missing-release"}
	return p
}
