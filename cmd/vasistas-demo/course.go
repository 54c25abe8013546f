// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
)

// What has to follow on a logged event, in time: a court's decision on an
// emergency access, and the return of a warrant.

// reference names the entry of an event that was logged.
func reference(index uint64, envelope []byte) event.Reference {
	return event.Reference{Index: index, Leaf: rfcLeaf(envelope)}
}

// followUp logs what has to follow on the events from one to another: first the
// decisions, which have 3 seconds and a grace of 5, then the returns of all
// warrants but of those whose history is told later.
func (s *story) followUp(ctx context.Context, from, to int) error {
	var decisions []*signedEvent
	var warrants []event.Reference
	for i := from; i < to; i++ {
		a, ref := &s.batch.accepted[i], reference(s.done.Indices[i], s.batch.events[i].Envelope)
		if !a.Emergency {
			if !slices.Contains(s.batch.histories, i) {
				warrants = append(warrants, ref)
			}
			continue
		}
		d, err := decision(s.signers, a, ref)
		if err != nil {
			return fmt.Errorf("row %s: %w", a.ID, err)
		}
		decisions = append(decisions, d)
	}
	n := 0
	for r, err := range s.client.SubmitStream(ctx, submissions(decisions), client.WaitSequenced) {
		switch err := errors.Join(err, answered(r)); {
		case isRule(err, "emergency", "decided"): // in an earlier run
		case err != nil:
			return fmt.Errorf("a decision on an emergency: %w", err)
		default:
			s.decisions++
			warrants = append(warrants, reference(r.Index, decisions[n].Envelope))
		}
		n++
	}
	return s.returnAll(ctx, warrants)
}

// decision is a court's warrant that validates an emergency access. The rows don't
// say what courts decided, so all are granted.
func decision(k *signers, a *accepted, on event.Reference) (*signedEvent, error) {
	agency, err := k.agency(a.agency)
	if err != nil {
		return nil, err
	}
	c := a.terms
	c.window = warrantLife
	d, err := newWarrant(origin, agency, a.row, &c)
	if err != nil {
		return nil, err
	}
	d.Body.(*event.Warrant).Validates = &on
	return d.sign(d.Time.Add(c.seal), k.courts[a.court])
}

// returnAll logs the returns of warrants. No gate runs here, so no key was opened
// on any: that is what a return's figures are about.
func (s *story) returnAll(ctx context.Context, warrants []event.Reference) error {
	returns := func(yield func([]byte, error) bool) {
		for _, ref := range warrants {
			env, err := signNow(&event.Return{Warrant: ref}, s.signers.provider)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(env.Bytes(), nil) {
				return
			}
		}
	}
	for r, err := range s.client.SubmitStream(ctx, iter.Seq2[[]byte, error](returns), client.WaitSequenced) {
		switch err := errors.Join(err, answered(r)); {
		case isRule(err, "return", "taken"): // in an earlier run
		case err != nil:
			return fmt.Errorf("the return of a warrant: %w", err)
		default:
			s.returns++
		}
	}
	return nil
}

// signNow signs an event that seals nothing.
func signNow(body event.Body, by ...event.Signer) (*event.Envelope, error) {
	ev, err := event.New(origin, body)
	if err != nil {
		return nil, err
	}
	return event.Sign(ev, by...)
}

func answered(r client.StreamResult) error { return r.Err }

// isRule says whether the log refused an event by a rule, in one way to break it.
func isRule(err error, rule, way string) bool {
	var p *client.Problem
	return errors.As(err, &p) && strings.Contains(p.Detail, fmt.Sprintf("rule %s (%s)", rule, way))
}
