// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/notices"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
)

type verifyFlags struct {
	policy, origin, entry string
	seed                  string
	keys                  []string
	anyEntry, noClock     bool
	json                  bool
}

func (e *env) verify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify --policy FILE PROOF...",
		Short: "Verify proof files, offline",
		Long: `verify judges proof files (C2SP tlog-proof) under your policy. It uses no
network.

It says what a proof shows: the event, the log, the witnesses and the times they
vouch for; and what it does not: whether the signers hold the roles they claim,
whether limits were kept, and what was logged later.

A notice file, which 'vasistas scan --out' writes, is verified with the proofs in it:
that the log's entries have sealed what the notice says. With --seed its ciphertext
is opened too.

Exit code: 0 if all are proven, 1 if one is disproven, else 2 if it could not
tell: a file or the policy can't be read, or the policy does not know the log.`,
		Example: `  vasistas verify --policy policy.txt warrant.tlog-proof
  vasistas verify --policy policy.txt --key judge.pem.pub --json *.tlog-proof`,
		Args: cobra.MinimumNArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runVerify(&f, args) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy file: which log and which witnesses you believe")
	fl.StringVar(&f.origin, "origin", "", "origin of the log (default: the name of its key in the policy)")
	fl.StringVar(&f.entry, "entry", "", "file with the exact entry, if the proof does not carry it")
	fl.StringArrayVar(&f.keys, "key", nil, "public key file of a signer: then all signatures of the event are checked (repeatable)")
	fl.StringVar(&f.seed, "seed", "", "file of the seed to whose keys notices are")
	fl.BoolVar(&f.anyEntry, "any-entry", false, "accept entries that are not events: of other logs")
	fl.BoolVar(&f.noClock, "no-clock", false, "don't mind cosignatures that are in the future for this machine's clock")
	fl.BoolVar(&f.json, "json", false, "print one line of JSON for each proof")
	c.MarkFlagRequired("policy")
	return c
}

// printReport prints the line of --json for a file.
func (e *env) printReport(name string, r report) error {
	if n, ok := r.(*noticeReport); ok {
		return e.printJSON(struct {
			File string `json:"file"`
			*noticeReport
		}{name, n})
	}
	return e.printJSON(struct {
		File string `json:"file"`
		*verify.Report
	}{name, r.(*verify.Report)})
}

func (e *env) runVerify(f *verifyFlags, files []string) error {
	policy, err := e.readPolicy(f.policy)
	if err != nil {
		return &exitError{int(verify.Undecided), err}
	}
	o := verify.Options{Origin: f.origin}
	if !f.noClock {
		o.Now = time.Now()
	}
	if f.entry != "" {
		if o.Entry, err = e.read(f.entry, tiles.MaxEntrySize); err != nil {
			return &exitError{int(verify.Undecided), err}
		}
	}
	if len(f.keys) > 0 {
		if o.Signers, err = loadSigners(f.keys); err != nil {
			return &exitError{int(verify.Undecided), err}
		}
	}
	var seed *escrow.Seed
	if f.seed != "" {
		if seed, err = e.readSeed(f.seed); err != nil {
			return &exitError{int(verify.Undecided), err}
		}
	}
	worst := verify.Proven
	for _, name := range files {
		report, verdict := e.verifyFile(policy, name, f.anyEntry, o, seed)
		if worst != verify.Disproven && verdict != verify.Proven {
			worst = verdict
		}
		if f.json {
			if err := e.printReport(name, report); err != nil {
				return err
			}
			continue
		}
		if len(files) > 1 {
			e.printf("%s: ", name)
		}
		e.printf("%s", report.Text())
	}
	if worst != verify.Proven {
		return &exitError{code: int(worst)}
	}
	return nil
}

// report is a result of verify, for people; it is printed as it is with --json.
type report interface{ Text() string }

func (e *env) verifyFile(policy *c2sp.Policy, name string, anyEntry bool, o verify.Options, seed *escrow.Seed) (report, verify.Verdict) {
	b, err := e.read(name, max(c2sp.MaxProofSize, notices.MaxFileSize))
	if err == nil && bytes.HasPrefix(b, []byte(notices.FilePrefix)) {
		return verifyNotice(policy, b, o, seed)
	}
	if err == nil && len(b) > c2sp.MaxProofSize {
		err = fmt.Errorf("reading %s: it has more than %d bytes", name, c2sp.MaxProofSize)
	}
	var in *verify.Inclusion
	if err == nil && anyEntry {
		in, err = verify.Entry(policy, b, o)
	} else if err == nil {
		in, err = verify.Proof(policy, b, o)
	}
	if err != nil {
		return verify.Failure(err), verify.VerdictOf(err)
	}
	return in.Report(), verify.Proven
}

// noticeReport is the result for a notice file.
type noticeReport struct {
	Verdict string                    `json:"verdict"`
	Error   string                    `json:"error,omitempty"`
	Case    *notices.Case             `json:"case,omitempty"`
	Entries map[string]*verify.Report `json:"entries,omitempty"`
}

func (r *noticeReport) Text() string {
	if r.Case == nil {
		return fmt.Sprintf("NOT PROVEN (%s)\n  %q\n", r.Verdict, r.Error)
	}
	s := "PROVEN: " + r.Case.Text()
	for _, name := range slices.Sorted(maps.Keys(r.Entries)) {
		s += "The " + name + ": " + r.Entries[name].Text()
	}
	return s
}

func verifyNotice(policy *c2sp.Policy, b []byte, o verify.Options, seed *escrow.Seed) (report, verify.Verdict) {
	f, err := notices.ParseFile(b)
	var v *notices.Verified
	if err == nil {
		v, err = f.Verify(policy, o, seed)
	}
	if err != nil {
		verdict := verify.VerdictOf(err)
		if errors.Is(err, notices.ErrContradiction) || errors.Is(err, escrow.ErrMalformed) {
			verdict = verify.Disproven
		}
		return &noticeReport{Verdict: verdict.String(), Error: err.Error()}, verdict
	}
	return &noticeReport{Verdict: verify.Proven.String(), Case: v.Case, Entries: v.Report()}, verify.Proven
}

func loadSigners(names []string) (func(string) *event.PublicKey, error) {
	keys := make(map[string]*event.PublicKey, len(names))
	for _, name := range names {
		k, err := eventkey.LoadPublic(name)
		if err != nil {
			return nil, err
		}
		keys[k.KeyID()] = k
	}
	return func(id string) *event.PublicKey { return keys[id] }, nil
}
