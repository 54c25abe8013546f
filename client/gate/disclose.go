// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// discloseEvery is the time between two checks for overdue notices.
const discloseEvery = 5 * time.Second

// disclose publishes the notices of this gate's releases that the provider has not
// published in time. It forgets notices that are published or not owed.
func (g *Gate) disclose(f *follower) error {
	now := time.Now()
	if now.Before(g.disclosing) {
		return nil
	}
	g.disclosing = now.Add(discloseEvery)
	list := g.journal.unpublished()
	if len(list) == 0 {
		return nil
	}
	late := make(map[uint64]bool) // releases
	for _, o := range f.ledger.Overdue(now) {
		if o.Rule == "disclosure" {
			late[o.Index] = true
		}
	}
	for _, s := range list {
		_, closed, ok := f.ledger.Notices(s.index)
		switch {
		case !ok && s.index < f.ledger.Size() || ok && closed == 0:
			g.journal.published(s.access.Index)
		case ok && late[s.index]:
			if err := g.discloseOne(s); errors.Is(err, errOutbox) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// discloseOne signs a disclosure for each notice of a release into the outbox. If the log
// has a disclosure already, it refuses this one, and post drops it.
func (g *Gate) discloseOne(s *signed) error {
	for _, n := range s.notices {
		err := g.sign(func(uint64, event.Digest) event.Body {
			return &event.Disclosure{Event: event.Reference{Index: s.index, Leaf: s.leaf}, Notices: [][]byte{n}}
		})
		if err != nil {
			return err
		}
	}
	g.cfg.Logger.Warn("publishing the notices of a release, which the provider has not published in time", "release", s.seq)
	g.journal.published(s.access.Index)
	return nil
}
