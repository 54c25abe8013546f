// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxFound is how many notices are kept, and maxBreaches how many entries in breach.
// More are counted. Only who may sign disclosures can make many of the first, and
// only a log that lets in what it must refuse many of the second.
const (
	maxFound    = 10_000
	maxBreaches = 100_000
)

// A found notice is one that opened, and what the ledger knew of it. It is part of a
// state, so its encoding is.
type found struct {
	Digest     event.Digest      `json:"digest"`
	Disclosure uint64            `json:"disclosure"`         // index
	Event      event.Reference   `json:"event"`              // what the disclosure names
	Releases   []event.Reference `json:"releases,omitempty"` // those that state it
	After      time.Time         `json:"after,omitzero"`     // witnessed time after which the disclosure was logged
	Effect     bool              `json:"effect"`             // the disclosure kept the rules
	Period     string            `json:"period"`             // of the key that opened it
	Notice     []byte            `json:"notice,omitempty"`   // as escrow.Notice.Bytes
	Error      string            `json:"error,omitempty"`    // why it is none, if it opened and is none
}

// key is a notice key, and its period.
type key struct {
	holder escrow.KeyHolder
	period string
}

// finder observes an audit. What is not said to be the workers' belongs to the
// audit's goroutine.
type finder struct {
	seed *escrow.Seed
	last escrow.Period

	origin string
	keys   []key          // the workers' too
	ledger *ledger.Ledger // nil: the log was not read
	head   *tlog.Verified

	tries atomic.Uint64 // of this run

	state *state
	fresh []*found
}

// observe makes the keys.
func (f *finder) observe(l *ledger.Ledger, head *tlog.Verified) (replica.Observer, error) {
	f.ledger, f.head, f.origin = l, head, l.Origin()
	keys, err := f.seed.Keys(f.origin, f.last)
	if err != nil {
		return replica.Observer{}, err
	}
	for p, i := f.seed.First, 0; i < len(keys); p, i = p+1, i+2 {
		f.keys = append(f.keys, key{keys[i], p.String()}, key{keys[i+1], p.String()})
	}
	return replica.Observer{Read: f.read, Before: f.before, After: f.after}, nil
}

// opened is a notice that opened, in a worker's hands.
type opened struct {
	place  int // in the disclosure
	period string
	notice *escrow.Notice // nil: err says why it is none
	err    error
}

// read tries the notices of a disclosure.
func (f *finder) read(e *ledger.Entry) any {
	d, ok := e.Envelope.Event.Body.(*event.Disclosure)
	if !ok || len(d.Notices) == 0 {
		return nil
	}
	var out []opened
	for i, b := range d.Notices {
		if o := f.try(b); o != nil {
			o.place = i
			out = append(out, *o)
		}
	}
	return out
}

func (f *finder) try(ciphertext []byte) *opened {
	kem, ok := escrow.NoticeKEM(len(ciphertext))
	if !ok {
		return nil
	}
	for i := range f.keys {
		k := &f.keys[i]
		if k.holder.Public().KEM != kem {
			continue
		}
		f.tries.Add(1)
		n, err := escrow.OpenNotice(f.origin, k.holder, ciphertext)
		if errors.Is(err, escrow.ErrOpen) {
			continue
		}
		return &opened{period: k.period, notice: n, err: err}
	}
	return nil
}

// before records what opened while the ledger still knows the releases.
func (f *finder) before(e *ledger.Entry, note any) error {
	f.fresh = f.fresh[:0]
	if e.Envelope != nil {
		if d, ok := e.Envelope.Event.Body.(*event.Disclosure); ok {
			f.state.Notices += uint64(len(d.Notices))
		}
	}
	list, _ := note.([]opened)
	for _, o := range list {
		d := e.Envelope.Event.Body.(*event.Disclosure)
		digest := escrow.NoticeDigest(d.Notices[o.place])
		x := &found{Digest: digest, Disclosure: e.Index, Event: d.Event, After: f.ledger.Time(), Period: o.period}
		custodian := ""
		if o.err != nil {
			x.Error = o.err.Error()
		} else {
			custodian = o.notice.Custodian
			b, err := o.notice.Bytes()
			if err != nil {
				return fmt.Errorf("keeping a notice: %w", err)
			}
			x.Notice = b
		}
		// Anyone may state another's notice too: that of its author counts.
		stating := f.ledger.Stating(d.Event, digest)
		byAuthor := func(r ledger.Stating) bool { return r.Custodian == custodian }
		for _, r := range stating {
			if byAuthor(r) || !slices.ContainsFunc(stating, byAuthor) {
				x.Releases = append(x.Releases, r.Reference)
			}
		}
		f.fresh = append(f.fresh, x)
	}
	return nil
}

// after keeps it, with whether the disclosure had an effect.
func (f *finder) after(e *ledger.Entry, violations []*ledger.Violation) error {
	effect := true
	for _, v := range violations {
		if v.Index == e.Index {
			effect = false
		}
		if v.Kind != ledger.KindBreach {
			continue
		}
		f.state.BreachCount++
		if len(f.state.Breaches) < maxBreaches {
			f.state.Breaches = append(f.state.Breaches, Breach{v.Index, v.Rule, v.Text()})
		}
	}
	for _, x := range f.fresh {
		x.Effect = effect
		f.state.add(x)
	}
	f.fresh = f.fresh[:0]
	return nil
}

// add keeps a notice; one that is published again only if it had no effect before.
func (s *state) add(x *found) {
	if i := slices.IndexFunc(s.Found, func(o *found) bool { return o.Digest == x.Digest }); i >= 0 {
		if !s.Found[i].Effect && x.Effect {
			s.Found[i] = x
		}
		return
	}
	if len(s.Found) == maxFound {
		s.Left++
		return
	}
	s.Found = append(s.Found, x)
}
