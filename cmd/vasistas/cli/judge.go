// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/vault"
)

// dryRun judges events by the present state of a log, as admission does, but by this machine's
// clock.
type dryRun struct {
	ledger *ledger.Ledger
	now    time.Time
}

func (e *env) newDryRun(ctx context.Context, cl *client.Client) (*dryRun, error) {
	r, err := replica.New(replica.Config{Client: cl})
	if err == nil {
		_, err = r.Update(ctx)
	}
	if err == nil {
		err = r.Replay(ctx, replica.Observer{})
	}
	if err != nil {
		return nil, err
	}
	return &dryRun{r.Ledger(), time.Now()}, nil
}

// judge returns why the log would refuse a submission, or what it would say of the entry.
func (d *dryRun) judge(s *event.Submission) error {
	ev, ch := s.Envelope.Event, d.ledger.Charter()
	if ev.Log != d.ledger.Origin() {
		return fmt.Errorf("it is for the log %q, and this is %q", ev.Log, d.ledger.Origin())
	}
	entry := ledger.Read(0, s.Envelope.Bytes())
	if _, ok := d.ledger.Recorded(entry); ok {
		return nil // the log answers with the entry that it has
	}
	if _, err := vault.Prepare(s); err != nil {
		return err
	}
	if err := errors.Join(choose(ch.Charter, ev, s.Openings), ch.Complete(ev, s.Openings)); err != nil {
		return err
	}
	lag, skew := time.Duration(ch.Profile.Lag)*time.Second, time.Duration(ch.Profile.Skew)*time.Second
	if ev.Time.Before(d.now.Add(-lag)) || ev.Time.After(d.now.Add(skew)) {
		return fmt.Errorf("it claims to be signed at %s, which the profile no longer or not yet admits: sign it again", ev.Time.Format(time.RFC3339))
	}
	entry.Extends = ledger.Extends(ev.Type, s.Openings)
	v, err := d.ledger.Check(entry)
	if err == nil && v != nil {
		err = fmt.Errorf("rule %s (%s): %s", v.Rule, v.Code, v.Text())
	}
	return err
}

// byCharter returns why a log of this charter would refuse an event. Only the log can judge
// what depends on other entries.
func byCharter(file *charterFile, env *event.Envelope, o *event.Openings) error {
	ev := env.Event
	if ev.Log != file.event.Log {
		return fmt.Errorf("the event is for the log %q, and the charter is of %q", ev.Log, file.event.Log)
	}
	for _, s := range env.Signatures {
		if file.charter.Holder(s.KeyID) == nil {
			return fmt.Errorf("the charter names no party with the key %s", s.KeyID)
		}
	}
	var public []event.Opening
	if o != nil {
		public = o.Public
	}
	if err := choose(file.charter, ev, public); err != nil {
		return err
	}
	if err := (&ledger.Charter{Charter: file.charter}).Complete(ev, public); err != nil {
		return err
	}
	l, err := file.founded(ev.Time)
	if err != nil {
		return err
	}
	v, err := l.Check(ledger.Entry{Envelope: env, Hash: env.Hash()})
	switch {
	case errors.Is(err, errNoEntries), v != nil && v.About != nil: // it depends on another entry
		return nil
	case err != nil || v == nil:
		return err
	}
	return fmt.Errorf("rule %s (%s): %s", v.Rule, v.Code, v.Text())
}

// founded returns the ledger of a log whose only entry is this charter, as its first one and
// signed by all founders.
func (f *charterFile) founded(t time.Time) (*ledger.Ledger, error) {
	first, body := *f.event, *f.charter
	body.Version, body.Prev = 1, nil
	first.Body, first.Time = &body, t
	entry := ledger.Entry{Envelope: &event.Envelope{Event: &first}}
	var err error
	if entry.Envelope.Payload, err = first.Bytes(); err != nil {
		return nil, err
	}
	for _, p := range body.Parties {
		if p.Role == event.RoleCharter {
			entry.Envelope.Signatures = append(entry.Envelope.Signatures, event.Signature{KeyID: p.Keys[0].KeyID()})
			entry.Signatures = append(entry.Signatures, ledger.Good)
		}
	}
	l := ledger.New(first.Log, noTree{})
	if _, violations, err := l.Add(entry); err != nil || len(violations) > 0 {
		return nil, errors.Join(fmt.Errorf("%s: no log accepts this charter", f.name), err)
	}
	return l, nil
}

// noTree is the tree of a log whose entries are not at hand.
type noTree struct{}

var errNoEntries = errors.New("the log's entries are not at hand")

func (noTree) Entry(uint64) ([]byte, error)  { return nil, errNoEntries }
func (noTree) Root(uint64) ([32]byte, error) { return [32]byte{}, errNoEntries }

// choose checks that each code and name of an event stands in the charter, and lists the valid
// ones if one does not.
func choose(ch *event.Charter, ev *event.Event, public []event.Opening) (err error) {
	check := func(what string, list []string, values ...string) {
		for _, v := range values {
			switch {
			case err != nil || v == "" || slices.Contains(list, v):
			case len(list) == 0:
				err = fmt.Errorf("%s %q: the charter has none", what, v)
			default:
				err = fmt.Errorf("%s %q: the charter has only %s", what, v, strings.Join(list, ", "))
			}
		}
	}
	p := &ch.Profile
	switch b := ev.Body.(type) {
	case *event.Warrant:
		var instruments, providers []string
		for _, in := range p.Instruments {
			instruments = append(instruments, in.Code)
		}
		for _, party := range ch.Parties {
			if party.Role == event.RoleProvider {
				providers = append(providers, party.Name)
			}
		}
		check("instrument", instruments, b.Instrument)
		check("offence", p.Offences, b.Offence)
		check("provider", providers, b.Provider)
		check("category", p.Categories, b.Categories...)
	case *event.Access:
		var groups, emergencies []string
		for _, g := range ch.Groups {
			groups = append(groups, g.ID)
		}
		if p.Emergency != nil {
			emergencies = p.Emergency.Grounds
		}
		check("group", groups, b.Group)
		check("emergency", emergencies, b.Emergency)
		check("category", p.Categories, b.Categories...)
	case *event.Revocation:
		check("reason", p.Reasons, b.Reason)
		check("category", p.Categories, b.Categories...)
	case *event.Refusal:
		check("reason", p.Reasons, b.Reason)
	case *event.Response:
		check("ground", p.NonExecution, b.Ground)
		check("category", p.Categories, b.Categories...)
	case *event.Deferral:
		check("ground", p.Grounds, b.Ground)
	}
	for _, o := range public {
		switch o.Name {
		case "grounds":
			check(o.Name, p.Grounds, o.Value.Codes()...)
		case "reasons":
			check(o.Name, p.Reasons, o.Value.Codes()...)
		}
	}
	return err
}

// sealLimit returns for how long an event may be sealed.
func sealLimit(ch *event.Charter, ev *event.Event) event.SealLimit {
	if w, ok := ev.Body.(*event.Warrant); ok {
		if in := ch.Profile.Instrument(w.Instrument); in != nil && in.Seal != nil {
			return *in.Seal
		}
	}
	return ch.Profile.Seal
}
