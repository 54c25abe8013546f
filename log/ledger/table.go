// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// A Rule is a row of the table of rules.
type Rule struct {
	Name string
	Says string
	Ways []*Way // every way to break it that the code knows
}

// rules is one version of the rules, which a charter's rules member names. From version 2
// on, a shipped version keeps its meaning; a new version is a new value with a handle of
// its own.
type rules struct {
	table   []Rule
	overdue []string // rules that a profile may name in bars
}

// versions holds every shipped version.
var versions = map[uint64]*rules{
	2: {table2, []string{"anchor", "disclosure", "emergency", "heartbeat", "missing-release", "return"}},
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

// handle checks the body of an event under version 2, the only one. An entry has an
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
	case *event.Response:
		return x.response(b)
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

var table2 = []Rule{
	{"charter", "Entry 0 is the first charter. An amendment has the next version, names the charter before it and is signed by enough of that charter's keys. Its policies count no operator twice.",
		[]*Way{charterFirst, charterMiddle, charterVersion, charterTaken, charterPrev, charterFew, charterPolicy, charterOperator, charterBars}},
	{"role", "Each signature verifies and is by a key that holds the role, with standing in this warrant, at that index.",
		[]*Way{roleUnknown, roleEnded, roleVoid, roleAside, roleWrong, roleSignature, roleMissing, roleSeveral, roleStanding}},
	{"form", "The entry parses strictly, names this log, uses the profile's codes and the charter's names, and has an id that its signer has not used for another event.",
		[]*Way{formMalformed, formOrigin, formID, formRepeated, formCode, formName}},
	{"reference", "An entry refers only to entries below itself, of the right type, by their own leaf hash.",
		[]*Way{referenceFuture, referenceLeaf, referenceType, referenceHead}},
	{"honest-time", "The claimed time is not after *existed before* plus skew. An event whose claim is older than the profile's lag before *logged after* has no effect (charters and releases are exempt, since they have an order of their own).",
		[]*Way{timeAhead, timeOld}},
	{"warrant-live", "A warrant's window ends within the instrument's longest window of the warrant's time. An access stands on a granted warrant, in its window, within its accesses and accounts, and in those of its categories that have not ended. No access stands on a warrant that is revoked or suspended, that its provider refused or was unable to execute, or that only preserves data.",
		[]*Way{warrantDenied, warrantRevoked, warrantVoid, warrantEnded, warrantSuspended, warrantResponse, warrantPreserves, warrantWindow, warrantAccesses, warrantAccounts,
			warrantCategories, warrantCategory, warrantInPart, warrantOver, warrantLong}},
	{"instrument", "A warrant is signed by authorities of the kinds that its instrument names. If it states categories, they are the instrument's most demanding one and others that the instrument names. It bears accesses, unless the instrument only preserves data.",
		[]*Way{instrumentKind, instrumentValidated, instrumentEnforces, instrumentCategory, instrumentWith, instrumentPreserves, instrumentAccesses}},
	{"extends", "A warrant that extends an earlier one is by the same authority or by one above it, and addresses the same provider. Admission checks it, and every replay once it is opened. It moves no date.",
		[]*Way{extendsAuthority, extendsProvider}},
	{"revocation", "A warrant's issuer or validator, an authority above one of them, or one that enforces the issuer's warrants revokes or suspends it. The author of a suspension resumes it, or an authority above the author. An authority has one suspension of a warrant at a time. A suspension that it signed before its last one was resumed has no effect.",
		[]*Way{revocationTwice, revocationOld, revocationInPart, revocationResumed}},
	{"response", "A provider's answer that it does not execute a warrant ends further accesses, in part or in whole; one that names all categories is not partial. It ends no seal, no notice and no return.",
		[]*Way{responseWhole, responseOver}},
	{"emergency", "An access without a warrant has a duty signature and room under the profile's caps; an authority decides on it in time; a denial is a breach by the duty party.",
		[]*Way{emergencyNone, emergencyOpen, emergencyAccounts, emergencyStates, emergencyCategory, emergencyGranted, emergencyProvider, emergencyDecided, emergencyDenied, emergencyLate}},
	{"release-chain", "A release answers a live access that names its custodian's group, and continues the custodian's chain. A custodian answers an access once.",
		[]*Way{releaseDead, releaseLate, releaseGroup, releaseTwice, releasePrev, releaseFar, releaseEarly, releasePast, refusalTwice}},
	{"audit", "A release carries the checkpoint under which its custodian opens: it contains the access, and meets the audit policy at its size, at the head that the release relied on, and in force, by cosignatures of at most the profile's stale seconds ago. No auditor cosigned it while barred. Under the audit policy \"quorum none\" a release carries none.",
		[]*Way{auditMissing, auditNone, auditBad, auditForeign, auditAccess, auditBarred, auditStale, auditAmended}},
	{"equivocation", "A custodian signs one event for each seq.",
		[]*Way{equivocationRelease, equivocationHeartbeat}},
	{"missing-release", "The log holds in time every release that a heartbeat or a later release states.",
		[]*Way{missingLate}},
	{"heartbeat", "A custodian's heartbeats come in time. While one is late, its custodian must not release; if a group then has fewer current custodians than its threshold, none of them may answer its accesses.",
		[]*Way{heartbeatLate}},
	{"seal-limit", "An event has the seals that its type needs, within the limits of the profile and its warrant. A deferral comes before an anchor proves expiry, and enough authorities with standing sign it. One without end needs an age that an anchor proves.",
		[]*Way{sealMissing, sealLong, sealOwn, deferralFew, deferralLong, deferralTotal, deferralBack, deferralNever, deferralOrdinal, deferralTaken, deferralExpired, deferralOver}},
	{"disclosure", "All public digests of an event are opened by *until*; a release's notices by *until* or the release, whichever is later.",
		[]*Way{disclosureLate, disclosureNotices}},
	{"opening", "An opening matches a digest of its class. Before *until* only the warrant's authority opens. All openings together are what the type seals.",
		[]*Way{openingMatch, openingEarly, openingOpened, openingIncomplete}},
	{"return", "A warrant's return comes in time after its window, and states no more accounts than the accesses on it open.",
		[]*Way{returnLate, returnAccounts, returnTaken}},
	{"anchor", "Entries other than anchors are anchored in time, by checkpoints of this log that meet the witness policy in force at their size.",
		[]*Way{anchorLate, anchorBad, anchorForeign, anchorOld}},
	{"budget", "A key of a custodian or an auditor has no more events in the budget's interval than the profile allows. Not counted are releases and first refusals for a live access, one heartbeat a period, findings that close a breach, and a party's first breach of each rule.",
		[]*Way{budgetOver}},
	{"unfulfilled", "An obligation is a breach once an anchor proves that the profile's time has passed since the anchor that first proved the obligation late.",
		[]*Way{unfulfilled}},
}

// A Way is one way to break a rule, declared next to the code that checks it. Rule and
// Code keep their meaning in every version of the rules.
type Way struct {
	Rule     string
	Code     string
	Kind     Kind
	Template string // the verdict's text, with its parameters as {name}
	Cure     string // what to do about it; "": nothing helps
}

// A Cause is a way in which a rule was broken, with its arguments.
type Cause struct {
	*Way
	// Args are the template's arguments, in the order in which it first names them.
	// Each is a uint64, a string (a name, a key, a parser's error), a time.Time, a
	// [Term] or, in rule unfulfilled, the Cause of the missed obligation.
	Args []any
}

// A Term is an argument that is an English word or phrase of the rules. A
// translation has a word for each.
type Term string

// Text renders the cause in English. A translation renders the same arguments with
// its own template for each way.
func (c Cause) Text() string {
	out := make([]byte, 0, 128)
	var names []string
	for rest := c.Template; ; {
		before, after, found := strings.Cut(rest, "{")
		out = append(out, before...)
		if !found {
			return string(out)
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		i := slices.Index(names, name)
		if i < 0 {
			i, names = len(names), append(names, name)
		}
		if i >= len(c.Args) {
			out = append(out, "{"+name+"}"...)
			continue
		}
		switch a := c.Args[i].(type) {
		case time.Time:
			out = a.AppendFormat(out, time.RFC3339)
		case Cause:
			out = append(out, a.Text()...)
		case uint64:
			if tail, ok := strings.CutPrefix(rest, " seconds"); ok && name == "seconds" {
				out, rest = append(out, event.Span(a)...), tail
			} else {
				out = strconv.AppendUint(out, a, 10)
			}
		default:
			out = fmt.Append(out, a)
		}
	}
}

// params returns the names of the template's parameters, each once.
func (w *Way) params() []string {
	var out []string
	for _, part := range strings.Split(w.Template, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// cause makes a cause, and converts each argument to a type that [Cause] allows.
func (w *Way) cause(args ...any) Cause {
	for i, a := range args {
		switch a := a.(type) {
		case int:
			args[i] = uint64(a)
		case int64:
			args[i] = uint64(a)
		case event.Role:
			args[i] = Term(a)
		case event.Type:
			args[i] = Term(a)
		case error:
			args[i] = a.Error()
		}
	}
	return Cause{w, args}
}

// by makes the verdict about the entry at index, recognized at the entry seen.
func (w *Way) by(answers string, index, seen uint64, args ...any) *Violation {
	return &Violation{Cause: w.cause(args...), Index: index, Seen: seen, By: answers}
}

// fail makes a verdict about the entry that is being checked.
func (x *act) fail(w *Way, args ...any) *Violation {
	v := w.by(x.by, x.e.Index, x.e.Index, args...)
	if x.by != Log {
		v.key = x.signers[0].key + 1
	}
	return v
}

// byLog makes the log answer for a violation.
func (v *Violation) byLog() *Violation {
	v.By, v.key = Log, 0
	return v
}
