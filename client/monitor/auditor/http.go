// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Codes of refusals; see docs/operations.md.
const (
	codeBusy, codeNotReady, codeStopped, codeStorage = problem.Busy, problem.NotReady, problem.Stopped, problem.Storage
	codeHead, codeQuorum, codeStale, codeClock       = problem.Head, problem.Quorum, problem.Stale, problem.Clock
	codeTrust, codeBarred, codeForm                  = problem.Trust, problem.Barred, problem.Form
)

// A Refusal is the error of a step from the third on. The same request may be answered later.
type Refusal struct {
	Code string // of the problem document
	Err  error
	Bars []ledger.Bar // what bars the auditor, for the code barred
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Code, r.Err) }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(code problem.Code, format string, args ...any) *Refusal {
	return &Refusal{Code: string(code), Err: fmt.Errorf(format, args...)}
}

// retryAfter is the Retry-After of a refusal.
const retryAfter = 2 * time.Second

// problem returns the answer to a refusal.
func (r *Refusal) problem() *problem.Problem {
	detail := r.Err.Error()
	if r.Code == string(codeStorage) {
		detail = "the auditor can't write its state" // the reason has paths: it is only for the operator
	}
	p := problem.New(problem.Code(r.Code), "the auditor does not cosign", detail)
	if r.Code != string(codeForm) {
		p.Status, p.RetryAfter = http.StatusServiceUnavailable, retryAfter
	}
	if len(r.Bars) > 0 {
		b, err := json.Marshal(round.Bars(r.Bars))
		if err != nil {
			panic(err) // strings, numbers and times
		}
		p.Bars = b
	}
	return p
}

// Handler returns the HTTP interface of auditors of several logs, each of another origin:
// add-checkpoint (tlog-witness) and /events ([Auditor.Hold]), for the log of the request's origin.
func Handler(auditors ...*Auditor) http.Handler {
	return &server{auditors: auditors}
}

type server struct {
	auditors []*Auditor
	buffered atomic.Int64 // bytes of bodies, at most maxBuffered
}

// maxBuffered bounds the bytes of all bodies that are being read or answered: only a body says
// which auditor, and so which slot, it is for.
const maxBuffered = 32 << 20

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body := &charged{ReadCloser: r.Body, to: &s.buffered}
	r.Body = body
	defer func() { s.buffered.Add(-body.n) }()
	switch r.URL.EscapedPath() {
	case "/add-checkpoint":
		s.add(w, r)
	case EventsPath:
		s.hold(w, r)
	default:
		problem.New(problem.NotFound, "", "there is no such resource").Answer(w)
	}
}

// charged is a body whose bytes are counted before they are read.
type charged struct {
	io.ReadCloser
	to *atomic.Int64
	n  int64
}

func (c *charged) Read(p []byte) (int, error) {
	p = p[:min(len(p), 8<<10)]
	c.n += int64(len(p))
	if c.to.Add(int64(len(p))) > maxBuffered {
		return 0, refuse(codeBusy, "too many requests are being read")
	}
	n, err := c.ReadCloser.Read(p)
	unused := int64(len(p) - n)
	c.n -= unused
	c.to.Add(-unused)
	return n, err
}

// add answers add-checkpoint.
func (s *server) add(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	var to *Auditor // whose log the request is about; nil: none
	answer := func(body []byte) ([]byte, error) {
		req, err := cosigning.Parse(body, cosigning.MaxBody)
		if err != nil {
			return nil, err
		}
		for _, a := range s.auditors {
			if a.cfg.Origin == req.Checkpoint.Origin {
				to = a
				return a.add(r.Context(), req)
			}
		}
		return nil, fmt.Errorf("%w: %q", ErrUnknownLog, req.Checkpoint.Origin)
	}
	outcome := "cosigned"
	cosigning.Serve(w, r, cosigning.MaxBody, answer, func(err error) (status int) {
		status, outcome = fail(w, err)
		return status
	})
	if to != nil {
		to.metrics.requests.Add(1, to.cfg.Origin, outcome)
		to.metrics.seconds.Observe(time.Since(begun).Seconds(), to.cfg.Origin)
	}
}

// EventsPath is the path to which events are posted, as to the log: see [Auditor.Hold].
const EventsPath = "/events"

// hold answers a post of an event, for the auditor of the event's log.
func (s *server) hold(w http.ResponseWriter, r *http.Request) {
	take := func(body []byte) ([]byte, error) {
		sub, err := event.ParseSubmission(body)
		if err != nil {
			return nil, refuse(codeForm, "%w", err)
		}
		for _, a := range s.auditors {
			if origin := sub.Envelope.Event.Log; a.cfg.Origin == origin {
				return []byte("held\n"), a.Hold(r.Context(), body)
			}
		}
		return nil, fmt.Errorf("%w: %q", ErrUnknownLog, sub.Envelope.Event.Log)
	}
	cosigning.Serve(w, r, event.MaxSubmissionSize, take, func(err error) (status int) {
		status, _ = fail(w, err)
		return status
	})
}

// fail answers with an error, and returns the status and the code.
func fail(w http.ResponseWriter, err error) (status int, code string) {
	if r, ok := errors.AsType[*Refusal](err); ok {
		p := r.problem()
		p.Answer(w)
		return p.Status, r.Code
	}
	if conflict, ok := errors.AsType[*ConflictError](err); ok {
		return cosigning.Conflict(w, conflict.Size), "conflict"
	}
	c, detail := problem.Internal, err.Error()
	_, inconsistent := errors.AsType[*InconsistentError](err)
	switch {
	case inconsistent:
		c = problem.Proof
	case errors.Is(err, tlog.ErrMalformed):
		c = problem.Form
	case errors.Is(err, ErrUnknownLog):
		c = problem.NotFound
	case errors.Is(err, cosigning.ErrUntrusted):
		c = problem.UnknownSigner
	case errors.Is(err, cosigning.ErrTooLarge):
		c = problem.TooLarge
	case errors.Is(err, cosigning.ErrBody), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c = problem.Incomplete
	default:
		detail = "internal error"
	}
	p := problem.New(c, http.StatusText(c.Status()), detail)
	p.Answer(w)
	return p.Status, string(c)
}
