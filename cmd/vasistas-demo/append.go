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
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// The events as they were signed, and the secrets of their seals, a line each
// and in the same order. The events are written before the first is submitted:
// submitted again, they have the same index, so a demo that is cut off or
// started again logs no row twice. (One that was cut off before a chunk of them was
// logged must be started again within the profile's lag, an hour; later the log
// refuses them as too old, and the demo ends with what it said.)
const (
	eventsFile   = "events.ndjson"
	openingsFile = "openings.ndjson"
)

// loadEvents reads what was signed in earlier runs.
func loadEvents(dir string) ([]*signedEvent, error) {
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
		return nil, fmt.Errorf("%s has %d lines, and %s has %d: some secrets are lost; start anew in another -dir",
			openingsFile, len(openings), eventsFile, len(envelopes))
	}
	events := make([]*signedEvent, len(envelopes))
	for i, e := range envelopes {
		events[i] = &signedEvent{Envelope: bytes.TrimSuffix(e, []byte("\n")), Openings: openings[i]}
	}
	return events, nil
}

// lines returns the lines of a file, with their line feeds; none if there is no
// file.
func lines(name string) (list [][]byte, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	for l := range bytes.Lines(b) {
		list = append(list, l)
	}
	return list, nil
}

func saveEvents(dir string, events []*signedEvent) error {
	var envelopes, openings []byte
	for _, e := range events {
		envelopes = append(append(envelopes, e.Envelope...), '\n')
		openings = append(openings, e.Openings...)
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
func (w *world) appendAll(ctx context.Context, cl *client.Client, events []*signedEvent, out *appended, p *progress) error {
	if err := os.MkdirAll(w.path("proofs"), 0o755); err != nil {
		return err
	}
	began := time.Now()
	first := len(out.Indices)
	out.Indices = append(out.Indices, make([]uint64, len(events))...)
	files := make([]string, len(events))
	options := verify.Options{Origin: origin, Signers: w.signers.public()}
	var verified atomic.Int64
	judges, ctx := errgroup.WithContext(ctx)
	judges.SetLimit(runtime.GOMAXPROCS(0))
	i := 0
	for r, err := range cl.SubmitStream(ctx, submissions(events), client.WaitCosigned) {
		if err == nil {
			err = r.Err
		}
		if err != nil {
			// A judge's refusal ends the stream too, and is the better reason.
			return errors.Join(judges.Wait(), err)
		}
		n := i // of this event
		i++
		out.Indices[first+n] = r.Index
		if r.Duplicate {
			out.Duplicates++
		}
		judges.Go(func() error {
			if err := judge(w.policy, r.Proof, events[n], options); err != nil {
				return fmt.Errorf("the proof of entry %d: %w", r.Index, err)
			}
			verified.Add(1)
			if !sampled(first+n, out.total, out.keep) {
				return nil
			}
			name, err := w.keepProof(r.Index, r.Proof, events[n])
			files[n] = name
			return err
		})
		p.set(first + i)
	}
	if err := judges.Wait(); err != nil {
		return err
	}
	if n := int(verified.Load()); n != len(events) {
		return fmt.Errorf("%d of %d events were logged and verified", n, len(events))
	}
	for _, f := range files {
		if f != "" {
			out.Files = append(out.Files, f)
		}
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

// judge verifies a proof as somebody who has nothing but the file, the policy
// and the signers' keys.
func judge(policy *verify.Policy, p *tlog.Proof, e *signedEvent, o verify.Options) error {
	o.Now = time.Now()
	in, err := verify.Proof(policy, p.Bytes(), o)
	if err != nil {
		return err
	}
	if !bytes.Equal(in.Entry(), e.Envelope) {
		return errors.New("it is of another event")
	}
	return nil
}

// sampled spreads keep of n evenly, with the first and the last.
func sampled(i, n, keep int) bool {
	if keep <= 0 || keep >= n {
		return true
	}
	if keep == 1 {
		return i == 0
	}
	// i is the place of the j-th one for some j.
	j := (i*(keep-1) + n - 2) / (n - 1)
	return j*(n-1)/(keep-1) == i
}

// keepProof writes a proof, and the secrets of its seals beside it.
func (w *world) keepProof(index uint64, p *tlog.Proof, e *signedEvent) (string, error) {
	name := w.path("proofs", strconv.FormatUint(index, 10))
	if err := os.WriteFile(name+".openings", e.Openings, 0o600); err != nil {
		return "", err
	}
	name += ".tlog-proof"
	return name, os.WriteFile(name, p.Bytes(), 0o644)
}
