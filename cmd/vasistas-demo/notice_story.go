// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// findNotices waits for the disclosure, and scans the log as the subject does.
func (s *story) findNotices(ctx context.Context, o *opening, a *access, seed *escrow.Seed) error {
	returned, err := signNow(&event.Return{Warrant: o.warrant.Reference, Executed: true, Encryption: true, Plaintext: true, Persons: 1, Days: 1}, s.signers.provider)
	if _, err := s.submit(ctx, returned, err); err != nil {
		return err
	}
	s.wrap("  ", fmt.Sprintf("At %s the seals of the case end, and the log discloses it by itself. The subject's client tries its keys on "+
		"every notice in the log. No one learns that it asked:", clock(o.until)))
	cl, err := client.New(client.Config{URL: s.url, Policy: s.policy, UserAgent: "vasistas-demo", Keep: s.path("case", "subject.tiles")})
	if err != nil {
		return err
	}
	var state []byte
	var found *scan.Case
	err = s.replay.await(ctx, func() (bool, error) {
		if _, opened := s.replay.opened[a.Index]; !opened {
			return false, nil
		}
		r, err := scan.Run(ctx, scan.Config{Seed: seed, Now: time.Now(), Config: audit.Config{
			Client: cl, Policy: s.policy, Origin: origin,
			Snapshot: state, Save: func(b []byte) error { state = b; return nil },
		}})
		if err != nil {
			return false, err
		}
		for _, c := range r.Cases {
			if c.Notices[0].Access.Index == a.Index {
				found = c
			}
		}
		return found != nil && len(found.Notices) >= gateThreshold, nil
	})
	if err != nil {
		return fmt.Errorf("the subject's notices: %w", err)
	}
	return s.tellNotices(found)
}

// tellNotices tells what the notices of a case say, and keeps each as a file that
// shows it offline.
func (s *story) tellNotices(c *scan.Case) error {
	first := c.Notices[0]
	s.wrap("  ", fmt.Sprintf("\"On warrant %d, case %q, the agency %s was given the key to a file of your account %s, by access %d.\"",
		first.Warrant.Index, first.Case, first.Agency, first.Accounts[0], first.Access.Index))
	for i, n := range c.Notices {
		b, err := n.File.Bytes()
		if err != nil {
			return err
		}
		name := s.path("case", fmt.Sprintf("%d.notice", i+1))
		if err := durable.WriteFile(name, b, 0o600); err != nil {
			return err
		}
		kept, err := notice.Parse(b)
		if err != nil {
			return err
		}
		if _, err := kept.Verify(s.policy, verify.Options{Origin: origin, Now: time.Now()}); err != nil {
			return fmt.Errorf("a notice that was found does not verify: %w", err)
		}
		s.say("  -> the notice of %s, in entry %d: %s", n.Release.By, n.Disclosure, name)
	}
	s.wrap("  ", "Each file holds its proofs, and was verified offline.")
	return nil
}
