// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/tlog"
)

func (e *env) policy() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Work with policy files",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var asJSON bool
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy file, and show its logs and witnesses",
		Long: `check parses a policy file (C2SP tlog-policy) like every part of Vasistas, and shows
the logs and witnesses that it trusts. An error names the line.`,
		Example: "  vasistas policy check policy.txt",
		Args:    cobra.ExactArgs(1),
		RunE: do(func(_ context.Context, args []string) error {
			p, err := e.readPolicy(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(describePolicy(p))
			}
			e.showPolicy(p)
			return nil
		}),
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(check)
	return c
}

type policyJSON struct {
	Kind      string        `json:"kind"`
	Logs      []policyParty `json:"logs"`
	Witnesses []policyParty `json:"witnesses"`
	// Least is the least number of cosignatures that meet the quorum.
	Least int `json:"least"`
}

type policyParty struct {
	Name      string `json:"name,omitempty"`
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
	URL       string `json:"url,omitempty"`
}

func describePolicy(p *tlog.Policy) policyJSON {
	d := policyJSON{Kind: "policy", Logs: []policyParty{}, Witnesses: []policyParty{}}
	for _, l := range p.Logs {
		d.Logs = append(d.Logs, policyParty{l.Key.Name, l.Key.String(), l.Key.Algorithm.String(), l.URL})
	}
	for _, w := range p.Witnesses {
		d.Witnesses = append(d.Witnesses, policyParty{w.Name, w.Key.String(), w.Key.Algorithm.String(), w.URL})
	}
	set, _ := p.SmallestSet(func(int) bool { return true })
	d.Least = len(set)
	return d
}

func (e *env) showPolicy(p *tlog.Policy) {
	d := describePolicy(p)
	e.printf("policy: %d log keys, %d witness keys\n", len(d.Logs), len(d.Witnesses))
	for _, l := range d.Logs {
		e.printf("  log      %s, %s%s\n", l.Name, l.Algorithm, at(l.URL))
	}
	for _, w := range d.Witnesses {
		e.printf("  witness  %s, %s%s\n", w.Name, w.Algorithm, at(w.URL))
	}
	if !p.NeedsWitnesses() {
		e.printf("  quorum   none: it trusts the log alone, which can show others another tree\n")
		return
	}
	e.printf("  quorum   met by %d cosignatures at least\n", d.Least)
}

func at(url string) string {
	if url == "" {
		return ""
	}
	return " at " + url
}
