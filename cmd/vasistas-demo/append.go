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

// The events as they were signed, and the secrets of their seals, a line each
// and in the same order. The events are written before the first is submitted:
// submitted again, they have the same index, so a demo that is cut off or
// started again logs no row twice. (One that was cut off before a chunk of them was
// logged must be started again within the profile's lag, an hour; later the log
// refuses them as too old, and the demo ends with what it said.)
const (
	eventsFile   = "signed.ndjson"
	openingsFile = "openings.ndjson"

	proofSuffix, openingsSuffix = ".tlog-proof", ".openings" // of the files of one proof
)

// loadEvents reads what was signed in earlier runs.
func loadEvents(dir string) []*signedEvent {
	openings, envelopes := lines(filepath.Join(dir, openingsFile)), lines(filepath.Join(dir, eventsFile))
	// The openings are written first.
	if len(openings) < len(envelopes) {
		try(fmt.Errorf("%s has %d lines, and %s has %d: some secrets are lost; give another -dir",
			openingsFile, len(openings), eventsFile, len(envelopes)))
	}
	events := make([]*signedEvent, len(envelopes))
	for i, e := range envelopes {
		events[i] = &signedEvent{must(event.ParseEnvelope(bytes.TrimSuffix(e, []byte("\n")))), must(event.ParseOpenings(openings[i]))}
	}
	return events
}

// lines returns the lines of a file, with their line feeds; none if there is no
// file.
func lines(name string) [][]byte {
	b, err := os.ReadFile(name)
	if !errors.Is(err, os.ErrNotExist) {
		try(err)
	}
	return slices.Collect(bytes.Lines(b))
}

func saveEvents(dir string, events []*signedEvent) {
	var envelopes, openings []byte
	for _, e := range events {
		envelopes = append(append(envelopes, e.env.Bytes()...), '\n')
		openings = append(openings, must(e.openings.Bytes())...)
	}
	try(durable.WriteFile(filepath.Join(dir, openingsFile), openings, 0o600))
	try(durable.WriteFile(filepath.Join(dir, eventsFile), envelopes, 0o644))
}

// append submits the events of a chunk in one stream, verifies each proof
// offline, with the signers' keys, and saves it as a file. It fails
// at the first event that has no proof, or whose proof does not hold.
func (s *story) append(ctx context.Context, from, to int) {
	try(os.MkdirAll(s.Path("proofs"), 0o755))
	began := time.Now()
	options := verify.Options{Origin: origin, Signers: s.Lookup}
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
			if err := caught(func() { saveProof(s.policy, r.Proof, s.batch.events[n], options, s.proofFile(r.Index)) }); err != nil {
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
// the signers' keys. If it holds, it is saved under this name, with the secrets of its seals.
func saveProof(policy *verify.Policy, p *tlog.Proof, e *signedEvent, o verify.Options, name string) {
	o.Now = time.Now()
	if in := must(verify.Proof(policy, p.Bytes(), o)); !bytes.Equal(in.Entry(), e.env.Bytes()) {
		try(errors.New("it is of another event"))
	}
	try(os.WriteFile(name+openingsSuffix, must(e.openings.Bytes()), 0o600))
	try(os.WriteFile(name+proofSuffix, p.Bytes(), 0o644))
}

// followUp logs what has to follow on the events from one to another: first the
// decisions, which have 3 seconds and a grace of 5, then the returns of all
// warrants but of those whose history is told later.
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

// logOnce logs events. One that breaks this rule in this way was logged in an earlier
// run, and is passed over.
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

// decision is a court's warrant that validates an emergency access. The rows don't
// say what courts decided, so all are granted.
func decision(k *people.People, a accepted, on event.Reference) *signedEvent {
	a.window = warrantLife
	d := newWarrant(k, &a)
	d.Body.(*event.Warrant).Validates = &on
	return d.sign(d.Time.Add(a.seal), k.Signer(a.court))
}

// returnAll logs the returns of warrants. No gate runs here, so no key was opened
// on any: that is what a return's figures are about.
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
