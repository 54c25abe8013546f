// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate_test

import (
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/vault"
)

func none(event.Digest) bool { return false }

// sealed returns records for a vault, and their events.
func sealed(t testing.TB, n int) (records []*vault.Record, events []event.Digest) {
	t.Helper()
	signer := people.New(origin, "").Signer("court")
	now := time.Now().UTC().Truncate(time.Second)
	for range n {
		ev, err := event.New(origin, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
			Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.Add(time.Hour)})
		check(t, err)
		ev.Time = now
		public := []event.Opening{
			event.NewOpening("agency", event.Text("police")),
			event.NewOpening("agencyKey", event.Bytes(signer.Public().SPKI())),
			event.NewOpening("grounds", event.Codes("ground")),
		}
		check(t, ev.Seal(now.Add(24*time.Hour), public, []event.Opening{event.NewOpening("case", event.Text("1/2026"))}))
		env, err := event.Sign(ev, signer)
		check(t, err)
		r, err := vault.Prepare(&event.Submission{Envelope: env, Openings: public})
		check(t, err)
		records, events = append(records, r), append(events, env.Hash())
	}
	return records, events
}
