// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
)

func verifyFork(policy *tlog.Policy, b []byte, origin string) (*tlog.Fork, error) {
	f, err := tlog.ParseFork(b)
	if err != nil {
		return nil, &verify.Error{Reason: verify.Malformed, Err: err}
	}
	if err := verify.Fork(policy, f, origin); err != nil {
		return nil, err
	}
	return f, nil
}

// forkJSON is the result for a file with evidence of a fork.
type forkJSON struct {
	File    string     `json:"file"`
	Verdict string     `json:"verdict"`
	Fork    *tlog.Fork `json:"fork"`
}
