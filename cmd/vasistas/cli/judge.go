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

// newDryRun replays a log.
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

// choice is a member of an event with one value of a charter's list.
type choice struct {
	what, value string
	list        []string
}

// choose checks that each code and name of an event stands in the charter, and lists the valid
// ones if one does not.
func choose(ch *event.Charter, ev *event.Event, public []event.Opening) error {
	for _, c := range append(choices(ch, ev), sealedChoices(ch, public)...) {
		if c.value == "" || slices.Contains(c.list, c.value) {
			continue
		}
		if len(c.list) == 0 {
			return fmt.Errorf("%s %q: the charter has none", c.what, c.value)
		}
		return fmt.Errorf("%s %q: the charter has only %s", c.what, c.value, strings.Join(c.list, ", "))
	}
	return nil
}

func choices(ch *event.Charter, ev *event.Event) (out []choice) {
	p := &ch.Profile
	categories := func(list []string) {
		for _, c := range list {
			out = append(out, choice{"category", c, p.Categories})
		}
	}
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
		out = append(out, choice{"instrument", b.Instrument, instruments}, choice{"offence", b.Offence, p.Offences}, choice{"provider", b.Provider, providers})
		categories(b.Categories)
	case *event.Access:
		var groups, emergencies []string
		for _, g := range ch.Groups {
			groups = append(groups, g.ID)
		}
		if p.Emergency != nil {
			emergencies = p.Emergency.Grounds
		}
		out = append(out, choice{"group", b.Group, groups}, choice{"emergency", b.Emergency, emergencies})
		categories(b.Categories)
	case *event.Revocation:
		out = append(out, choice{"reason", b.Reason, p.Reasons})
		categories(b.Categories)
	case *event.Refusal:
		out = append(out, choice{"reason", b.Reason, p.Reasons})
	case *event.Response:
		out = append(out, choice{"ground", b.Ground, p.NonExecution})
		categories(b.Categories)
	case *event.Deferral:
		out = append(out, choice{"ground", b.Ground, p.Grounds})
	}
	return out
}

func sealedChoices(ch *event.Charter, public []event.Opening) (out []choice) {
	lists := map[string][]string{"grounds": ch.Profile.Grounds, "reasons": ch.Profile.Reasons}
	for _, o := range public {
		if list, ok := lists[o.Name]; ok {
			for _, code := range o.Value.Codes() {
				out = append(out, choice{o.Name, code, list})
			}
		}
	}
	return out
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
