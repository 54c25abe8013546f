// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Problem is an answer of type application/problem+json (RFC 9457).
type Problem struct {
	Type   string `json:"type"` // urn:vasistas:error:CODE
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Index is where the event is, in answers of the code no-quorum: it is in
	// the tree, and only its publication is late.
	Index *uint64 `json:"index,omitempty"`
	// Of the code rule: which rule, in which way, what would mend it, and the
	// entry that the event refers to, if that is at issue.
	Rule      string     `json:"rule,omitempty"`
	Way       string     `json:"way,omitempty"`
	Cure      string     `json:"cure,omitempty"`
	Reference *Reference `json:"reference,omitempty"`

	code       string
	retryAfter int // seconds, 0 for none
}

// Reference names an entry.
type Reference struct {
	Index uint64 `json:"index"`
	Leaf  string `json:"leaf"` // standard base64
}

func (p *Problem) Error() string {
	return fmt.Sprintf("%s (%d): %s", p.Title, p.Status, p.Detail)
}

// problemURN begins every Problem.Type; a code follows.
const problemURN = "urn:vasistas:error:"

func newProblem(code string, status int, title, detail string) *Problem {
	return &Problem{Type: problemURN + code, Title: title, Status: status, Detail: detail, code: code}
}

// errNoQuorum says that the wait for a cosigned head took too long.
type errNoQuorum struct{ index uint64 }

func (e *errNoQuorum) Error() string {
	return fmt.Sprintf("the event is in the tree at index %d, and no checkpoint with it has met the witness policy yet; submit it again to get its proof", e.index)
}

// notProven says that a sequenced event has no proof, since the tree can't be
// read.
type notProven struct {
	index uint64
	err   error
}

func (e *notProven) Error() string {
	return fmt.Sprintf("the event is in the tree at index %d, and its proof can't be made: %v", e.index, e.err)
}

func (e *notProven) Unwrap() error { return e.err }

// Errors that front ends answer with, too.
var (
	ErrBusy   = errors.New("too many events are on their way; try again")
	ErrMethod = errors.New("the resource does not have this method")
)

// Errors of the HTTP layer itself.
var (
	errQueueFull  = ErrBusy
	errStreams    = errors.New("too many streams are open; try again, or submit the events one by one")
	errMediaType  = errors.New("send application/json (one envelope) or application/x-ndjson (one envelope a line), without a content encoding")
	errQuery      = errors.New("the one query parameter is wait, and it is sequenced or cosigned")
	errNotFound   = errors.New("there is no such resource")
	errIncomplete = errors.New("the request was cut off or took too long")
	errBody       = errors.New("the body is not in the form of HTTP")
	errMethod     = ErrMethod
	errReading    = errors.New("a tile of the published tree can't be read")
)

// answers says which error is which problem. The first that fits counts.
var answers = []struct {
	err        error
	code       string
	status     int
	title      string
	retryAfter int // seconds
}{
	{event.ErrTooLarge, "too-large", http.StatusRequestEntityTooLarge, "Too large", 0},
	{ErrOrigin, "origin", http.StatusMisdirectedRequest, "Event for another log", 0},
	{event.ErrUnknownSigner, "unknown-signer", http.StatusForbidden, "Unknown signer", 0},
	{event.ErrBadSignature, "signature", http.StatusUnprocessableEntity, "Bad signature", 0},
	{event.ErrMalformed, "form", http.StatusBadRequest, "Malformed", 0},
	{tlog.ErrMalformed, "form", http.StatusBadRequest, "Malformed", 0},
	{errQuery, "form", http.StatusBadRequest, "Malformed", 0},
	{errBody, "form", http.StatusBadRequest, "Malformed", 0},
	{errIncomplete, "incomplete", http.StatusRequestTimeout, "Incomplete request", 0},
	{errMediaType, "media-type", http.StatusUnsupportedMediaType, "Unsupported media type", 0},
	{errNotFound, "not-found", http.StatusNotFound, "Not found", 0},
	{errMethod, "method", http.StatusMethodNotAllowed, "Method not allowed", 0},
	{errQueueFull, "queue-full", http.StatusTooManyRequests, "Queue full", 1},
	{errStreams, "queue-full", http.StatusTooManyRequests, "Queue full", 5},
	{ErrNoLeader, "no-leader", http.StatusServiceUnavailable, "No leader", 1},
	{ErrOusted, "not-leading", http.StatusServiceUnavailable, "Not leading", 1},
	{ErrClosing, "shutting-down", http.StatusServiceUnavailable, "Shutting down", 5},
	{errReading, "internal", http.StatusInternalServerError, "Tree unreadable", 0},
	{errOutcomeUnknown, "storage", http.StatusInsufficientStorage, "Not stored", 5},
	{errState, "storage", http.StatusInsufficientStorage, "Not stored", 5},
}

// problemOf maps an error to its answer. It is the only place where the log
// chooses a status.
func problemOf(err error) *Problem {
	var (
		late     *errNoQuorum
		unproven *notProven
		storage  *storageError
		rule     *RuleError
		beside   *vault.SubmissionError
		detail   = err.Error()
	)
	switch {
	case errors.As(err, &late):
		p := newProblem("no-quorum", http.StatusGatewayTimeout, "Not cosigned yet", detail)
		p.Index, p.retryAfter = &late.index, 1
		return p
	case errors.As(err, &unproven):
		p := newProblem("internal", http.StatusInternalServerError, "Not proven", detail)
		p.Index = &unproven.index
		return p
	case errors.As(err, &rule):
		return ruleProblem(rule)
	case errors.As(err, &beside):
		return newProblem("openings", http.StatusUnprocessableEntity, "Openings or notices do not match", detail)
	case errors.As(err, &storage):
		p := newProblem("storage", http.StatusInsufficientStorage, "Not stored", detail)
		p.retryAfter = 5
		return p
	}
	for _, a := range answers {
		if errors.Is(err, a.err) {
			p := newProblem(a.code, a.status, a.title, detail)
			p.retryAfter = a.retryAfter
			return p
		}
	}
	p := newProblem("not-ready", http.StatusServiceUnavailable, "Not ready", detail)
	p.retryAfter = 5
	return p
}

// ruleProblem is the answer to an event that would break a rule.
func ruleProblem(err *RuleError) *Problem {
	status := http.StatusConflict
	if err.Rule == "role" {
		status = http.StatusForbidden
	}
	p := newProblem("rule", status, "Against the rules", err.Error())
	p.Rule, p.Way, p.Cure = err.Rule, err.Way, err.Cure
	if a := err.About; a != nil {
		p.Reference = &Reference{a.Index, base64.StdEncoding.EncodeToString(a.Leaf[:])}
	}
	return p
}

// writeTo answers with the problem.
func (p *Problem) writeTo(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	w.Write(append(b, '\n'))
}
