// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// A file is encrypted to its owner and escrowed to three custodians, of whom two can
// give its key.
func Example() {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	charter := &event.Charter{Groups: []event.Group{{ID: "main", Threshold: 2, Members: []string{"bar", "court", "press"}}}}
	gates := make(map[string]*escrow.SecretKey)
	for _, name := range charter.Groups[0].Members {
		key, err := escrow.GenerateKey(event.KEMX25519)
		must(err)
		gates[name] = key
		charter.Parties = append(charter.Parties, event.Party{Name: name, Role: event.RoleCustodian, Gates: []event.HPKEKey{key.Public()}})
	}
	group, err := escrow.NewGroup("log.example/2026", charter, "main")
	must(err)

	owner, err := age.GenerateX25519Identity()
	must(err)
	now := time.Now()
	notices, err := escrow.NewSeed(now).Key("log.example/2026", escrow.PeriodOf(now), event.KEMX25519)
	must(err)
	recipient, err := escrow.NewRecipient(group, event.KEMX25519, notices.Public(), "tel:+4915100000000")
	must(err)
	var file bytes.Buffer
	w, err := age.Encrypt(&file, owner.Recipient(), recipient)
	must(err)
	_, err = io.WriteString(w, "a message")
	must(err)
	must(w.Close())

	packages, err := escrow.ReadPackages(bytes.NewReader(file.Bytes()))
	must(err)
	p := packages[0]
	var shares []*escrow.Share
	for _, name := range []string{"court", "press"} {
		part, err := p.OpenNotice(gates[name], group)
		must(err)
		fmt.Println(name, "will notify", part.Account.Value.Text())
		share, err := p.OpenShare(gates[name], group)
		must(err)
		shares = append(shares, share)
	}
	_, err = p.FileKey(shares[:1])
	fmt.Println("one share opens it:", err == nil)
	key, err := p.FileKey(shares)
	must(err)
	fmt.Println("two shares give a file key of", len(key), "bytes")
	// Output:
	// court will notify tel:+4915100000000
	// press will notify tel:+4915100000000
	// one share opens it: false
	// two shares give a file key of 16 bytes
}
