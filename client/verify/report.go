// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Report is a result for people and scripts. Names and meanings of its JSON
// members are stable; members may be added.
type Report struct {
	Verdict string `json:"verdict"`          // proven, disproven or undecided
	Reason  Reason `json:"reason,omitempty"` // if not proven, and known
	Error   string `json:"error,omitempty"`  // if not proven: the same for people

	Log       *LogReport      `json:"log,omitempty"`
	Entry     *EntryReport    `json:"entry,omitempty"`
	Event     *EventReport    `json:"event,omitempty"`
	Witnesses []WitnessReport `json:"witnesses,omitempty"`

	// The two times, as 2006-01-02T15:04:05Z; absent under "quorum none".
	ExistedBefore string `json:"existedBefore,omitempty"`
	LoggedAfter   string `json:"loggedAfter,omitempty"`

	NotShown []Gap `json:"notShown,omitempty"`
}

// LogReport says which log, at which checkpoint.
type LogReport struct {
	Origin string   `json:"origin"`
	Size   uint64   `json:"size"`
	Root   string   `json:"root"` // base64, as in the checkpoint
	Keys   []string `json:"keys"` // that signed, as name+01234567
}

// EntryReport says which entry.
type EntryReport struct {
	Index    uint64 `json:"index"`
	LeafHash string `json:"leafHash"` // base64
}

// EventReport says what the entry claims.
type EventReport struct {
	Type              string   `json:"type"`
	ID                string   `json:"id"`
	Hash              string   `json:"hash"`        // event hash, hex
	ClaimedTime       string   `json:"claimedTime"` // the issuer's claim
	Keys              []string `json:"keys"`        // key ids, hex
	SignaturesChecked bool     `json:"signaturesChecked"`
}

// WitnessReport is a witness of the policy that cosigned.
type WitnessReport struct {
	Name    string `json:"name"`
	Key     string `json:"key"`
	Time    string `json:"time"`
	Counted bool   `json:"counted"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Report returns what the inclusion shows and what it doesn't. The report of
// the zero Inclusion is undecided.
func (in *Inclusion) Report() *Report {
	if in.checkpoint == nil {
		return Failure(errors.New("nothing was verified"))
	}
	root := in.Root()
	r := &Report{
		Verdict:       Proven.String(),
		Log:           &LogReport{in.Origin(), in.Size(), base64.StdEncoding.EncodeToString(root[:]), in.LogKeys()},
		Entry:         &EntryReport{in.index, base64.StdEncoding.EncodeToString(in.leaf[:])},
		ExistedBefore: stamp(in.before),
		LoggedAfter:   stamp(in.after),
		NotShown:      in.NotShown(),
	}
	for _, w := range in.witnesses {
		r.Witnesses = append(r.Witnesses, WitnessReport{w.Name, w.Key, stamp(w.Time), w.Counted})
	}
	if e := in.envelope; e != nil {
		hash := e.Hash()
		r.Event = &EventReport{
			Type: string(e.Event.Type), ID: e.Event.ID.String(), Hash: hex.EncodeToString(hash[:]),
			ClaimedTime: stamp(e.Event.Time), SignaturesChecked: in.signaturesChecked,
		}
		for _, s := range e.Signatures {
			r.Event.Keys = append(r.Event.Keys, s.KeyID)
		}
	}
	return r
}

// Failure returns the report of an error; err must not be nil.
func Failure(err error) *Report {
	return &Report{Verdict: VerdictOf(err).String(), Reason: reasonOf(err), Error: err.Error()}
}

// Text returns the report for people, in lines. What comes from the file or the
// policy is quoted where it could be mistaken for our words, or for a command
// to a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if r.Log == nil || r.Entry == nil {
		line("NOT PROVEN (%s)", r.Verdict)
		line("  %s", printable(strings.TrimPrefix(r.Error, r.Verdict+": ")))
		return b.String()
	}
	line("PROVEN: in the log %q", r.Log.Origin)
	line("  entry            number %d of %d, counted from 0", r.Entry.Index, r.Log.Size)
	line("  leaf hash        %s", r.Entry.LeafHash)
	line("  tree             root %s", r.Log.Root)
	line("  signed for it    %s", printable(strings.Join(r.Log.Keys, ", ")))
	r.textEvent(line)
	for _, w := range r.Witnesses {
		note := ""
		if !w.Counted {
			note = " (in the future: not counted)"
		}
		line("  witness          %q at %s%s", w.Name, w.Time, note)
	}
	if r.ExistedBefore != "" {
		line("  existed before   %s", r.ExistedBefore)
		line("  tree seen until  %s; whatever it lacks was logged after that", r.LoggedAfter)
	}
	line("Not shown by this file:")
	for _, g := range r.NotShown {
		line("  - %s", g.text())
	}
	return b.String()
}

func (r *Report) textEvent(line func(string, ...any)) {
	if r.Event == nil {
		return
	}
	line("  event            %s %s", r.Event.Type, r.Event.ID)
	line("  event hash       %s", r.Event.Hash)
	line("  claimed time     %s", r.Event.ClaimedTime)
	checked := "signature verified"
	if !r.Event.SignaturesChecked {
		checked = "signature NOT checked"
	}
	for _, k := range r.Event.Keys {
		line("  signed by key    %s (%s)", k, checked)
	}
}

func (g Gap) text() string {
	switch g {
	case GapSignatures:
		return "that the named keys signed the event: no keys were given to check it with"
	case GapWitnesses:
		return "that everybody sees this same log: the policy asks for no witnesses"
	case GapTime:
		return "when it was logged: without witnesses there is no time to believe"
	case GapContent:
		return "what the entry means: it was not read as an event"
	case GapRoles:
		return "that the signers were entitled to sign it"
	case GapLimits:
		return "that windows, limits and deadlines were kept"
	case GapLater:
		return "what was logged later, such as a revocation, a deferral or a disclosure"
	case GapOffRecord:
		return "what was done without the log"
	}
	return string(g)
}

// printable quotes what a terminal would not show as it is. Quotation marks stay:
// errors have names in them that are quoted already.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}
