// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package stranger

import (
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client/verify"
)

// verifyFile says what a .tlog-proof file proves under a policy.
func verifyFile(policyText, proofFile []byte) (string, error) {
	policy, err := verify.ParsePolicy(policyText)
	if err != nil {
		return "", err
	}
	in, err := verify.Proof(policy, proofFile, verify.Options{Now: time.Now()})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("entry %d of %s is a %s", in.Index(), in.Origin(), in.Envelope().Event.Type), nil
}
