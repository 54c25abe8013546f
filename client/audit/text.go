// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Text returns the report for people, in lines. Of each list at most so many are
// shown. What comes from the log or the policy is quoted where it could be
// mistaken for our words, or for a command to a terminal.
func (r *Report) Text(list int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", r.headline())
	r.textHead(line)
	r.textRules(line, list)
	r.textOverdue(line, list)
	if r.Fork != nil {
		line("Fork: the log signed both of these, and neither extends the other. Keep them.")
		line("%s\n%s", indent(r.Fork.Small), indent(r.Fork.Large))
		line("  the larger tree has the root %s at the size of the smaller", r.Fork.Prefix)
	}
	if len(r.Reasons) > 0 {
		line("Could not tell:")
		for _, why := range r.Reasons {
			line("  %s: %s", why.Code, printable(why.Text))
		}
	}
	return b.String()
}

func (r *Report) headline() string {
	which := "the log"
	if r.Log != nil {
		which = fmt.Sprintf("the log %q", r.Log.Origin)
	}
	rest := ""
	if !r.Complete {
		rest = "; the audit is not complete"
	}
	switch {
	case r.verdict == Clean:
		return "CLEAN: " + which + " kept its rules"
	case r.verdict == Undecided:
		return "COULD NOT TELL whether " + which + " kept its rules"
	case r.Fork != nil:
		return "VIOLATIONS: " + which + " signed a fork"
	}
	return fmt.Sprintf("VIOLATIONS: %s has %d breaches, and %d obligations are overdue%s", which, r.Breaches, r.Overdue, rest)
}

func (r *Report) textHead(line func(string, ...any)) {
	if r.Log == nil {
		return
	}
	line("  tree             %d entries, root %s", r.Log.Size, r.Log.Root)
	line("  signed for it    %s", printable(strings.Join(r.Log.Keys, ", ")))
	for _, w := range r.Witnesses {
		line("  witness          %q at %s", w.Name, w.Time)
	}
	if r.ExistedBefore != "" {
		line("  existed before   %s", r.ExistedBefore)
		line("  tree seen until  %s; whatever it lacks was logged after that", r.LoggedAfter)
	}
	replayed := fmt.Sprintf("%d of %d entries", r.Audited, r.Log.Size)
	if r.Complete {
		replayed += ", up to the signed root"
	}
	if r.Resumed > 0 {
		replayed += fmt.Sprintf("; the first %d by the run that left the snapshot", r.Resumed)
	}
	line("  replayed         %s", replayed)
	if c := r.Charter; c != nil {
		line("  charter          version %d in entry %d, profile %q, rules %d", c.Version, c.Index, c.Profile, c.Rules)
		line("  first charter    leaf hash %s", r.Log.Founded)
		line("  anchored         the first %d entries", r.Anchored)
	}
	line("  signatures       %d valid, %d invalid, %d by keys that no charter names", r.Signatures.Valid, r.Signatures.Invalid, r.Signatures.Unknown)
	var events []string
	for _, t := range slices.Sorted(maps.Keys(r.Events)) {
		events = append(events, fmt.Sprintf("%d %s", r.Events[t], t))
	}
	if r.Unreadable > 0 {
		events = append(events, fmt.Sprintf("%d that can't be read", r.Unreadable))
	}
	line("  events           %s", strings.Join(events, ", "))
}

func (r *Report) textRules(line func(string, ...any), list int) {
	for _, kind := range []string{"breach", "no effect"} {
		title := map[string]string{"breach": "Breaches:", "no effect": "Without effect, and nobody's fault:"}[kind]
		for i := range r.Rules {
			rule := &r.Rules[i]
			if rule.Kind != kind {
				continue
			}
			if title != "" {
				line("%s", title)
				title = ""
			}
			line("  %s (%s): %d", rule.Rule, rule.Way, rule.Count)
			shown := rule.Listed[:min(len(rule.Listed), list)]
			for _, f := range shown {
				seen := ""
				if f.Seen != f.Index {
					seen = fmt.Sprintf(", seen at %d", f.Seen)
				}
				line("    entry %d by %s%s: %s%s", f.Index, printable(f.By), seen, printable(f.Text), cure(f.Cure))
			}
			more(line, rule.Count, len(shown))
		}
	}
	if len(r.Unclosed) > 0 {
		line("Breaches that no audit quorum has closed: %d", len(r.Unclosed))
		for _, b := range r.Unclosed[:min(len(r.Unclosed), list)] {
			closed := ""
			if len(b.ClosedBy) > 0 {
				closed = "; closed by " + printable(strings.Join(b.ClosedBy, ", "))
			}
			line("  entry %d: %s (%s)%s", b.Index, b.Rule, b.Way, closed)
		}
		more(line, uint64(len(r.Unclosed)), min(len(r.Unclosed), list))
	}
}

func (r *Report) textOverdue(line func(string, ...any), list int) {
	if r.OverdueAt != "" {
		line("Overdue at %s: %d", r.OverdueAt, r.Overdue)
	}
	shown := r.Owed[:min(len(r.Owed), list)]
	for _, o := range shown {
		line("  %s (%s): entry %d by %s, late since %s: %s%s", o.Rule, o.Way, o.Index, printable(o.By), o.Late, printable(o.Text), cure(o.Cure))
	}
	more(line, r.Overdue, len(shown))
	for _, b := range r.Bars {
		line("Barred: %s, by %d breaches and %d overdue obligations", printable(b.Who), b.Breaches, b.Overdue)
	}
}

func more(line func(string, ...any), count uint64, shown int) {
	if count > uint64(shown) {
		line("    and %d more", count-uint64(shown))
	}
}

func cure(s string) string {
	if s == "" {
		return ""
	}
	return "; cure: " + printable(s)
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(printableLines(s), "\n"), "\n", "\n    ")
}

// printable replaces what a terminal would not show as it is.
func printable(s string) string {
	q := fmt.Sprintf("%q", s)
	if q = q[1 : len(q)-1]; q == strings.ReplaceAll(s, `"`, `\"`) {
		return s // nothing but quotation marks needed quoting
	}
	return q
}

func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
