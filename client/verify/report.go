// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/hex"
	"errors"
	"time"
)

// Report is a result in JSON. Names and meanings of its members are stable; members may
// be added.
type Report struct {
	Verdict string `json:"verdict"`          // proven, disproven or undecided
	Reason  Reason `json:"reason,omitempty"` // of an [Error]
	Error   string `json:"error,omitempty"`  // if not proven

	Log       *LogReport      `json:"log,omitempty"`
	Entry     *EntryReport    `json:"entry,omitempty"`
	Event     *EventReport    `json:"event,omitempty"`
	Witnesses []WitnessReport `json:"witnesses,omitempty"`

	// The two times, as 2006-01-02T15:04:05Z; absent under "quorum none".
	ExistedBefore string `json:"existedBefore,omitempty"`
	LoggedAfter   string `json:"loggedAfter,omitempty"`

	NotShown []Gap `json:"notShown,omitempty"`
}

// LogReport names the log and its checkpoint.
type LogReport struct {
	Origin string   `json:"origin"`
	Size   uint64   `json:"size"`
	Root   string   `json:"root"` // base64, as in the checkpoint
	Keys   []string `json:"keys"` // that signed, as name+01234567
}

// EntryReport names the entry.
type EntryReport struct {
	Index    uint64 `json:"index"`
	LeafHash string `json:"leafHash"` // base64
}

// EventReport is what the entry claims.
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

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Report returns the inclusion as a report. That of the zero Inclusion is undecided.
func (in *Inclusion) Report() *Report {
	if in.checkpoint == nil {
		return Failure(errors.New("nothing was verified"))
	}
	r := &Report{
		Verdict:       Proven.String(),
		Log:           &LogReport{in.head.Origin, in.head.Size, in.head.Root.String(), in.LogKeys()},
		Entry:         &EntryReport{in.index, in.leaf.String()},
		ExistedBefore: formatTime(in.before),
		LoggedAfter:   formatTime(in.after),
		NotShown:      in.NotShown(),
	}
	for _, w := range in.witnesses {
		r.Witnesses = append(r.Witnesses, WitnessReport{w.Name, w.Key, formatTime(w.Time), w.Counted})
	}
	if e := in.envelope; e != nil {
		hash := e.Hash()
		r.Event = &EventReport{
			Type: string(e.Event.Type), ID: e.Event.ID.String(), Hash: hex.EncodeToString(hash[:]),
			ClaimedTime: formatTime(e.Event.Time), SignaturesChecked: in.signaturesChecked,
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
