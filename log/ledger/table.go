// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// A Rule is a row of the table of rules.
type Rule struct {
	Name string
	Says string
	Ways []*Way // every way to break it that the code knows
}

// rules is one version of the rules: what a charter's rules member names. Once
// shipped, a version's table and what judges by it never change what they say; a
// new version is a new value, and a new case in handle.
type rules struct {
	version uint64
	table   []Rule
	overdue []string // rules that a profile may name in bars
}

// versions are all versions that were ever shipped.
var versions = map[uint64]*rules{
	1: {1, table1, []string{"anchor", "disclosure", "emergency", "heartbeat", "missing-release", "return"}},
}

// ways are those of all versions, by rule and code.
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

// handle judges the body of an event. An entry has an effect and no verdict, a
// verdict and no effect, or, rarely, both: then the verdict says what is lacking.
func (x *act) handle() (effect, *Violation, error) {
	switch x.c.rules.version {
	case 1:
		return x.handle1()
	}
	return nil, nil, fmt.Errorf("%w (version %d)", ErrRules, x.c.rules.version)
}

func (x *act) handle1() (effect, *Violation, error) {
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
	panic("ledger: an event of no type") // event.Parse makes none
}

// Rules returns the table of one version of the rules, nil if this binary
// doesn't know it.
func Rules(version uint64) []Rule {
	if r := versions[version]; r != nil {
		return r.table
	}
	return nil
}

var table1 = []Rule{
	{"charter", "Entry 0 is one. An amendment has the next version, names the one before, is signed by enough of its charter keys, and its policies count no operator twice.",
		[]*Way{charterFirst, charterMiddle, charterVersion, charterTaken, charterPrev, charterFew, charterPolicy, charterOperator, charterBars}},
	{"role", "Each signature verifies and is by a key that holds the role, with standing in this warrant, at that index.",
		[]*Way{roleUnknown, roleEnded, roleVoid, roleWrong, roleSignature, roleMissing, roleSeveral, roleStanding}},
	{"form", "The entry parses strictly, names this log, uses its profile's codes and its charter's names, and an id that its signer has not used for another event.",
		[]*Way{formMalformed, formOrigin, formID, formRepeated, formCode, formName}},
	{"reference", "What it refers to is below itself, of the right type, and has that hash.",
		[]*Way{referenceFuture, referenceLeaf, referenceType, referenceHead}},
	{"honest-time", "The claimed time is not after *existed before* plus skew. An event whose claim is older than the profile's lag before *logged after* has no effect (charters and releases have their own order, and are exempt).",
		[]*Way{timeAhead, timeOld}},
	{"warrant-live", "An access stands on a granted, unrevoked warrant, in its window, within its accesses and accounts.",
		[]*Way{warrantDenied, warrantRevoked, warrantVoid, warrantEnded, warrantWindow, warrantAccesses, warrantAccounts, warrantOver}},
	{"emergency", "An access without a warrant has a duty signature and room under the profile's caps; an authority decides on it in time; a denial is a breach.",
		[]*Way{emergencyNone, emergencyOpen, emergencyAccounts, emergencyProvider, emergencyDecided, emergencyDenied, emergencyLate}},
	{"release-chain", "A release answers a live access that names its custodian's group, once a custodian, and continues the custodian's chain.",
		[]*Way{releaseDead, releaseLate, releaseGroup, releaseTwice, releasePrev, releaseFar, releaseEarly, releasePast, refusalTwice}},
	{"equivocation", "A custodian has one event for one seq.",
		[]*Way{equivocationRelease, equivocationHeartbeat}},
	{"missing-release", "What a heartbeat or a later release states, the log holds in time.",
		[]*Way{missingLate}},
	{"heartbeat", "A custodian's heartbeats come in time. While one is late, its custodian must not release; auditors are barred only if the profile says so and fewer than the threshold of a group are current.",
		[]*Way{heartbeatLate}},
	{"seal-limit", "Seals are there where the type needs them, within the profile and the warrant's own. A deferral comes before an anchor proves expiry, from enough of those with standing.",
		[]*Way{sealMissing, sealLong, sealOwn, deferralFew, deferralLong, deferralTotal, deferralBack, deferralNever, deferralOrdinal, deferralTaken, deferralExpired, deferralOver}},
	{"disclosure", "By *until* all public digests of an event are opened; by the later of that and the release, a release's notices.",
		[]*Way{disclosureLate, disclosureNotices}},
	{"opening", "What is opened matches a digest of its class; before *until* only by the warrant's authority; all of it makes what the type seals.",
		[]*Way{openingMatch, openingEarly, openingOpened, openingIncomplete}},
	{"return", "A warrant's return comes in time after its window.",
		[]*Way{returnLate, returnTaken}},
	{"anchor", "Entries other than anchors are anchored in time, by checkpoints of this log that meet the witness policy in force at their size.",
		[]*Way{anchorLate, anchorBad, anchorForeign, anchorOld}},
	{"unfulfilled", "An overdue that lasts longer than the profile says is a breach.",
		[]*Way{unfulfilled}},
}
