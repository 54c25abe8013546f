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
	formerEvents = "events.ndjson" // of a demonstration that took other rows for events
)

// loadEvents reads what was signed in earlier runs.
func loadEvents(dir string) ([]*signedEvent, error) {
	if _, err := os.Stat(filepath.Join(dir, formerEvents)); err == nil {
		return nil, fmt.Errorf("%s is of an earlier version of this demonstration; give another -dir, or remove it", dir)
	}
	openings, err := lines(filepath.Join(dir, openingsFile))
	if err != nil {
		return nil, err
	}
	envelopes, err := lines(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, err
	}
	// The openings are written first.
	if len(openings) < len(envelopes) {
		return nil, fmt.Errorf("%s has %d lines, and %s has %d: some secrets are lost; give another -dir",
			openingsFile, len(openings), eventsFile, len(envelopes))
	}
	events := make([]*signedEvent, len(envelopes))
	for i, e := range envelopes {
		env, err := event.ParseEnvelope(bytes.TrimSuffix(e, []byte("\n")))
		if err != nil {
			return nil, err
		}
		o, err := event.ParseOpenings(openings[i])
		if err != nil {
			return nil, err
		}
		events[i] = &signedEvent{env, o}
	}
	return events, nil
}

// lines returns the lines of a file, with their line feeds; none if there is no
// file.
func lines(name string) ([][]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return slices.Collect(bytes.Lines(b)), nil
}

func saveEvents(dir string, events []*signedEvent) error {
	var envelopes, openings []byte
	for _, e := range events {
		o, err := e.openings.Bytes()
		if err != nil {
			return err
		}
		envelopes = append(append(envelopes, e.env.Bytes()...), '\n')
		openings = append(openings, o...)
	}
	if err := durable.WriteFile(filepath.Join(dir, openingsFile), openings, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, eventsFile), envelopes, 0o644)
}

// appended is what appendAll did, chunk by chunk.
type appended struct {
	Indices    []uint64 // in the log, by event
	Duplicates int      // that were logged in an earlier run
	Files      []string // of the proofs that were kept
	Took       time.Duration

	total, keep int // events in all, and how many proofs to keep
}

// appendAll submits the next chunk of events in one stream, verifies each proof
// offline, with the signers' keys, and keeps some of the proofs as files. It fails
// at the first event that has no proof, or whose proof does not hold.
func (w *world) appendAll(ctx context.Context, cl *client.Client, events []*signedEvent, out *appended) error {
	if err := os.MkdirAll(w.path("proofs"), 0o755); err != nil {
		return err
	}
	began := time.Now()
	first := len(out.Indices)
	options := verify.Options{Origin: origin, Signers: w.signers.public()}
	judges, ctx := errgroup.WithContext(ctx)
	judges.SetLimit(runtime.GOMAXPROCS(0))
	for r, err := range cl.SubmitStream(ctx, submissions(events), client.WaitCosigned) {
		if err = errors.Join(err, r.Err); err != nil {
			// A judge's refusal ends the stream too, and is the better reason.
			return errors.Join(judges.Wait(), err)
		}
		n := len(out.Indices) // of this event
		out.Indices = append(out.Indices, r.Index)
		if r.Duplicate {
			out.Duplicates++
		}
		keep := ""
		if sampled(n, out.total, out.keep) {
			keep = w.path("proofs", strconv.FormatUint(r.Index, 10))
			out.Files = append(out.Files, keep+".tlog-proof")
		}
		judges.Go(func() error {
			if err := judge(w.policy, r.Proof, events[n-first], options, keep); err != nil {
				return fmt.Errorf("the proof of entry %d: %w", r.Index, err)
			}
			return nil
		})
	}
	if err := judges.Wait(); err != nil {
		return err
	}
	if n := len(out.Indices) - first; n != len(events) {
		return fmt.Errorf("%d of %d events were logged and verified", n, len(events))
	}
	out.Took += time.Since(began)
	return nil
}

func submissions(events []*signedEvent) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range events {
			if !yield(e.submission()) {
				return
			}
		}
	}
}

// judge verifies a proof as a stranger does who has nothing but the file, the policy
// and the signers' keys. If it holds, it is kept under this name, unless that is
// empty, next to the secrets of its seals.
func judge(policy *verify.Policy, p *tlog.Proof, e *signedEvent, o verify.Options, keep string) error {
	o.Now = time.Now()
	in, err := verify.Proof(policy, p.Bytes(), o)
	if err != nil {
		return err
	}
	if !bytes.Equal(in.Entry(), e.env.Bytes()) {
		return errors.New("it is of another event")
	}
	if keep == "" {
		return nil
	}
	openings, err := e.openings.Bytes()
	if err != nil {
		return err
	}
	if err := os.WriteFile(keep+".openings", openings, 0o600); err != nil {
		return err
	}
	return os.WriteFile(keep+".tlog-proof", p.Bytes(), 0o644)
}

// sampled spreads keep of n evenly, with the first; a keep of 0 means all.
func sampled(i, n, keep int) bool {
	return keep == 0 || (i*keep+n-1)/n != ((i+1)*keep+n-1)/n
}
