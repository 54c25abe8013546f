// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/event"
)

type amendFlags struct {
	charterFlags
	from fromFlags
}

const amendHelp = `Flags say what changes, and what was removed goes first, so one amendment can
replace a key: remove the old one and add the new one. A revoked key's events
stay valid, unless --void says from which index on they don't. What changes is
shown; read it before you sign.`

func (e *env) charterAmend() *cobra.Command {
	var f amendFlags
	c := &cobra.Command{
		Use:   "amend --from CURRENT --out FILE [changes]",
		Short: "Make the next version of a charter",
		Long: `amend makes the version after CURRENT, the signed charter in force or its proof
file, and writes it to FILE. The founders of CURRENT sign it, as many as its
amend threshold says.

` + amendHelp,
		Example: `  vasistas charter amend --from charter.event --out v2.event \
      --remove-key judge.pem.pub --add-party authority:superior-court=judge2.pem.pub
  vasistas charter amend --from v2.tlog-proof --witness-policy more.txt --out v3.event`,
		Args: cobra.NoArgs,
	}
	c.RunE = do(func(ctx context.Context, _ []string) error {
		return e.runAmend(ctx, &f, f.edits(c.Flags()), c.Flags().Changed("rules"), false)
	})
	f.from.add(c, "signed charter in force, or its proof file")
	f.addEdits(c.Flags())
	c.MarkFlagRequired("from")
	c.MarkFlagRequired("out")
	return c
}

func (e *env) charterRecover() *cobra.Command {
	var f amendFlags
	c := &cobra.Command{
		Use:   "recover --from CURRENT (--out FILE [changes] | FILE)",
		Short: "Make or judge a charter for a log that lost its key or its witnesses",
		Long: `recover makes the version after CURRENT for a log that can't log an amendment in
the usual way: its key is lost, or its witnesses can't meet the policy any more.
As many founders of CURRENT sign it as its recover threshold says. It is then
given to every gate, monitor and verifier, whose operator confirms by name what
it changes; the log's origin stays.

With a FILE in place of --out it judges one: the way to look at a charter that
somebody gave you.

` + amendHelp,
		Example: `  vasistas charter recover --from charter.event --out recovery.event \
      --remove-log-key lost.key.pub --add-log-key new.key.pub
  vasistas charter recover --from charter.event recovery.event`,
		Args: cobra.MaximumNArgs(1),
	}
	c.RunE = do(func(ctx context.Context, args []string) error {
		edits := f.edits(c.Flags())
		if len(args) == 0 && f.out == "" || len(args) == 1 && (f.out != "" || edits || len(f.keys) > 0) {
			return usagef("give --out FILE and changes to make a recovery, or only a FILE to judge one")
		}
		if len(args) == 1 {
			return e.runCheck(&checkFlags{from: f.from, recover: true, json: f.json}, args[0])
		}
		return e.runAmend(ctx, &f, edits, c.Flags().Changed("rules"), true)
	})
	f.from.add(c, "signed charter in force, or its proof file")
	f.addEdits(c.Flags())
	c.MarkFlagRequired("from")
	return c
}

func (e *env) runAmend(ctx context.Context, f *amendFlags, edits, rules, recovery bool) error {
	if !edits {
		return usagef("say what changes, such as --add-party, --remove-key or --witness-policy")
	}
	now, err := e.readFrom(&f.from)
	if err != nil {
		return err
	}
	// Parsed once more, so that changing it leaves CURRENT as it is.
	next, err := parseCharter(now.payload)
	if err != nil {
		return err
	}
	ch := next.charter
	if err := e.apply(ch, &f.charterFlags); err != nil {
		return err
	}
	ch.Version, ch.Prev = now.charter.Version+1, &now.ref
	if rules {
		ch.Rules = f.rules
	}
	ev, err := newCharter(now.event.Log, ch)
	if err != nil {
		return err
	}
	changes, err := diffCharters(now.event, ev)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("nothing changes: %s has all this already", f.from.file)
	}
	file, err := e.writeCharter(ctx, ev, now.charter, &f.charterFlags)
	if err != nil {
		return err
	}
	e.advise(ch)
	return e.reportAmendment(file, now.charter, changes, f, recovery)
}

func (e *env) reportAmendment(file *charterFile, by *event.Charter, changes []string, f *amendFlags, recovery bool) error {
	needed := by.Thresholds.Amend
	if recovery {
		needed = by.Thresholds.Recover
	}
	if f.json {
		r := newReport(file, needed)
		r.Changes = changes
		return e.printJSON(r)
	}
	e.printf("what version %d changes:\n", file.charter.Version)
	e.printChanges(changes)
	return e.reportCharter(file, by, needed, &f.charterFlags)
}

func (e *env) printChanges(changes []string) {
	for _, c := range changes {
		e.printf("  %s\n", c)
	}
}
