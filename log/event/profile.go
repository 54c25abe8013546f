// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of a profile's lists.
const (
	maxCodes   = 128
	maxSteps   = 8
	maxSources = 64
)

// MinGrace is the least length of a grace in publication intervals. It keeps a slow
// log from making an honest debtor late.
const MinGrace = 3

// Seconds that bound figures. No sum of a time and a few figures overflows.
const (
	hour    = 60 * 60
	day     = 24 * hour
	year    = 366 * day
	century = 100 * year
)

// maxCount bounds a figure that is a plain number.
const maxCount = 1 << 20

// A Profile holds a legislator's decisions. All durations are seconds.
type Profile struct {
	ID              string // de, us, eu, ca, fr, demo, ...
	AccessLife      uint64 // how long an access may be answered
	Publication     uint64 // how often the log publishes a head
	Inclusion       uint64 // how long the log may lack an event that an auditor holds
	Lag             uint64 // how old a claimed time may be when the event is logged
	Skew            uint64 // how far ahead a claimed time may be
	Spread          uint64 // how far apart the cosignature times of one head may be
	WitnessTimeout  uint64 // how long the log waits for one answer of a witness
	Round           uint64 // how long a head stays named for auditors
	Stale           uint64 // age beyond which cosignatures don't count
	Unfulfilled     uint64 // how long an obligation may stay overdue before it is a breach
	DisclosureGrace uint64 // grace after until
	Anchor          Deadline
	Heartbeat       Deadline
	MissingRelease  Deadline
	Return          Deadline // counted from the end of the warrant's window
	Budget          Budget
	Seal            SealLimit
	Deferral        DeferralLimit
	Emergency       *Emergency   // nil: no emergency accesses
	Instruments     []Instrument // sorted
	Offences        []string     // sorted codes
	Grounds         []string     // sorted codes, of warrants and deferrals
	Reasons         []string     // sorted codes, of revocations, refusals and deferrals
	Categories      []string     // sorted codes, of data; empty: no event states any
	NonExecution    []string     // sorted codes, grounds of responses; empty: no provider may respond
	Bars            []string     // sorted names of the overdue rules that bar auditors
	Sources         []Source     // sorted
}

// A Deadline is due Within seconds, and overdue Grace seconds later.
type Deadline struct{ Within, Grace uint64 }

// A Budget bounds the events of one custodian's or auditor's key that have an effect.
type Budget struct {
	Events   uint64 // in each interval
	Interval uint64 // seconds
}

// A SealLimit bounds how long a value is sealed, from the event's time.
type SealLimit struct{ Default, Longest uint64 }

// A DeferralLimit bounds deferrals.
type DeferralLimit struct {
	Steps []Step // by After, ascending; the first is 0
	Total uint64 // longest time of all deferrals together; 0: no limit
	Never *Step  // which authorities may defer without end, and from when; its Longest is 0; nil: none
}

// A Step says which authorities may defer to a date beyond some age, and by how much.
// The age counts from the end of the measure, the warrant's notAfter.
type Step struct {
	After      uint64
	Kinds      []string // kinds of authorities that must sign; empty: any with standing
	Signatures uint64   // how many of these authorities must sign
	Longest    uint64   // longest single deferral
}

// An Emergency bounds accesses without a warrant.
type Emergency struct {
	Open     uint64   // how many may be undecided at once
	Accounts uint64   // how many accounts each may open
	Decision Deadline // for an authority's decision
	Grounds  []string // sorted codes

	// Categories are those that such an access may open, sorted codes; empty: it need not
	// state any.
	Categories []string
}

// An Instrument is a kind of warrant, with limits of its own if the law sets some.
type Instrument struct {
	Code     string
	Window   uint64         // longest window of a warrant, from its time
	Seal     *SealLimit     // nil: the profile's
	Deferral *DeferralLimit // nil: the profile's

	// Category is the most demanding category of data that a warrant may ask for, and With are
	// the others, sorted. A warrant that states categories states Category. "": any of the
	// profile's.
	Category string
	With     []string

	// Kinds of authorities, sorted: Issuers sign alone, and each of Validated needs the
	// signature of one of Validators. All empty: any authority signs alone.
	Issuers, Validated, Validators []string

	Preserves bool // it keeps data, and bears no accesses
}

// A Source names the law that a figure comes from.
type Source struct {
	Figure string // path of the figure, such as seal.longest
	Law    string // such as StPO 101(6)
}

func (p *Profile) fields(c *coder) {
	c.seconds("accessLife", required, 1, year, &p.AccessLife, "seconds for which an access may be answered")
	object(c, "anchor", "deadline", &p.Anchor, "anchors of unanchored entries", (*Deadline).fields)
	codes(c, "bars", codeKind, optional, maxCodes, &p.Bars, "overdue rules that bar auditors")
	object(c, "budget", "budget", &p.Budget, "events of one custodian or auditor that have an effect", (*Budget).fields)
	codes(c, "categories", codeKind, optional, maxCategories, &p.Categories, "categories of data; absent: no event states any")
	object(c, "deferral", "deferral limit", &p.Deferral, "limits of deferrals", (*DeferralLimit).fields)
	c.seconds("disclosureGrace", required, 1, year, &p.DisclosureGrace, "seconds between until and overdue")
	objectOpt(c, "emergency", "", optional, &p.Emergency, "limits of accesses without a warrant; absent: no such accesses", (*Emergency).fields)
	codes(c, "grounds", codeKind, required, maxCodes, &p.Grounds, "grounds of warrants and deferrals")
	object(c, "heartbeat", "deadline", &p.Heartbeat, "custodians' heartbeats", (*Deadline).fields)
	code(c, "id", codeKind, required, &p.ID, "name of the profile")
	c.seconds("inclusion", required, 1, 30*day, &p.Inclusion, "seconds for which the log may lack an event that an auditor holds")
	listOf(c, "instruments", "", required, sorted, maxCodes, &p.Instruments, "kinds of warrants", elements((*Instrument).fields))
	c.seconds("lag", required, 1, year, &p.Lag, "greatest age, in seconds, of a claimed time when logged")
	object(c, "missingRelease", "deadline", &p.MissingRelease, "releases that a heartbeat or a later release states", (*Deadline).fields)
	codes(c, "nonExecution", codeKind, optional, maxCodes, &p.NonExecution, "grounds of responses; absent: no provider may respond")
	codes(c, "offences", codeKind, required, maxCodes, &p.Offences, "offence classes")
	c.seconds("publication", required, 1, day, &p.Publication, "seconds between published heads")
	codes(c, "reasons", codeKind, required, maxCodes, &p.Reasons, "reasons of revocations, refusals and deferrals")
	object(c, "return", "deadline", &p.Return, "returns, from the end of the warrant's window", (*Deadline).fields)
	c.seconds("round", required, 1, 7*day, &p.Round, "seconds for which a head stays named for auditors")
	object(c, "seal", "seal limit", &p.Seal, "how long values are sealed", (*SealLimit).fields)
	c.seconds("skew", required, 1, day, &p.Skew, "seconds that a claimed time may be ahead")
	listOf(c, "sources", "", optional, sorted, maxSources, &p.Sources, "the law behind each figure", elements((*Source).fields))
	c.seconds("spread", required, 1, day, &p.Spread, "seconds within which the cosignature times of a head must meet the policy")
	c.seconds("stale", required, 1, 30*day, &p.Stale, "seconds after which cosignatures are stale")
	c.seconds("unfulfilled", required, 1, 10*year, &p.Unfulfilled, "seconds after which an overdue obligation is a breach")
	c.seconds("witnessTimeout", required, 1, hour, &p.WitnessTimeout, "seconds that the log waits for one answer of a witness")
}

func (b *Budget) fields(c *coder) {
	c.count("events", maxCount, &b.Events, "events in each interval")
	c.seconds("interval", required, 1, year, &b.Interval, "seconds after which the count begins again")
}

func (d *Deadline) fields(c *coder) {
	c.seconds("grace", required, 1, 10*year, &d.Grace, "seconds between due and overdue")
	c.seconds("within", required, 1, 10*year, &d.Within, "seconds until due")
}

func (s *SealLimit) fields(c *coder) {
	c.seconds("default", required, 1, century, &s.Default, "seconds, when the authority says nothing")
	c.seconds("longest", required, 1, century, &s.Longest, "seconds at most")
}

func (d *DeferralLimit) fields(c *coder) {
	objectOpt(c, "never", "step", optional, &d.Never, "which authorities may defer without end, and from when; absent: none", (*Step).fields)
	listOf(c, "steps", "steps", required, ordered, maxSteps, &d.Steps, "which authorities may defer, from which age on", elements((*Step).fields))
	c.seconds("total", optional, 1, century, &d.Total, "seconds of all deferrals together; absent: no limit")
}

func (s *Step) fields(c *coder) {
	c.seconds("after", required, 0, century, &s.After, "seconds since the end of the measure; the step is for deferrals to a later date")
	codes(c, "kinds", codeKind, optional, maxCodes, &s.Kinds, "kinds of authorities that must sign; absent: any with standing")
	c.seconds("longest", optional, 1, century, &s.Longest, "seconds of one deferral at most; absent in never")
	c.count("signatures", maxParties, &s.Signatures, "how many of these authorities must sign")
}

func (e *Emergency) fields(c *coder) {
	c.count("accounts", maxCount, &e.Accounts, "accounts that one emergency access may open")
	codes(c, "categories", codeKind, optional, maxCategories, &e.Categories, "categories that such an access may open; absent: it need not state any")
	object(c, "decision", "deadline", &e.Decision, "an authority's decision", (*Deadline).fields)
	codes(c, "grounds", codeKind, required, maxCodes, &e.Grounds, "grounds of emergencies")
	c.count("open", maxCount, &e.Open, "how many may be undecided at once")
}

func (i *Instrument) fields(c *coder) {
	code(c, "category", codeKind, optional, &i.Category, "most demanding category of data, which a warrant that states categories states; absent: any of the profile's")
	code(c, "code", codeKind, required, &i.Code, "code of the instrument")
	objectOpt(c, "deferral", "deferral limit", optional, &i.Deferral, "absent: the profile's", (*DeferralLimit).fields)
	codes(c, "issuers", codeKind, optional, maxCodes, &i.Issuers, "kinds of authorities that sign a warrant alone; absent with validated: any")
	c.flag("preserves", &i.Preserves, "it keeps data, and bears no accesses")
	objectOpt(c, "seal", "seal limit", optional, &i.Seal, "absent: the profile's", (*SealLimit).fields)
	codes(c, "validated", codeKind, optional, maxCodes, &i.Validated, "kinds of authorities whose warrant a second authority signs too")
	codes(c, "validators", codeKind, optional, maxCodes, &i.Validators, "kinds of these second authorities")
	c.seconds("window", required, 1, 10*year, &i.Window, "longest window of a warrant, in seconds")
	codes(c, "with", codeKind, optional, maxCategories, &i.With, "categories that a warrant may ask for beyond category")
}

var figureKind = stringKind{name: "path", check: checkFigure}

func checkFigure(s string) error {
	switch {
	case len(s) == 0 || len(s) > 96:
		return errors.New("want a path of 1 to 96 bytes")
	case strings.Trim(s, alphanumeric+"._-") != "":
		return errors.New("want a path of letters, digits, dots, dashes and underscores")
	}
	return nil
}

func (s *Source) fields(c *coder) {
	code(c, "figure", figureKind, required, &s.Figure, "path of the figure, such as seal.longest")
	code(c, "law", lawKind, required, &s.Law, "citation of the law")
}

// Instrument returns the instrument of this code, or nil.
func (p *Profile) Instrument(code string) *Instrument {
	return first(p.Instruments, func(i *Instrument) bool { return i.Code == code })
}

func (p *Profile) check() error {
	graces := []uint64{p.DisclosureGrace, p.Anchor.Grace, p.Heartbeat.Grace, p.MissingRelease.Grace, p.Return.Grace}
	if p.Emergency != nil {
		graces = append(graces, p.Emergency.Decision.Grace)
	}
	// A division, since a product could overflow.
	if slices.Min(graces)/MinGrace < p.Publication {
		return fmt.Errorf("body.profile: each grace must be at least %d publication intervals", MinGrace)
	}
	if err := cmp.Or(p.agree(), p.Seal.check(), p.Deferral.check()); err != nil {
		return err
	}
	for i := range p.Instruments {
		in := &p.Instruments[i]
		if p.Instrument(in.Code) != in {
			return fmt.Errorf("body.profile.instruments: %s stands twice", in.Code)
		}
		if err := cmp.Or(in.Seal.check(), in.Deferral.check(), p.checkInstrument(in)); err != nil {
			return fmt.Errorf("%w (instrument %s)", err, in.Code)
		}
	}
	if p.Emergency != nil && !within(p.Emergency.Categories, p.Categories) {
		return errors.New("body.profile.emergency.categories: not all are categories of the profile")
	}
	return nil
}

// within reports whether all has each code of list.
func within(list, all []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(all, s) })
}

// checkInstrument checks an instrument's categories and kinds of authorities.
func (p *Profile) checkInstrument(in *Instrument) error {
	elsewhere := func(s string) bool { return slices.Contains(in.Issuers, s) || slices.Contains(in.Validators, s) }
	switch {
	case in.Category == "" && len(in.With) > 0:
		return errors.New("body.profile.instruments: with needs a category")
	case in.Category != "" && !within(append([]string{in.Category}, in.With...), p.Categories):
		return errors.New("body.profile.instruments: category and with: not all are categories of the profile")
	case slices.Contains(in.With, in.Category):
		return errors.New("body.profile.instruments: with has the category itself")
	case (len(in.Validated) == 0) != (len(in.Validators) == 0):
		return errors.New("body.profile.instruments: validated and validators need each other")
	case slices.ContainsFunc(in.Validated, elsewhere):
		return errors.New("body.profile.instruments: a kind that is validated neither issues alone nor validates")
	}
	return nil
}

// agree checks the figures against each other: a log whose figures contradict each other
// would bar its own gates, or refuse its own witnesses.
func (p *Profile) agree() error {
	for _, c := range []struct {
		holds bool
		says  string
	}{
		{2*p.WitnessTimeout <= p.Spread, "2 x witnessTimeout <= spread"},
		{p.Spread+2*p.Publication <= p.Skew, "spread + 2 x publication <= skew"},
		{p.Spread+p.Skew < p.Lag, "spread + skew < lag"},
		{4*p.Round <= p.Stale, "4 x round <= stale"},
		{p.Stale < p.Anchor.Within+p.Anchor.Grace, "stale < anchor.within + anchor.grace"},
	} {
		if !c.holds {
			return fmt.Errorf("body.profile: the figures contradict each other: want %s", c.says)
		}
	}
	return nil
}

func (s *SealLimit) check() error {
	if s != nil && s.Default > s.Longest {
		return errors.New("body.profile.seal: default is longer than longest")
	}
	return nil
}

func (d *DeferralLimit) check() error {
	if d == nil {
		return nil
	}
	for i, s := range d.Steps {
		if s.Longest == 0 {
			return fmt.Errorf("body.profile.deferral.steps: longest %w", errMissing)
		}
		if i == 0 && s.After != 0 || i > 0 && s.After <= d.Steps[i-1].After {
			return errors.New("body.profile.deferral.steps: after must begin at 0 and ascend")
		}
	}
	if d.Never != nil && d.Never.Longest != 0 {
		return fmt.Errorf("body.profile.deferral.never: longest %w", errAbsent)
	}
	return nil
}
