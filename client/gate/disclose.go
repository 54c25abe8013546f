// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// lookForNotices is how often a gate looks whether its notices are published.
const lookForNotices = 5 * time.Second

// disclose publishes the notices of this gate's releases, where the provider has not
// done so in time. What is published, or owed by nobody, is forgotten.
func (g *Gate) disclose(b *book) error {
	now := time.Now()
	if now.Before(g.disclosing) {
		return nil
	}
	g.disclosing = now.Add(lookForNotices)
	list := g.journal.unpublished()
	if len(list) == 0 {
		return nil
	}
	late := make(map[uint64]bool) // releases
	for _, o := range b.ledger.Overdue(now) {
		if o.Rule == "disclosure" {
			late[o.Index] = true
		}
	}
	for _, s := range list {
		_, closed, ok := b.ledger.Notices(s.index)
		switch {
		case !ok && s.index < b.ledger.Size() || ok && closed == 0:
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

// discloseOne signs a disclosure for each notice of a release, and leaves posting it
// to the outbox. One that the log has already is refused there, and dropped.
func (g *Gate) discloseOne(s *signed) error {
	for _, n := range s.notices {
		err := g.sign(func(uint64, event.Digest) event.Body {
			return &event.Disclosure{Event: event.Reference{Index: s.index, Leaf: s.leaf}, Notices: [][]byte{n}}
		})
		if err != nil {
			return err
		}
	}
	g.cfg.Logger.Warn("the provider has not published the notices of a release in time; this gate does", "release", s.seq)
	g.journal.published(s.access.Index)
	return nil
}
