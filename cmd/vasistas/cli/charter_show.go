// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

func (e *env) charterShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what a charter says",
		Long: `show says what a charter says, signed or not: founders and thresholds, who holds
which role, custodian groups, both policies, and the profile with the law behind
each figure. It verifies no signature: see 'vasistas charter check'.`,
		Example: "  vasistas charter show charter.event",
		Args:    cobra.ExactArgs(1),
		RunE: do(func(_ context.Context, args []string) error {
			file, err := e.readCharter(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(showJSON{newReport(file, file.charter.Thresholds.Amend), file.payload})
			}
			return e.showCharter(file)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

type showJSON struct {
	charterReport
	Event json.RawMessage `json:"event"`
}

func (e *env) showCharter(file *charterFile) error {
	ch := file.charter
	e.printf("charter: version %d of the log %s, rules %d, profile %s\n", ch.Version, file.event.Log, ch.Rules, ch.Profile.ID)
	e.printf("  claims time  %s\n", file.event.Time.Format(time.RFC3339))
	if ch.Prev != nil {
		e.printf("  amends       entry %s\n", ch.Prev)
	}
	if file.envelope == nil {
		e.printf("  not signed\n")
	} else {
		r := newReport(file, 0)
		e.printf("  event hash   %s\n  leaf hash    %s\n", r.Hash, r.Leaf)
		for _, s := range file.envelope.Signatures {
			e.printf("  signed by    %s (not verified here)\n", s.KeyID)
		}
	}
	e.printf("thresholds: %d of %d founders amend, %d recover\n", ch.Thresholds.Amend, len(founders(ch)), ch.Thresholds.Recover)
	e.printf("log keys:\n")
	for _, k := range ch.LogKeys {
		e.printf("  %s\n", shorten("", k))
	}
	e.printf("parties:\n")
	for _, role := range roles {
		for _, p := range ch.Parties {
			if p.Role == role {
				e.showParty(&p)
			}
		}
	}
	for _, g := range ch.Groups {
		e.printf("group %s: %d of %d custodians open: %s\n", g.ID, g.Threshold, len(g.Members), strings.Join(g.Members, ", "))
	}
	for _, v := range ch.Void {
		e.printf("void: key %s, from entry %d on\n", v.Key, v.From)
	}
	e.showPolicyText("witness policy", ch.WitnessPolicy)
	e.showPolicyText("audit policy", ch.AuditPolicy)
	return e.showProfile(file.event, ch)
}

func (e *env) showParty(p *event.Party) {
	kind := ""
	if p.Kind != "" {
		kind = " (" + p.Kind + ")"
	}
	for i, k := range p.Keys {
		if i == 0 {
			e.printf("  %-10s %s%s: key %s\n", p.Role, p.Name, kind, k.KeyID())
			continue
		}
		e.printf("  %-10s   and key %s\n", "", k.KeyID())
	}
	if len(p.Above) > 0 {
		e.printf("  %-10s   above %s\n", "", strings.Join(p.Above, ", "))
	}
	for _, c := range p.Cosigners {
		e.printf("  %-10s   cosigns with %s\n", "", shorten("", c))
	}
	for _, g := range p.Gates {
		e.printf("  %-10s   gate key %s\n", "", g.KEM)
	}
}

func (e *env) showPolicyText(name, text string) {
	e.printf("%s:\n", name)
	for line := range strings.Lines(text) {
		e.printf("  %s\n", shorten("", strings.TrimSuffix(line, "\n")))
	}
}

// showProfile prints each figure with the law that the charter gives for it.
func (e *env) showProfile(ev *event.Event, ch *event.Charter) error {
	lines, err := charterLines(ev)
	if err != nil {
		return err
	}
	e.printf("profile %s:\n", ch.Profile.ID)
	values := make(map[string][]string)
	var paths []string
	for _, l := range lines {
		path, value, _ := strings.Cut(l, ": ")
		path, ok := strings.CutPrefix(path, "profile.")
		if !ok || path == "id" || strings.HasPrefix(path, "sources") {
			continue
		}
		// A step is steps[0] in a line, and steps.0 in a source.
		path = strings.NewReplacer("[", ".", "]", "").Replace(path)
		if path == "instruments" {
			path, value = "instruments."+value, "yes"
		}
		if values[path] == nil {
			paths = append(paths, path)
		}
		values[path] = append(values[path], value)
	}
	slices.Sort(paths)
	for _, p := range paths {
		e.printf("  %-44s %s%s\n", p, strings.Join(values[p], " "), lawOf(&ch.Profile, p))
	}
	for _, s := range ch.Profile.Sources {
		if !slices.ContainsFunc(paths, func(p string) bool { return profile.Covers(s.Figure, p) }) {
			e.printf("  %-44s none%s\n", s.Figure, lawOf(&ch.Profile, s.Figure))
		}
	}
	return nil
}

// lawOf returns the sources of a figure: the rows nearest to it.
func lawOf(p *event.Profile, path string) string {
	nearest := ""
	var laws []string
	for _, s := range p.Sources {
		if profile.Covers(s.Figure, path) && len(s.Figure) >= len(nearest) {
			if s.Figure != nearest {
				laws = nil
			}
			nearest = s.Figure
			laws = append(laws, s.Law)
		}
	}
	if len(laws) == 0 {
		return "  [NO SOURCE]"
	}
	return fmt.Sprintf("  [%s]", strings.Join(laws, "; "))
}
