// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
)

// attackGates tries to get shares that nobody may have.
func (s *story) attackGates(ctx context.Context, o *opening, a *access, old *escrow.Request, f *escrowed) error {
	s.title("Nine attacks on the gates")
	one := o.gates[0]
	n := 0
	tell := func(tried, why string) {
		n++
		s.wrap("  ", fmt.Sprintf("%d. %s", n, tried))
		s.wrap("     ", "-> "+why)
	}
	refused := func(tried string, r *escrow.Request, want gate.Code) error {
		why, err := askGate(ctx, one, r, want)
		if err == nil {
			tell(tried, why)
		}
		return err
	}
	other, err := s.escrow(o, otherAccount)
	if err != nil {
		return err
	}
	good, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	if err := s.attackUnlogged(ctx, o, good, f, refused); err != nil {
		return err
	}
	if err := s.attackByFork(ctx, o, good, tell); err != nil {
		return err
	}
	r := *good
	r.Packages = []*escrow.Package{other.pkg}
	if err := refused("Another person's file, under this access.", &r, gate.CodePackage); err != nil {
		return err
	}
	if err := s.attackByAccess(ctx, o, accessTerms{account: otherAccount}, other, "An access to an account that the warrant does not name.", gate.CodeAccount, refused); err != nil {
		return err
	}
	stranger, err := escrow.GenerateKey(event.KEMX25519)
	if err != nil {
		return err
	}
	if err := s.attackByAccess(ctx, o, accessTerms{account: subjectAccount, consent: stranger}, f, "A recipient key that the agency did not sign for.", gate.CodeRecipient, refused); err != nil {
		return err
	}
	if err := s.attackTwice(ctx, o, a, good, tell); err != nil {
		return err
	}
	if err := s.attackCut(ctx, o, f, tell); err != nil {
		return err
	}
	return s.attackStale(ctx, old, one, tell)
}

// attackUnlogged puts an access that is not in the log into the proof of one that is.
func (s *story) attackUnlogged(ctx context.Context, o *opening, good *escrow.Request, f *escrowed, refused func(string, *escrow.Request, gate.Code) error) error {
	unlogged, err := s.logAccess(ctx, o, accessTerms{account: subjectAccount, offline: true}, f)
	if err != nil {
		return err
	}
	r := *good
	if r.Access, err = otherExtra(good.Access, unlogged.env.Bytes()); err != nil {
		return err
	}
	r.AccessOpenings = unlogged.openings
	return refused("An access that is signed and not logged, with the proof of another entry.", &r, gate.CodeProof)
}

// attackByAccess logs an access that a gate must refuse.
func (s *story) attackByAccess(ctx context.Context, o *opening, terms accessTerms, f *escrowed, tried string, want gate.Code, refused func(string, *escrow.Request, gate.Code) error) error {
	a, err := s.logAccess(ctx, o, terms, f)
	if err != nil {
		return err
	}
	r, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	return refused(tried, r, want)
}

// attackByFork shows a head that contradicts the log to a gate of its own: it ends
// that gate for good.
func (s *story) attackByFork(ctx context.Context, o *opening, good *escrow.Request, tell func(tried, why string)) error {
	dir, err := os.MkdirTemp(s.dir, "forked-gate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	key, err := escrow.GenerateKey(event.KEMX25519)
	if err != nil {
		return err
	}
	// Any key that has signed nothing: the gate sees the fork before it asks whose
	// gate it is.
	c, err := s.gateConfig(o.agency, key, filepath.Join(dir, "state"), s.url, o.charter)
	if err != nil {
		return err
	}
	if err := gate.Create(c); err != nil {
		return err
	}
	g, err := gate.Open(c)
	if err != nil {
		return err
	}
	r := *good
	if r.Access, err = s.forkedProof(good.Access); err != nil {
		return errors.Join(err, g.Close())
	}
	why, err := askGate(ctx, &gateServer{name: "a bystander", key: key, g: g}, &r, gate.CodeFork)
	if err == nil {
		tell("The access under a forked head, which the log and all three witnesses have signed.", firstWords(why))
	}
	return errors.Join(err, g.Close())
}

// attackTwice asks for the same access again, and one gate alone for all.
func (s *story) attackTwice(ctx context.Context, o *opening, a *access, good *escrow.Request, tell func(tried, why string)) error {
	one := o.gates[0]
	var shares []*escrow.Share
	var releases []event.Reference
	for range 2 {
		sealed, err := good.Seal(origin, one.key.Public())
		if err != nil {
			return err
		}
		answer, err := one.release(ctx, sealed)
		if err != nil {
			return err
		}
		d := escrow.Delivery{Origin: origin, Access: a.Reference, Recipient: a.recipient.Public()}
		got, err := escrow.OpenAnswer(answer, &d, 1, s.signers.custodians[one.name].Public(), a.recipient, good.Packages)
		if err != nil {
			return err
		}
		shares, releases = append(shares, got...), append(releases, d.Release)
	}
	if releases[0] != releases[1] {
		return fmt.Errorf("%w: one access has two releases", errSucceeded)
	}
	tell("The same access twice.", fmt.Sprintf("the same answer to the same key, under the same release (entry %d): there is no second one", releases[0].Index))
	_, err := good.Packages[0].FileKey(shares)
	if err == nil {
		return fmt.Errorf("%w: one gate's share opens the letter", errSucceeded)
	}
	tell("One gate alone.", err.Error())
	return nil
}

// attackCut lets the log take no release.
func (s *story) attackCut(ctx context.Context, o *opening, f *escrowed, tell func(tried, why string)) error {
	a, err := s.logAccess(ctx, o, accessTerms{account: subjectAccount}, f)
	if err != nil {
		return err
	}
	r, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	o.wire.cut.Store(true)
	why, err := askGate(ctx, o.gates[2], r, gate.CodeLog)
	o.wire.cut.Store(false)
	if err != nil {
		return err
	}
	tell("A log that does not take the release.", firstWords(why))
	return nil
}

// attackStale shows an old head, once it is old.
func (s *story) attackStale(ctx context.Context, old *escrow.Request, one *gateServer, tell func(tried, why string)) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		sealed, err := old.Seal(origin, one.key.Public())
		if err != nil {
			return err
		}
		_, err = one.release(ctx, sealed)
		var no *gate.Refusal
		if errors.As(err, &no) && no.Code == gate.CodeStale {
			tell("The same request, under a head that was good when the access was logged.", no.Error())
			return nil
		}
		if err != nil && !(errors.As(err, &no) && no.Temporary()) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: an old head is still taken", errSucceeded)
		case <-tick.C:
		}
	}
}
