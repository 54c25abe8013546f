// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import "github.com/vasistas/vasistas/log/event"

// A Rule is a row of the table of rules.
type Rule struct {
	Name string
	Says string
	Ways []*Way // every way to break it that the code knows
}

// rules is one version of the rules, which a charter's rules member names. A shipped
// version keeps its meaning; a new version is a new value with a handle of its own.
type rules struct {
	table   []Rule
	overdue []string // rules that a profile may name in bars
}

// versions holds every shipped version.
var versions = map[uint64]*rules{
	1: {table1, []string{"anchor", "disclosure", "emergency", "heartbeat", "missing-release", "return"}},
}

// ways holds the ways of all versions, by rule and code.
var ways = func() map[string]*Way {
	m := make(map[string]*Way)
	for _, v := range versions {
		for _, r := range v.table {
			for _, w := range r.Ways {
				m[w.Rule+"/"+w.Code] = w
			}
		}
	}
	return m
}()

// handle checks the body of an event under version 1, the only one. An entry has an
// effect and no verdict, a verdict and no effect or, for a release that waits or
// came late, both.
func (x *act) handle() (effect, *Violation, error) {
	switch b := x.ev.Body.(type) {
	case *event.Charter:
		return x.charter(b)
	case *event.Warrant:
		return x.warrant(b)
	case *event.Revocation:
		return x.revocation(b)
	case *event.Access:
		return x.access(b)
	case *event.Release:
		return x.release(b)
	case *event.Refusal:
		return x.refusal(b)
	case *event.Deferral:
		return x.deferral(b)
	case *event.Disclosure:
		return x.disclosure(b)
	case *event.Return:
		return x.returns(b)
	case *event.Heartbeat:
		return x.heartbeat(b)
	case *event.Anchor:
		return x.anchor(b)
	case *event.Finding:
		return x.finding(b)
	}
	panic("ledger: an event of an unknown type") // event.Parse returns none
}

// Rules returns the table of one version of the rules, nil for an unknown version.
func Rules(version uint64) []Rule {
	if r := versions[version]; r != nil {
		return r.table
	}
	return nil
}

var table1 = []Rule{
	{"charter", "Entry 0 is the first charter. An amendment has the next version, names the charter before it and is signed by enough of that charter's keys. Its policies count no operator twice.",
		[]*Way{charterFirst, charterMiddle, charterVersion, charterTaken, charterPrev, charterFew, charterPolicy, charterOperator, charterBars}},
	{"role", "Each signature verifies and is by a key that holds the role, with standing in this warrant, at that index.",
		[]*Way{roleUnknown, roleEnded, roleVoid, roleWrong, roleSignature, roleMissing, roleSeveral, roleStanding}},
	{"form", "The entry parses strictly, names this log, uses the profile's codes and the charter's names, and has an id that its signer has not used for another event.",
		[]*Way{formMalformed, formOrigin, formID, formRepeated, formCode, formName}},
	{"reference", "An entry refers only to entries below itself, of the right type, by their own leaf hash.",
		[]*Way{referenceFuture, referenceLeaf, referenceType, referenceHead}},
	{"honest-time", "The claimed time is not after *existed before* plus skew. An event whose claim is older than the profile's lag before *logged after* has no effect (charters and releases are exempt, since they have an order of their own).",
		[]*Way{timeAhead, timeOld}},
	{"warrant-live", "An access stands on a granted, unrevoked warrant, in its window, within its accesses and accounts.",
		[]*Way{warrantDenied, warrantRevoked, warrantVoid, warrantEnded, warrantWindow, warrantAccesses, warrantAccounts, warrantOver}},
	{"emergency", "An access without a warrant has a duty signature and room under the profile's caps; an authority decides on it in time; a denial is a breach.",
		[]*Way{emergencyNone, emergencyOpen, emergencyAccounts, emergencyProvider, emergencyDecided, emergencyDenied, emergencyLate}},
	{"release-chain", "A release answers a live access that names its custodian's group, and continues the custodian's chain. A custodian answers an access once.",
		[]*Way{releaseDead, releaseLate, releaseGroup, releaseTwice, releasePrev, releaseFar, releaseEarly, releasePast, refusalTwice}},
	{"equivocation", "A custodian signs one event for each seq.",
		[]*Way{equivocationRelease, equivocationHeartbeat}},
	{"missing-release", "The log holds in time every release that a heartbeat or a later release states.",
		[]*Way{missingLate}},
	{"heartbeat", "A custodian's heartbeats come in time. While one is late, its custodian must not release; auditors are barred only if the profile says so and a group has fewer current custodians than its threshold.",
		[]*Way{heartbeatLate}},
	{"seal-limit", "An event has the seals that its type needs, within the limits of the profile and its warrant. A deferral comes before an anchor proves expiry, and enough authorities with standing sign it.",
		[]*Way{sealMissing, sealLong, sealOwn, deferralFew, deferralLong, deferralTotal, deferralBack, deferralNever, deferralOrdinal, deferralTaken, deferralExpired, deferralOver}},
	{"disclosure", "All public digests of an event are opened by *until*; a release's notices by *until* or the release, whichever is later.",
		[]*Way{disclosureLate, disclosureNotices}},
	{"opening", "An opening matches a digest of its class. Before *until* only the warrant's authority opens. All openings together are what the type seals.",
		[]*Way{openingMatch, openingEarly, openingOpened, openingIncomplete}},
	{"return", "A warrant's return comes in time after its window.",
		[]*Way{returnLate, returnTaken}},
	{"anchor", "Entries other than anchors are anchored in time, by checkpoints of this log that meet the witness policy in force at their size.",
		[]*Way{anchorLate, anchorBad, anchorForeign, anchorOld}},
	{"unfulfilled", "An obligation that stays overdue for longer than the profile says is a breach.",
		[]*Way{unfulfilled}},
}
