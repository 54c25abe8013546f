// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"fmt"
	"log"

	"github.com/vasistas/vasistas/log/tlog"
)

// A log signs a head, a witness cosigns it, and a reader verifies it under a policy.
func ExamplePolicy_Verify() {
	logKey, err := tlog.GenerateSigner("log.example/2026", tlog.Ed25519)
	if err != nil {
		log.Fatal(err)
	}
	witness, err := tlog.GenerateSigner("witness.example", tlog.CosignatureMLDSA44)
	if err != nil {
		log.Fatal(err)
	}
	c := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example/2026", Size: 7}}
	for _, key := range []*tlog.Signer{logKey, witness} {
		line, err := key.Sign(&c.Head, 1767225600)
		if err != nil {
			log.Fatal(err)
		}
		c.Signatures = append(c.Signatures, line)
	}

	policy, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s\nquorum w\n", logKey.Verifier(), witness.Verifier()))
	if err != nil {
		log.Fatal(err)
	}
	read, err := tlog.ParseCheckpoint(c.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	v, err := policy.Verify(read, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Checkpoint)
	fmt.Println("cosigned by", v.Witnesses[0].Witness.Key.Name, "at", v.Witnesses[0].Time)
	// Output:
	// log.example/2026 at size 7 with the root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
	// cosigned by witness.example at 1767225600
}
