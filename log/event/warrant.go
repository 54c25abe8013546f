// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// maxCategories bounds a list of categories of data.
const maxCategories = 16

// A Decision is an authority's answer to a request.
type Decision string

// The decisions. Modified is granted with other limits than were asked for.
const (
	Granted  Decision = "granted"
	Modified Decision = "modified"
	Denied   Decision = "denied"
)

var decisionKind = enumKind(string(Granted), string(Modified), string(Denied))

// A Warrant is an authority's decision. A denied one has no limits and no window. Any
// other has a window and, unless its instrument only preserves data, both limits.
type Warrant struct {
	Decision   Decision
	Provider   string     // name of the provider it addresses
	Instrument string     // the legal instrument, a code of the profile
	Offence    string     // offence class, a code of the profile
	Categories []string   // categories of data that it asks for, codes of the profile, sorted; empty: not stated
	Accounts   uint64     // how many accounts all accesses together may open
	Accesses   uint64     // how many accesses it allows
	NotBefore  time.Time  // first second of the window
	NotAfter   time.Time  // last second of the window
	Validates  *Reference // the emergency access that it decides on; nil: none
}

func (*Warrant) Type() Type { return TypeWarrant }

func (w *Warrant) fields(c *coder) {
	c.uint("accesses", optional, 1, &w.Accesses, "how many accesses it allows; absent when denied, and when it only preserves data")
	c.uint("accounts", optional, 1, &w.Accounts, "how many accounts its accesses may open in all; absent with accesses")
	codes(c, "categories", codeKind, optional, maxCategories, &w.Categories, "categories of data that it asks for, of the profile")
	code(c, "decision", decisionKind, required, &w.Decision, "what was decided")
	code(c, "instrument", codeKind, required, &w.Instrument, "legal instrument, of the profile")
	c.time("notAfter", optional, &w.NotAfter, "last second of the window; absent when denied")
	c.time("notBefore", optional, &w.NotBefore, "first second of the window; absent when denied")
	code(c, "offence", codeKind, required, &w.Offence, "offence class, of the profile")
	code(c, "provider", codeKind, required, &w.Provider, "name of the provider it addresses")
	objectOpt(c, "validates", "reference", optional, &w.Validates, "the emergency access it decides on", (*Reference).fields)
}

func (w *Warrant) check(*Event) error {
	for _, m := range []struct {
		name        string
		given, must bool
	}{
		{"accesses", w.Accesses != 0, w.Accounts != 0},
		{"accounts", w.Accounts != 0, w.Accesses != 0},
		{"notAfter", !w.NotAfter.IsZero(), true},
		{"notBefore", !w.NotBefore.IsZero(), true},
	} {
		switch {
		case w.Decision == Denied && m.given:
			return fmt.Errorf("body.%s: %w when denied", m.name, errAbsent)
		case w.Decision != Denied && m.must && !m.given:
			return fmt.Errorf("body.%s: %w", m.name, errMissing)
		}
	}
	if w.NotAfter.Before(w.NotBefore) {
		return errors.New("body.notAfter: before notBefore")
	}
	return nil
}

// A Scope says what a revocation does to its warrant.
type Scope string

// The scopes.
const (
	ScopeAll        Scope = "all"        // ends the warrant
	ScopeCategories Scope = "categories" // ends it in some categories of data
	ScopeSuspended  Scope = "suspended"  // suspends it until this suspension is resumed
	ScopeResumed    Scope = "resumed"    // ends one suspension
)

var scopeKind = enumKind(string(ScopeAll), string(ScopeCategories), string(ScopeResumed), string(ScopeSuspended))

// A Revocation ends a warrant in whole or in some categories of data, suspends it, or ends a
// suspension. It is signed by the warrant's issuer or validator, by an authority above one
// of them, or by one that enforces the issuer's warrants. A suspension is resumed by its
// author or by an authority above the author.
type Revocation struct {
	Warrant    Reference
	Reason     string // a code of the profile
	Scope      Scope
	Categories []string   // that end, sorted; only with ScopeCategories
	Suspension *Reference // the revocation that is resumed; only with ScopeResumed
}

func (*Revocation) Type() Type { return TypeRevocation }

func (r *Revocation) fields(c *coder) {
	codes(c, "categories", codeKind, optional, maxCategories, &r.Categories, "categories that end; only with the scope categories")
	code(c, "reason", codeKind, required, &r.Reason, "reason, of the profile")
	code(c, "scope", scopeKind, required, &r.Scope, "what ends, is suspended or resumes")
	objectOpt(c, "suspension", "reference", optional, &r.Suspension, "the suspension that ends; only with the scope resumed", (*Reference).fields)
	object(c, "warrant", "reference", &r.Warrant, "the warrant", (*Reference).fields)
}

func (r *Revocation) check(*Event) error {
	return cmp.Or(
		together("body.categories", len(r.Categories) > 0, r.Scope == ScopeCategories, "the scope categories"),
		together("body.suspension", r.Suspension != nil, r.Scope == ScopeResumed, "the scope resumed"))
}

// together checks that a member is there if and only if it must be, which is with the value
// of another member.
func together(path string, given, must bool, with string) error {
	switch {
	case given && !must:
		return fmt.Errorf("%s: %w: only %s has it", path, errAbsent, with)
	case !given && must:
		return fmt.Errorf("%s: %w: %s needs it", path, errMissing, with)
	}
	return nil
}

// An Outcome is how far a provider executes a warrant, if not fully.
type Outcome string

// The outcomes.
const (
	Refused Outcome = "refused" // the provider will not
	Partial Outcome = "partial" // it executes the warrant, but not in some categories of data
	Unable  Outcome = "unable"  // it can't
)

var outcomeKind = enumKind(string(Partial), string(Refused), string(Unable))

// A Response is a provider's answer that it does not execute a warrant, or not fully. It ends
// the right to further accesses. It never ends a seal, a notice or a return.
type Response struct {
	Warrant    Reference
	Outcome    Outcome
	Ground     string   // a code of the profile's nonExecution
	Categories []string // that are not executed, sorted; only when Partial
}

func (*Response) Type() Type { return TypeResponse }

func (r *Response) fields(c *coder) {
	codes(c, "categories", codeKind, optional, maxCategories, &r.Categories, "categories that are not executed; only when partial")
	code(c, "ground", codeKind, required, &r.Ground, "ground for not executing it, of the profile's nonExecution")
	code(c, "outcome", outcomeKind, required, &r.Outcome, "how far the warrant is executed")
	object(c, "warrant", "reference", &r.Warrant, "the warrant", (*Reference).fields)
}

func (r *Response) check(*Event) error {
	return together("body.categories", len(r.Categories) > 0, r.Outcome == Partial, "the outcome partial")
}

// A Return reports the outcome of a warrant. If Executed is false, the other figures
// are false or 0.
type Return struct {
	Warrant    Reference
	Executed   bool   // an access was answered
	Encryption bool   // encryption was encountered
	Plaintext  bool   // plaintext was obtained despite encryption
	Persons    uint64 // persons whose communications were opened
	Accounts   uint64 // accounts that were opened
	Days       uint64 // days of communications that were opened
}

func (*Return) Type() Type { return TypeReturn }

func (r *Return) fields(c *coder) {
	c.uint("accounts", required, 0, &r.Accounts, "accounts that were opened")
	c.uint("days", required, 0, &r.Days, "days of communications that were opened")
	c.bool("encryption", &r.Encryption, "encryption was encountered")
	c.bool("executed", &r.Executed, "the warrant was executed")
	c.uint("persons", required, 0, &r.Persons, "persons whose communications were opened")
	c.bool("plaintext", &r.Plaintext, "plaintext was obtained")
	object(c, "warrant", "reference", &r.Warrant, "the warrant", (*Reference).fields)
}

func (r *Return) check(*Event) error {
	if !r.Executed && (r.Encryption || r.Plaintext || r.Persons != 0 || r.Accounts != 0 || r.Days != 0) {
		return errors.New("body: figures for a warrant that was not executed")
	}
	return nil
}
