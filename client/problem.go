// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import "github.com/vasistas/vasistas/internal/problem"

// Problem is an answer other than success (RFC 9457), of a log or a gate.
type Problem = problem.Problem

// A Code says why a request was refused; see docs/operations.md.
type Code = problem.Code

// Codes that a log answers a submission with; see docs/operations.md.
const (
	CodeForm, CodeTooLarge, CodeMediaType, CodeOrigin = problem.Form, problem.TooLarge, problem.MediaType, problem.Origin
	CodeUnknownSigner, CodeSignature, CodeOpenings    = problem.UnknownSigner, problem.Signature, problem.Openings
	CodeRule, CodeNoQuorum, CodeStorage               = problem.Rule, problem.NoQuorum, problem.Storage
	CodeQueueFull, CodeNotReady, CodeShuttingDown     = problem.QueueFull, problem.NotReady, problem.ShuttingDown
)
