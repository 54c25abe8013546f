// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

// Values that are no figures.
const (
	none = "none" // left out on purpose
	yes  = "yes"  // an instrument exists
)

// A slot is where a figure goes: exactly one of its members is not nil.
type slot struct {
	seconds *uint64
	count   *uint64
	codes   *[]string
}

var errPath = errors.New("no figure of a profile has this path")

// set puts a value where its path says.
func (b *builder) set(path, value string) error {
	p := &b.f.Profile
	words := strings.Split(path, ".")
	if len(words) == 2 && words[0] == "instruments" {
		if value != yes {
			return errors.New("an instrument is declared by the value yes")
		}
		p.Instruments = append(p.Instruments, event.Instrument{Code: words[1]})
		return nil
	}
	if value == none {
		if !mayBeNone(words) {
			return errors.New("it can't be none")
		}
		for seen := range b.seen {
			if strings.HasPrefix(seen, path+".") {
				return fmt.Errorf("none, and %s is given", seen)
			}
		}
		return b.slotExists(words)
	}
	s, err := find(p, words)
	switch {
	case err != nil:
		return err
	case s.seconds != nil:
		*s.seconds, err = event.ParseDuration(value)
	case s.count != nil:
		*s.count, err = count(value)
	case s.codes != nil:
		*s.codes, err = list(value)
	}
	return err
}

// mayBeNone says whether a law may leave this out.
func mayBeNone(words []string) bool {
	if len(words) > 2 && words[0] == "instruments" {
		words = words[2:]
	}
	return slices.Contains([]string{"emergency", "deferral.never", "deferral.total"}, strings.Join(words, "."))
}

// slotExists refuses a none of an instrument that isn't declared.
func (b *builder) slotExists(words []string) error {
	if words[0] == "instruments" && b.f.Profile.Instrument(words[1]) == nil {
		return fmt.Errorf("instrument %s is not declared above", words[1])
	}
	return nil
}

// find returns the slot of a path, and makes the objects on the way.
func find(p *event.Profile, words []string) (slot, error) {
	head, rest := words[0], words[1:]
	seconds := map[string]*uint64{
		"accessLife": &p.AccessLife, "publication": &p.Publication, "inclusion": &p.Inclusion, "lag": &p.Lag,
		"skew": &p.Skew, "stale": &p.Stale, "unfulfilled": &p.Unfulfilled, "disclosureGrace": &p.DisclosureGrace,
	}
	codes := map[string]*[]string{"offences": &p.Offences, "grounds": &p.Grounds, "reasons": &p.Reasons, "bars": &p.Bars}
	deadlines := map[string]*event.Deadline{
		"anchor": &p.Anchor, "heartbeat": &p.Heartbeat, "missingRelease": &p.MissingRelease, "return": &p.Return,
	}
	switch {
	case seconds[head] != nil && len(rest) == 0:
		return slot{seconds: seconds[head]}, nil
	case codes[head] != nil && len(rest) == 0:
		return slot{codes: codes[head]}, nil
	case deadlines[head] != nil:
		return findDeadline(deadlines[head], rest)
	case head == "seal":
		return findSeal(&p.Seal, rest)
	case head == "deferral":
		return findDeferral(&p.Deferral, rest)
	case head == "emergency" && len(rest) > 0:
		if p.Emergency == nil {
			p.Emergency = new(event.Emergency)
		}
		return findEmergency(p.Emergency, rest)
	case head == "instruments" && len(rest) > 1:
		return findInstrument(p, rest[0], rest[1:])
	}
	return slot{}, errPath
}

func findDeadline(d *event.Deadline, words []string) (slot, error) {
	switch strings.Join(words, ".") {
	case "within":
		return slot{seconds: &d.Within}, nil
	case "grace":
		return slot{seconds: &d.Grace}, nil
	}
	return slot{}, errPath
}

func findSeal(s *event.SealLimit, words []string) (slot, error) {
	switch strings.Join(words, ".") {
	case "default":
		return slot{seconds: &s.Default}, nil
	case "longest":
		return slot{seconds: &s.Longest}, nil
	}
	return slot{}, errPath
}

func findDeferral(d *event.DeferralLimit, words []string) (slot, error) {
	switch {
	case len(words) == 1 && words[0] == "total":
		return slot{seconds: &d.Total}, nil
	case len(words) == 2 && words[0] == "never" && words[1] != "longest":
		if d.Never == nil {
			d.Never = new(event.Step)
		}
		return findStep(d.Never, words[1])
	case len(words) == 3 && words[0] == "steps":
		i, err := count(words[1])
		if err != nil || i > uint64(len(d.Steps)) {
			return slot{}, errors.New("steps are numbered 0, 1, ... in their order")
		}
		if i == uint64(len(d.Steps)) {
			d.Steps = append(d.Steps, event.Step{})
		}
		return findStep(&d.Steps[i], words[2])
	}
	return slot{}, errPath
}

func findStep(s *event.Step, word string) (slot, error) {
	switch word {
	case "after":
		return slot{seconds: &s.After}, nil
	case "longest":
		return slot{seconds: &s.Longest}, nil
	case "signatures":
		return slot{count: &s.Signatures}, nil
	case "kinds":
		return slot{codes: &s.Kinds}, nil
	}
	return slot{}, errPath
}

func findEmergency(e *event.Emergency, words []string) (slot, error) {
	switch {
	case words[0] == "decision":
		return findDeadline(&e.Decision, words[1:])
	case len(words) > 1:
	case words[0] == "open":
		return slot{count: &e.Open}, nil
	case words[0] == "accounts":
		return slot{count: &e.Accounts}, nil
	case words[0] == "grounds":
		return slot{codes: &e.Grounds}, nil
	}
	return slot{}, errPath
}

func findInstrument(p *event.Profile, code string, words []string) (slot, error) {
	in := p.Instrument(code)
	if in == nil {
		return slot{}, fmt.Errorf("instrument %s is not declared above", code)
	}
	switch words[0] {
	case "seal":
		if in.Seal == nil {
			in.Seal = new(event.SealLimit)
		}
		return findSeal(in.Seal, words[1:])
	case "deferral":
		if in.Deferral == nil {
			in.Deferral = new(event.DeferralLimit)
		}
		return findDeferral(in.Deferral, words[1:])
	}
	return slot{}, errPath
}

// required lists the paths that a profile like this one must have.
func required(p *event.Profile) []string {
	paths := []string{
		"accessLife", "publication", "inclusion", "lag", "skew", "stale", "unfulfilled", "disclosureGrace",
		"offences", "grounds", "reasons", "bars", "seal.default", "seal.longest",
	}
	for _, d := range []string{"anchor", "heartbeat", "missingRelease", "return"} {
		paths = append(paths, d+".within", d+".grace")
	}
	paths = append(paths, requiredDeferral("", &p.Deferral)...)
	if p.Emergency == nil {
		paths = append(paths, "emergency")
	} else {
		paths = append(paths, "emergency.open", "emergency.accounts", "emergency.grounds", "emergency.decision.within", "emergency.decision.grace")
	}
	for i := range p.Instruments {
		in := &p.Instruments[i]
		at := "instruments." + in.Code + "."
		if in.Seal != nil {
			paths = append(paths, at+"seal.default", at+"seal.longest")
		}
		if in.Deferral != nil {
			paths = append(paths, requiredDeferral(at, in.Deferral)...)
		}
	}
	if len(p.Instruments) == 0 {
		paths = append(paths, "instruments.CODE")
	}
	return paths
}

func requiredDeferral(at string, d *event.DeferralLimit) []string {
	at += "deferral."
	paths := []string{at + "steps.0.after"}
	for i := range d.Steps {
		step := fmt.Sprintf("%ssteps.%d.", at, i)
		paths = append(paths, step+"after", step+"longest", step+"signatures")
	}
	if d.Total == 0 {
		paths = append(paths, at+"total")
	}
	if d.Never == nil {
		return append(paths, at+"never")
	}
	return append(paths, at+"never.after", at+"never.signatures")
}

func count(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 53)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	return n, nil
}

func list(s string) ([]string, error) {
	codes := strings.Fields(s)
	for i, c := range codes {
		if slices.Contains(codes[:i], c) {
			return nil, fmt.Errorf("%s stands twice", c)
		}
	}
	return codes, nil
}
