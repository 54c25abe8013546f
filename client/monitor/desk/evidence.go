// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Files of an evidence bundle.
const (
	readmeFile = "README.txt"
	entryFile  = "entry.json"
	proofFile  = "entry-%d.tlog-proof"
	policyFile = "policy.txt"
	charterOf  = "charter-%d.tlog-proof"
)

// evidence is a zip file that proves, without this monitor and the log, that an entry is in the log.
func evidence(q *Request) (*Answer, error) {
	v, err := q.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	d, err := q.detail(v)
	if err != nil {
		return nil, err
	}
	p, policy, err := q.Log.evidence(q.HTTP.Context(), d.Index)
	if err != nil {
		return nil, err
	}
	charter, err := q.charter(v, d, p.Checkpoint)
	if err != nil {
		return nil, err
	}
	b, err := q.bundle(d, p, policy, charter)
	if err != nil {
		return nil, err
	}
	return &Answer{Type: "application/zip", Name: fmt.Sprintf("evidence-entry-%d.zip", d.Index), Stream: func() ([]byte, error) {
		part := b
		b = nil
		return part, nil
	}}, nil
}

// evidence returns a proof under the copy's newest head, and the policy that accepts it: with the spread that
// the head's cosignatures need, if that is more than a verifier allows by default.
func (l *Log) evidence(ctx context.Context, n uint64) (*tlog.Proof, *tlog.Policy, error) {
	if l.Copy == nil || l.Copy.Head() == nil {
		return nil, nil, errNotFound
	}
	head := l.Copy.Head()
	p, err := l.proveAt(ctx, n, head)
	if err != nil {
		return nil, nil, err
	}
	policy := l.Copy.Policy().WithSpread(tlog.DefaultSpread)
	if _, err := policy.Verify(head, l.Origin); errors.Is(err, tlog.ErrNoQuorum) {
		any, err := policy.WithSpread(tlog.NoSpread).Verify(head, l.Origin)
		if err != nil {
			return nil, nil, err
		}
		first, last := uint64(math.MaxUint64), uint64(0)
		for _, w := range any.Witnesses {
			first, last = min(first, w.Time), max(last, w.Time)
		}
		policy = policy.WithSpread(last - first)
	}
	_, err = verify.Entry(policy, p.Bytes(), verify.Options{Origin: l.Origin})
	return p, policy, err
}

// charter returns the proof, under a head, of the charter that names the signers of an entry. nil: the entry is the first charter, or
// no charter allowed its signers to sign it.
func (q *Request) charter(v *index.View, d *index.Detail, head *tlog.Checkpoint) (*tlog.Proof, error) {
	n, ok, err := v.Charter(q.HTTP.Context(), d.Index)
	if err != nil || !ok || !slices.ContainsFunc(d.Names, func(n facts.Name) bool { return isRole(n.Member) }) {
		return nil, err
	}
	return q.Log.proveAt(q.HTTP.Context(), n, head)
}

// bundle makes the zip file. Its bytes depend on the proof and the language alone.
func (q *Request) bundle(d *index.Detail, p *tlog.Proof, policy *tlog.Policy, charter *tlog.Proof) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	proof := fmt.Sprintf(proofFile, p.Index)
	type file struct {
		name string
		body []byte
	}
	files := []file{{readmeFile, nil}, {entryFile, p.Extra}, {proof, p.Bytes()}, {policyFile, policy.Bytes()}}
	signed := "" // the file of the signers' charter
	if charter != nil {
		signed = fmt.Sprintf(charterOf, charter.Index)
		files = append(files, file{signed, charter.Bytes()})
	}
	files[0].body = []byte(q.readme(d, p, policy, proof, signed))
	for _, f := range files {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write(f.body)
		}
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// readme says in plain words what a bundle proves and how to verify it.
func (q *Request) readme(d *index.Detail, p *tlog.Proof, policy *tlog.Policy, proof, charter string) string {
	var b strings.Builder
	head := p.Checkpoint
	said := func(indent string, lines ...string) {
		for _, line := range lines {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
		}
	}
	said("", q.T("evidence.title", q.Number(p.Index), q.Log.Origin), "", q.T("evidence.what"), "", q.T("evidence.said"))
	var e *event.Event
	if env, err := event.ParseEnvelope(p.Extra); err == nil {
		e = env.Event
	}
	told := q.tell(e, q.signers(&d.Entry))
	said("  ", told.Sentence)
	for _, f := range told.Fields {
		said("  ", f.Name+": "+f.String())
	}
	for i := range d.Violations {
		if broke := q.broke(&d.Violations[i], d); broke != "" {
			said("", "", broke+" ("+q.T("entry.seen", q.N(d.Violations[i].Seen))+")", clean(d.Violations[i].Text))
		}
	}
	said("", "", q.T("evidence.times"))
	said("  ", q.T("entry.after")+": "+q.when(d.After, "entry.after.unknown"), q.T("entry.before")+": "+q.when(d.Before, "entry.before.unknown"))
	if e != nil {
		said("  ", q.T("entry.claimed")+": "+q.When(d.Claimed)+". "+q.T("entry.claim"))
	}
	said("  ", q.T("evidence.before"))
	said("", "", q.T("evidence.files"))
	said("  ", q.T("evidence.file.readme"), q.T("evidence.file.entry"), q.T("evidence.file.proof", proof), q.T("evidence.file.policy"))
	if charter != "" {
		said("  ", q.T("evidence.file.charter", charter))
	}
	said("", "", q.T("evidence.how"), "")
	said("    ", verifyCommand(policy, proof, charter))
	said("", "", q.T("evidence.sure"), "", q.T("evidence.not"), "", q.T("evidence.source", q.N(head.Size), head.Root.String()))
	if q.Report().Unpinned {
		said("", "", q.T("evidence.unpinned"))
	}
	return b.String()
}

// verifyCommand verifies a bundle in its folder.
func verifyCommand(policy *tlog.Policy, proof, charter string) string {
	command := "vasistas verify --policy " + policyFile
	if policy.Spread != tlog.DefaultSpread {
		command += fmt.Sprintf(" --spread %d", policy.Spread)
	}
	if charter == "" {
		return command + " " + proof
	}
	// The charter names the signers, so its own proof is verified too.
	return command + " --charter " + charter + " " + proof + " " + charter
}
