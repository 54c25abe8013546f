// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log, a policy and a subject's seed.
type Config struct {
	// Config of the observed audit. Keep its snapshots secret: they have the content of
	// the subject's notices. One that does not fit is a [replica.SnapshotError]. SaveEvery
	// 0: 32,768. Run sets Observe, Use and Own.
	audit.Config

	// Seed of the subject's notice keys.
	Seed *escrow.Seed
	// Now is the present time: keys are tried up to the month after it.
	Now time.Time
}

// Run scans the log up to its present head. It returns an error if it read nothing: a
// member of c is missing, or the snapshot was refused. The report has all other errors.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Seed == nil || c.Client == nil {
		return nil, errors.New("scan: give a seed and the client of a log")
	}
	if c.Policy == nil {
		return nil, client.ErrNoPolicy
	}
	c.SaveEvery = cmp.Or(c.SaveEvery, 1<<15)
	// The next month's keys are tried too, since an encryptor's clock may be ahead.
	f := &finder{seed: c.Seed, last: max(escrow.PeriodOf(c.Now)+1, c.Seed.First), state: &state{Seed: seedName(c.Seed)}}
	r := &Report{From: c.Seed.First.String(), To: f.last.String()}
	c.Observe, c.Use, c.Own = f.observe, "scan", f.state
	r.Audit = audit.Run(ctx, c.Config)
	if err := r.Audit.Refused(); err != nil {
		return nil, err
	}
	r.Notices, r.Tries, r.Left = f.state.Notices, f.tries.Load(), f.state.Left
	j := &joiner{ctx: ctx, c: c, f: f, r: r}
	j.join()
	return r, nil
}

type joiner struct {
	ctx context.Context
	c   Config
	f   *finder
	r   *Report
}

func (j *joiner) join() {
	r := j.r
	if r.Audit.Complete && j.f.ledger != nil {
		o := j.f.ledger.Outstanding()
		r.Sealed = &Sealed{Releases: o.Releases, Notices: o.Notices, Never: o.Never, Last: o.Last, Live: o.Live}
	}
	for _, x := range j.f.state.Hits {
		j.add(x)
	}
	slices.SortStableFunc(r.Cases, func(a, b *Case) int { return cmp.Compare(a.access.Index, b.access.Index) })
	for _, c := range r.Cases {
		slices.SortStableFunc(c.Notices, func(a, b *Notice) int { return cmp.Compare(a.Release.Index, b.Release.Index) })
	}
	r.conclude()
}

// add adds a hit to its case, or to the unproven ones.
func (j *joiner) add(x *hit) {
	doubt := func(format string, args ...any) {
		j.r.Unproven = append(j.r.Unproven, Unproven{x.Disclosure, x.Digest.String(), x.Period, fmt.Sprintf(format, args...)})
	}
	if x.Error != "" {
		doubt("it opens under your key, but is not a notice: %s", x.Error)
		return
	}
	n, err := escrow.ParseNotice(x.Notice)
	if err != nil {
		doubt("%v", err)
		return
	}
	if j.f.ledger == nil {
		doubt("it could not be proven in this run")
		return
	}
	releases := x.Releases
	if len(releases) == 0 {
		releases = []event.Reference{x.Event} // the ledger has closed it, and its event may be the release
	}
	var file *notice.File
	var v *notice.Verified
	for _, r := range releases {
		if file, err = j.file(n, x.Digest, r); err == nil {
			v, err = file.Verify(j.c.Policy, verify.Options{Origin: j.c.Origin, Now: j.c.Now})
		}
		if err == nil {
			break
		}
	}
	if err != nil {
		doubt("%v", err)
		return
	}
	c := j.r.caseOf(n.Access)
	c.Notices = append(c.Notices, &Notice{Verified: v, Digest: x.Digest.String(), Disclosure: x.Disclosure, PublishedAfter: x.After,
		Period: x.Period, Effect: x.Effect, File: file})
	for _, b := range j.f.state.Breaches {
		if c.concerns(b.Index, v) && !slices.Contains(c.Breaches, b) {
			c.Breaches = append(c.Breaches, b)
		}
	}
}

// file collects the proofs of a notice under one head, and checks that the release states
// the notice's digest.
func (j *joiner) file(n *escrow.Notice, digest event.Digest, ref event.Reference) (file *notice.File, err error) {
	file = &notice.File{Notice: n}
	refs := []event.Reference{ref, n.Access}
	if n.Warrant != nil {
		refs = append(refs, *n.Warrant)
	}
	prove := func(r event.Reference) ([]byte, error) {
		p, err := j.c.Client.ProveAt(j.ctx, j.f.head, r.Index)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", r.Index, err)
		}
		return p.Bytes(), nil
	}
	var proofs [3][]byte
	var charters []event.Reference
	for i, r := range refs {
		if proofs[i], err = prove(r); err == nil && i == 0 {
			err = states(proofs[i], digest)
		}
		if err != nil {
			return nil, err
		}
		c := j.f.ledger.CharterAt(r.Index)
		if c == nil {
			return nil, fmt.Errorf("entry %d is before every charter", r.Index)
		}
		charters = append(charters, event.Reference{Index: c.Index, Leaf: c.Leaf})
	}
	file.Release, file.Access, file.Warrant = proofs[0], proofs[1], proofs[2]
	slices.SortFunc(charters, func(a, b event.Reference) int { return cmp.Compare(a.Index, b.Index) })
	for _, c := range slices.Compact(charters) {
		b, err := prove(c)
		if err != nil {
			return nil, err
		}
		file.Charters = append(file.Charters, b)
	}
	return file, nil
}

// states checks that an entry is a release that states the notice.
func states(proof []byte, digest event.Digest) error {
	p, err := tlog.ParseProof(proof)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(p.Extra)
	if err != nil {
		return err
	}
	r, ok := env.Event.Body.(*event.Release)
	if !ok || !slices.Contains(r.Notices, digest) {
		return errors.New("no release states it: a party that may sign disclosures and knows your public notice key may have made it up")
	}
	return nil
}
