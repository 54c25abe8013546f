// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import "github.com/vasistas/vasistas/internal/problem"

// Problem is a refusal by a log or a gate (RFC 9457).
type Problem = problem.Problem

// A Code says why a request was refused; see docs/operations.md.
type Code = problem.Code

// Codes of a log's refusals of submissions; see docs/operations.md.
const (
	CodeForm, CodeTooLarge, CodeMediaType, CodeOrigin = problem.Form, problem.TooLarge, problem.MediaType, problem.Origin
	CodeUnknownSigner, CodeSignature, CodeOpenings    = problem.UnknownSigner, problem.Signature, problem.Openings
	CodeRule, CodeNoQuorum, CodeStorage               = problem.Rule, problem.NoQuorum, problem.Storage
	CodeQueueFull, CodeNotReady, CodeShuttingDown     = problem.QueueFull, problem.NotReady, problem.ShuttingDown
)
