// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

// Values that are not figures.
const (
	none = "none" // the law leaves the figure out on purpose
	yes  = "yes"  // the instrument exists
)

var errPath = errors.New("no figure of a profile has this path")

// set sets the figure of a path.
func (b *builder) set(path, value string) error {
	p := &b.f.Profile
	words := strings.Split(path, ".")
	if len(words) == 2 && words[0] == "instruments" {
		if value != yes {
			return errors.New("want the value yes to declare an instrument")
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
				return fmt.Errorf("the value is none, but %s is given", seen)
			}
		}
		if words[0] == "instruments" && p.Instrument(words[1]) == nil {
			return fmt.Errorf("instrument %s is not declared above", words[1])
		}
		return nil
	}
	at, err := find(p, words)
	if err != nil {
		return err
	}
	switch at := at.(type) {
	case *uint64:
		read := event.ParseDuration
		if slices.Contains(counts, words[len(words)-1]) {
			read = count
		}
		*at, err = read(value)
	case *[]string:
		*at, err = list(value)
	default:
		return errPath
	}
	return err
}

// mayBeNone reports whether a law may leave this figure out.
func mayBeNone(words []string) bool {
	if len(words) > 2 && words[0] == "instruments" {
		words = words[2:]
	}
	return slices.Contains([]string{"emergency", "deferral.never", "deferral.total"}, strings.Join(words, "."))
}

// counts are the figures that are plain numbers. All others are durations.
var counts = []string{"accounts", "open", "signatures"}

// find returns a pointer to the figure of a path, whose words are names of fields,
// codes of instruments and numbers of steps. It makes the objects on the way.
func find(p *event.Profile, words []string) (any, error) {
	v := reflect.ValueOf(p).Elem()
	for n, word := range words {
		switch list := v.Addr().Interface().(type) {
		case *[]event.Instrument:
			in := p.Instrument(word)
			if in == nil {
				return nil, fmt.Errorf("instrument %s is not declared above", word)
			}
			v = reflect.ValueOf(in).Elem()
			continue
		case *[]event.Step:
			i, err := count(word)
			if err != nil || i > uint64(len(*list)) {
				return nil, errors.New("steps are numbered 0, 1, ... in their order")
			}
			if i == uint64(len(*list)) {
				*list = append(*list, event.Step{})
			}
			v = v.Index(int(i))
			continue
		}
		name := strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):]
		if v.Kind() != reflect.Struct || name == word || word == "longest" && words[n-1] == "never" {
			return nil, errPath
		}
		if v = v.FieldByName(name); !v.IsValid() {
			return nil, errPath
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
	}
	return v.Addr().Interface(), nil
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
		return 0, fmt.Errorf("%q is not a whole number", s)
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
