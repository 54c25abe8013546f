// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

// A Type is the type of an event.
type Type string

// The types. Signers and sealed names of each: [Type.Signers], [Names].
const (
	TypeCharter    Type = "charter"
	TypeWarrant    Type = "warrant"
	TypeRevocation Type = "revocation"
	TypeAccess     Type = "access"
	TypeRelease    Type = "release"
	TypeRefusal    Type = "refusal"
	TypeDeferral   Type = "deferral"
	TypeDisclosure Type = "disclosure"
	TypeReturn     Type = "return"
	TypeHeartbeat  Type = "heartbeat"
	TypeAnchor     Type = "anchor"
	TypeFinding    Type = "finding"
)

// A Role says which events a charter lets a key sign.
type Role string

// The roles that sign events.
const (
	RoleCharter   Role = "charter"   // amends the charter, t of n
	RoleAuthority Role = "authority" // court, judge or commission: decides on warrants
	RoleDuty      Role = "duty"      // an authority's on-call key, for emergencies
	RoleProvider  Role = "provider"  // operates the service and the log
	RoleCustodian Role = "custodian" // holds a share of an escrow key
	RoleAuditor   Role = "auditor"   // reads every entry and cosigns while the rules hold
)

// A typeInfo is one row of the table of all types.
type typeInfo struct {
	t       Type
	signers []Role
	body    func() Body
	doc     string
}

// types lists all types in the order of the documentation.
var types = []typeInfo{
	{TypeCharter, []Role{RoleCharter}, func() Body { return new(Charter) },
		"Sets up the log (entry 0) or amends it: keys, groups, thresholds, profile, policies."},
	{TypeWarrant, []Role{RoleAuthority}, func() Body { return new(Warrant) },
		"An authority's decision on one request for access."},
	{TypeRevocation, []Role{RoleAuthority}, func() Body { return new(Revocation) },
		"Ends a warrant before its window does."},
	{TypeAccess, []Role{RoleProvider, RoleDuty}, func() Body { return new(Access) },
		"Asks one custodian group to open packages to one recipient key. In an emergency a duty key signs too."},
	{TypeRelease, []Role{RoleCustodian}, func() Body { return new(Release) },
		"A custodian's promise to answer an access, logged before the custodian uses its key."},
	{TypeRefusal, []Role{RoleCustodian}, func() Body { return new(Refusal) },
		"A custodian's refusal of an access that names its group."},
	{TypeDeferral, []Role{RoleAuthority}, func() Body { return new(Deferral) },
		"Moves the date by which an event must be disclosed."},
	{TypeDisclosure, []Role{RoleProvider, RoleAuthority, RoleCustodian}, func() Body { return new(Disclosure) },
		"Opens sealed values and publishes notices."},
	{TypeReturn, []Role{RoleProvider}, func() Body { return new(Return) },
		"The outcome of a warrant, in figures."},
	{TypeHeartbeat, []Role{RoleCustodian}, func() Body { return new(Heartbeat) },
		"A custodian's count of its releases, on a schedule."},
	{TypeAnchor, []Role{RoleProvider}, func() Body { return new(Anchor) },
		"An earlier cosigned checkpoint of this log, which proves times to every replay."},
	{TypeFinding, []Role{RoleAuditor}, func() Body { return new(Finding) },
		"An auditor's statement that a rule was broken, or that the breach no longer bars the auditor."},
}

func (t Type) info() *typeInfo { return first(types, func(i *typeInfo) bool { return i.t == t }) }

// first returns the first element that ok accepts, or nil.
func first[T any](list []T, ok func(*T) bool) *T {
	for i := range list {
		if ok(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

// Valid reports whether t is one of the twelve types.
func (t Type) Valid() bool { return t.info() != nil }

// Types returns all types, in the order of the documentation.
func Types() []Type { return typesAs[Type]() }

func typesAs[S ~string]() []S {
	out := make([]S, len(types))
	for i := range types {
		out[i] = S(types[i].t)
	}
	return out
}

// Signers returns the roles whose keys, and no others, may sign an event of this
// type: nil for an unknown type. The provider must sign an access, in an emergency
// with a duty key; one signer of the roles must sign any other event.
func (t Type) Signers() []Role {
	if i := t.info(); i != nil {
		return append([]Role(nil), i.signers...)
	}
	return nil
}
