// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxHits, maxStated and maxBreaches bound what a state keeps; all are counted. Only parties
// that may sign disclosures can make many hits, and only a log that accepts what it must
// refuse many breaches. What proves an access is kept beyond the bound.
var maxHits = 10_000

const (
	maxStated   = 16
	maxBreaches = 100_000
)

// A hit is a notice that opened, with the ledger's data about it. It is part of a state, so
// its JSON is stable.
type hit struct {
	Digest     event.Digest `json:"digest"`
	Disclosure uint64       `json:"disclosure"`       // index: of the first with an effect, if one has
	After      time.Time    `json:"after,omitzero"`   // witnessed time after which the disclosure was logged
	Effect     bool         `json:"effect"`           // the disclosure kept the rules
	Stated     []stated     `json:"stated"`           // never empty
	Period     string       `json:"period"`           // of the key that opened it
	Notice     []byte       `json:"notice,omitempty"` // as escrow.Notice.Bytes
	Error      string       `json:"error,omitempty"`  // why the plaintext is not a notice
}

// stated is a release that states a notice, or may.
type stated struct {
	Release event.Reference `json:"release"`
	Own     bool            `json:"own"` // by the custodian that the notice names
}

// addRelease adds a release that states the notice. One of another party gives way to
// the named custodian's, next to which it counts for nothing.
func (x *hit) addRelease(s stated) {
	i := slices.IndexFunc(x.Stated, func(o stated) bool { return s.Own && !o.Own })
	switch {
	case slices.Contains(x.Stated, s):
	case len(x.Stated) < maxStated && i < 0:
		x.Stated = append(x.Stated, s)
	case len(x.Stated) < maxStated:
		x.Stated = slices.Insert(x.Stated, i, s)
	case i >= 0:
		x.Stated[i] = s
	}
}

type key struct {
	holder escrow.KeyHolder
	period escrow.Period
}

// finder observes an audit. Only the audit's goroutine uses its fields, except origin, keys
// and tries.
type finder struct {
	seed   *escrow.Seed
	last   escrow.Period // set by observe
	now    time.Time
	client *client.Client
	// proves returns whether a hit proves an access, and an error if that is unknown.
	proves func(*hit) (bool, error)

	origin string
	keys   []key          // set by observe
	ledger *ledger.Ledger // nil: the log was not read
	head   *tlog.Verified

	tries atomic.Uint64 // of this run

	state *state
	room  int // hits that are kept without another look at what they prove
	fresh []*hit
}

// errGap ends a run whose state lacks a notice: the log is scanned again from its start.
var errGap = errors.New("a notice opens under a key that an earlier run did not try")

// observe derives the keys, and returns the audit's observer.
func (f *finder) observe(ctx context.Context, l *ledger.Ledger, head *tlog.Verified) (replica.Observer, error) {
	f.ledger, f.head, f.origin = l, head, l.Origin()
	// The next month's keys are tried too, since an encryptor's clock may be ahead.
	seen := time.Unix(int64(min(head.LoggedAfter, 1<<37)), 0)
	f.last = max(escrow.PeriodOf(f.now), escrow.PeriodOf(seen), f.seed.First-1) + 1
	keys, err := f.seed.Keys(f.origin, f.last)
	if err != nil {
		return replica.Observer{}, err
	}
	for p, i := f.seed.First, 0; i < len(keys); p, i = p+1, i+2 {
		f.keys = append(f.keys, key{keys[i], p}, key{keys[i+1], p})
	}
	if err := f.fill(ctx, l.Size()); err != nil {
		return replica.Observer{}, err
	}
	return replica.Observer{Read: f.read, Before: f.before, After: f.after}, nil
}

// fill tries at the entries below size, which earlier runs have read, the keys of the months
// that those runs did not try.
func (f *finder) fill(ctx context.Context, size uint64) error {
	s := f.state
	n := len(s.Tried)
	if size == 0 || n > 0 && s.Tried[n-1].Entries == size && !slices.ContainsFunc(s.Tried, func(t tried) bool { return t.To < f.last.String() }) {
		return nil
	}
	tree, err := f.client.Tree(client.TreeOptions{Known: f.head.Checkpoint})
	if err == nil {
		_, err = tree.Offer(ctx, f.head.Checkpoint.Bytes())
	}
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	var found atomic.Bool
	cores := make(chan struct{}, runtime.GOMAXPROCS(0))
	defer work.Wait()
	for b, err := range tree.Bundles(ctx, 0) {
		if err != nil {
			return err
		}
		if b.First >= size || found.Load() {
			break
		}
		cores <- struct{}{}
		work.Go(func() {
			defer func() { <-cores }()
			for i, raw := range b.Entries[:min(uint64(len(b.Entries)), size-b.First)] {
				from := s.from(b.First+uint64(i), f.seed.First)
				env, err := event.ParseEnvelope(raw)
				if err != nil || env.Event.Type != event.TypeDisclosure {
					continue
				}
				for _, n := range env.Event.Body.(*event.Disclosure).Notices {
					if f.try(n, from) != nil {
						found.Store(true)
					}
				}
			}
		})
	}
	if work.Wait(); found.Load() {
		return errGap
	}
	s.Tried = []tried{{size, f.last.String()}}
	return nil
}

// opened is a notice that opened in a worker.
type opened struct {
	place  int // in the disclosure
	period escrow.Period
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
		if o := f.try(b, f.seed.First); o != nil {
			o.place = i
			out = append(out, *o)
		}
	}
	return out
}

// try tries the keys of the months from a first one on.
func (f *finder) try(ciphertext []byte, from escrow.Period) *opened {
	kem, ok := escrow.NoticeKEM(len(ciphertext))
	if !ok {
		return nil
	}
	for i := range f.keys {
		k := &f.keys[i]
		if k.period < from || k.holder.Public().KEM != kem {
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
		x := &hit{Digest: digest, Disclosure: e.Index, After: f.ledger.Time(), Period: o.period.String()}
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
		for _, r := range f.ledger.Stating(d.Event, digest) {
			x.addRelease(stated{r.Reference, r.Custodian == custodian})
		}
		if len(x.Stated) == 0 {
			x.addRelease(stated{Release: d.Event}) // the ledger has closed it, and its event may be the release
		}
		f.fresh = append(f.fresh, x)
	}
	return nil
}

// after keeps the entry's hits, and whether the disclosure had an effect.
func (f *finder) after(e *ledger.Entry, violations []*ledger.Violation, _ []ledger.Change) error {
	effect := true
	for _, v := range violations {
		if v.Index == e.Index {
			effect = false
		}
		noEffect := v.Kind != ledger.KindBreach
		if noEffect && !(v.Index == e.Index && ofCase(e)) {
			continue
		}
		f.state.BreachCount++
		if len(f.state.Breaches) < maxBreaches {
			f.state.Breaches = append(f.state.Breaches, Breach{v.Index, v.Rule, v.Text(), noEffect})
		}
	}
	for _, x := range f.fresh {
		x.Effect = effect
		f.state.add(x)
	}
	f.fresh = f.fresh[:0]
	f.state.tried(e.Index+1, f.last.String())
	return f.evict()
}

// ofCase returns whether an entry is of a type that a case can have.
func ofCase(e *ledger.Entry) bool {
	return e.Envelope != nil && slices.Contains([]event.Type{event.TypeRelease, event.TypeAccess, event.TypeWarrant}, e.Envelope.Event.Type)
}

// evict drops hits that prove nothing once there are too many. The bound then grows with
// what proves something.
func (f *finder) evict() error {
	if len(f.state.Hits) <= max(maxHits, f.room) {
		return nil
	}
	var kept []*hit
	for _, x := range f.state.Hits {
		proves, err := f.proves(x)
		switch {
		case err != nil:
			return err
		case proves:
			kept = append(kept, x)
		default:
			f.state.Left++
		}
	}
	f.state.Hits, f.state.index, f.room = kept, nil, 2*len(kept)
	return nil
}

type state struct {
	Seed        string   `json:"seed"` // hex hash that names the seed
	Notices     uint64   `json:"notices"`
	Tried       []tried  `json:"tried,omitempty"` // by Entries
	Hits        []*hit   `json:"found,omitempty"`
	Left        uint64   `json:"left,omitempty"` // hits that prove nothing and are not kept
	Breaches    []Breach `json:"breaches,omitempty"`
	BreachCount uint64   `json:"breachCount,omitempty"` // with those beyond maxBreaches

	index map[event.Digest]*hit // of Hits; nil: not made yet
}

// tried says up to which month keys were tried at entries: those below Entries that no
// earlier element of the list has.
type tried struct {
	Entries uint64 `json:"entries"`
	To      string `json:"to"`
}

func (s *state) tried(size uint64, to string) {
	if n := len(s.Tried); n == 0 || s.Tried[n-1].To != to {
		s.Tried = append(s.Tried, tried{To: to})
	}
	s.Tried[len(s.Tried)-1].Entries = size
}

// from returns the first month whose keys were not tried at an entry, at least first.
func (s *state) from(index uint64, first escrow.Period) escrow.Period {
	for _, t := range s.Tried {
		if index < t.Entries {
			to, _ := escrow.ParsePeriod(t.To) // UnmarshalJSON has checked it
			return max(first, to+1)
		}
	}
	return first
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
		if x == nil || (x.Notice == nil) == (x.Error == "") || len(x.Stated) == 0 {
			return fmt.Errorf("notice %d has no release, or neither its text nor an error, or both", i)
		}
	}
	for i, t := range s.Tried {
		if _, err := escrow.ParsePeriod(t.To); err != nil || i > 0 && t.Entries <= s.Tried[i-1].Entries {
			return fmt.Errorf("it does not say which months were tried")
		}
	}
	return nil
}

// add keeps a hit, once for each notice.
func (s *state) add(x *hit) {
	if s.index == nil {
		s.index = make(map[event.Digest]*hit, len(s.Hits))
		for _, o := range s.Hits {
			s.index[o.Digest] = o
		}
	}
	if o := s.index[x.Digest]; o != nil {
		if !o.Effect && x.Effect {
			o.Disclosure, o.After, o.Effect = x.Disclosure, x.After, true
		}
		for _, r := range x.Stated {
			o.addRelease(r)
		}
		return
	}
	s.index[x.Digest], s.Hits = x, append(s.Hits, x)
}
