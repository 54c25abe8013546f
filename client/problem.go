// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// problemPrefix starts the type of every problem of a Vasistas log.
const problemPrefix = "urn:vasistas:error:"

const maxProblem = 64 << 10

// Codes of problems, without their prefix.
const (
	CodeForm          = "form"           // 400: not an event in its one encoding
	CodeTooLarge      = "too-large"      // 413
	CodeMediaType     = "media-type"     // 415
	CodeOrigin        = "origin"         // 421: the event is for another log
	CodeUnknownSigner = "unknown-signer" // 403
	CodeRule          = "rule"           // 409, or 403 for the rule role: see Problem.Rule
	CodeOpenings      = "openings"       // 422: not those that the event seals
	CodeSignature     = "signature"      // 422
	CodeQueueFull     = "queue-full"     // 429, Retry-After
	CodeNotReady      = "not-ready"      // 503, Retry-After
	CodeShuttingDown  = "shutting-down"  // 503
	CodeNoQuorum      = "no-quorum"      // 504: it is sequenced, and not yet cosigned; ask again
	CodeStorage       = "storage"        // 507
)

// Problem is an answer other than success (RFC 9457). An answer without a
// problem body has its status only. A 404 or 410 is [fs.ErrNotExist].
type Problem struct {
	Type   string  `json:"type,omitempty"` // a URN; see Code
	Title  string  `json:"title,omitempty"`
	Status int     `json:"status,omitempty"`
	Detail string  `json:"detail,omitempty"`
	Index  *uint64 `json:"index,omitempty"` // of the entry, if it was sequenced nevertheless

	// Of the code rule: its name, in which way the event breaks it, and what
	// would mend that; see docs/rules.md.
	Rule string `json:"rule,omitempty"`
	Way  string `json:"way,omitempty"`
	Cure string `json:"cure,omitempty"`

	RetryAfter time.Duration `json:"-"` // 0: the answer does not say
}

// Code returns the code of a Vasistas problem, "" for another one.
func (p *Problem) Code() string {
	code, ok := strings.CutPrefix(p.Type, problemPrefix)
	if !ok {
		return ""
	}
	return code
}

func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the log answers %d", p.Status)
	if code := p.Code(); code != "" {
		fmt.Fprintf(&b, " (%s)", code)
	}
	if text := p.Detail; text != "" {
		fmt.Fprintf(&b, ": %s", text)
	} else if p.Title != "" {
		fmt.Fprintf(&b, ": %s", p.Title)
	}
	if p.Index != nil {
		fmt.Fprintf(&b, " [the entry has index %d; submit it again for its proof]", *p.Index)
	}
	return b.String()
}

// Is makes a missing resource fs.ErrNotExist.
func (p *Problem) Is(target error) bool {
	return target == fs.ErrNotExist && (p.Status == http.StatusNotFound || p.Status == http.StatusGone)
}

// Temporary says whether asking again may help, without anything being changed.
func (p *Problem) Temporary() bool {
	return p.Status == http.StatusTooManyRequests ||
		p.Status >= 500 && p.Status != http.StatusNotImplemented && p.Status != http.StatusInsufficientStorage
}

// parseProblem reads the problem of an answer. A body that is none is ignored:
// whoever stands before the log (a proxy) answers in its own words.
func parseProblem(resp *http.Response) *Problem {
	p := &Problem{}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/problem+json" {
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err != nil || json.Unmarshal(b, p) != nil {
			p = &Problem{}
		}
	}
	p.clean()
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return p
}

// clean keeps a hostile log's words from steering a terminal.
func (p *Problem) clean() {
	for _, s := range []*string{&p.Type, &p.Title, &p.Detail, &p.Rule, &p.Way, &p.Cure} {
		*s = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return '\ufffd'
			}
			return r
		}, *s)
	}
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
