// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/internal/problem"
)

// A Code says at which step a request was refused, and why. Codes are stable: they
// stand in answers, metrics and docs/operations.md.
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

// A Refusal is why a gate does not open. It is the error of every request.
type Refusal struct {
	Code Code
	Err  error

	// reason is what the log is told; "" for nothing.
	reason string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Code, r.Err) }
func (r *Refusal) Unwrap() error { return r.Err }

// Temporary says whether the same request may be answered later.
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

// refusal returns the refusal in an error; any other error is not the request's fault.
func refusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return refuse(CodeNotReady, "%w", err)
}

// Reasons of refusals, as the shipped profiles name them. One that the profile in
// force does not have is not logged.
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
)

// logged makes the refusal one that the log is told of.
func (r *Refusal) logged(reason string) *Refusal {
	r.reason = reason
	return r
}

// Errors after which a gate signs and opens nothing until its operator acts.
var (
	// ErrElsewhere: the log holds something that this gate's key has signed and
	// its journal lacks. Stop the other instance; if this one was restored from a
	// backup, take the chain up from the log: see [Gate.Resume].
	ErrElsewhere = errors.New("the log has what this gate's key has signed and its journal lacks: the journal was restored from a backup, or a second gate runs with this key")
	// ErrForked: the log has signed two heads that do not extend each other. The
	// evidence is in the state directory. There is no way back under this log.
	ErrForked = errors.New("the log has forked; the evidence is kept")
	// ErrFounded: entry 0 is not the charter that this gate was configured with.
	ErrFounded = errors.New("the log's first charter is not the one that this gate was configured with")
	// ErrNoCustodian: the charter in force does not name this gate's key.
	ErrNoCustodian = errors.New("the charter in force names this gate's event key as no custodian's")
)
