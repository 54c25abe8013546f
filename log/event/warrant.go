// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"time"
)

// A Decision is an authority's answer to a request.
type Decision string

// The decisions. Modified is granted with other limits than were asked for.
const (
	Granted  Decision = "granted"
	Modified Decision = "modified"
	Denied   Decision = "denied"
)

var decisionKind = enumKind(string(Granted), string(Modified), string(Denied))

// A Warrant is an authority's decision. A denied one has no limits and no
// window; any other has all of them.
type Warrant struct {
	Decision   Decision
	Provider   string     // name of the provider it addresses
	Instrument string     // the legal instrument, a code of the profile
	Offence    string     // offence class, a code of the profile
	Accounts   uint64     // how many accounts all accesses together may open
	Accesses   uint64     // how many accesses it allows
	NotBefore  time.Time  // first second of the window
	NotAfter   time.Time  // last second of the window
	Validates  *Reference // the emergency access that it decides on; nil: none
}

// Type returns TypeWarrant.
func (*Warrant) Type() Type { return TypeWarrant }

func (w *Warrant) fields(c *coder) {
	c.uint("accesses", optional, 1, &w.Accesses, "how many accesses it allows; absent when denied")
	c.uint("accounts", optional, 1, &w.Accounts, "how many accounts its accesses may open in all; absent when denied")
	code(c, "decision", decisionKind, required, &w.Decision, "what was decided")
	code(c, "instrument", codeKind, required, &w.Instrument, "legal instrument, of the profile")
	c.time("notAfter", optional, &w.NotAfter, "last second of the window; absent when denied")
	c.time("notBefore", optional, &w.NotBefore, "first second of the window; absent when denied")
	code(c, "offence", codeKind, required, &w.Offence, "offence class, of the profile")
	code(c, "provider", codeKind, required, &w.Provider, "name of the provider it addresses")
	objectOpt(c, "validates", "reference", optional, &w.Validates, "the emergency access it decides on", (*Reference).fields)
}

func (w *Warrant) check(*Event) error {
	limits := []bool{w.Accesses != 0, w.Accounts != 0, !w.NotAfter.IsZero(), !w.NotBefore.IsZero()}
	for i, name := range []string{"accesses", "accounts", "notAfter", "notBefore"} {
		switch {
		case w.Decision == Denied && limits[i]:
			return fmt.Errorf("body.%s: %w when denied", name, errAbsent)
		case w.Decision != Denied && !limits[i]:
			return fmt.Errorf("body.%s: %w", name, errMissing)
		}
	}
	if w.NotAfter.Before(w.NotBefore) {
		return errors.New("body.notAfter: before notBefore")
	}
	return nil
}

// A Revocation ends a warrant. The warrant's authority signs it, or one that the
// charter sets above it.
type Revocation struct {
	Warrant Reference
	Reason  string // a code of the profile
}

// Type returns TypeRevocation.
func (*Revocation) Type() Type { return TypeRevocation }

func (r *Revocation) fields(c *coder) {
	code(c, "reason", codeKind, required, &r.Reason, "reason, of the profile")
	object(c, "warrant", "reference", &r.Warrant, "the warrant that ends", (*Reference).fields)
}

func (*Revocation) check(*Event) error { return nil }

// A Deferral moves the date until which an event stays sealed. The profile says
// which authorities sign it.
type Deferral struct {
	Event   Reference
	Until   time.Time // the new date; zero when Never
	Never   bool      // only where the profile allows it
	Ground  string    // a code of the profile
	Ordinal uint64    // 1 for the first deferral of this event, then 2, ...
}

// never is the until of a deferral without end.
const never = "never"

// Type returns TypeDeferral.
func (*Deferral) Type() Type { return TypeDeferral }

func (d *Deferral) fields(c *coder) {
	object(c, "event", "reference", &d.Event, "the sealed event", (*Reference).fields)
	code(c, "ground", codeKind, required, &d.Ground, "ground, of the profile")
	c.uint("ordinal", required, 1, &d.Ordinal, "1 for the first deferral of this event")
	d.until(c)
}

func (d *Deferral) until(c *coder) {
	if c.encodes() && d.Never && !d.Until.IsZero() {
		c.fail("until", errBoth)
		return
	}
	s := ""
	switch {
	case d.Never:
		s = never
	case !d.Until.IsZero() && c.encodes():
		if err := checkTime(d.Until); err != nil {
			c.fail("until", err)
			return
		}
		s = d.Until.Format(timeLayout)
	}
	code(c, "until", untilKind, required, &s, "the new date, or never")
	if c.mode != decoding || c.err != nil {
		return
	}
	if d.Never = s == never; !d.Never {
		d.Until, _ = parseTime([]byte(s)) // untilKind has checked it
	}
}

var untilKind = stringKind{name: "time, or never", check: func(s string) error {
	if s == never {
		return nil
	}
	_, err := parseTime([]byte(s))
	return err
}}

func (*Deferral) check(*Event) error { return nil }
