// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxFinding bounds the text of a finding in bytes.
const maxFinding = 16 << 20

func (e *env) finding() *cobra.Command {
	return group(&cobra.Command{
		Use:   "finding",
		Short: "Sign an auditor's findings about breaches",
		Long: `finding signs what an auditor states about breaches of a rule. A closed finding lifts
their bar for its auditor alone; once an audit quorum has closed a breach, it bars no
gate. An open finding bars its author again. The event has the digest of a text,
which the auditor publishes.`,
	}, e.findingNew(), e.findingClose())
}

type findingFlags struct {
	origin, rule, text, key, out string
	first, last                  uint64
	open, json                   bool
	ranges                       []string
}

func (f *findingFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.origin, "origin", "", "origin of the log")
	fl.StringVar(&f.rule, "rule", "", "name of the rule that was broken; 'vasistas audit' names it")
	fl.StringVar(&f.text, "text", "", "file with the text of the finding, which you publish; - is the standard input")
	fl.StringVar(&f.key, "key", "", "the auditor's event key: a private key file, or NAME://KEY of a KMS")
	fl.StringVar(&f.out, "out", "", "new file for the signed events, one a line (default: standard output)")
	fl.BoolVar(&f.json, "json", false, "print a line of JSON for each event: its hash, range, state and digest; needs --out")
	for _, name := range []string{"origin", "rule", "text", "key"} {
		c.MarkFlagRequired(name)
	}
}

func (e *env) findingNew() *cobra.Command {
	var f findingFlags
	c := &cobra.Command{
		Use:   "new --origin LOG --rule RULE --first N --last N [--open] --text FILE --key KEY",
		Short: "Sign a finding about the breaches in a range of entries",
		Long: `new signs a finding about the breaches of a rule at the entries from --first to --last,
both included. It closes them for this auditor or, with --open, opens them again.`,
		Example: `  vasistas finding new --origin log.example --rule release-chain --first 812 --last 812 --open --text why.md --key auditor.pem --out finding.event
  vasistas append --policy policy.txt finding.event`,
		Args: cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			state := event.FindingClosed
			if f.open {
				state = event.FindingOpen
			}
			return e.findings(ctx, &f, state, [][2]uint64{{f.first, f.last}})
		}),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.first, "first", 0, "index of the first entry")
	c.Flags().Uint64Var(&f.last, "last", 0, "index of the last entry")
	c.Flags().BoolVar(&f.open, "open", false, "the breaches still bar this auditor")
	c.MarkFlagRequired("first")
	c.MarkFlagRequired("last")
	return c
}

func (e *env) findingClose() *cobra.Command {
	var f findingFlags
	c := &cobra.Command{
		Use:   "close --origin LOG --rule RULE --range N[-N]... --text FILE --key KEY",
		Short: "Sign closed findings about several ranges of entries",
		Long: `close signs a closed finding for each range, all with the same text. Give the events
to 'vasistas append --ndjson'.`,
		Example: `  vasistas finding close --origin log.example --rule unfulfilled --range 12-40 --range 77 --text why.md --key auditor.pem --out findings
  vasistas append --policy policy.txt --ndjson findings`,
		Args: cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			ranges, err := command.Each(f.ranges, parseRange)
			if err != nil {
				return err
			}
			return e.findings(ctx, &f, event.FindingClosed, ranges)
		}),
	}
	f.add(c)
	c.Flags().StringArrayVar(&f.ranges, "range", nil, "indexes of the first and the last entry, like 12-40, or of a single one (repeatable)")
	c.MarkFlagRequired("range")
	return c
}

// knownRule reports whether any version of the rules has a rule of this name: a finding about
// another one would close nothing.
func knownRule(name string) bool {
	for version := uint64(1); version <= newestRules; version++ {
		if slices.ContainsFunc(ledger.Rules(version), func(r ledger.Rule) bool { return r.Name == name }) {
			return true
		}
	}
	return false
}

// newestRules bounds the versions of the rules that this program looks up.
const newestRules = 64

// parseRange parses a value of --range: N or N-N.
func parseRange(s string) (r [2]uint64, err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		last = first
	}
	for i, digits := range []string{first, last} {
		if r[i], err = strconv.ParseUint(digits, 10, 63); err != nil {
			return r, usagef("--range %q: give the index of an entry, or two with a hyphen between", s)
		}
	}
	if r[1] < r[0] {
		return r, usagef("--range %q: the last entry is before the first", s)
	}
	return r, nil
}

func (e *env) findings(ctx context.Context, f *findingFlags, state event.FindingState, ranges [][2]uint64) error {
	if f.json && f.out == "" {
		return usagef("--json: give --out FILE for the signed events")
	}
	if !knownRule(f.rule) {
		return usagef("--rule %q: there is no such rule; docs/rules.md has them", f.rule)
	}
	text, err := e.read(f.text, maxFinding)
	if err != nil {
		return err
	}
	signer, err := eventkey.Load(ctx, f.key)
	if err != nil {
		return err
	}
	digest := event.Digest(sha256.Sum256(text))
	var signed []*event.Envelope
	var lines []byte
	for _, r := range ranges {
		ev, err := event.New(f.origin, &event.Finding{First: r[0], Last: r[1], Rule: f.rule, State: state, Digest: digest})
		if err != nil {
			return usagef("the finding: %w", err)
		}
		ev.Time = time.Now().UTC().Truncate(time.Second)
		env, err := event.Sign(ev, signer)
		if err != nil {
			return err
		}
		signed, lines = append(signed, env), append(append(lines, env.Bytes()...), '\n')
	}
	if err := e.create(cmp.Or(f.out, "-"), lines, 0o644); err != nil || f.out == "" || f.out == "-" {
		return err
	}
	for i, env := range signed {
		if !f.json {
			e.printf("finding %s: %s %d to %d, %s\n", fmt.Sprintf("%x", env.Hash()), f.rule, ranges[i][0], ranges[i][1], state)
			continue
		}
		if err := e.printJSON(foundJSON{fmt.Sprintf("%x", env.Hash()), f.rule, ranges[i][0], ranges[i][1], state, digest}); err != nil {
			return err
		}
	}
	return nil
}

type foundJSON struct {
	Hash   string             `json:"hash"` // of the event
	Rule   string             `json:"rule"`
	First  uint64             `json:"first"`
	Last   uint64             `json:"last"`
	State  event.FindingState `json:"state"`
	Digest event.Digest       `json:"digest"`
}
