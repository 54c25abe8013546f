// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package held has the events that were handed to a gate or an auditor and that the log has not
// shown yet. It says which events they take, whether the ledger lets one count, and how many of one
// signer they hold.
package held

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Bounds of the held events of one signer.
const (
	maxEvents = 32
	maxBytes  = 1 << 20
)

// Event is a held event.
type Event struct {
	Key   Key
	Entry ledger.Entry // its signatures are not verified
	Sub   *event.Submission
	Bytes []byte // Sub, encoded
	Since time.Time
	Next  time.Time // of the next submission to the log
}

// Key names what an event is about: one event is held for each key. Bounds are per signer, so no
// party can use up another's.
type Key struct {
	Signer  string // id of the first key that signed
	Kind    event.Type
	Subject uint64 // index of the entry that it is about
	Part    string // of a revocation: its scope and categories; of a finding: rule and end of its range
}

// Read parses a submission that a holder may hold: a revocation, a denial of an emergency, a release,
// a heartbeat or, for an auditor, a finding. A submission that lacks openings or notices is an error:
// an honest log refuses it, so it would bind the holder for good. Errors name the holder, such as "a
// gate".
func Read(submission []byte, holder string, findings bool) (*Event, error) {
	sub, err := event.ParseSubmission(submission)
	if err != nil {
		return nil, err
	}
	if err := sub.Complete(); err != nil {
		return nil, err
	}
	env, entry := sub.Envelope, ledger.Read(0, sub.Entry())
	entry.Extends = ledger.Extends(env.Event.Type, sub.Openings) // else a holder would keep what an honest log refuses
	h := &Event{Entry: entry, Sub: sub, Bytes: slices.Clone(submission), Since: time.Now(),
		Key: Key{Signer: env.Signatures[0].KeyID, Kind: env.Event.Type}}
	switch b := env.Event.Body.(type) {
	case *event.Revocation:
		if b.Scope == event.ScopeResumed {
			return nil, fmt.Errorf("%s takes revocations that end or suspend a warrant: one that resumes a warrant counts only in the log", holder)
		}
		h.Key.Subject, h.Key.Part = b.Warrant.Index, strings.Join(append([]string{string(b.Scope)}, b.Categories...), " ")
		return h, nil
	case *event.Release:
		h.Key.Subject = b.Access.Index
		return h, nil
	case *event.Heartbeat:
		return h, nil
	case *event.Warrant:
		if b.Decision != event.Denied || b.Validates == nil {
			return nil, fmt.Errorf("%s takes no warrant but the denial of an emergency access", holder)
		}
		h.Key.Subject = b.Validates.Index
		return h, nil
	case *event.Finding:
		if findings {
			h.Key.Subject, h.Key.Part = b.First, fmt.Sprintf("%s %d", b.Rule, b.Last)
			return h, nil
		}
	}
	also := ""
	if findings {
		also = ", findings"
	}
	return nil, fmt.Errorf("%s takes revocations, denials, releases%s and heartbeats, and not a %s", holder, also, env.Event.Type)
}

// Repeated returns whether a verdict says that the event is recorded.
func Repeated(v *ledger.Violation) bool { return v != nil && v.Rule == "form" && v.Code == "repeated" }

// Counts returns whether an event with this verdict binds its holder: it would take effect, or be a
// breach of its own signer. A release that opens nothing has an effect if it takes its place in the
// chain: a log that drops it hides that its custodian signed it.
func (h *Event) Counts(l *ledger.Ledger, v *ledger.Violation) bool {
	if v == nil {
		return true
	}
	if v.Kind == ledger.KindNoEffect && h.Key.Kind == event.TypeRelease {
		effect, err := l.Effective(h.Entry)
		return effect && err == nil
	}
	p := l.Charter().Signer(h.Key.Signer, l.Size())
	return v.Kind == ledger.KindBreach && p != nil && v.By == string(p.Role)+" "+p.Name
}

// List is the events of one holder.
type List []*Event

// Has returns whether the list has the event by the same signer: who signed it decides what it
// means.
func (list List) Has(h *Event) bool {
	return slices.ContainsFunc(list, func(o *Event) bool { return o.Entry.Hash == h.Entry.Hash && o.Key.Signer == h.Key.Signer })
}

// Room returns whether the bounds of its signer allow one more event, and no other stands in its
// place.
func (list List) Room(h *Event) bool {
	n, size := 0, len(h.Bytes)
	for _, o := range list {
		if o.Key == h.Key {
			return false
		}
		if o.Key.Signer == h.Key.Signer {
			n, size = n+1, size+len(o.Bytes)
		}
	}
	return n < maxEvents && size <= maxBytes
}
