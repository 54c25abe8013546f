// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ed25519"
	"fmt"
	"log"
	"time"

	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// A proof file and a policy are all that it takes to verify that an event is logged.
func ExampleProof() {
	policyFile, proofFile := files()

	policy, err := verify.ParsePolicy(policyFile)
	if err != nil {
		log.Fatal(err)
	}
	in, err := verify.Proof(policy, proofFile, verify.Options{Now: time.Now()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("entry", in.Index(), "of", in.Origin(), "is a", in.Envelope().Event.Type)
	fmt.Println("it existed before", in.ExistedBefore().UTC())
	fmt.Println("not shown:", in.NotShown())

	_, err = verify.Proof(policy, append(proofFile, '\n'), verify.Options{})
	fmt.Println("with a line more:", verify.VerdictOf(err))
	// Output:
	// entry 0 of log.example/2026 is a heartbeat
	// it existed before 2026-01-01 00:00:00 +0000 UTC
	// not shown: [signatures roles limits later-events off-record]
	// with a line more: disproven
}

// files makes a log of one event, with a witness: what a reader would get from others.
func files() (policy, proof []byte) {
	const origin = "log.example/2026"
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	_, private, err := ed25519.GenerateKey(nil)
	must(err)
	custodian, err := event.NewSigner(private)
	must(err)
	e, err := event.New(origin, &event.Heartbeat{From: time.Unix(1767139200, 0).UTC(), To: time.Unix(1767225600, 0).UTC()})
	must(err)
	envelope, err := event.Sign(e, custodian)
	must(err)
	logKey, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	must(err)
	witness, err := tlog.GenerateSigner("witness.example", tlog.CosignatureEd25519)
	must(err)
	c := &tlog.Checkpoint{Head: tlog.Head{Origin: origin, Size: 1, Root: envelope.LeafHash()}}
	for _, key := range []*tlog.Signer{logKey, witness} {
		line, err := key.Sign(&c.Head, 1767225600)
		must(err)
		c.Signatures = append(c.Signatures, line)
	}
	policy = fmt.Appendf(nil, "log %s\nwitness w %s\nquorum w\n", logKey.Verifier(), witness.Verifier())
	return policy, (&tlog.Proof{Extra: envelope.Bytes(), Checkpoint: c}).Bytes()
}
