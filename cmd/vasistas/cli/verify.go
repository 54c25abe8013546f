// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type verifyFlags struct {
	policy, origin, entry string
	audit, charter        string
	keys                  []string
	anyEntry, noClock     bool
	spread                uint64
	maxAge                time.Duration
	json                  bool
}

func (e *env) verify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify --policy FILE PROOF...",
		Short: "Verify proof files, notices and evidence of forks, offline",
		Long: `verify verifies proof files (C2SP tlog-proof), notices saved by 'vasistas scan
--save', and evidence of forks, under your policy. It uses no network.

It shows what a proof proves: the event, the log, the witnesses and their times. It
also shows what the proof leaves open: whether the signers held their roles, whether
limits were kept, and what was logged later. A notice has the proofs of a release, of
its access and warrant, and of the charters that name their signers; verify checks
the notice's openings against these entries. Names count if the charters are a chain
from entry 0 of the log on, each signed by the founders of the one before. Otherwise
they are printed as the file's claims.

Cosignatures count together if their times lie within a spread: that of the notice's
charter if that is proven, else 300 s, or --spread. verify prints which, and what your
policy bears: see 'vasistas policy explain'.

With --charter an event is proven only if parties of that charter signed it; verify
names them with their roles. Get the charter from a source that you trust. Only an audit
of the whole log shows whether they may sign such an event: see 'vasistas audit'.

Evidence of a fork is what mirrors, witnesses, auditors and gates keep of a log that
signed two heads of which neither extends the other. It needs only the policy's log
line.

With --audit a file is proven only if auditors vouched for its checkpoint, too, as for
those of 'vasistas prove --audited'. Give the audit policy, or a charter that has it;
both count as yours, so get them from a source that you trust. verify prints which
auditors cosigned, and when.

Exit code: 0 if all files are proven, 1 if one is disproven, else 2 if verify can't
tell: a file or the policy can't be read, the policy does not have the log, a file's
checkpoint is older than --max-age, or a notice's charters don't prove who signed.`,
		Example: `  vasistas verify --policy policy.txt warrant.tlog-proof
  vasistas verify --policy policy.txt --charter charter.event warrant.tlog-proof
  vasistas verify --policy policy.txt --key judge.pem.pub --json *.tlog-proof`,
		Args: cobra.MinimumNArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runVerify(&f, args) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy file with the log and the witnesses that you trust")
	fl.StringVar(&f.audit, "audit", "", "audit policy file, or a charter's event or proof file: its auditors must have vouched")
	fl.StringVar(&f.charter, "charter", "", "charter's event or proof file: its parties must have signed the event, and are named")
	fl.StringVar(&f.origin, "origin", "", "origin of the log (default: the name of its key in the policy)")
	fl.StringVar(&f.entry, "entry", "", "file with the exact entry, if the proof does not carry it")
	fl.StringArrayVar(&f.keys, "key", nil, "public key file of a signer, to verify all signatures of the event (repeatable)")
	fl.BoolVar(&f.anyEntry, "any-entry", false, "accept entries that are not events, as in other logs")
	fl.Uint64Var(&f.spread, "spread", tlog.DefaultSpread, "seconds within which cosignatures count together, if a file proves no charter")
	durationVar(c, &f.maxAge, "max-age", 0, "greatest age of a file's checkpoint, like 10m or 2d; an older one is undecided (default: any age)")
	fl.BoolVar(&f.noClock, "no-clock", false, "accept cosignatures that are in the future by this machine's clock")
	fl.BoolVar(&f.json, "json", false, "print one line of JSON for each proof")
	c.MarkFlagRequired("policy")
	c.MarkFlagsMutuallyExclusive("key", "charter")
	return c
}

func (e *env) runVerify(f *verifyFlags, files []string) error {
	policy, err := e.readPolicy(f.policy)
	if err != nil {
		return err
	}
	policy = policy.WithSpread(f.spread)
	o, charter, err := e.verifyOptions(f)
	if err != nil {
		return err
	}
	worst := verify.Proven
	for _, name := range files {
		b, err := e.read(name, max(tlog.MaxProofSize, tlog.MaxForkSize, notice.MaxFileSize))
		in, v, fork := (*verify.Inclusion)(nil), (*notice.Verified)(nil), (*tlog.Fork)(nil)
		if err == nil && bytes.HasPrefix(b, []byte(`{"small":`)) { // evidence of a fork
			fork, err = verifyFork(policy, b, f.origin)
		} else if err == nil {
			in, v, err = verifyFile(policy, b, f.anyEntry, o)
		}
		if verdict := verify.VerdictOf(err); worst != verify.Disproven && verdict != verify.Proven {
			worst = verdict
		}
		line, text := describe(name, in, v, fork, err, policy, charter)
		if f.json {
			if err := e.printJSON(line); err != nil {
				return err
			}
			continue
		} else if len(files) > 1 {
			e.printf("%s: ", name)
		}
		e.printf("%s%s", text, command.Advice(err))
	}
	if !f.json {
		e.printf("What your policy bears:\n")
		e.printStrength(policy)
	}
	if worst != verify.Proven {
		return &exitError{code: int(worst)}
	}
	return nil
}

// verifyOptions returns the options of the flags, and the charter that names signers, if there is one.
func (e *env) verifyOptions(f *verifyFlags) (o verify.Options, charter *event.Charter, err error) {
	o = verify.Options{Origin: f.origin, MaxAge: f.maxAge}
	if !f.noClock {
		o.Now = time.Now()
	} else if f.maxAge > 0 {
		return o, nil, usagef("--max-age needs this machine's clock; leave out --no-clock")
	}
	if f.entry != "" {
		if o.Entry, err = e.read(f.entry, tlog.MaxEntrySize); err != nil {
			return o, nil, err
		}
	}
	if len(f.keys) > 0 {
		if o.Signers, err = loadSigners(f.keys); err != nil {
			return o, nil, err
		}
	}
	if f.charter != "" {
		file, err := e.readCharter(f.charter)
		if err != nil {
			return o, nil, err
		}
		charter = file.charter
		var keys []*event.PublicKey
		for _, p := range charter.Parties {
			keys = append(keys, p.Keys...)
		}
		o.Signers = byID(keys)
		o.Origin = cmp.Or(f.origin, file.event.Log)
	}
	if f.audit != "" {
		o.Audit, err = readAs(e, f.audit, tlog.MaxProofSize, auditPolicy)
	}
	return o, charter, err
}

// auditPolicy parses an audit policy, or a charter with one. It must ask for auditors.
func auditPolicy(b []byte) (*tlog.Policy, error) {
	if env, err := parseEntry(b); err == nil {
		ch, ok := env.Event.Body.(*event.Charter)
		if !ok {
			return nil, fmt.Errorf("it is a %s, and no charter", env.Event.Type)
		}
		b = []byte(ch.AuditPolicy)
	}
	p, err := tlog.ParsePolicy(b)
	if err == nil && !p.NeedsWitnesses() {
		err = errors.New("it asks for no auditors")
	}
	return p, err
}

// describe returns the result for a file, as JSON and as text. charter may be nil.
func describe(name string, in *verify.Inclusion, v *notice.Verified, fork *tlog.Fork, err error, policy *tlog.Policy, charter *event.Charter) (any, string) {
	if fork != nil {
		return forkJSON{name, verify.Proven.String(), fork}, english.Fork(fork)
	}
	if v != nil {
		return english.NoticeJSON(name, v, policy), english.Notice(v)
	}
	var r *verify.Report
	if err != nil {
		r = verify.Failure(err)
	} else {
		r = in.Report()
		for i := 0; charter != nil && r.Event != nil && i < len(r.Event.Keys); i++ {
			p := charter.Holder(r.Event.Keys[i])
			r.Event.Signers = append(r.Event.Signers, string(p.Role)+" "+p.Name)
		}
	}
	return verifiedJSON{name, r, english.PolicyJSON(policy)}, english.Proof(r)
}

type verifiedJSON struct {
	File string `json:"file"`
	*verify.Report
	Strength english.StrengthJSON `json:"strength"`
}

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
	keys, err := command.Each(names, eventkey.LoadPublic)
	return byID(keys), err
}

func byID(keys []*event.PublicKey) func(string) *event.PublicKey {
	ids := make(map[string]*event.PublicKey, len(keys))
	for _, k := range keys {
		ids[k.KeyID()] = k
	}
	return func(id string) *event.PublicKey { return ids[id] }
}

// parseEntry parses a signed event, or a proof file with one.
func parseEntry(b []byte) (*event.Envelope, error) {
	b, _, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	return event.ParseEnvelope(b)
}

func verifyFork(policy *tlog.Policy, b []byte, origin string) (*tlog.Fork, error) {
	f, err := tlog.ParseFork(b)
	if err != nil {
		return nil, &verify.Error{Reason: verify.Malformed, Err: err}
	}
	if err := verify.Fork(policy, f, origin); err != nil {
		return nil, err
	}
	return f, nil
}

type forkJSON struct {
	File    string     `json:"file"`
	Verdict string     `json:"verdict"`
	Fork    *tlog.Fork `json:"fork"`
}
