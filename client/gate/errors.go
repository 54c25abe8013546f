// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/internal/problem"
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
)

// logged sets the reason under which the refusal is logged.
func (r *Refusal) logged(reason string) *Refusal {
	r.reason = reason
	return r
}

// Errors after which a gate signs and opens nothing until its operator acts.
var (
	// ErrElsewhere: the log has an event signed by this gate's key that the journal
	// lacks. Stop the other instance. If this one was restored from a backup, resume the
	// chain: see [Gate.Resume].
	ErrElsewhere = errors.New("the log has an event signed by this gate's key that the journal lacks: a second gate runs with this key, or the journal was restored from a backup; stop the other gate, or resume the chain from the log")
	// ErrForked: the log has signed two heads that do not extend each other. The evidence
	// is in the state directory. The gate is of no more use with this log.
	ErrForked = errors.New("the log has forked; the evidence is in the state directory")
	// ErrFounded: entry 0 is not the charter of [Config].Founded.
	ErrFounded = errors.New("the log's first charter is not the configured one")
	// ErrNoCustodian: the charter in force does not name this gate's key.
	ErrNoCustodian = errors.New("the charter in force names no custodian with this gate's event key")
)
