// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// makeEntries signs n warrants of about 1 KiB, with their openings.
func (w *world) makeEntries(n int) ([][]byte, error) { return each(n, w.warrant) }

// heartbeats signs n events that nothing is owed for.
func (w *world) heartbeats(n int) ([][]byte, error) { return each(n, w.heartbeat) }

// each calls f n times, on all processors.
func each(n int, f func() ([]byte, error)) ([][]byte, error) {
	entries := make([][]byte, n)
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for g := range errs {
		wg.Go(func() {
			for i := g; i < n && errs[g] == nil; i += len(errs) {
				entries[i], errs[g] = f()
			}
		})
	}
	wg.Wait()
	return entries, errors.Join(errs...)
}

func (w *world) heartbeat() ([]byte, error) {
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New(origin, &event.Heartbeat{From: now.Add(-time.Second), To: now})
	if err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, w.custodian)
	if err != nil {
		return nil, err
	}
	return env.Bytes(), nil
}

func (w *world) warrant() ([]byte, error) {
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New(origin, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "calecpa-search-warrant", Offence: "homicide",
		Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.Add(24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	public := []event.Opening{
		event.NewOpening("agency", event.Text("police")),
		event.NewOpening("agencyKey", event.Bytes(w.authority.Public().SPKI())),
		event.NewOpening("grounds", event.Codes("danger-to-safety")),
	}
	subject := []event.Opening{event.NewOpening("case", event.Text("1/2026"))}
	if err := ev.Seal(now.Add(sealFor*time.Second), public, subject); err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, w.authority)
	if err != nil {
		return nil, err
	}
	return (&event.Submission{Envelope: env, Openings: public}).Bytes()
}
