// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"net/http"
	"slices"
)

// A Code is the reason why a request was refused, or the step at which it failed. Codes
// are stable: answers, metrics and docs/operations.md use them.
type Code string

// Codes of HTTP itself.
const (
	NotFound   Code = "not-found"
	Method     Code = "method"
	Incomplete Code = "incomplete" // the body was cut off or took too long
	TooLarge   Code = "too-large"
	MediaType  Code = "media-type"
)

// Codes of several servers.
const (
	Form     Code = "form"      // not an event or request in its one encoding, or not sealed to this gate
	Openings Code = "openings"  // not the openings that the event seals
	NotReady Code = "not-ready" // ask again
	Storage  Code = "storage"   // a write failed
)

// Codes of a log.
const (
	Origin        Code = "origin"         // the event is for another log
	UnknownSigner Code = "unknown-signer" // no charter ever named the key
	Signature     Code = "signature"
	Rule          Code = "rule" // see [Problem.Rule]; 403 for the rule role
	QueueFull     Code = "queue-full"
	Standby       Code = "standby" // another instance of the log is active
	ShuttingDown  Code = "shutting-down"
	NoQuorum      Code = "no-quorum" // the event is sequenced, but not yet cosigned; ask again
	Internal      Code = "internal"
)

// Codes of a gate, in the order of its steps.
const (
	Busy      Code = "busy"      // too many requests at once; ask again
	Stopped   Code = "stopped"   // the gate opens nothing until its operator acts
	Proof     Code = "proof"     // warrant or access is not proven to be in the head
	Fork      Code = "fork"      // the head contradicts the log that this gate follows
	Head      Code = "head"      // the log does not publish this head
	Quorum    Code = "quorum"    // the head does not meet the witness or the audit policy
	Stale     Code = "stale"     // the head's cosignatures are too old
	Clock     Code = "clock"     // the gate's clock is behind a witnessed time
	Trust     Code = "trust"     // the operator has not confirmed a change of trust
	Access    Code = "access"    // the event is not an access of this log, or had no effect
	Group     Code = "group"     // the access names a group without this gate
	Dead      Code = "dead"      // the access is revoked, voided, denied or expired
	Answered  Code = "answered"  // this gate has answered the access, with an answer for another request
	Chain     Code = "chain"     // this gate's chain is broken
	Breach    Code = "breach"    // the log has a breach that no audit quorum has closed
	Overdue   Code = "overdue"   // an overdue obligation bars the gate
	Package   Code = "package"   // the packages are not those of the access
	Account   Code = "account"   // an account that the warrant does not name, or too many
	Recipient Code = "recipient" // the agency did not sign for the recipient
	Stanza    Code = "stanza"    // a stanza does not open with this gate's key
	Notice    Code = "notice"    // a notice can't be written
	Log       Code = "log"       // the log does not take the release, or never shows it in a witnessed head
	Effect    Code = "effect"    // the release is logged, but had no effect
	Share     Code = "share"     // part two does not open, or holds no share
)

// OfGate returns the codes of a gate's steps.
func OfGate() []Code {
	return []Code{Form, Busy, NotReady, Stopped, Proof, Fork, Head, Quorum, Stale, Clock, Trust, Access, Group, Dead, Answered, Chain,
		Breach, Overdue, Openings, Package, Account, Recipient, Stanza, Notice, Storage, Log, Effect, Share}
}

// list holds the codes by status.
var list = map[int][]Code{
	http.StatusBadRequest:            {Form},
	http.StatusForbidden:             {UnknownSigner, Trust, Group, Chain, Breach, Overdue, Account, Recipient},
	http.StatusNotFound:              {NotFound},
	http.StatusMethodNotAllowed:      {Method},
	http.StatusRequestTimeout:        {Incomplete},
	http.StatusConflict:              {Rule, Fork, Access, Dead, Answered, Effect},
	http.StatusRequestEntityTooLarge: {TooLarge},
	http.StatusUnsupportedMediaType:  {MediaType},
	http.StatusMisdirectedRequest:    {Origin},
	http.StatusUnprocessableEntity:   {Signature, Openings, Proof, Quorum, Stale, Package, Stanza, Notice, Share},
	http.StatusTooManyRequests:       {QueueFull},
	http.StatusInternalServerError:   {Internal},
	http.StatusServiceUnavailable:    {NotReady, Standby, ShuttingDown, Busy, Stopped, Head, Clock},
	http.StatusGatewayTimeout:        {NoQuorum, Log},
	http.StatusInsufficientStorage:   {Storage},
}

// Status returns the HTTP status of a code, 500 for an unknown one.
func (c Code) Status() int {
	for status, codes := range list {
		if slices.Contains(codes, c) {
			return status
		}
	}
	return http.StatusInternalServerError
}
