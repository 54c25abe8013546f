// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package problem writes and reads the error answers of logs and gates: problem
// documents (RFC 9457) of the types urn:vasistas:error:CODE, and their HTTP statuses. A
// reader trusts no server: an answer's size is bounded, and its texts are safe to print.
package problem

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
	var b strings.Builder
	fmt.Fprintf(&b, "%d", p.Status)
	if code := p.Code(); code != "" {
		fmt.Fprintf(&b, " (%s)", code)
	}
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
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
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return p
}

// UnmarshalJSON replaces unprintable characters, so that a hostile server can't control
// a terminal.
func (p *Problem) UnmarshalJSON(b []byte) error {
	type plain Problem
	if err := json.Unmarshal(b, (*plain)(p)); err != nil {
		return err
	}
	texts := []*string{&p.Type, &p.Title, &p.Detail, &p.Rule, &p.Way, &p.Cure}
	if p.Reference != nil {
		texts = append(texts, &p.Reference.Leaf)
	}
	for _, s := range texts {
		*s = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return '\ufffd'
			}
			return r
		}, *s)
	}
	return nil
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
