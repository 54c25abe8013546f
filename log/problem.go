// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// noProof reports a sequenced event without a proof.
type noProof struct {
	index uint64
	err   error // of reading the tree; nil: the wait for a cosigned head took too long
}

func (e *noProof) Error() string {
	why := "no checkpoint with it has met the witness policy yet; submit it again to get its proof"
	if e.err != nil {
		why = fmt.Sprintf("its proof can't be made: %v", e.err)
	}
	return fmt.Sprintf("the event is in the tree at index %d, and %s", e.index, why)
}

// Errors of the HTTP layer itself.
var (
	errQueueFull  = errors.New("too many events are on their way; try again")
	errStreams    = errors.New("too many streams are open; try again, or submit the events one by one")
	errMediaType  = errors.New("send application/json (one envelope) or application/x-ndjson (one envelope a line), without a content encoding")
	errQuery      = errors.New("the one query parameter is wait, and it is sequenced or cosigned")
	errNotFound   = errors.New("there is no such resource")
	errIncomplete = errors.New("the request was cut off or took too long")
	errBody       = errors.New("the body is not in the form of HTTP")
	errMethod     = errors.New("the resource does not have this method")
	errReading    = errors.New("a tile of the published tree can't be read")
	errStandby    = errors.New("this instance of the log is a standby; submit the event to the active one")
)

// faulty marks the fault of a request. Only an error that is so marked is answered as
// one: an error of a witness or of the engine may wrap the same sentinels, and a
// submitter drops an event that is called malformed.
type faulty struct{ error }

func (e faulty) Unwrap() error { return e.error }

type answer struct {
	err        error
	code       problem.Code
	title      string
	retryAfter time.Duration
}

// faults maps errors that are faulty to problems, and answers maps all others. The first
// match counts.
var faults = []answer{
	{event.ErrTooLarge, problem.TooLarge, "Too large", 0},
	{ErrOrigin, problem.Origin, "Event for another log", 0},
	{event.ErrUnknownSigner, problem.UnknownSigner, "Unknown signer", 0},
	{event.ErrBadSignature, problem.Signature, "Bad signature", 0},
	{event.ErrMalformed, problem.Form, "Malformed", 0},
	{tlog.ErrMalformed, problem.Form, "Malformed", 0},
}

var answers = []answer{
	{errNotLogged, problem.Storage, "Not stored", 5 * time.Second},
	{errQuery, problem.Form, "Malformed", 0},
	{errBody, problem.Form, "Malformed", 0},
	{errIncomplete, problem.Incomplete, "Incomplete request", 0},
	{errMediaType, problem.MediaType, "Unsupported media type", 0},
	{errNotFound, problem.NotFound, "Not found", 0},
	{errMethod, problem.Method, "Method not allowed", 0},
	{errQueueFull, problem.QueueFull, "Queue full", time.Second},
	{errStreams, problem.QueueFull, "Queue full", 5 * time.Second},
	{errUnnamed, problem.NotReady, "Not ready", time.Second},
	{errUnaudited, problem.NotReady, "Not ready", time.Second},
	{errStandby, problem.Standby, "Standby", time.Second},
	{state.ErrOusted, problem.Standby, "Standby", time.Second},
	{ErrClosing, problem.ShuttingDown, "Shutting down", 5 * time.Second},
	{errReading, problem.Internal, "Tree unreadable", 0},
	{errOutcomeUnknown, problem.Storage, "Not stored", 5 * time.Second},
	{chain.ErrState, problem.Storage, "Not stored", 5 * time.Second},
}

// problemOf maps an error to its answer.
func problemOf(err error) *problem.Problem {
	var (
		unproven *noProof
		rule     *RuleError
		vaulted  *vault.SubmissionError
		detail   = err.Error()
	)
	switch {
	case errors.As(err, &unproven):
		p := problem.New(problem.Internal, "Not proven", detail)
		if unproven.err == nil {
			p = problem.New(problem.NoQuorum, "Not cosigned yet", detail)
			p.RetryAfter = time.Second
		}
		p.Index = &unproven.index
		return p
	case errors.As(err, &rule):
		return ruleProblem(rule)
	case errors.As(err, &vaulted):
		return problem.New(problem.Openings, "Openings or notices do not match", detail)
	}
	table := answers
	if errors.As(err, new(faulty)) {
		table = faults
	}
	for _, a := range table {
		if errors.Is(err, a.err) {
			p := problem.New(a.code, a.title, detail)
			p.RetryAfter = a.retryAfter
			return p
		}
	}
	p := problem.New(problem.NotReady, "Not ready", detail)
	if durable.NoRoom(err) {
		p = problem.New(problem.Storage, "Not stored", detail)
	}
	p.RetryAfter = 5 * time.Second
	return p
}

// ruleProblem is the answer to an event that would break a rule.
func ruleProblem(err *RuleError) *problem.Problem {
	p := problem.New(problem.Rule, "Against the rules", err.Error())
	if err.Rule == "role" {
		p.Status = http.StatusForbidden
	}
	p.Rule, p.Way, p.Cure = err.Rule, err.Code, err.Cure
	if a := err.About; a != nil {
		p.Reference = &problem.Reference{Index: a.Index, Leaf: base64.StdEncoding.EncodeToString(a.Leaf[:])}
	}
	return p
}
