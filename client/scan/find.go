// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

// maxHits and maxBreaches bound what a state keeps; all are counted. Only parties that may
// sign disclosures can make many hits, and only a log that accepts what it must refuse many
// breaches.
const (
	maxHits     = 10_000
	maxBreaches = 100_000
)

// A hit is a notice that opened, with the ledger's data about it. It is part of a state, so
// its JSON is stable.
type hit struct {
	Digest     event.Digest      `json:"digest"`
	Disclosure uint64            `json:"disclosure"`         // index
	Event      event.Reference   `json:"event"`              // that the disclosure names
	Releases   []event.Reference `json:"releases,omitempty"` // that state the notice
	After      time.Time         `json:"after,omitzero"`     // witnessed time after which the disclosure was logged
	Effect     bool              `json:"effect"`             // the disclosure kept the rules
	Period     string            `json:"period"`             // of the key that opened it
	Notice     []byte            `json:"notice,omitempty"`   // as escrow.Notice.Bytes
	Error      string            `json:"error,omitempty"`    // why the plaintext is not a notice
}

type key struct {
	holder escrow.KeyHolder
	period string
}

// finder observes an audit. Only the audit's goroutine uses its fields, except origin, keys
// and tries.
type finder struct {
	seed *escrow.Seed
	last escrow.Period

	origin string
	keys   []key          // set by observe
	ledger *ledger.Ledger // nil: the log was not read
	head   *tlog.Verified

	tries atomic.Uint64 // of this run

	state *state
	fresh []*hit
}

// observe derives the keys, and returns the audit's observer.
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

// opened is a notice that opened in a worker.
type opened struct {
	place  int // in the disclosure
	period string
	notice *escrow.Notice // nil if err is not
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

// before records the notices that opened, while the ledger still has their releases.
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
		x := &hit{Digest: digest, Disclosure: e.Index, Event: d.Event, After: f.ledger.Time(), Period: o.period}
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
		// Other releases may state the notice as well: its author's counts.
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

// after keeps the entry's hits, and whether the disclosure had an effect.
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

type state struct {
	Seed        string   `json:"seed"` // hex hash that names the seed
	Notices     uint64   `json:"notices"`
	Hits        []*hit   `json:"found,omitempty"`
	Left        uint64   `json:"left,omitempty"` // hits that are not kept
	Breaches    []Breach `json:"breaches,omitempty"`
	BreachCount uint64   `json:"breachCount,omitempty"`
}

// seedName returns a hash that names a seed and does not reveal it.
func seedName(s *escrow.Seed) string {
	h := sha256.Sum256(append([]byte("vasistas scan seed v1\n"), s.Bytes()...))
	return hex.EncodeToString(h[:])
}

// UnmarshalJSON parses a state, which must be of the same seed.
func (s *state) UnmarshalJSON(b []byte) error {
	type plain state
	seed := s.Seed
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if s.Seed != seed {
		return errors.New("it is of another seed")
	}
	for i, x := range s.Hits {
		if x == nil || (x.Notice == nil) == (x.Error == "") {
			return fmt.Errorf("notice %d has neither its text nor an error, or both", i)
		}
	}
	return nil
}

// add keeps a hit. Of several disclosures of one notice it keeps the first with an effect.
func (s *state) add(x *hit) {
	if i := slices.IndexFunc(s.Hits, func(o *hit) bool { return o.Digest == x.Digest }); i >= 0 {
		if !s.Hits[i].Effect && x.Effect {
			s.Hits[i] = x
		}
		return
	}
	if len(s.Hits) == maxHits {
		s.Left++
		return
	}
	s.Hits = append(s.Hits, x)
}
