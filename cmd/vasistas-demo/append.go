// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// eventsFile holds the events as they were signed: for each, a line with the secrets of its seals
// and a line with its envelope. It is written before the events are submitted: submitted again,
// an event keeps its index, so a demo that was cut off logs no row twice when it runs again.
// (That must be within the profile's lag, an hour. Later the log refuses the events that it does
// not have as too old, and the demo ends with what the log said.)
const eventsFile = "signed.ndjson"

const proofSuffix, openingsSuffix = ".tlog-proof", ".openings" // of the two files of one proof

// loadEvents reads the events that were signed in earlier runs.
func loadEvents(dir string) (events []*signedEvent) {
	b, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if !errors.Is(err, os.ErrNotExist) {
		try(err)
	}
	for pair := range slices.Chunk(slices.Collect(bytes.Lines(b)), 2) {
		events = append(events, &signedEvent{must(event.ParseEnvelope(bytes.TrimSuffix(pair[1], []byte("\n")))), must(event.ParseOpenings(pair[0]))})
	}
	return events
}

func saveEvents(dir string, events []*signedEvent) {
	var b []byte
	for _, e := range events {
		b = append(b, must(e.openings.Bytes())...) // which ends with a line feed
		b = append(append(b, e.env.Bytes()...), '\n')
	}
	try(durable.WriteFile(filepath.Join(dir, eventsFile), b, 0o600))
}

// append submits the events of a chunk in one stream, verifies each proof offline, with the
// signers' keys, and saves it. It fails at the first event without a proof that holds.
func (s *story) append(ctx context.Context, from, to int) {
	try(os.MkdirAll(s.Path("proofs"), 0o755))
	began := time.Now()
	verifiers, ctx := errgroup.WithContext(ctx)
	verifiers.SetLimit(runtime.GOMAXPROCS(0))
	for r, err := range s.client.SubmitStream(ctx, submissions(s.batch.events[from:to]), client.WaitCosigned) {
		if err = errors.Join(err, r.Err); err != nil {
			// A proof that does not hold ends the stream too, and is the better reason.
			try(errors.Join(verifiers.Wait(), err))
		}
		n := len(s.indices) // of this event
		s.indices = append(s.indices, r.Index)
		if r.Duplicate {
			s.duplicates++
		}
		verifiers.Go(func() error {
			if err := caught(func() { saveProof(s.policy, r.Proof, s.batch.events[n], s.Lookup, s.proofFile(r.Index)) }); err != nil {
				return fmt.Errorf("the proof of entry %d: %w", r.Index, err)
			}
			return nil
		})
	}
	try(verifiers.Wait())
	if n := len(s.indices); n != to {
		try(fmt.Errorf("%d of %d events were logged and verified", n, to))
	}
	s.took += time.Since(began)
}

func submissions(events []*signedEvent) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range events {
			if !yield(e.submission().Bytes()) {
				return
			}
		}
	}
}

// proofFile returns the name of the proof of an entry, without its suffix.
func (s *story) proofFile(index uint64) string {
	return s.Path("proofs", strconv.FormatUint(index, 10))
}

// saveProof verifies a proof as a stranger does who has nothing but the file, the policy and
// the signers' keys, and saves it under this name, with the secrets of the event's seals.
func saveProof(policy *verify.Policy, p *tlog.Proof, e *signedEvent, signers func(string) *event.PublicKey, name string) {
	o := verify.Options{Origin: origin, Signers: signers, Now: time.Now()}
	if in := must(verify.Proof(policy, p.Bytes(), o)); !bytes.Equal(in.Entry(), e.env.Bytes()) {
		try(errors.New("it is of another event"))
	}
	try(os.WriteFile(name+openingsSuffix, must(e.openings.Bytes()), 0o600))
	try(os.WriteFile(name+proofSuffix, p.Bytes(), 0o644))
}

// followUp logs what must follow on the events of a chunk: first the decisions, which have 3
// seconds and a grace of 5, then the returns of all warrants but those of the histories.
func (s *story) followUp(ctx context.Context, from, to int) {
	var decisions []*signedEvent
	var warrants []event.Reference
	for i := from; i < to; i++ {
		a, ref := s.batch.accepted[i], loggedAt(s.indices[i], s.batch.events[i]).Reference
		if a.Emergency {
			decisions = append(decisions, decision(s.People, a, ref))
		} else if !slices.Contains(s.batch.histories, i) {
			warrants = append(warrants, ref)
		}
	}
	decided := s.logOnce(ctx, "a decision on an emergency", "emergency", "decided", decisions)
	s.decisions += len(decided)
	s.returnAll(ctx, append(warrants, decided...))
}

// logOnce logs events. An event that breaks this rule in this way was logged in an earlier run,
// and is skipped.
func (s *story) logOnce(ctx context.Context, what, rule, way string, events []*signedEvent) (logged []event.Reference) {
	for r, err := range s.client.SubmitStream(ctx, submissions(events), client.WaitSequenced) {
		if err = errors.Join(err, r.Err); err == nil {
			logged = append(logged, event.Reference{Index: r.Index, Leaf: r.Leaf})
		} else if p, ok := errors.AsType[*client.Problem](err); !ok || p.Rule != rule || p.Way != way {
			try(fmt.Errorf("%s: %w", what, err))
		}
	}
	return logged
}

// decision makes the warrant of a court that validates an emergency access. The rows don't say
// what courts decided, so all are granted.
func decision(k *people.People, a accepted, on event.Reference) *signedEvent {
	a.window = warrantLife
	d := newWarrant(k, &a)
	d.Body.(*event.Warrant).Validates = &on
	return d.sign(d.Time.Add(a.seal), k.Signer(a.court))
}

// returnAll logs the returns of warrants. Their figures are of opened keys: none was opened.
func (s *story) returnAll(ctx context.Context, warrants []event.Reference) {
	var returns []*signedEvent
	for _, ref := range warrants {
		returns = append(returns, signNow(&event.Return{Warrant: ref}, s.Signer(providerName)))
	}
	s.returns += len(s.logOnce(ctx, "the return of a warrant", "return", "taken", returns))
}

// signNow signs an event that seals nothing.
func signNow(body event.Body, by ...event.Signer) *signedEvent {
	return &signedEvent{must(event.Sign(must(event.New(origin, body)), by...)), &event.Openings{}}
}

// submit logs an event.
func (s *story) submit(ctx context.Context, e *signedEvent) (*logged, error) {
	r, err := s.client.Submit(ctx, e.submission(), client.WaitCosigned)
	if err != nil {
		return nil, err
	}
	return loggedAt(r.Index, e), nil
}
