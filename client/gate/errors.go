// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
)

// A Code says at which step a request was refused, and why. Codes are stable:
// they stand in answers, metrics and docs/operations.md.
type Code string

// The codes, in the order of the steps.
const (
	CodeForm      Code = "form"      // not a request in its one encoding, or not sealed to this gate
	CodeBusy      Code = "busy"      // too much is under way; ask again
	CodeNotReady  Code = "not-ready" // the log can't be followed at the moment; ask again
	CodeStopped   Code = "stopped"   // the gate opens nothing until its operator acts
	CodeProof     Code = "proof"     // warrant or access is not proven to be in the head
	CodeFork      Code = "fork"      // the head contradicts the log that this gate follows
	CodeHead      Code = "head"      // the log does not publish this head
	CodeQuorum    Code = "quorum"    // the head does not meet the witness or the audit policy
	CodeStale     Code = "stale"     // the head's cosignatures are too old
	CodeClock     Code = "clock"     // the gate's clock is behind a witnessed time
	CodeTrust     Code = "trust"     // the operator has not confirmed who is trusted now
	CodeAccess    Code = "access"    // it is no access of this log, or had no effect
	CodeGroup     Code = "group"     // it names a group without this gate
	CodeDead      Code = "dead"      // revoked, voided, denied or expired
	CodeAnswered  Code = "answered"  // this gate has answered it, to nobody that this request fits
	CodeChain     Code = "chain"     // this gate's chain is broken
	CodeBreach    Code = "breach"    // the log has a breach that no audit quorum has closed
	CodeOverdue   Code = "overdue"   // something overdue bars
	CodeOpenings  Code = "openings"  // not every digest is opened as sealed
	CodePackage   Code = "package"   // the packages are not the access's
	CodeAccount   Code = "account"   // an account that the warrant does not name, or too many
	CodeRecipient Code = "recipient" // the agency did not sign for the recipient
	CodeStanza    Code = "stanza"    // a stanza does not open with this gate's key
	CodeNotice    Code = "notice"    // a notice can't be written
	CodeStorage   Code = "storage"   // the journal can't be written
	CodeLog       Code = "log"       // the log does not take the release, or shows it to nobody
	CodeEffect    Code = "effect"    // the release is logged, and had no effect
	CodeShare     Code = "share"     // part two does not open, or holds no share
)

// Codes returns all codes.
func Codes() []Code {
	return []Code{CodeForm, CodeBusy, CodeNotReady, CodeStopped, CodeProof, CodeFork, CodeHead, CodeQuorum, CodeStale, CodeClock,
		CodeTrust, CodeAccess, CodeGroup, CodeDead, CodeAnswered, CodeChain, CodeBreach, CodeOverdue, CodeOpenings, CodePackage,
		CodeAccount, CodeRecipient, CodeStanza, CodeNotice, CodeStorage, CodeLog, CodeEffect, CodeShare}
}

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
