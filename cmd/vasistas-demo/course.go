// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// What has to follow on a logged event, in time: a court's decision on an
// emergency access, and the return of a warrant.

// reference names the entry of an event that was logged.
func reference(index uint64, env *event.Envelope) event.Reference {
	return event.Reference{Index: index, Leaf: tlog.Hash(env.LeafHash())}
}

// followUp logs what has to follow on the events from one to another: first the
// decisions, which have 3 seconds and a grace of 5, then the returns of all
// warrants but of those whose history is told later.
func (s *story) followUp(ctx context.Context, from, to int) error {
	var decisions []*signedEvent
	var warrants []event.Reference
	for i := from; i < to; i++ {
		a, ref := &s.batch.accepted[i], reference(s.done.Indices[i], s.batch.events[i].env)
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
	decided, err := s.logOnce(ctx, "emergency", "decided", submissions(decisions))
	if err != nil {
		return fmt.Errorf("a decision on an emergency: %w", err)
	}
	s.decisions += len(decided)
	return s.returnAll(ctx, append(warrants, decided...))
}

// logOnce logs events, but those which by this way to break this rule were logged in
// an earlier run.
func (s *story) logOnce(ctx context.Context, rule, way string, list iter.Seq2[[]byte, error]) ([]event.Reference, error) {
	var logged []event.Reference
	for r, err := range s.client.SubmitStream(ctx, list, client.WaitSequenced) {
		if err = errors.Join(err, r.Err); err == nil {
			logged = append(logged, event.Reference{Index: r.Index, Leaf: r.Leaf})
			continue
		}
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Rule != rule || p.Way != way {
			return nil, err
		}
	}
	return logged, nil
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
	d, err := newWarrant(agency, a.row, &c)
	if err != nil {
		return nil, err
	}
	d.Body.(*event.Warrant).Validates = &on
	return d.sign(d.Time.Add(c.seal), k.keys[courts][a.court])
}

// returnAll logs the returns of warrants. No gate runs here, so no key was opened
// on any: that is what a return's figures are about.
func (s *story) returnAll(ctx context.Context, warrants []event.Reference) error {
	logged, err := s.logOnce(ctx, "return", "taken", func(yield func([]byte, error) bool) {
		for _, ref := range warrants {
			if !yield(signNow(&event.Return{Warrant: ref}, s.signers.provider)) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("the return of a warrant: %w", err)
	}
	s.returns += len(logged)
	return nil
}

// signNow signs an event that seals nothing.
func signNow(body event.Body, by ...event.Signer) ([]byte, error) {
	ev, err := event.New(origin, body)
	if err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, by...)
	if err != nil {
		return nil, err
	}
	return env.Bytes(), nil
}

// submit logs an event, and returns its entry.
func (s *story) submit(ctx context.Context, submission []byte, err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	sub, err := event.ParseSubmission(submission)
	if err != nil {
		return 0, err
	}
	r, err := s.client.Submit(ctx, sub, client.WaitCosigned)
	if err != nil {
		return 0, err
	}
	return r.Index, nil
}

// logged is an event with its entry.
type logged struct {
	*signedEvent
	event.Reference
}

// logDraft signs, seals and logs an event.
func (s *story) logDraft(ctx context.Context, d *draft, until time.Time, by event.Signer) (*logged, error) {
	signed, err := d.sign(until, by)
	if err != nil {
		return nil, err
	}
	submission, err := signed.submission()
	index, err := s.submit(ctx, submission, err)
	if err != nil {
		return nil, err
	}
	return &logged{signed, reference(index, signed.env)}, nil
}
