// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what a disclosure and an anchor carry.
const (
	// MaxNoticeSize bounds one notice's ciphertext.
	MaxNoticeSize = 24000
	maxNotices    = 64
	maxNote       = 32000
)

// A Disclosure opens sealed values of an event and publishes notices. Several
// disclosures may share the openings of one event.
type Disclosure struct {
	Event    Reference
	Openings []Opening // sorted by disclosure text
	Notices  [][]byte  // ciphertexts, sorted by base64url text
}

// Type returns TypeDisclosure.
func (*Disclosure) Type() Type { return TypeDisclosure }

func (d *Disclosure) fields(c *coder) {
	listOf(c, "disclosures", "disclosures", optional, sorted, MaxDigests, &d.Openings, "openings of the event's public digests", disclosureElem)
	object(c, "event", "reference", &d.Event, "the sealed event", (*Reference).fields)
	listOf(c, "notices", "bytes", optional, sorted, maxNotices, &d.Notices, "notices' ciphertexts", func(b *[]byte, c *coder) { c.blob("", MaxNoticeSize, b) })
}

func (d *Disclosure) check(*Event) error {
	if len(d.Openings)+len(d.Notices) == 0 {
		return errors.New("body: neither disclosures nor notices")
	}
	for _, o := range d.Openings {
		public := slices.ContainsFunc(names, func(n Name) bool { return n.Name == o.Name && n.Class == ClassPublic })
		if o.Name != DecoyName && !public {
			return fmt.Errorf("body.disclosures: %s is for the subject only, and never public", o.Name)
		}
	}
	return nil
}

// A Return reports the outcome of a warrant. If Executed is false, the other figures
// are false or 0.
type Return struct {
	Warrant    Reference
	Executed   bool   // an access was answered
	Encryption bool   // encryption was encountered
	Plaintext  bool   // plaintext was obtained despite encryption
	Persons    uint64 // persons whose communications were opened
	Days       uint64 // days of communications that were opened
}

// Type returns TypeReturn.
func (*Return) Type() Type { return TypeReturn }

func (r *Return) fields(c *coder) {
	c.uint("days", required, 0, &r.Days, "days of communications that were opened")
	c.bool("encryption", &r.Encryption, "encryption was encountered")
	c.bool("executed", &r.Executed, "the warrant was executed")
	c.uint("persons", required, 0, &r.Persons, "persons whose communications were opened")
	c.bool("plaintext", &r.Plaintext, "plaintext was obtained")
	object(c, "warrant", "reference", &r.Warrant, "the warrant", (*Reference).fields)
}

func (r *Return) check(*Event) error {
	if !r.Executed && (r.Encryption || r.Plaintext || r.Persons != 0 || r.Days != 0) {
		return errors.New("body: figures for a warrant that was not executed")
	}
	return nil
}

// An Anchor carries an earlier checkpoint of this log as a C2SP signed note:
// its text, the log's signatures and one minimal satisfying set of cosignatures.
// Parse checks only its outer form; package ledger parses and verifies it.
type Anchor struct {
	Checkpoint string
}

// Type returns TypeAnchor.
func (*Anchor) Type() Type { return TypeAnchor }

func (a *Anchor) fields(c *coder) {
	c.text("checkpoint", "signed note", required, maxNote, "\n", &a.Checkpoint, "an earlier checkpoint of this log with its signatures")
}

func (a *Anchor) check(e *Event) error {
	origin, rest, _ := strings.Cut(a.Checkpoint, "\n")
	if origin != e.Log {
		return fmt.Errorf("body.checkpoint: origin is %q, not this log", origin)
	}
	text, signatures, ok := strings.Cut(rest, "\n\n")
	if !ok || text == "" || !strings.HasSuffix(signatures, "\n") {
		return errors.New("body.checkpoint: not a signed note")
	}
	for line := range strings.Lines(signatures) {
		if !strings.HasPrefix(line, "\u2014 ") {
			return errors.New("body.checkpoint: not a signature line of a signed note")
		}
	}
	return nil
}

// A FindingState says whether a breach still bars the auditor that states it.
type FindingState string

// The states.
const (
	FindingOpen   FindingState = "open"
	FindingClosed FindingState = "closed"
)

var findingKind = enumKind(string(FindingClosed), string(FindingOpen))

// A Finding is an auditor's statement about breaches of a rule in a range of entries.
// A closed finding lifts the bar of these breaches for its auditor alone.
type Finding struct {
	First, Last uint64 // indexes, both included
	Rule        string // name of the rule
	State       FindingState
	Digest      Digest // SHA-256 of the finding's text, which the auditor publishes
}

// Type returns TypeFinding.
func (*Finding) Type() Type { return TypeFinding }

func (f *Finding) fields(c *coder) {
	c.fixed("digest", "digest", required, url, f.Digest[:], "SHA-256 of the finding's text, which the auditor publishes")
	c.uint("first", required, 0, &f.First, "index of the first entry that it covers")
	c.uint("last", required, 0, &f.Last, "index of the last entry that it covers")
	code(c, "rule", codeKind, required, &f.Rule, "name of the rule")
	code(c, "state", findingKind, required, &f.State, "whether the breach still bars the auditor")
}

func (f *Finding) check(*Event) error {
	if f.Last < f.First {
		return errors.New("body.last: before first")
	}
	return nil
}
