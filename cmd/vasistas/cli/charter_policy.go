// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

const policyNone = "quorum none\n"

// applyPolicies puts both policies into the charter's one spelling. before is
// the log's keys as the charter had them.
func (e *env) applyPolicies(ch *event.Charter, f *charterFlags, before []string) error {
	gone := slices.DeleteFunc(slices.Clone(before), func(k string) bool { return slices.Contains(ch.LogKeys, k) })
	for _, p := range []struct {
		flag, file string
		text       *string
	}{{"witness-policy", f.witnessPolicy, &ch.WitnessPolicy}, {"audit-policy", f.auditPolicy, &ch.AuditPolicy}} {
		if p.file != "" {
			text, err := e.policyText(p.file)
			if err != nil {
				return inFlag(p.flag, err)
			}
			*p.text = text
		}
		if *p.text == "" {
			return usagef("give --%s FILE (C2SP tlog-policy), or --%s none if nobody cosigns yet", p.flag, p.flag)
		}
		text := fitLogKeys(*p.text, ch.LogKeys, gone)
		if text != *p.text {
			e.note("note: %s: its log lines now name the keys that the charter gives the log", strings.ReplaceAll(p.flag, "-", " "))
			*p.text = text
		}
	}
	return nil
}

// policyText reads a policy file.
func (e *env) policyText(file string) (string, error) {
	if file == "none" {
		return policyNone, nil
	}
	// The file is judged as it is, so that an error names its line.
	p, err := e.readPolicy(file)
	if err != nil {
		return "", err
	}
	text := normalPolicy(string(p.Bytes()))
	if text != string(p.Bytes()) {
		e.note("note: %s: without its comments, empty lines and extra spaces, since a charter has one spelling", file)
	}
	return text, nil
}

// normalPolicy writes a policy in a charter's spelling: one space between
// words, no comments and no empty lines. It takes words apart as the policy
// parser does, and moves nothing.
func normalPolicy(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
		if len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			b.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return b.String()
}

// fitLogKeys drops the log lines of keys that the log no longer has; if no log
// line is left, it names the first key that the log has now. Which other logs a
// policy names, package event judges.
func fitLogKeys(text string, logKeys, gone []string) string {
	var logs, rest strings.Builder
	dropped := false
	for line := range strings.Lines(text) {
		switch words := strings.Fields(line); {
		case words[0] != "log":
			rest.WriteString(line)
		case slices.Contains(gone, words[1]):
			dropped = true
		default:
			logs.WriteString(line)
		}
	}
	if !dropped {
		return text
	}
	if logs.Len() == 0 && len(logKeys) > 0 {
		fmt.Fprintf(&logs, "log %s\n", logKeys[0])
	}
	return logs.String() + rest.String()
}

// applyProfile loads the profile, and adds codes to it.
func (e *env) applyProfile(p *event.Profile, f *charterFlags) error {
	if f.profile != "" {
		loaded, err := e.loadProfile(f.profile)
		if err != nil {
			return inFlag("profile", err)
		}
		*p = loaded
	}
	if p.ID == "" {
		return usagef("give --profile: %s, or a file", strings.Join(profile.Names(), ", "))
	}
	for _, a := range []struct {
		figure string
		list   *[]string
		codes  []string
	}{{"offences", &p.Offences, f.offences}, {"grounds", &p.Grounds, f.grounds}, {"reasons", &p.Reasons, f.reasons}} {
		addCodes(p, a.figure, a.list, a.codes)
	}
	if len(f.emergencyGrnds) > 0 && p.Emergency == nil {
		return fmt.Errorf("--emergency-ground: the profile %s has no emergencies", p.ID)
	}
	if p.Emergency != nil {
		addCodes(p, "emergency.grounds", &p.Emergency.Grounds, f.emergencyGrnds)
	}
	for _, code := range f.instruments {
		if p.Instrument(code) == nil {
			p.Instruments = append(p.Instruments, event.Instrument{Code: code})
			addSource(p, "instruments."+code)
		}
	}
	return nil
}

// loadProfile takes the name of a shipped profile, or of a file.
func (e *env) loadProfile(name string) (event.Profile, error) {
	if slices.Contains(profile.Names(), name) {
		return profile.Load(name)
	}
	if _, err := os.Stat(name); err != nil {
		return event.Profile{}, fmt.Errorf("%q is none of %s, and no file", name, strings.Join(profile.Names(), ", "))
	}
	b, err := e.read(name, profile.MaxSize)
	if err != nil {
		return event.Profile{}, err
	}
	file, err := profile.Parse(b)
	if err != nil {
		return event.Profile{}, fmt.Errorf("%s: %w", name, err)
	}
	return file.Profile, nil
}

func addCodes(p *event.Profile, figure string, list *[]string, codes []string) {
	for _, c := range codes {
		if !slices.Contains(*list, c) {
			*list = append(*list, c)
			addSource(p, figure)
		}
	}
}

// addSource says once that a list is more than its law says.
func addSource(p *event.Profile, figure string) {
	s := event.Source{Figure: figure, Law: "added by this charter"}
	if !slices.Contains(p.Sources, s) {
		p.Sources = append(p.Sources, s)
	}
}
