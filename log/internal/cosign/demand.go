// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/tlog"
)

// maxLines is how many signature lines a published checkpoint has at most: what
// every reader of notes must accept (signed-note, "Format").
const maxLines = 16

// Demand is the policies that the cosignatures of a head must meet. Those of the
// charters bind; that of the operator asks for more, and says where witnesses are.
type Demand struct {
	policies  []*tlog.Policy
	own       *tlog.Policy          // the operator's, which is also in policies; or nil
	witnesses []*tlog.PolicyWitness // of all policies, each key once, with a URL if any policy has one
}

// Lines are cosignatures of one head, by vkey.
type Lines map[string]tlog.Cosignature

// NewDemand returns the demand of the charters' policies, of which the last is in force,
// and the operator's, which may be nil. The operator's counts with the spread in force.
func NewDemand(charters []*tlog.Policy, own *tlog.Policy) *Demand {
	d := &Demand{policies: slices.Clone(charters)}
	if own != nil {
		if n := len(charters); n > 0 {
			own = own.WithSpread(charters[n-1].Spread)
		}
		d.own = own
		d.policies = append(d.policies, own)
	}
	place := make(map[string]int)
	for _, p := range slices.Backward(d.policies) { // the operator's URLs count first
		for i := range p.Witnesses {
			w := p.Witnesses[i]
			key := w.Key.String()
			at, ok := place[key]
			if !ok {
				at = len(d.witnesses)
				place[key] = at
				d.witnesses = append(d.witnesses, &w)
			}
			if d.witnesses[at].URL == "" {
				d.witnesses[at].URL = w.URL
			}
		}
	}
	return d
}

// satisfied returns whether the witnesses that has returns true for, by vkey, meet
// every policy.
func (d *Demand) satisfied(has func(key string) bool) bool {
	for _, p := range d.policies {
		if !p.Satisfied(func(i int) bool { return has(p.Witnesses[i].Key.String()) }) {
			return false
		}
	}
	return true
}

// anySatisfied returns whether they meet a policy that asks for witnesses.
func (d *Demand) anySatisfied(has func(key string) bool) bool {
	return slices.ContainsFunc(d.policies, func(p *tlog.Policy) bool {
		return p.NeedsWitnesses() && p.Satisfied(func(i int) bool { return has(p.Witnesses[i].Key.String()) })
	})
}

// NeedsWitnesses returns whether any policy asks for a witness.
func (d *Demand) NeedsWitnesses() bool {
	return slices.ContainsFunc(d.policies, (*tlog.Policy).NeedsWitnesses)
}

// window returns vkeys of lines that meet every policy, each in a window of its spread:
// the latest such windows, and few lines of them. Those of the policy in force come
// first, so that each reader finds the same times. The error is that of
// [tlog.Policy.Window].
func (d *Demand) window(have Lines) (set []string, err error) {
	charters := len(d.policies)
	if d.own != nil {
		charters--
	}
	inOrder := slices.Clone(d.policies)
	slices.Reverse(inOrder[:charters])
	for _, p := range inOrder {
		times := make(tlog.Times)
		for i := range p.Witnesses {
			if l, ok := have[p.Witnesses[i].Key.String()]; ok {
				times[i] = l.Time
			}
		}
		w, err := p.Window(times)
		if err != nil {
			return nil, err
		}
		for _, i := range w.Set {
			if key := p.Witnesses[i].Key.String(); !slices.Contains(set, key) {
				set = append(set, key)
			}
		}
	}
	return set, nil
}

// Verify checks the lines of a checkpoint against every policy. The charters say which
// keys are the log's, so the log lines of the operator's policy do not count.
func (d *Demand) Verify(cp *tlog.Checkpoint, origin string) error {
	for _, p := range d.policies {
		if p == d.own {
			continue
		}
		if _, err := p.Verify(cp, origin); err != nil {
			return err
		}
	}
	if d.own == nil {
		return nil
	}
	times := make(tlog.Times)
	for i, w := range d.own.Witnesses {
		if line := cp.Find(w.Key); line != nil {
			t, err := w.Key.Verify(&cp.Head, line)
			if err != nil {
				return fmt.Errorf("cosignature of witness %s: %w", w.Name, err)
			}
			times[i] = t
		}
	}
	if _, err := d.own.Window(times); err != nil {
		return fmt.Errorf("the operator's policy: %w", err)
	}
	return nil
}

// errUnreachable: the demand can't be met by witnesses that have URLs.
var errUnreachable = errors.New("the witness policy can't be met: too many of its witnesses have no URL; " +
	"name them with -policy, or in an amendment")

// Reachable checks that witnesses with URLs can meet the demand, that the log can
// hear so many of them that no quorum is unheard, and that the cosignatures fit into
// a checkpoint with own lines of the log.
func (d *Demand) Reachable(own int) error {
	asked, all := make(map[string]bool), make(Lines)
	for _, w := range d.witnesses {
		asked[w.Key.String()] = w.URL != ""
		all[w.Key.String()] = tlog.Cosignature{}
	}
	if set, _ := d.window(all); own+len(set) > maxLines {
		return fmt.Errorf("the witness policy needs %d cosignatures, and a checkpoint has room for %d besides the log's own; ask for a smaller quorum",
			len(set), maxLines-own)
	}
	if !d.satisfied(func(key string) bool { return asked[key] }) {
		return errUnreachable
	}
	if d.anySatisfied(func(key string) bool { return !asked[key] }) {
		return fmt.Errorf("the witness policy can be met by witnesses without a URL: " +
			"the log could never know that they have seen no later head; give them URLs, or ask for a larger quorum")
	}
	return nil
}

// assemble returns the head with a satisfying set first, and then the other lines that
// fit.
func (d *Demand) assemble(head *tlog.Checkpoint, set []string, have Lines) *tlog.Checkpoint {
	cp := &tlog.Checkpoint{Head: head.Head}
	cp.Signatures = append(cp.Signatures, head.Signatures...)
	for _, key := range set {
		cp.Signatures = append(cp.Signatures, *have[key].Line)
	}
	for _, w := range d.witnesses {
		key := w.Key.String()
		if l, ok := have[key]; ok && !slices.Contains(set, key) && len(cp.Signatures) < maxLines {
			cp.Signatures = append(cp.Signatures, *l.Line)
		}
	}
	return cp
}
