// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package round is the JSON of /audit/round: the one published head that a log names for
// its auditors, and what each auditor has answered.
//
// A log names one head for all auditors, so that they cosign the same one. An auditor
// signs no other head, and no stranger's submission moves its state. A [Round] is the
// log's claim: a reader verifies its checkpoint, and believes of the answers only the
// cosignatures, which /audit/checkpoint carries.
//
// What the log quotes of an auditor is bounded and printable: at most [MaxBars] bars, and
// texts of at most [MaxText] bytes.
package round

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// MaxSize bounds a round in bytes.
	MaxSize = 2 << 20
	// MaxAuditors bounds the keys of a round: the keys that an audit policy can name.
	MaxAuditors = tlog.MaxSignatures
	// MaxBars bounds the bars of an answer.
	MaxBars = 16
	// MaxText bounds each text of an auditor in bytes.
	MaxText = 1 << 10

	maxNames   = 16       // custodian groups, or auditors, of a bar
	maxBarSize = 16 << 10 // of the bars of an answer, in bytes
)

// State is the state of a round.
type State string

// The states of a round. Only an open one waits for answers.
const (
	Open     State = "open"     // auditors are asked
	Met      State = "met"      // the cosignatures meet the audit policy
	Declined State = "declined" // so many auditors decline that the policy can't be met
	Over     State = "over"     // the profile's time for a round has passed, or an amendment changed the policy
)

// Kind is the kind of an auditor's answer.
type Kind string

// The kinds of answers.
const (
	Cosigned Kind = "cosigned"
	Refused  Kind = "declined" // the auditor says why it does not cosign: a rule bars it, or it is catching up
	Silent   Kind = "silent"   // no answer yet, or none before a met or declined round ended; with a text: no URL to ask, or none came
	Wrong    Kind = "wrong"    // no valid answer: a bad signature, or another size
)

// Round is a head that a log names.
type Round struct {
	Size       uint64    `json:"size"`
	Root       tlog.Hash `json:"root"`
	Checkpoint string    `json:"checkpoint"` // the whole note, as it was published
	Named      time.Time `json:"named"`      // by the log's time, in whole seconds, UTC
	State      State     `json:"state"`
	// Auditors has an answer for each key of the audit policy, in the policy's order.
	Auditors []Answer `json:"auditors"`

	head *tlog.Checkpoint
}

// Answer is the last answer of an auditor's key.
type Answer struct {
	Auditor string     `json:"auditor"` // the charter's name of the party
	Key     string     `json:"key"`     // vkey
	Kind    Kind       `json:"answer"`
	Time    *time.Time `json:"time,omitempty"` // of the cosignature; nil for other kinds
	// Bars is what keeps a declining auditor from cosigning. Without bars it is catching up.
	Bars []Bar  `json:"bars,omitempty"`
	Text string `json:"text,omitempty"` // why there is no cosignature
}

// Bar keeps an auditor from cosigning: an obligation or a breach. The other is nil. It is
// the element of the member bars in a declining auditor's problem document.
type Bar struct {
	Obligation *ledger.Obligation `json:"obligation,omitempty"`
	Breach     *ledger.BreachJSON `json:"breach,omitempty"`
}

// Bars returns the first [MaxBars] of what bars an auditor.
func Bars(bars []ledger.Bar) []Bar {
	var out []Bar
	for _, b := range bars[:min(len(bars), MaxBars)] {
		if v := b.Breach; v != nil {
			out = append(out, Bar{Breach: v.JSON()})
		} else {
			out = append(out, Bar{Obligation: b.Obligation})
		}
	}
	return out
}

// New names a head, a parsed checkpoint with all its lines. No auditor has answered yet.
func New(head *tlog.Checkpoint, named time.Time, auditors []Answer) *Round {
	return &Round{Size: head.Size, Root: head.Root, Checkpoint: string(head.Bytes()),
		Named: named.UTC().Truncate(time.Second), State: Open, Auditors: auditors, head: head}
}

// Head returns the named head.
func (r *Round) Head() *tlog.Checkpoint { return r.head }

// Bytes returns the round as one line of JSON.
func (r *Round) Bytes() []byte { return encode(r) }

func encode(v any) []byte {
	b, err := strictjson.Line(v)
	if err != nil {
		panic(err) // strings, numbers and times before the year 10000
	}
	return b
}

// ErrMalformed is wrapped by errors of [Parse] and [ParseDecline].
var ErrMalformed = errors.New("not an audit round")

// Parse parses exactly what Bytes returns. It checks no signature.
func Parse(b []byte) (*Round, error) {
	bad := func(format string, args ...any) (*Round, error) {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
	}
	if len(b) > MaxSize {
		return bad("more than %d bytes", MaxSize)
	}
	r := new(Round)
	if err := json.Unmarshal(b, r); err != nil {
		return bad("%w", err)
	}
	var err error
	if r.head, err = tlog.ParseCheckpoint([]byte(r.Checkpoint)); err != nil {
		return bad("its checkpoint: %w", err)
	}
	switch {
	case r.Size != r.head.Size || r.Root != r.head.Root:
		return bad("size or root is not that of its checkpoint")
	case !slices.Contains([]State{Open, Met, Declined, Over}, r.State):
		return bad("unknown state %q", r.State)
	case len(r.Auditors) > MaxAuditors:
		return bad("%d auditors", len(r.Auditors))
	case !whole(r.Named) || r.Named.Location() != time.UTC:
		return bad("a time that is not in whole seconds of UTC")
	}
	for i := range r.Auditors {
		if err := r.Auditors[i].check(); err != nil {
			return bad("auditor %q: %w", r.Auditors[i].Auditor, err)
		}
	}
	if !bytes.Equal(r.Bytes(), b) {
		return bad("it is not in its one encoding")
	}
	return r, nil
}

func whole(t time.Time) bool {
	return t.Equal(t.Truncate(time.Second)) && t.Year() > 0 && t.Year() < 10000
}

// check returns an error unless the answer is one that a log writes.
func (a *Answer) check() error {
	_, err := tlog.ParseVerifierKey(a.Key)
	switch {
	case err != nil:
		return err
	case !slices.Contains([]Kind{Cosigned, Refused, Silent, Wrong}, a.Kind):
		return fmt.Errorf("unknown answer %q", a.Kind)
	case (a.Kind == Cosigned) != (a.Time != nil), a.Time != nil && !(whole(*a.Time) && a.Time.Location() == time.UTC):
		return errors.New("a cosignature has a time in whole seconds of UTC, and no other answer has one")
	case len(a.Bars) > 0 && a.Kind != Refused:
		return errors.New("it has bars and does not decline")
	case a.Auditor != clean(a.Auditor) || a.Text != clean(a.Text):
		return fmt.Errorf("a text is longer than %d bytes, or not printable", MaxText)
	}
	if kept := cleanBars(a.Bars); len(kept) != len(a.Bars) || !bytes.Equal(encode(kept), encode(a.Bars)) {
		return fmt.Errorf("its bars are not as a log quotes them")
	}
	return nil
}

// Quote makes a text of an auditor fit for an answer.
func Quote(text string) string { return clean(text) }

// Decline is what the log quotes of the problem document (RFC 9457) by which an auditor
// declines.
type Decline struct {
	Detail string
	Bars   []Bar // empty: the auditor is catching up
}

// ParseDecline reads a problem document. It ignores members that it does not know, which
// later auditors may write, and bars beyond the bounds.
func ParseDecline(b []byte) (*Decline, error) {
	var p struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Bars   []Bar  `json:"bars"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%w: the problem document: %w", ErrMalformed, err)
	}
	if p.Type == "" && p.Title == "" && p.Detail == "" && p.Bars == nil {
		return nil, fmt.Errorf("%w: the problem document says nothing", ErrMalformed)
	}
	d := &Decline{Detail: clean(p.Detail), Bars: cleanBars(p.Bars)}
	if d.Detail == "" {
		d.Detail = clean(p.Title)
	}
	if len(p.Bars) > 0 && len(d.Bars) == 0 {
		return nil, fmt.Errorf("%w: the problem document has no well-formed bar", ErrMalformed)
	}
	return d, nil
}

// cleanBars returns the bars within the bounds, with printable texts. It leaves out what
// is no bar.
func cleanBars(bars []Bar) []Bar {
	var out []Bar
	size := 0
	for _, b := range bars {
		if (b.Obligation == nil) == (b.Breach == nil) || len(out) == MaxBars {
			continue
		}
		if b.Breach != nil {
			c := *b.Breach
			for _, s := range []*string{&c.Rule, &c.Way, &c.By, &c.Text, &c.Cure} {
				*s = clean(*s)
			}
			c.ClosedBy = cleanList(c.ClosedBy)
			b = Bar{Breach: &c}
		} else {
			c := *b.Obligation
			for _, s := range []*string{&c.Rule, &c.Way, &c.By, &c.Text, &c.Cure, &c.Custodian} {
				*s = clean(*s)
			}
			// In UTC first: another zone can hide a year that JSON has not.
			if c.Due, c.Late = c.Due.UTC(), c.Late.UTC(); !whole(c.Due) || !whole(c.Late) {
				continue
			}
			c.Groups = cleanList(c.Groups)
			b = Bar{Obligation: &c}
		}
		if size += len(encode(b)); size > maxBarSize {
			break
		}
		out = append(out, b)
	}
	return out
}

func cleanList(list []string) (out []string) {
	for _, s := range list[:min(len(list), maxNames)] {
		out = append(out, clean(s))
	}
	return out
}

// clean cuts a text to MaxText bytes and replaces what a terminal may obey by U+FFFD.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	if len(s) <= MaxText {
		return s
	}
	cut := MaxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
