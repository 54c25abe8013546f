// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/vault"
)

// ErrOrigin: an event names another log. Other refusals are the errors of package event,
// *[vault.SubmissionError], and *[RuleError].
var ErrOrigin = errors.New("the event is for another log")

// admission checks what does not depend on the order of entries; liveLedger.add checks
// the rest. It is safe for concurrent use.
type admission struct {
	origin string
	ledger *liveLedger
	clock  *cosign.Clock
}

// admitted is an event on its way into the log.
type admitted struct {
	kind       event.Type
	entry      []byte
	env        *event.Envelope
	hash       [32]byte // of the event
	leaf       [32]byte
	signatures []ledger.SigState
	submitted  *event.Submission // with openings and notices; nil once they are checked
	record     *vault.Record     // openings and notices, checked; nil: none
	extends    *event.Reference  // that a warrant seals; nil: none
}

func newAdmitted(env *event.Envelope, entry []byte) *admitted {
	return &admitted{kind: env.Event.Type, entry: entry, env: env, hash: env.Hash(), leaf: tiles.LeafHash(entry)}
}

// next returns the event as the next entry of a ledger.
func (ev *admitted) next() ledger.Entry {
	return ledger.Entry{Leaf: ev.leaf, Envelope: ev.env, Hash: ev.hash, Signatures: ev.signatures, Extends: ev.extends}
}

// read parses a submission, and checks its origin and its signatures. Its bytes must not change until
// the field submitted of the result is nil. The error wraps event.ErrMalformed, event.ErrTooLarge,
// [ErrOrigin], event.ErrUnknownSigner or event.ErrBadSignature.
func (a *admission) read(submission []byte) (*admitted, error) {
	s, err := event.ParseSubmission(submission)
	if err != nil {
		return nil, err
	}
	if name := s.Envelope.Event.Log; name != a.origin {
		return nil, fmt.Errorf("%w: it names %q, and this is %q", ErrOrigin, name, a.origin)
	}
	signatures, err := a.verify(s.Envelope)
	if err != nil {
		return nil, err
	}
	ev := newAdmitted(s.Envelope, bytes.Clone(s.Entry()))
	ev.submitted, ev.signatures = s, signatures
	return ev, nil
}

// verify verifies all signatures, by keys that a charter names or ever named, and in
// an amendment also by keys that it brings, which the rules then check.
func (a *admission) verify(env *event.Envelope) ([]ledger.SigState, error) {
	keys := a.ledger.view.Load().keys
	ch, amends := env.Event.Body.(*event.Charter)
	err := env.Verify(func(id string) *event.PublicKey {
		if k := keys[id]; k != nil || !amends {
			return k
		}
		if p := ch.Holder(id); p != nil {
			for _, k := range p.Keys {
				if k.KeyID() == id {
					return k
				}
			}
		}
		return nil
	})
	if errors.Is(err, event.ErrUnknownSigner) {
		err = fmt.Errorf("%w, which no charter of this log names", err)
	}
	return slices.Repeat([]ledger.SigState{ledger.Good}, len(env.Signatures)), err
}

// check checks an event that is not in the log yet: its openings and notices, and its
// claimed time. The error is a *[vault.SubmissionError] or a *[RuleError].
func (a *admission) check(ev *admitted) error {
	var err error
	if ev.record, err = vault.Prepare(ev.submitted); err != nil {
		return err
	}
	if err := a.ledger.view.Load().inForce().Complete(ev.env.Event, ev.submitted.Openings); err != nil {
		return &vault.SubmissionError{Event: ev.hash, Err: err}
	}
	ev.extends = ledger.Extends(ev.kind, ev.submitted.Openings)
	return a.honestTime(ev.env)
}

// Refusals of a claimed time by the witnesses' clocks. The rules, which have no clock,
// check claimed times by anchors.
var (
	claimAhead = ledger.Way{Rule: "honest-time", Code: "ahead", Kind: ledger.KindNoEffect,
		Template: "it claims to be signed at {claim}, and it is {now}, by the witnesses' clocks", Cure: "sign the event again"}
	claimOld = ledger.Way{Rule: "honest-time", Code: "old", Kind: ledger.KindNoEffect,
		Template: "it claims to be signed at {claim}, and the profile lets an event be {lag} old", Cure: "sign the event again"}
)

// honestTime refuses a claim that is ahead of the log's time, from any signer: once
// logged, it would be the log's own breach. It refuses too a claim that is too old for
// the event to have an effect, unless only custodians and auditors signed: the rules judge
// these, so that no provider can suppress them. It accepts charters of any age, which have
// an order of their own.
func (a *admission) honestTime(env *event.Envelope) error {
	c := a.ledger.view.Load().inForce()
	voice := env.Event.Type == event.TypeCharter
	if !voice {
		voice = !slices.ContainsFunc(env.Signatures, func(s event.Signature) bool {
			p := c.Signer(s.KeyID, c.Index+1)
			return p == nil || p.Role != event.RoleCustodian && p.Role != event.RoleAuditor
		})
	}
	now, claim := a.clock.Now(), env.Event.Time
	var cause ledger.Cause
	switch skew, lag := seconds(c.Profile.Skew), seconds(c.Profile.Lag); {
	case claim.After(now.Add(skew)):
		cause = ledger.Cause{Way: &claimAhead, Args: []any{claim, now.UTC()}}
	case claim.Before(now.Add(-lag)) && !voice:
		cause = ledger.Cause{Way: &claimOld, Args: []any{claim, lag.String()}}
	default:
		return nil
	}
	return &RuleError{&ledger.Violation{Cause: cause, By: ledger.Log}}
}

// seconds bounds a figure of a profile to what a Duration can hold.
func seconds(n uint64) time.Duration { return time.Duration(min(n, 1<<33)) * time.Second }
