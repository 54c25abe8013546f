// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/internal/held"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// suppression is an event that was handed to this auditor, and that it has submitted to the log.
type suppression struct {
	*held.Event
	submitted time.Time // when this auditor first submitted it; zero: it has not yet
}

// Hold takes an event, as it would be submitted to the log, and submits it. It counts against a
// head once the log lacks it for longer than the profile's inclusion, while at each head since, the
// ledger would give it an effect, or would find it a breach of its own signer. Otherwise it is
// dropped: else an event that can never be logged would stop every auditor. One is held per signer,
// type and subject. The error is a [Refusal].
func (a *Auditor) Hold(ctx context.Context, submission []byte) error {
	h, err := held.Read(submission, "an auditor", true)
	if err != nil {
		return refuse(codeForm, "%w", err)
	}
	leave, err := a.slot()
	if err != nil {
		return err
	}
	defer leave()
	return a.enter(ctx, 0, func() error { return a.hold(h) })
}

func (a *Auditor) hold(h *held.Event) error {
	l := a.copy.ledger
	in := l.Charter()
	if in == nil {
		return refuse(codeNotReady, "no entry is applied yet")
	}
	ev, now := h.Entry.Envelope.Event, time.Now()
	switch {
	case ev.Time.After(now.Add(seconds(in.Profile.Skew))):
		return refuse(codeForm, "the %s claims the time %s, which is ahead", ev.Type, formatTime(ev.Time))
	case expired(h, in, now):
		return refuse(codeForm, "the %s claims the time %s, which is too old for the log", ev.Type, formatTime(ev.Time))
	}
	if err := in.Complete(ev, h.Sub.Openings); err != nil {
		return refuse(codeForm, "%w", err)
	}
	h.Entry.Verify(l.Key)
	v, err := l.Check(h.Entry)
	switch {
	case err != nil:
		return refuse(codeNotReady, "%w", err)
	case held.Repeated(v) || a.held().Has(h):
		return nil
	case !h.Counts(l, v) && v.Rule == "reference" && v.Code == "future":
		return refuse(codeNotReady, "%w", v) // the next named head may have it
	case !h.Counts(l, v):
		return refuse(codeForm, "%w", v)
	case !a.held().Room(h):
		return refuse(codeBusy, "the auditor already holds such an event, or too many of this signer; try again once the log has them")
	}
	if err := durable.MkdirAll(filepath.Join(a.cfg.Dir, heldDir), 0o700); err != nil {
		return refuse(codeStorage, "%w", err)
	}
	if err := durable.WriteFile(a.heldFile(h), h.Bytes, 0o600); err != nil {
		return refuse(codeStorage, "%w", err)
	}
	a.suppressed = append(a.suppressed, &suppression{Event: h})
	return nil
}

// expired reports whether the log's admission refuses the event for the age of its claim, by a clock
// that may be ahead of this one by the skew. Admission refuses no old claim of a custodian or an
// auditor. An authority could otherwise stop every auditor with an event that an honest log can't
// take.
func expired(h *held.Event, in *ledger.Charter, now time.Time) bool {
	ev := h.Entry.Envelope.Event
	authority := ev.Type == event.TypeRevocation || ev.Type == event.TypeWarrant
	return authority && ev.Time.Before(now.Add(seconds(in.Profile.Skew)-seconds(in.Profile.Lag)))
}

// held returns the held events. It needs the lock.
func (a *Auditor) held() (list held.List) {
	for _, s := range a.suppressed {
		list = append(list, s.Event)
	}
	return list
}

func (a *Auditor) heldFile(h *held.Event) string {
	return filepath.Join(a.cfg.Dir, heldDir, fmt.Sprintf("%x", h.Entry.Leaf))
}

// loadHeld reads the events that were held before a restart. Each is submitted again, and its time
// begins again.
func (a *Auditor) loadHeld() error {
	dir := filepath.Join(a.cfg.Dir, heldDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := durable.RemoveTemps(dir); err != nil { // of a crash
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := durable.ReadFile(filepath.Join(dir, f.Name()), event.MaxSubmissionSize)
		if err != nil {
			return err
		}
		if h, err := held.Read(b, "an auditor", true); err == nil {
			a.suppressed = append(a.suppressed, &suppression{Event: h})
		}
	}
	return nil
}

// tidy drops the held events that are recorded, those that the ledger gives no effect at this head,
// and those that expired. It needs the lock.
func (a *Auditor) tidy() error {
	l, now := a.copy.ledger, time.Now()
	if l.Charter() == nil {
		return nil
	}
	var kept []*suppression
	var errs []error
	for _, s := range a.suppressed {
		s.Entry.Verify(l.Key)
		v, err := l.Check(s.Entry)
		if err == nil && (held.Repeated(v) || !s.Counts(l, v) || expired(s.Event, l.Charter(), now)) {
			errs = append(errs, os.Remove(a.heldFile(s.Event)))
			continue
		}
		errs, kept = append(errs, err), append(kept, s)
	}
	a.suppressed = kept
	return errors.Join(errs...)
}

// suppresses returns an obligation of the log for each held event that it lacks for too long.
func (a *Auditor) suppresses(now time.Time) (bars []ledger.Bar) {
	in := a.copy.ledger.Charter()
	for _, s := range a.suppressed {
		inclusion := seconds(in.Profile.Inclusion)
		if s.submitted.IsZero() || now.Sub(s.submitted) <= inclusion || expired(s.Event, in, now) {
			continue
		}
		due := s.submitted.Add(inclusion).UTC().Truncate(time.Second)
		bars = append(bars, ledger.Bar{Obligation: &ledger.Obligation{Rule: "inclusion", Way: "held", Index: s.Key.Subject, By: ledger.Log, Due: due, Late: due, Auditors: true,
			Text: fmt.Sprintf("the log lacks the %s %x, which this auditor has submitted", s.Key.Kind, s.Entry.Hash), Cure: "log it"}})
	}
	return bars
}

// forward submits the held events to the log, again from time to time.
func (a *Auditor) forward(ctx context.Context) error {
	var list []*suppression
	if err := a.with(ctx, func() error { list = slices.Clone(a.suppressed); return nil }); err != nil {
		return err
	}
	for _, s := range list {
		if time.Now().Before(s.Next) { // only forward uses it
			continue
		}
		_, err := a.submit.Submit(ctx, s.Sub, client.WaitSequenced)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.Next = time.Now().Add(a.cfg.Timeout) // the log may have refused for now
		if err != nil {
			a.cfg.Logger.Warn("the log does not take a held event", "origin", a.cfg.Origin, "type", s.Key.Kind, "about", s.Key.Subject, "err", err)
		}
		// Whatever the log answered, the ledger says whether it must take the event. A log that this
		// auditor does not reach at all is not to blame.
		if err != nil {
			if _, err := a.readRound(ctx); err != nil && !absent(err) {
				continue
			}
		}
		err = a.with(ctx, func() error {
			if s.submitted.IsZero() {
				s.submitted = time.Now()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
