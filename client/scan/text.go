// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Text returns the report for people, in lines; of each list at most so many are
// shown. What comes from the log or the policy is quoted where it could be mistaken
// for our words, or for a command to a terminal.
func (r *Report) Text(list int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", r.headline())
	for i, c := range r.Cases[:min(len(r.Cases), list)] {
		line("")
		c.text(i+1, line)
	}
	if n := len(r.Cases); n > list {
		line("And %d cases more; see --list, --json or --save.", n-list)
	}
	if len(r.Unproven) > 0 {
		line("")
		line("Notices that open under your keys and prove nothing: %d", len(r.Unproven))
		for _, u := range r.Unproven[:min(len(r.Unproven), list)] {
			line("  entry %d, key of %s: %s", u.Disclosure, u.Period, printable(u.Reason))
		}
	}
	if r.Left > 0 {
		line("%d notices more open under your keys; they are too many to be kept.", r.Left)
	}
	line("")
	r.textBasis(line)
	r.textAbsent(line)
	if len(r.Reasons) > 0 {
		line("What makes this less certain:")
		for _, why := range r.Reasons[:min(len(r.Reasons), list)] {
			line("  %s", printable(why))
		}
	}
	return b.String()
}

func (r *Report) headline() string {
	switch {
	case r.result == Found:
		return fmt.Sprintf("FOUND: your data was released, in %s", count(len(r.Cases), "case"))
	case r.result == Undecided:
		return "COULD NOT TELL whether anything about you was disclosed"
	}
	return "NOTHING: up to this head nothing about you was disclosed"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *Case) text(number int, line func(string, ...any)) {
	line("Case %d", number)
	first := c.Notices[0].Verified
	first.Story(line)
	for _, n := range c.Notices {
		line("  custodian        %s released its share: entry %d, number %d of its chain, signed %s", n.Release.By, n.Release.Index, n.Seq, stamp(n.Release.Time))
		published := ""
		if !n.PublishedAfter.IsZero() {
			published = ", after " + stamp(n.PublishedAfter) + " by the witnesses"
		}
		line("                   its notice was published in entry %d%s", n.Disclosure, published)
	}
	for _, w := range c.warnings() {
		line("  WARNING          %s", printable(w))
	}
	line("  Proven by the files of this case, to anyone, offline:")
	for _, s := range first.Shown() {
		line("  - %s", s)
	}
	line("  Proven to you, by your key: each notice is the one that its release states, so its custodian told you")
	line("  Proven by this replay of the log: %s", c.replayed())
	word := "nobody's: no audit quorum cosigned this head"
	if len(first.Auditors) > 0 {
		word = strings.Join(first.Auditors, ", ") + " cosigned this head, and say that the rules held"
	}
	line("  By the auditors' word: %s", word)
}

func (c *Case) warnings() []string {
	var out []string
	for _, n := range c.Notices {
		out = append(out, n.Warnings...)
		if !n.Effect {
			out = append(out, fmt.Sprintf("the disclosure in entry %d had no effect by the rules: its notice had been published before, or was not owed", n.Disclosure))
		}
	}
	for _, b := range c.Breaches {
		out = append(out, fmt.Sprintf("entry %d broke the rule %s: %s", b.Index, b.Rule, b.Text))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *Case) replayed() string {
	if len(c.Breaches) > 0 {
		return "entries of this case broke rules, see above"
	}
	return "no entry of this case broke a rule: signers held their roles, the warrant was in force and within its limits, and each release had its place in its custodian's chain"
}

// textBasis says what was read.
func (r *Report) textBasis(line func(string, ...any)) {
	a := r.Audit
	if a.Log == nil {
		return
	}
	read := "the whole log"
	if !a.Complete {
		read = "not the whole log"
	}
	line("Read: %s, %d of %d entries of %q, root %s", read, a.Audited, a.Log.Size, a.Log.Origin, a.Log.Root)
	if a.Resumed > 0 {
		line("      the first %d of them by earlier runs, which left the state", a.Resumed)
	}
	if a.LoggedAfter != "" {
		line("      the witnesses saw this head at %s; whatever it lacks was logged after that", a.LoggedAfter)
	} else {
		line("      no witness vouches for this head: the policy asks for none")
	}
	line("Tried: %d notices, under your keys of %s to %s", r.Notices, r.From, r.To)
}

// textAbsent says what is not there.
func (r *Report) textAbsent(line func(string, ...any)) {
	s := r.Sealed
	if s == nil {
		line("Not there: unknown, since the log was not read to its head.")
		return
	}
	line("What is not there:")
	until := ""
	if r.Audit.LoggedAfter != "" {
		until = " up to " + r.Audit.LoggedAfter
	}
	if len(r.Cases) == 0 {
		line("  - nothing was disclosed about you%s", until)
	} else {
		line("  - nothing else was disclosed about you%s", until)
	}
	switch {
	case s.Releases == 0:
		line("  - no release is sealed: every release in the log has told its subjects")
	default:
		line("  - %s still sealed, and may be about you: %s", plural(s.Releases, "release is", "releases are"), s.horizon())
	}
	if s.Live > 0 {
		line("  - %s may still be answered", plural(s.Live, "access", "accesses"))
	}
	line("  - packages whose notice key is not of this seed, and all that was opened outside of this log")
}

func (s *Sealed) horizon() string {
	timed := s.Releases - s.Never
	switch {
	case timed == 0:
		return "without end"
	case s.Never == 0:
		return "the last of them until " + stamp(s.Last) + ", unless a judge defers it"
	}
	return fmt.Sprintf("%d until %s at the latest, unless a judge defers it, and %d without end", timed, stamp(s.Last), s.Never)
}

func plural(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable replaces what a terminal would not show as it is.
func printable(s string) string {
	q := fmt.Sprintf("%q", s)
	if q = q[1 : len(q)-1]; q == strings.ReplaceAll(s, `"`, `\"`) {
		return s
	}
	return q
}
