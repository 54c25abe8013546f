// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// An authority signs a warrant, and a reader opens its public values later.
func Example() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	judge, err := event.NewSigner(key)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	e, err := event.New("log.example/2026", &event.Warrant{
		Decision: event.Granted, Provider: "messenger", Instrument: "stpo-100a", Offence: "a-life",
		Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.AddDate(0, 3, 0),
	})
	if err != nil {
		log.Fatal(err)
	}
	public := []event.Opening{
		event.NewOpening("agency", event.Text("lka-berlin")),
		event.NewOpening("agencyKey", event.Bytes(judge.Public().SPKI())), // for the example only
		event.NewOpening("grounds", event.Codes("investigation")),
		event.Decoy(),
	}
	subject := []event.Opening{
		event.NewOpening("case", event.Text("161 Js 12/26")),
		event.NewOpening("identifier", event.Text("subject@example.org")),
	}
	if err := e.Seal(now.AddDate(0, 6, 0), public, subject); err != nil {
		log.Fatal(err)
	}
	envelope, err := event.Sign(e, judge)
	if err != nil {
		log.Fatal(err)
	}

	read, err := event.ParseEnvelope(envelope.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	err = read.Verify(func(keyID string) *event.PublicKey {
		if keyID == judge.KeyID() {
			return judge.Public()
		}
		return nil
	})
	fmt.Println("verified:", err == nil)
	fmt.Println("opened:", read.Event.MatchAll(event.ClassPublic, public) == nil)
	// Output:
	// verified: true
	// opened: true
}
