// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/log/tlog"
)

// Verdict is the outcome of a verification. Its numbers are exit codes, and stable.
type Verdict int

const (
	Proven    Verdict = 0 // there is an [Inclusion]
	Disproven Verdict = 1 // the file fails
	Undecided Verdict = 2 // the verifier lacks something
)

// String returns proven, disproven or undecided.
func (v Verdict) String() string {
	switch v {
	case Proven:
		return "proven"
	case Disproven:
		return "disproven"
	}
	return "undecided"
}

// Reason is why a verification failed. Its text is stable.
type Reason string

// Reasons that disprove.
const (
	Malformed         Reason = "malformed"     // not a C2SP tlog-proof in its one encoding
	WrongOrigin       Reason = "wrong-origin"  // a checkpoint of, or an event for, another log than the expected one
	BadSignature      Reason = "bad-signature" // a line of a key of the policy does not verify, or the log's is missing
	NoQuorum          Reason = "no-quorum"     // the cosignatures don't meet the policy
	NotIncluded       Reason = "not-included"  // the tree of the checkpoint does not have the entry at the index
	NotAnEvent        Reason = "not-an-event"  // the entry is not an event in its one encoding
	BadEventSignature Reason = "bad-event-sig" // a signature of the event does not verify
	BadNotice         Reason = "bad-notice"    // a notice and the entries that it names contradict each other
	noReason          Reason = ""              // of errors that are no [Error]
)

// Reasons that leave it undecided.
const (
	NoPolicy      Reason = "no-policy"      // no policy was given
	NoEntry       Reason = "no-entry"       // neither the file nor the caller has the entry
	UnknownLog    Reason = "unknown-log"    // the policy has no log of the checkpoint's origin
	UnknownSigner Reason = "unknown-signer" // Options.Signers doesn't know a key that signed the event
	InTheFuture   Reason = "in-the-future"  // the policy is met only by cosignatures later than Options.Now
)

// Verdict returns what the reason means.
func (r Reason) Verdict() Verdict {
	switch r {
	case Malformed, WrongOrigin, BadSignature, NoQuorum, NotIncluded, NotAnEvent, BadEventSignature, BadNotice:
		return Disproven
	}
	return Undecided
}

// Error is the type of every error of [Proof], [Entry] and [Leaf].
type Error struct {
	Reason Reason
	Err    error // never nil
}

// Error returns the verdict and its cause.
func (e *Error) Error() string { return fmt.Sprintf("%v: %v", e.Reason.Verdict(), e.Err) }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// VerdictOf returns Proven for nil, the verdict of an [Error] in err, and Undecided for
// all other errors, such as that of an unreadable file.
func VerdictOf(err error) Verdict {
	if err == nil {
		return Proven
	}
	return reasonOf(err).Verdict()
}

func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return noReason
}

func fail(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Policy is a trust policy (C2SP tlog-policy): logs, witnesses and a quorum.
type Policy = tlog.Policy

// PolicyError names the line of a policy that breaks a rule.
type PolicyError = tlog.PolicyError

// ParsePolicy parses a policy file (C2SP tlog-policy). Everything that the format does
// not name is a [PolicyError].
func ParsePolicy(b []byte) (*Policy, error) { return tlog.ParsePolicy(b) }
