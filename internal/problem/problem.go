// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package problem writes and reads the error answers of logs, gates and auditors: problem
// documents (RFC 9457) of the types urn:vasistas:error:CODE, and their HTTP statuses. A
// reader trusts no server: an answer's size is bounded, and its texts may hold anything; package
// command makes them safe to print.
package problem

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// urn begins every [Problem.Type]; a code follows.
	urn       = "urn:vasistas:error:"
	mediaType = "application/problem+json"
	// MaxSize bounds an answer.
	MaxSize = 64 << 10
)

// Problem is an error answer. Without a problem document it has only status and title.
// A 404 or 410 is [fs.ErrNotExist].
type Problem struct {
	Type   string `json:"type,omitempty"` // a URN; see Code
	Title  string `json:"title,omitempty"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Index is the index of the entry, if the event is in the tree nevertheless.
	Index *uint64 `json:"index,omitempty"`
	// Set for the code rule: the rule's name, the way in which the event breaks it, the
	// cure, and the entry to which the event refers, if that is at issue; see
	// docs/rules.md.
	Rule      string     `json:"rule,omitempty"`
	Way       string     `json:"way,omitempty"`
	Cure      string     `json:"cure,omitempty"`
	Reference *Reference `json:"reference,omitempty"`

	// Ends, of a gate, says what would end the refusal: it follows "once".
	Ends string `json:"ends,omitempty"`

	// Bars, for the code barred, is a list of what bars the auditor: see package round.
	Bars json.RawMessage `json:"bars,omitempty"`

	RetryAfter time.Duration `json:"-"` // whole seconds; 0: not in the answer
}

// Reference names an entry.
type Reference struct {
	Index uint64 `json:"index"`
	Leaf  string `json:"leaf"` // standard base64
}

// New returns a problem with a code and the code's status.
func New(code Code, title, detail string) *Problem {
	return &Problem{Type: urn + string(code), Title: title, Status: code.Status(), Detail: detail}
}

// Code returns the code, "" for a problem of another server.
func (p *Problem) Code() Code {
	code, ok := strings.CutPrefix(p.Type, urn)
	if !ok {
		return ""
	}
	return Code(code)
}

func (p *Problem) Error() string {
	s := strconv.Itoa(p.Status)
	if code := p.Code(); code != "" {
		s += fmt.Sprintf(" (%s)", code)
	}
	if text := cmp.Or(p.Detail, p.Title); text != "" {
		s += ": " + text
	}
	if p.Index != nil {
		s += fmt.Sprintf(" [the entry has index %d; submit it again for its proof]", *p.Index)
	}
	return s
}

// Is makes a missing resource fs.ErrNotExist.
func (p *Problem) Is(target error) bool {
	return target == fs.ErrNotExist && (p.Status == http.StatusNotFound || p.Status == http.StatusGone)
}

// Temporary reports whether the same request may succeed later.
func (p *Problem) Temporary() bool {
	return p.Status == http.StatusTooManyRequests ||
		p.Status >= 500 && p.Status != http.StatusNotImplemented && p.Status != http.StatusInsufficientStorage
}

// Answer answers a request with the problem.
func (p *Problem) Answer(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.RetryAfter/time.Second)))
	}
	w.WriteHeader(p.Status)
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem has only strings and numbers
	}
	w.Write(append(b, '\n'))
}

// Read reads the problem of an error answer. It ignores a body of another kind, which
// may come from a proxy.
func Read(resp *http.Response) *Problem {
	p := &Problem{}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == mediaType {
		b, err := io.ReadAll(io.LimitReader(resp.Body, MaxSize))
		if err != nil || json.Unmarshal(b, p) != nil {
			p = &Problem{}
		}
	}
	p.Status, p.Title = resp.StatusCode, cmp.Or(p.Title, http.StatusText(resp.StatusCode))
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return p
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

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

// Codes of an auditor, besides those of a gate that its steps share.
const (
	Barred Code = "barred" // the rules bar the auditor; see [Problem.Bars]
)

// OfGate returns the codes of a gate's steps.
func OfGate() []Code {
	return []Code{Form, Busy, NotReady, Stopped, Proof, Fork, Head, Quorum, Stale, Clock, Trust, Access, Group, Dead, Answered, Chain,
		Breach, Overdue, Openings, Package, Account, Recipient, Stanza, Notice, Storage, Log, Effect, Share}
}

// OfAuditor returns the codes by which an auditor declines, each with the status 503.
func OfAuditor() []Code {
	return []Code{Busy, NotReady, Stopped, Storage, Head, Quorum, Stale, Clock, Trust, Barred}
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
	http.StatusServiceUnavailable:    {NotReady, Standby, ShuttingDown, Busy, Stopped, Head, Clock, Barred},
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
