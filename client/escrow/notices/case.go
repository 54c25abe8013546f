// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// ErrContradiction is wrapped by every error that a notice and the log's entries don't
// fit each other.
var ErrContradiction = errors.New("the notice contradicts the log")

func contradiction(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrContradiction, fmt.Errorf(format, args...))
}

// An entry is one of the log's that a notice is about.
type entry struct {
	ref event.Reference
	env *event.Envelope
}

func parseEntry(index uint64, b []byte) (*entry, error) {
	env, err := event.ParseEnvelope(b)
	if err != nil {
		return nil, err
	}
	return &entry{event.Reference{Index: index, Leaf: env.LeafHash()}, env}, nil
}

// A Case is what a subject learns of one release. Names and meanings of its JSON members
// are stable; members may be added. Times are 2006-01-02T15:04:05Z.
type Case struct {
	Log       string  `json:"log"`
	Custodian string  `json:"custodian"` // who opened its share
	Seq       uint64  `json:"seq"`       // of its release
	Release   uint64  `json:"release"`   // index
	Access    uint64  `json:"access"`
	Warrant   *uint64 `json:"warrant,omitempty"` // absent in an emergency

	Accounts    []string `json:"accounts"`              // yours that were opened
	Packages    []string `json:"packages"`              // digests of the escrow packages
	Identifiers []string `json:"identifiers,omitempty"` // yours that the warrant names
	CaseNumber  string   `json:"case,omitempty"`

	Provider   string   `json:"provider,omitempty"`
	Unit       string   `json:"unit,omitempty"`
	Agency     string   `json:"agency,omitempty"`
	AgencyKey  string   `json:"agencyKey,omitempty"` // key id
	Recipient  string   `json:"recipient"`           // hash of the key that shares were encrypted to
	Decision   string   `json:"decision,omitempty"`
	Instrument string   `json:"instrument,omitempty"`
	Offence    string   `json:"offence,omitempty"`
	Grounds    []string `json:"grounds,omitempty"`
	Emergency  string   `json:"emergency,omitempty"` // its ground
	NotBefore  string   `json:"notBefore,omitempty"`
	NotAfter   string   `json:"notAfter,omitempty"`
	Claimed    string   `json:"claimedTime"`           // of the release, as its custodian claims
	Sealed     string   `json:"sealedUntil,omitempty"` // as the access was sealed first
	Others     int      `json:"closed"`                // sealed values that stay closed to you: others', or decoys

	Signers map[string][]string `json:"signers"` // key ids, by release, access and warrant

	// What is proven, by what.
	ByFile     []string `json:"byFile"`     // by the notice and the entries alone
	ByReplay   []string `json:"byReplay"`   // by replaying the log
	ByAuditors []string `json:"byAuditors"` // by the word of the auditors
	NotShown   []string `json:"notShown"`
	Against    []string `json:"against,omitempty"` // breaches that concern these entries

	notice     *escrow.Notice
	ciphertext []byte
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// build holds a notice against the entries that it names, and returns what it says. It
// proves what needs no knowledge of the rest of the log.
func build(n *escrow.Notice, ciphertext []byte, release, access, warrant *entry) (*Case, error) {
	c := &Case{Log: n.Origin, Custodian: n.Custodian, Seq: n.Seq, Signers: make(map[string][]string), notice: n, ciphertext: ciphertext}
	if err := c.release(n, ciphertext, release); err != nil {
		return nil, err
	}
	a, err := c.access(n, access)
	if err != nil {
		return nil, err
	}
	if err := c.warrant(n, a, warrant); err != nil {
		return nil, err
	}
	if err := c.consent(n, a, access, warrant); err != nil {
		return nil, err
	}
	c.NotShown = []string{"what the agency did with what it read", "anything that was opened without the log"}
	return c, nil
}

func (c *Case) signed(what string, e *entry) {
	for _, s := range e.env.Signatures {
		c.Signers[what] = append(c.Signers[what], s.KeyID)
	}
}

func (c *Case) release(n *escrow.Notice, ciphertext []byte, e *entry) error {
	r, ok := e.env.Event.Body.(*event.Release)
	if !ok || e.env.Event.Log != n.Origin {
		return contradiction("entry %d is no release of the log %q", e.ref.Index, n.Origin)
	}
	stated := false
	for _, d := range r.Notices {
		stated = stated || d == escrow.NoticeDigest(ciphertext)
	}
	switch {
	case !stated:
		return contradiction("the release at %d does not state this notice", e.ref.Index)
	case r.Access != n.Access:
		return contradiction("the release answers the access at %d, and the notice names that at %d", r.Access.Index, n.Access.Index)
	case r.Seq != n.Seq:
		return contradiction("the release has the number %d, and the notice names %d", r.Seq, n.Seq)
	}
	c.Release, c.Claimed = e.ref.Index, stamp(e.env.Event.Time)
	c.signed("release", e)
	c.ByFile = append(c.ByFile, fmt.Sprintf("the release at entry %d of the log states this very notice, and answers this access", c.Release))
	return nil
}

func (c *Case) access(n *escrow.Notice, e *entry) (*event.Access, error) {
	a, ok := e.env.Event.Body.(*event.Access)
	switch {
	case !ok || e.ref != n.Access:
		return nil, contradiction("entry %d is not the access that the notice names", e.ref.Index)
	case a.Recipient.KEM != n.Recipient.KEM || !bytes.Equal(a.Recipient.Public, n.Recipient.Public):
		return nil, contradiction("the access is to another recipient key than the notice says")
	case (a.Warrant == nil) != (n.Warrant == nil) || a.Warrant != nil && *a.Warrant != *n.Warrant:
		return nil, contradiction("the access stands on another warrant than the notice says")
	}
	if err := c.openings(e, n.AccessOpenings); err != nil {
		return nil, err
	}
	hash, err := escrow.KeyHash(a.Recipient)
	if err != nil {
		return nil, err
	}
	c.Access, c.Emergency, c.Recipient = e.ref.Index, a.Emergency, hash.String()
	if e.env.Event.Sealed != nil {
		c.Sealed = stamp(e.env.Event.Sealed.Until)
	}
	c.signed("access", e)
	c.ByFile = append(c.ByFile, fmt.Sprintf("the access at entry %d has sealed these accounts and packages, and names this recipient key", c.Access))
	return a, nil
}

func (c *Case) warrant(n *escrow.Notice, a *event.Access, e *entry) error {
	if a.Warrant == nil {
		return nil
	}
	if e == nil || e.ref != *a.Warrant {
		return contradiction("the warrant given is not the one that the access stands on")
	}
	w, ok := e.env.Event.Body.(*event.Warrant)
	if !ok {
		return contradiction("entry %d is no warrant", e.ref.Index)
	}
	if err := c.openings(e, n.WarrantOpenings); err != nil {
		return err
	}
	c.Warrant = &e.ref.Index
	c.Decision, c.Provider, c.Instrument, c.Offence = string(w.Decision), w.Provider, w.Instrument, w.Offence
	c.NotBefore, c.NotAfter = stamp(w.NotBefore), stamp(w.NotAfter)
	c.signed("warrant", e)
	c.ByFile = append(c.ByFile, fmt.Sprintf("the warrant at entry %d has sealed this case and these identifiers", e.ref.Index))
	return nil
}

// openings takes over what the openings of an event say, each of which must open one of
// its digests.
func (c *Case) openings(e *entry, o *event.Openings) error {
	if o == nil || o.Event != e.env.Hash() {
		return contradiction("the openings are not of entry %d", e.ref.Index)
	}
	if err := e.env.Event.MatchAll(event.ClassPublic, o.Public); err != nil {
		return contradiction("entry %d: %w", e.ref.Index, err)
	}
	closed, err := e.env.Event.Match(event.ClassSubject, o.Subject)
	if err != nil {
		return contradiction("entry %d: %w", e.ref.Index, err)
	}
	c.Others += len(closed)
	for _, p := range append(append([]event.Opening(nil), o.Public...), o.Subject...) {
		text := p.Value.Text()
		switch p.Name {
		case "agency":
			c.Agency = text
		case "agencyKey":
			k, err := p.Value.Key()
			if err != nil {
				return contradiction("entry %d: %w", e.ref.Index, err)
			}
			c.AgencyKey = k.KeyID()
		case "grounds":
			c.Grounds = p.Value.Codes()
		case "unit":
			c.Unit = text
		case "case":
			c.CaseNumber = text
		case "identifier":
			c.Identifiers = append(c.Identifiers, text)
		case "account":
			c.Accounts = append(c.Accounts, text)
		case "package":
			c.Packages = append(c.Packages, text)
		}
	}
	return nil
}

// consent checks the agency's signature over the recipient key.
func (c *Case) consent(n *escrow.Notice, a *event.Access, access, warrant *entry) error {
	var hash event.Digest
	keys := n.AccessOpenings.Public
	if warrant != nil {
		hash, keys = warrant.env.Hash(), n.WarrantOpenings.Public
	}
	msg, err := event.AgencyMessage(hash, access.env.Event.ID, a.Recipient)
	if err != nil {
		return err
	}
	var key *event.PublicKey
	for _, o := range keys {
		if o.Name == "agencyKey" {
			if key, err = o.Value.Key(); err != nil {
				return contradiction("%w", err)
			}
		}
	}
	for _, o := range n.AccessOpenings.Subject {
		if o.Name != "agencySignature" {
			continue
		}
		sig, err := o.Value.Bytes()
		if err == nil && key != nil {
			err = key.Verify(msg, sig)
		}
		if err != nil || key == nil {
			return contradiction("the agency did not sign for the recipient key: %v", err)
		}
		c.ByFile = append(c.ByFile, "the agency's key signed that the recipient key is its own, for this access")
		return nil
	}
	return contradiction("the notice does not show the agency's signature")
}

// Text returns the case in plain words, in lines.
func (c *Case) Text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s %s\n", label, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "Custodian %s opened its share of a key to your data.\n", printable(c.Custodian))
	line("account", "%s", strings.Join(c.Accounts, ", "))
	line("logged", "entry %d (release %d of this custodian), claimed at %s", c.Release, c.Seq, c.Claimed)
	line("access", "entry %d, by the provider's unit %s", c.Access, c.Unit)
	if c.Warrant != nil {
		line("warrant", "entry %d: %s; instrument %s, offence %s", *c.Warrant, c.Decision, c.Instrument, c.Offence)
		line("window", "%s to %s", c.NotBefore, c.NotAfter)
		line("case", "%s", c.CaseNumber)
		line("identifiers", "%s", strings.Join(c.Identifiers, ", "))
		line("provider", "%s", c.Provider)
	} else {
		line("emergency", "no warrant yet; ground %s", c.Emergency)
	}
	line("agency", "%s, with the key %s", c.Agency, c.AgencyKey)
	if len(c.Grounds) > 0 {
		line("grounds", "%s", strings.Join(c.Grounds, ", "))
	}
	line("opened to", "the key %s", c.Recipient)
	line("packages", "%s", strings.Join(c.Packages, ", "))
	if c.Others > 0 {
		line("closed", "%d sealed values of these events: of other persons, or decoys", c.Others)
	}
	for _, l := range []struct {
		title string
		list  []string
	}{
		{"Proven by the notice and its entries:", c.ByFile}, {"Proven by replaying the log:", c.ByReplay},
		{"By the auditors' word:", c.ByAuditors}, {"AGAINST IT, on record:", c.Against}, {"Not shown:", c.NotShown},
	} {
		if len(l.list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  %s\n", l.title)
		for _, s := range l.list {
			fmt.Fprintf(&b, "  - %s\n", printable(s))
		}
	}
	return b.String()
}

// printable replaces what a terminal would not show as it is.
func printable(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if quoted == `"`+s+`"` {
		return s
	}
	return quoted
}
