// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// A Code is why a request was refused. Codes are stable, in answers and metrics; see
// docs/operations.md.
type Code = problem.Code

// The codes, in the order of the steps.
const (
	CodeForm, CodeBusy, CodeNotReady, CodeStopped      = problem.Form, problem.Busy, problem.NotReady, problem.Stopped
	CodeProof, CodeFork, CodeHead, CodeQuorum          = problem.Proof, problem.Fork, problem.Head, problem.Quorum
	CodeStale, CodeClock, CodeTrust, CodeAccess        = problem.Stale, problem.Clock, problem.Trust, problem.Access
	CodeGroup, CodeDead, CodeAnswered, CodeChain       = problem.Group, problem.Dead, problem.Answered, problem.Chain
	CodeBreach, CodeOverdue, CodeOpenings, CodePackage = problem.Breach, problem.Overdue, problem.Openings, problem.Package
	CodeAccount, CodeRecipient, CodeStanza, CodeNotice = problem.Account, problem.Recipient, problem.Stanza, problem.Notice
	CodeStorage, CodeLog, CodeEffect, CodeShare        = problem.Storage, problem.Log, problem.Effect, problem.Share
)

// A Refusal is the error of every request that a gate refuses.
type Refusal struct {
	Code   Code
	Err    error
	reason string // of the refusal to log; "": none is logged
	ends   string // see Ends
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Code, r.Err) }
func (r *Refusal) Unwrap() error { return r.Err }

// Temporary returns whether the same request may be answered later.
func (r *Refusal) Temporary() bool {
	switch r.Code {
	case CodeBusy, CodeNotReady, CodeHead, CodeClock, CodeStorage, CodeLog, CodeOverdue:
		return true
	}
	return false
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Err: fmt.Errorf(format, args...)}
}

// refusal returns the refusal in err. Any other error is the gate's own, CodeNotReady.
func refusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return refuse(CodeNotReady, "%w", err)
}

// Reasons of refusals, in the shipped profiles. The gate logs only those that the profile
// in force has.
const (
	reasonAccount   = "account-mismatch"
	reasonBreach    = "breach-open"
	reasonExpired   = "expired"
	reasonLimits    = "limits-exceeded"
	reasonOpenings  = "openings-mismatch"
	reasonOverdue   = "overdue-bars"
	reasonPackage   = "package-mismatch"
	reasonRecipient = "recipient-mismatch"
	reasonRevoked   = "revoked"
	reasonStanza    = "unreadable"
	reasonSuspended = "suspended"
)

// logged sets the reason under which the refusal is logged.
func (r *Refusal) logged(reason string) *Refusal {
	r.reason = reason
	return r
}

// until sets what would end the refusal, if only a newer head ends it or if the code says too
// little.
func (r *Refusal) until(ends string) *Refusal {
	r.ends = ends
	return r
}

// Errors with which a gate signs and opens nothing; after the first two, until its operator acts.
var (
	// ErrElsewhere: the log has an event signed by this gate's key that the journal
	// lacks. Stop the other instance. If this one was restored from a backup, resume the
	// chain: see [Gate.Resume].
	ErrElsewhere = errors.New("the log has an event signed by this gate's key that the journal lacks: a second gate runs with this key, or the journal was restored from a backup; stop the other gate, or resume the chain from the log")
	// ErrForked: the log has signed two heads that do not extend each other. The evidence
	// is in the state directory. The gate is of no more use with this log.
	ErrForked = errors.New("the log has forked; the evidence is in the state directory")
	// ErrFounded: entry 0 of the log that the gate is shown is not the charter of [Config].Founded.
	ErrFounded = errors.New("the log's first charter is not the configured one")
	// ErrNoCustodian: the charter in force does not name this gate's key.
	ErrNoCustodian = errors.New("the charter in force names no custodian with this gate's event key")
)

const (
	// EventsPath is the path to which events are posted, as to the log: see [Gate.Hold].
	EventsPath = "/events"
	// maxBuffered bounds the bytes of all requests being read or waiting.
	maxBuffered = 128 << 20
	chunk       = 8 << 10
	retryAfter  = 2 * time.Second // of temporary refusals
)

type server struct {
	g        *Gate
	buffered atomic.Int64
}

// Handler returns the gate's HTTP interface: POST of requests and events, and GET of
// /healthz, /readyz and /status ([Status]), all public. It has no metrics. The server
// should bound headers, idle connections and the time of a request: see [Server].
func (g *Gate) Handler() http.Handler {
	s := &server{g: g}
	type resource struct {
		methods string
		serve   http.HandlerFunc
	}
	resources := map[string]resource{
		escrow.RequestPath: {"POST", s.release},
		EventsPath:         {"POST", s.hold},
		"/healthz":         {"GET", func(w http.ResponseWriter, _ *http.Request) { writeText(w, "ok\n") }},
		"/readyz":          {"GET", s.ready},
		"/status":          {"GET", s.status},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, ok := resources[r.URL.EscapedPath()]
		switch {
		case !ok:
			writeProblem(w, refuse(problem.NotFound, "there is no such resource"))
		case r.Method == res.methods, res.methods == "GET" && r.Method == http.MethodHead:
			res.serve(w, r)
		default:
			w.Header().Set("Allow", res.methods)
			writeProblem(w, refuse(problem.Method, "the resource has %s", res.methods))
		}
	})
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, s)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.g.Ready(); err != nil {
		no := refuse(CodeNotReady, "would open: no: %w", err)
		if ends := refusal(err).Ends(); ends != "" {
			no.Err = fmt.Errorf("%w; it opens again once %s", no.Err, ends)
		}
		writeProblem(w, no)
		return
	}
	writeText(w, "would open: yes\n")
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	st, err := s.g.Status(ctx)
	if err != nil {
		writeProblem(w, refuse(CodeBusy, "%w", err))
		return
	}
	b, err := json.Marshal(st)
	if err != nil {
		writeProblem(w, refuse(CodeNotReady, "%w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(b, '\n'))
}

func (s *server) release(w http.ResponseWriter, r *http.Request) {
	b, done, err := s.read(w, r, escrow.RequestType, escrow.MaxRequestSize)
	defer done()
	if err != nil {
		writeProblem(w, err)
		return
	}
	leave, err := s.g.enter(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	defer leave()
	answer, err := s.g.Release(r.Context(), b)
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", escrow.AnswerType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer)
}

func (s *server) hold(w http.ResponseWriter, r *http.Request) {
	b, done, err := s.read(w, r, "application/json", event.MaxSubmissionSize)
	defer done()
	if err == nil {
		err = s.g.Hold(r.Context(), b)
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	writeText(w, "held\n")
}

// enter waits for a slot among the requests under way.
func (g *Gate) enter(r *http.Request) (leave func(), err error) {
	select {
	case g.queue <- struct{}{}:
	default:
		g.metrics.refused.Add(1)
		return nil, refuse(CodeBusy, "too many requests wait")
	}
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots; <-g.queue }, nil
	case <-r.Context().Done():
		<-g.queue
		return nil, refuse(CodeBusy, "%w", r.Context().Err())
	}
}

// read reads a body. It bounds the bytes of all requests together, so that many large or
// slow requests delay others but don't exhaust the memory.
func (s *server) read(w http.ResponseWriter, r *http.Request, mediaType string, limit int64) (b []byte, done func(), err error) {
	charged := int64(0)
	done = func() { s.buffered.Add(-charged) }
	encoding := r.Header.Get("Content-Encoding")
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != mediaType || encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, done, refuse(problem.MediaType, "send %s, without a content encoding", mediaType)
	}
	if r.ContentLength > limit {
		return nil, done, refuse(problem.TooLarge, "a body of %d bytes; at most %d are allowed", r.ContentLength, limit)
	}
	var buf bytes.Buffer
	body := http.MaxBytesReader(w, r.Body, limit)
	for {
		n, err := io.CopyN(&buf, body, chunk)
		charged += n
		if s.buffered.Add(n) > maxBuffered {
			s.g.metrics.refused.Add(1)
			return nil, done, refuse(CodeBusy, "too many requests are being read")
		}
		_, large := errors.AsType[*http.MaxBytesError](err)
		switch {
		case large:
			return nil, done, refuse(problem.TooLarge, "a body of more than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return buf.Bytes(), done, nil
		case err != nil:
			return nil, done, refuse(problem.Incomplete, "the request was cut off or took too long: %w", err)
		}
	}
}

func writeProblem(w http.ResponseWriter, err error) {
	r := refusal(err)
	p := problem.New(r.Code, http.StatusText(r.Code.Status()), r.Err.Error())
	p.Ends = r.Ends()
	if r.Temporary() {
		p.RetryAfter = retryAfter
	}
	p.Answer(w)
}

// Server returns an HTTP server for a gate, with a limit on the time and size of every step
// of a request.
func Server(h http.Handler, timeout time.Duration) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      timeout + 30*time.Second, // a release waits for its publication
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
}
