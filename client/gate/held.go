// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// held is an event that was handed to this gate and that the log has not shown. It binds the
// gate as if the log had it, so the log can't suppress it.
type held struct {
	key        heldKey
	entry      ledger.Entry
	sub        *event.Submission
	submission []byte // sub, encoded
	since      time.Time

	next time.Time // of the next submission to the log; only forward uses it
}

// heldKey has one held event. Its bounds are per signer, so no party can use up another's.
type heldKey struct {
	signer  string // id of the first key that signed
	kind    event.Type
	subject uint64 // index of the entry that it is about
	part    string // of a revocation: its scope and categories
}

// Bounds of the held events of one signer.
const (
	maxHeld      = 32
	maxHeldBytes = 1 << 20
)

var errHeld = errors.New("the gate already holds such an event, or too many of this signer; try again once the log has them")

// readHeld parses a submission that a gate may hold: a revocation, a denial of an emergency,
// a release or a heartbeat. It has its openings and notices: an honest log would refuse it
// without, and then it would bind the gate for good.
func readHeld(submission []byte) (*held, error) {
	sub, err := event.ParseSubmission(submission)
	if err != nil {
		return nil, refuse(CodeForm, "%w", err)
	}
	if err := sub.Complete(); err != nil {
		return nil, refuse(CodeForm, "%w", err)
	}
	env, entry := sub.Envelope, ledger.Read(0, sub.Entry())
	entry.Extends = ledger.Extends(env.Event.Type, sub.Openings) // else the gate would hold what an honest log refuses
	h := &held{entry: entry, sub: sub, submission: slices.Clone(submission), since: time.Now(),
		key: heldKey{signer: env.Signatures[0].KeyID, kind: env.Event.Type}}
	switch b := env.Event.Body.(type) {
	case *event.Revocation:
		if b.Scope == event.ScopeResumed {
			return nil, refuse(CodeForm, "a gate takes revocations that end or suspend a warrant: one that resumes it counts only in the log")
		}
		h.key.subject, h.key.part = b.Warrant.Index, strings.Join(append([]string{string(b.Scope)}, b.Categories...), " ")
	case *event.Release:
		h.key.subject = b.Access.Index
	case *event.Heartbeat:
	case *event.Warrant:
		if b.Decision != event.Denied || b.Validates == nil {
			return nil, refuse(CodeForm, "a gate takes no warrant but the denial of an emergency access")
		}
		h.key.subject = b.Validates.Index
	default:
		return nil, refuse(CodeForm, "a gate takes revocations, denials, releases and heartbeats, and not a %s", env.Event.Type)
	}
	return h, nil
}

// Hold takes an event, as it would be submitted to the log. If the ledger would give it an
// effect, or would find it a breach of its own signer, it binds this gate at once, and the
// gate submits it to the log.
func (g *Gate) Hold(ctx context.Context, submission []byte) error {
	h, err := readHeld(submission)
	if err != nil {
		return err
	}
	return g.with(ctx, func(f *follower) error {
		in := f.ledger.Charter()
		if in == nil {
			return refuse(CodeNotReady, "%w", errBehind)
		}
		ev := h.entry.Envelope.Event
		if err := f.at(time.Now()).claimed(ev, in); err != nil {
			return err
		}
		if err := in.Complete(ev, h.sub.Openings); err != nil {
			return refuse(CodeForm, "%w", err)
		}
		h.entry.Verify(f.ledger.Key)
		v, err := f.ledger.Check(h.entry)
		if err == nil && v != nil && v.Rule == "reference" && v.Code == "future" {
			// The entry may be newer than the gate's ledger. If the update fails, the gate judges
			// by what it has.
			_ = g.follow(ctx, f, h.since)
			v, err = f.ledger.Check(h.entry)
		}
		switch {
		case err != nil:
			return refuse(CodeNotReady, "%w", err)
		case repeated(v) || f.holds(h):
			return nil
		case !f.counts(h, v):
			return refuse(CodeAccess, "%w", v)
		case slices.ContainsFunc(h.entry.Envelope.Signatures, func(s event.Signature) bool { return s.KeyID == g.cfg.Signer.KeyID() }):
			e := h.entry
			e.Index, e.Leaf = f.ledger.Size(), [32]byte{} // no tree has it, so it marks nothing as logged
			return f.stop(g.journal.seen(e, false))
		case !f.room(h):
			return refuse(CodeBusy, "%w", errHeld)
		}
		// It counts at once, even if the disk fails.
		f.held, f.trial = append(f.held, h), nil
		g.cfg.Logger.Info("holding an event that the log does not show", "type", h.key.kind, "about", h.key.subject)
		if err := g.journal.hold(h.submission); err != nil {
			return refuse(CodeStorage, "%w", err)
		}
		return nil
	})
}

func (f *follower) holds(h *held) bool {
	return slices.ContainsFunc(f.held, func(o *held) bool { return o.entry.Hash == h.entry.Hash })
}

// counts returns whether an event with this verdict binds the gate: it would take effect, or
// be a breach of its own signer.
func (f *follower) counts(h *held, v *ledger.Violation) bool {
	if v == nil {
		return true
	}
	p := f.ledger.Charter().Signer(h.key.signer, f.ledger.Size())
	return v.Kind == ledger.KindBreach && p != nil && v.By == string(p.Role)+" "+p.Name
}

// room returns whether a signer's bounds allow one more event.
func (f *follower) room(h *held) bool {
	n, size := 0, len(h.submission)
	for _, o := range f.held {
		if o.key == h.key {
			return false
		}
		if o.key.signer == h.key.signer {
			n, size = n+1, size+len(o.submission)
		}
	}
	return n < maxHeld && size <= maxHeldBytes
}

// tidy drops the held events that are in the followed tree, and those that have had no effect
// for as long as the log may take to include an event.
func (g *Gate) tidy(f *follower) error {
	var kept []*held
	for _, h := range f.held {
		v, err := f.ledger.Check(h.entry)
		if err != nil {
			return err
		}
		if repeated(v) || !f.counts(h, v) && time.Since(h.since) > seconds(f.ledger.Charter().Profile.Inclusion) {
			if err := g.journal.letGo(h.entry.Hash); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, h)
	}
	if len(kept) < len(f.held) {
		f.held, f.trial = kept, nil
	}
	return nil
}

// judged returns the ledgers by which the gate judges: the log's and, while it holds events,
// what the ledger would be if the log had them.
func (f *follower) judged() ([]*ledger.Ledger, error) {
	if len(f.held) == 0 {
		f.trial = nil
		return []*ledger.Ledger{f.ledger}, nil
	}
	if f.trial == nil || f.trialAt != f.ledger.Size() {
		l, err := f.replica.Copy()
		if err != nil {
			return nil, err
		}
		for _, h := range f.held {
			e := h.entry
			e.Index = l.Size()
			v, err := l.Check(e)
			if err != nil {
				return nil, err
			}
			if !f.counts(h, v) {
				continue
			}
			if _, _, err := l.Apply(e); err != nil {
				return nil, err
			}
		}
		f.trial, f.trialAt = l, f.ledger.Size()
	}
	return []*ledger.Ledger{f.ledger, f.trial}, nil
}

// forward submits the held events to the log, again from time to time.
func (g *Gate) forward(ctx context.Context) error {
	var list []*held
	err := g.with(ctx, func(f *follower) error {
		list = slices.Clone(f.held)
		return nil
	})
	for _, h := range list {
		if time.Now().Before(h.next) {
			continue
		}
		_, err := g.client.Load().Submit(ctx, h.sub, client.WaitSequenced)
		g.metrics.posts.Add(1, string(h.key.kind), outcome(err))
		if err != nil && !final(err) {
			return err
		}
		h.next = time.Now().Add(g.cfg.Timeout) // the log may have refused for now
	}
	return err
}
