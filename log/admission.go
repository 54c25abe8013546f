// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/vault"
)

// ErrOrigin: an event names another log. Other reasons to refuse one are those of
// package event, *[vault.SubmissionError], and [RuleError].
var ErrOrigin = errors.New("the event is for another log")

// RuleError says which rule an event would break as the next entry.
type RuleError struct{ *ledger.Violation }

func (e *RuleError) Error() string {
	text := fmt.Sprintf("rule %s (%s): %s", e.Rule, e.Code, e.Text())
	if e.Cure != "" {
		text += "; to mend it: " + e.Cure
	}
	return text
}

// admission decides what the rules do not need the order of entries for. It is
// safe for concurrent use; what needs the order, the book decides.
type admission struct {
	origin string
	book   *book
	clock  *clock
}

// admitted is an event on its way into the log.
type admitted struct {
	kind       event.Type
	entry      []byte
	env        *event.Envelope
	hash       [32]byte // of the event
	leaf       [32]byte
	signatures []ledger.SigState
	beside     *event.Submission // what came beside the entry
	record     *vault.Record     // the same, checked; nil: nothing
	own        bool              // an anchor or a disclosure of the log itself
}

func newAdmitted(env *event.Envelope, entry []byte) *admitted {
	return &admitted{kind: env.Event.Type, entry: entry, env: env, hash: env.Hash(), leaf: tiles.LeafHash(entry)}
}

// read judges what a submission says by itself: its form, its origin, its
// signatures. The error wraps event.ErrMalformed, event.ErrTooLarge, [ErrOrigin],
// event.ErrUnknownSigner or event.ErrBadSignature.
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
	entry := submission
	if len(s.Openings)+len(s.Notices) > 0 {
		entry = bytes.Clone(s.Entry())
	}
	ev := newAdmitted(s.Envelope, entry)
	ev.beside, ev.signatures = s, signatures
	return ev, nil
}

// verify verifies all signatures, by keys that a charter names or ever named. Of an
// amendment, those of keys that it brings are left to the rules.
func (a *admission) verify(env *event.Envelope) ([]ledger.SigState, error) {
	keys := a.book.view.Load().keys
	ch, amends := env.Event.Body.(*event.Charter)
	states := make([]ledger.SigState, len(env.Signatures))
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
	for i := range states {
		states[i] = ledger.Good
	}
	return states, err
}

// judge judges an event that is not in the log yet: what came beside it, and its
// claimed time. The error is a *[vault.SubmissionError] or a *[RuleError].
func (a *admission) judge(ev *admitted) error {
	var err error
	if ev.record, err = vault.Prepare(ev.beside); err != nil {
		return err
	}
	if err := a.book.view.Load().inForce().Complete(ev.env.Event, ev.beside.Openings); err != nil {
		return &vault.SubmissionError{Event: ev.hash, Err: fmt.Errorf("openings: %w", err)}
	}
	ev.beside = nil
	return a.honestTime(ev.env)
}

// What admission says of a claimed time, since it has a clock. The rules, which have
// none, judge by anchors.
var (
	claimAhead = ledger.Way{Rule: "honest-time", Code: "ahead", Kind: ledger.KindNoEffect,
		Template: "it claims to be signed at {claim}, and it is {now}, by the witnesses' clocks", Cure: "sign the event again"}
	claimOld = ledger.Way{Rule: "honest-time", Code: "old", Kind: ledger.KindNoEffect,
		Template: "it claims to be signed at {claim}, and the profile lets an event be {lag} old", Cure: "sign the event again"}
)

// honestTime refuses a claim that is ahead of the time that the witnesses have, or
// too old for the event to have an effect. It leaves to the rules what custodians
// and auditors claim, which is theirs to answer for and not to be suppressed, and
// the age of charters and releases, which have an order of their own.
func (a *admission) honestTime(env *event.Envelope) error {
	c := a.book.view.Load().inForce()
	voice := true
	for _, s := range env.Signatures {
		p := c.Signer(s.KeyID, c.Index+1)
		voice = voice && p != nil && (p.Role == event.RoleCustodian || p.Role == event.RoleAuditor)
	}
	if voice {
		return nil
	}
	now, claim := a.clock.now(), env.Event.Time
	var cause ledger.Cause
	switch skew, lag := seconds(c.Profile.Skew), seconds(c.Profile.Lag); {
	case claim.After(now.Add(skew)):
		cause = ledger.Cause{Way: &claimAhead, Args: []any{claim, now.UTC()}}
	case claim.Before(now.Add(-lag)) && env.Event.Type != event.TypeCharter:
		cause = ledger.Cause{Way: &claimOld, Args: []any{claim, lag.String()}}
	default:
		return nil
	}
	return &RuleError{&ledger.Violation{Cause: cause, By: ledger.Log}}
}

// seconds bounds a figure of a profile to what a Duration can hold.
func seconds(n uint64) time.Duration { return time.Duration(min(n, 1<<33)) * time.Second }
