// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/event"
)

type checkFlags struct {
	from    fromFlags
	recover bool
	json    bool
}

func (e *env) charterCheck() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check FILE [--from CURRENT]",
		Short: "Check a charter: its form, its policies, and whether enough founders signed",
		Long: `check judges a charter as a log would, and says what it lacks. An amendment is
judged against the charter before it, given as --from; what it changes is shown.

Exit code: 0 if it is good and has enough signatures, 1 if not.`,
		Example: `  vasistas charter check charter.event
  vasistas charter check v2.event --from charter.event
  vasistas charter check recovery.event --from charter.event --recover`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runCheck(&f, args[0]) }),
	}
	f.from.add(c, "signed charter in force, or its proof file, if FILE amends it")
	c.Flags().BoolVar(&f.recover, "recover", false, "ask for the signatures of a recovery")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// checkReport is what --json prints.
type checkReport struct {
	charterReport
	Good     bool         `json:"good"`
	Problems []string     `json:"problems,omitempty"`
	Signers  []signerJSON `json:"signers,omitempty"`
}

type signerJSON struct {
	Founder string `json:"founder,omitempty"`
	KeyID   string `json:"keyId"`
	Good    bool   `json:"good"`
}

func (e *env) runCheck(f *checkFlags, name string) error {
	file, err := e.readCharter(name)
	if err != nil {
		return err
	}
	r := &checkReport{}
	by := file.charter
	switch {
	case file.charter.Version == 1 && f.from.file != "":
		return usagef("%s is the first charter: it amends nothing, so leave out --from", name)
	case file.charter.Version == 1 && f.recover:
		return usagef("%s is the first charter: it recovers nothing", name)
	case file.charter.Version > 1 && f.from.file == "":
		return usagef("%s is version %d: give the charter before it as --from", name, file.charter.Version)
	case file.charter.Version > 1:
		now, err := e.readFrom(&f.from)
		if err != nil {
			return err
		}
		by = now.charter
		r.Problems = follows(file, now)
		if r.Changes, err = diffCharters(now.event, file.event); err != nil {
			return err
		}
	}
	needed := by.Thresholds.Amend
	if f.recover {
		needed = by.Thresholds.Recover
	}
	changes := r.Changes
	r.charterReport = newReport(file, needed)
	r.Changes = changes
	if err := checkCharter(file.event, file.charter); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	r.count(file, by)
	return e.printCheck(r, file, f)
}

// count judges the signatures.
func (r *checkReport) count(file *charterFile, by *event.Charter) {
	good := 0
	if file.envelope != nil {
		for _, s := range signatures(file.envelope, by) {
			r.Signers = append(r.Signers, signerJSON{s.founder, s.KeyID, s.problem == ""})
			if s.problem != "" {
				r.Problems = append(r.Problems, s.problem)
				continue
			}
			good++
		}
	}
	r.Signatures = good
	if missing := int(r.Needed) - good; missing > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d of %d signatures: %d more of the founders of version %d must sign", good, r.Needed, missing, by.Version))
	}
	r.Good = len(r.Problems) == 0
}

func (e *env) printCheck(r *checkReport, file *charterFile, f *checkFlags) error {
	var failed error
	if !r.Good {
		failed = &exitError{code: exitFailed}
	}
	if f.json {
		if err := e.printJSON(r); err != nil {
			return err
		}
		return failed
	}
	e.printf("%s: charter version %d of the log %s\n", r.File, r.Version, r.Log)
	for _, s := range r.Signers {
		e.printf("  signed by   %s\n", strings.TrimSpace(s.Founder+" "+s.KeyID))
	}
	if len(r.Changes) > 0 {
		e.printf("what it changes:\n")
		e.printChanges(r.Changes)
	}
	for _, p := range r.Problems {
		e.printf("PROBLEM: %s\n", p)
	}
	if !r.Good {
		return failed
	}
	e.printf("GOOD: %d signatures, %d needed; event hash %s, leaf hash %s\n", r.Signatures, r.Needed, r.Hash, r.Leaf)
	if f.recover {
		e.recoveryAdvice(file)
	}
	e.advise(file.charter)
	return nil
}

// recoveryAdvice says who has to get a recovery, since no log brings it.
func (e *env) recoveryAdvice(file *charterFile) {
	var who []string
	for _, p := range file.charter.Parties {
		if p.Role == event.RoleCustodian || p.Role == event.RoleAuditor {
			who = append(who, string(p.Role)+" "+p.Name)
		}
	}
	e.printf("The log takes it with: vasistas-log serve -recovery %s\n", file.name)
	e.printf("Give it to the operators of all gates, monitors and verifiers (%s); each confirms by name what it changes.\n", strings.Join(who, ", "))
}

// follows says why a charter is not the next version of another.
func follows(file *charterFile, now *current) []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if file.event.Log != now.event.Log {
		add("it is of the log %s, not %s", file.event.Log, now.event.Log)
	}
	if file.charter.Version != now.charter.Version+1 {
		add("it is version %d, and %s is version %d", file.charter.Version, now.name, now.charter.Version)
	}
	if prev := file.charter.Prev; prev == nil || *prev != now.ref {
		add("its prev is not entry %d as %s has it; a signature more makes another entry", now.ref.Index, now.name)
	}
	return problems
}
