// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/tlog"
)

// demand is what the cosignatures of a head must meet: each of its policies. Those
// of the charters bind; one that the operator gave asks for more, and says where
// witnesses are.
type demand struct {
	policies  []*tlog.Policy
	own       *tlog.Policy          // the operator's, which is also in policies; or nil
	witnesses []*tlog.PolicyWitness // of all policies, each key once, with a URL if any policy has one
}

// lines are cosignatures of one head, by vkey.
type lines map[string]tlog.Cosignature

// newDemand makes a demand of the charters' policies and the operator's, which may
// be nil.
func newDemand(charters []*tlog.Policy, own *tlog.Policy) *demand {
	d := &demand{policies: slices.Clone(charters), own: own}
	if own != nil {
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
func (d *demand) satisfied(has func(key string) bool) bool {
	for _, p := range d.policies {
		if !p.Satisfied(func(i int) bool { return has(p.Witnesses[i].Key.String()) }) {
			return false
		}
	}
	return true
}

// anySatisfied returns whether they meet a policy that asks for witnesses.
func (d *demand) anySatisfied(has func(key string) bool) bool {
	return slices.ContainsFunc(d.policies, func(p *tlog.Policy) bool {
		return p.NeedsWitnesses() && p.Satisfied(func(i int) bool { return has(p.Witnesses[i].Key.String()) })
	})
}

// needsWitnesses returns whether any policy asks for one.
func (d *demand) needsWitnesses() bool {
	return slices.ContainsFunc(d.policies, (*tlog.Policy).NeedsWitnesses)
}

// smallest returns vkeys, of those that there are lines of, that meet every policy,
// and few of them.
func (d *demand) smallest(have lines) (set []string, ok bool) {
	for _, p := range d.policies {
		one, ok := p.SmallestSet(func(i int) bool { _, ok := have[p.Witnesses[i].Key.String()]; return ok })
		if !ok {
			return nil, false
		}
		for _, i := range one {
			if key := p.Witnesses[i].Key.String(); !slices.Contains(set, key) {
				set = append(set, key)
			}
		}
	}
	return set, true
}

// verify checks the very lines of a checkpoint against every policy. Which keys are
// the log's, the charters say: the log lines of the operator's policy are not asked.
func (d *demand) verify(cp *tlog.Checkpoint, origin string) error {
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
	has := make([]bool, len(d.own.Witnesses))
	for i, w := range d.own.Witnesses {
		if line := cp.Find(w.Key); line != nil {
			if _, err := w.Key.Verify(&cp.Head, line); err != nil {
				return fmt.Errorf("cosignature of witness %s: %w", w.Name, err)
			}
			has[i] = true
		}
	}
	if !d.own.Satisfied(func(i int) bool { return has[i] }) {
		return fmt.Errorf("%w that the operator gave", tlog.ErrNoQuorum)
	}
	return nil
}

// errUnreachable: the demand can't be met by witnesses that have URLs.
var errUnreachable = errors.New("the witness policy can't be met: too many of its witnesses have no URL; " +
	"name them with -policy, or in an amendment")

// reachable checks that witnesses with URLs can meet the demand, that the log can
// hear so many of them that no quorum is unheard, and that the cosignatures fit into
// a checkpoint beside the log's own lines.
func (d *demand) reachable(own int) error {
	asked, all := make(map[string]bool), make(lines)
	for _, w := range d.witnesses {
		asked[w.Key.String()] = w.URL != ""
		all[w.Key.String()] = tlog.Cosignature{}
	}
	if set, _ := d.smallest(all); own+len(set) > maxLines {
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
