// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/event"
)

func (e *env) charterNew() *cobra.Command {
	var f charterFlags
	var origin string
	c := &cobra.Command{
		Use:   "new --origin LOG --log-key VKEY --profile NAME --party ROLE:NAME=PUBLICKEY... --out FILE",
		Short: "Make a log's first charter",
		Long: `new makes the charter that founds a log, to be its entry 0, and writes it to
FILE. Without --key nobody has signed it yet: see 'vasistas charter sign'.

A party is one role under one name: charter (a founder, who may sign
amendments), authority (court, commission; with its kind as the profile names
kinds), duty (an authority's on-call key, under the authority's name), provider,
custodian or auditor. One key can't have two roles. Founders, custodians and
auditors have exactly one key; others may have several: repeat the party.

Whoever operates several keys of a policy (Ed25519 and ML-DSA) must have them in
one group of which any counts, so that nobody counts twice. A policy may have
comments; the charter has them without.`,
		Example: `  vasistas charter new --origin example.com/log --log-key log.key.pub --profile ca \
      --party charter:one=one.pem.pub --party charter:two=two.pem.pub --party charter:three=three.pem.pub \
      --party provider:messenger=messenger.pem.pub --party authority:superior-court:court=judge.pem.pub \
      --party custodian:a=a.pem.pub --gate a=a.gate.pub --party custodian:b=b.pem.pub --gate b=b.gate.pub \
      --group main:2=a,b --threshold amend=2 --threshold recover=3 \
      --witness-policy witnesses.txt --audit-policy none --out charter.event`,
		Args: cobra.NoArgs,
	}
	c.RunE = do(func(ctx context.Context, _ []string) error { return e.runCharterNew(ctx, origin, &f) })
	fl := c.Flags()
	fl.StringVar(&origin, "origin", "", "origin of the log: the name that its keys have")
	fl.StringArrayVar(&f.logKeys, "log-key", nil, "VKEY of the log, or a file with it, the Ed25519 key first (repeatable)")
	fl.StringArrayVar(&f.parties, "party", nil, "ROLE:NAME[:KIND]=PUBLICKEY: a party, or one more key of one (repeatable)")
	f.addCommon(fl)
	for _, name := range []string{"origin", "log-key", "party", "out"} {
		c.MarkFlagRequired(name)
	}
	return c
}

func (e *env) runCharterNew(ctx context.Context, origin string, f *charterFlags) error {
	ch := &event.Charter{Version: 1, Rules: f.rules}
	if err := e.apply(ch, f); err != nil {
		return err
	}
	if ch.Thresholds.Amend == 0 || ch.Thresholds.Recover == 0 {
		return usagef("give --threshold amend=N and --threshold recover=N: how many founders sign an amendment, and how many a recovery")
	}
	ev, err := newCharter(origin, ch)
	if err != nil {
		return err
	}
	file, err := e.writeCharter(ctx, ev, ch, f)
	if err != nil {
		return err
	}
	e.advise(ch)
	return e.reportCharter(file, ch, ch.Thresholds.Amend, f)
}
