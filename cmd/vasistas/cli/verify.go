// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type verifyFlags struct {
	policy, origin, entry string
	keys                  []string
	anyEntry, noClock     bool
	json                  bool
}

func (e *env) verify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify --policy FILE PROOF...",
		Short: "Verify proof files and notices, offline",
		Long: `verify verifies proof files (C2SP tlog-proof), and notices saved by 'vasistas scan
--save', under your policy. It uses no network.

It shows what a proof proves: the event, the log, the witnesses and their times. It
also shows what the proof leaves open: whether the signers held their roles, whether
limits were kept, and what was logged later. A notice has the proofs of a release, of
its access and warrant, and of the charters that name their signers; verify checks
the notice's openings against these entries.

Exit code: 0 if all files are proven, 1 if one is disproven, else 2 if verify can't
tell: a file or the policy can't be read, or the policy does not have the log.`,
		Example: `  vasistas verify --policy policy.txt warrant.tlog-proof
  vasistas verify --policy policy.txt --key judge.pem.pub --json *.tlog-proof`,
		Args: cobra.MinimumNArgs(1),
		RunE: orExit(int(verify.Undecided), func(_ context.Context, args []string) error { return e.runVerify(&f, args) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy file with the log and the witnesses that you trust")
	fl.StringVar(&f.origin, "origin", "", "origin of the log (default: the name of its key in the policy)")
	fl.StringVar(&f.entry, "entry", "", "file with the exact entry, if the proof does not carry it")
	fl.StringArrayVar(&f.keys, "key", nil, "public key file of a signer, to verify all signatures of the event (repeatable)")
	fl.BoolVar(&f.anyEntry, "any-entry", false, "accept entries that are not events, as in other logs")
	fl.BoolVar(&f.noClock, "no-clock", false, "accept cosignatures that are in the future by this machine's clock")
	fl.BoolVar(&f.json, "json", false, "print one line of JSON for each proof")
	c.MarkFlagRequired("policy")
	return c
}

func (e *env) runVerify(f *verifyFlags, files []string) error {
	policy, err := e.readPolicy(f.policy)
	if err != nil {
		return err
	}
	o := verify.Options{Origin: f.origin}
	if !f.noClock {
		o.Now = time.Now()
	}
	if f.entry != "" {
		if o.Entry, err = e.read(f.entry, tlog.MaxEntrySize); err != nil {
			return err
		}
	}
	if len(f.keys) > 0 {
		if o.Signers, err = loadSigners(f.keys); err != nil {
			return err
		}
	}
	worst := verify.Proven
	for _, name := range files {
		b, err := e.read(name, max(tlog.MaxProofSize, notice.MaxFileSize))
		var in *verify.Inclusion
		var v *notice.Verified
		if err == nil {
			in, v, err = verifyFile(policy, b, f.anyEntry, o)
		}
		if verdict := verify.VerdictOf(err); worst != verify.Disproven && verdict != verify.Proven {
			worst = verdict
		}
		line, text := describe(name, in, v, err)
		if f.json {
			if err := e.printJSON(line); err != nil {
				return err
			}
			continue
		}
		if len(files) > 1 {
			e.printf("%s: ", name)
		}
		e.printf("%s", text)
	}
	if worst != verify.Proven {
		return &exitError{code: int(worst)}
	}
	return nil
}

// describe returns the result for a file, as JSON and as text.
func describe(name string, in *verify.Inclusion, v *notice.Verified, err error) (any, string) {
	if v != nil {
		return english.NoticeJSON(name, v), english.Notice(v)
	}
	var r *verify.Report
	if err != nil {
		r = verify.Failure(err)
	} else {
		r = in.Report()
	}
	return struct {
		File string `json:"file"`
		*verify.Report
	}{name, r}, english.Proof(r)
}

// verifyFile verifies a proof file or a notice file.
func verifyFile(policy *tlog.Policy, b []byte, anyEntry bool, o verify.Options) (in *verify.Inclusion, v *notice.Verified, err error) {
	switch {
	case notice.Is(b):
		f, err := notice.Parse(b)
		if err == nil {
			v, err = f.Verify(policy, o)
		}
		return nil, v, err
	case len(b) > tlog.MaxProofSize:
		err = fmt.Errorf("it has more than %d bytes", tlog.MaxProofSize)
	case anyEntry:
		in, err = verify.Entry(policy, b, o)
	default:
		in, err = verify.Proof(policy, b, o)
	}
	return in, nil, err
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
