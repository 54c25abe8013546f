// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Inclusion is the proof that an entry is in a log, with the log keys and witnesses
// that signed. [Proof], [Entry] and [Leaf] make it. The zero value proves nothing, and
// its Origin is empty. An Inclusion is immutable.
type Inclusion struct {
	checkpoint *tlog.Checkpoint
	head       tlog.Head // the checkpoint's
	logs       []*tlog.VerifierKey
	witnesses  []Witness
	quorum     bool // the policy asks for witnesses
	spread     uint64
	before     time.Time
	after      time.Time
	age        *time.Duration // of after at Options.Now; nil: one of them is unknown
	auditors   []Witness
	vouched    time.Time

	index             uint64
	leaf              tlog.Hash
	entry             []byte
	envelope          *event.Envelope
	signaturesChecked bool
}

// Witness is a witness of the policy whose cosignature verified.
type Witness struct {
	Name    string    // in the policy
	Key     string    // key name and key ID, as name+01234567
	Time    time.Time // of the cosignature, the witness's claim
	Counted bool      // false if the time is in the future
}

// Origin returns the log's origin.
func (in *Inclusion) Origin() string { return in.head.Origin }

// Size returns the size of the checkpoint's tree, in entries.
func (in *Inclusion) Size() uint64 { return in.head.Size }

// Root returns the root hash of that tree.
func (in *Inclusion) Root() [32]byte { return in.head.Root }

// Checkpoint returns the signed checkpoint (C2SP tlog-checkpoint) as in the file, with
// its unverified lines.
func (in *Inclusion) Checkpoint() []byte {
	if in.checkpoint == nil {
		return nil
	}
	return in.checkpoint.Bytes()
}

// LogKeys returns the log keys of the policy that signed, as name+01234567.
func (in *Inclusion) LogKeys() []string {
	var keys []string
	for _, k := range in.logs {
		keys = append(keys, keyName(k))
	}
	return keys
}

// Index returns the index of the entry, from 0.
func (in *Inclusion) Index() uint64 { return in.index }

// LeafHash returns the leaf hash of the entry (RFC 6962, section 2.1).
func (in *Inclusion) LeafHash() [32]byte { return in.leaf }

// Reference returns the reference by which events name the entry.
func (in *Inclusion) Reference() event.Reference {
	return event.Reference{Index: in.index, Leaf: in.leaf}
}

// Entry returns the bytes of the entry, nil after [Leaf].
func (in *Inclusion) Entry() []byte { return bytes.Clone(in.entry) }

// Envelope returns the entry as parsed by [Proof], nil after [Entry] and [Leaf].
func (in *Inclusion) Envelope() *event.Envelope { return in.envelope }

// SignaturesChecked returns whether every signature of the event verified under a key
// of Options.Signers. It does not mean that the keys may sign such an event.
func (in *Inclusion) SignaturesChecked() bool { return in.signaturesChecked }

// Witnesses returns all witnesses of the policy that cosigned, in the policy's order.
func (in *Inclusion) Witnesses() []Witness { return slices.Clone(in.witnesses) }

// ExistedBefore returns a time before which the entry and all of the tree existed,
// zero under "quorum none".
func (in *Inclusion) ExistedBefore() time.Time { return in.before }

// LoggedAfter returns a time after which every entry outside the tree was logged, zero
// under "quorum none". It shows how fresh the checkpoint is, and does not bound the
// entry's time.
func (in *Inclusion) LoggedAfter() time.Time { return in.after }

// Spread returns the policy's spread in seconds: the cosignatures that count lie within so
// much time. 0 under "quorum none".
func (in *Inclusion) Spread() uint64 {
	if !in.quorum {
		return 0
	}
	return in.spread
}

// Auditors returns the auditors of Options.Audit that cosigned, in that policy's order; nil if
// it was nil.
func (in *Inclusion) Auditors() []Witness { return slices.Clone(in.auditors) }

// VouchedAt returns the time at or after which a whole quorum of auditors cosigned the checkpoint:
// the latest such time. It is zero if Options.Audit was nil.
func (in *Inclusion) VouchedAt() time.Time { return in.vouched }

// Gap is a question that an inclusion leaves open. Its text is stable.
type Gap string

const (
	GapSignatures Gap = "signatures"   // the event's signatures were not checked
	GapWitnesses  Gap = "witnesses"    // no witness was needed: the log may show others another tree
	GapTime       Gap = "time"         // no witnessed time
	GapContent    Gap = "content"      // the entry was not given, or not parsed as an event
	GapRoles      Gap = "roles"        // whether the signers hold the role for this event
	GapLimits     Gap = "limits"       // whether window, limits and deadlines were kept
	GapLater      Gap = "later-events" // what was logged later: revocation, suspension, response, deferral, disclosure
	GapOffRecord  Gap = "off-record"   // what was done without the log
)

// NotShown returns the questions that the inclusion leaves open.
func (in *Inclusion) NotShown() []Gap {
	var gaps []Gap
	if in.envelope != nil && !in.signaturesChecked {
		gaps = append(gaps, GapSignatures)
	}
	if !in.quorum {
		gaps = append(gaps, GapWitnesses, GapTime)
	}
	if in.envelope == nil {
		return append(gaps, GapContent)
	}
	return append(gaps, GapRoles, GapLimits, GapLater, GapOffRecord)
}

func keyName(k *tlog.VerifierKey) string { return fmt.Sprintf("%s+%08x", k.Name, k.ID) }

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
	Age           *int64 `json:"age,omitempty"`    // seconds from LoggedAfter to Options.Now
	Spread        uint64 `json:"spread,omitempty"` // of the cosignatures' times, seconds

	Audit *AuditReport `json:"audit,omitempty"` // with Options.Audit, if its quorum vouched

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
	LeafHash string `json:"leaf"` // base64
}

// EventReport is what the entry claims.
type EventReport struct {
	Type              string   `json:"type"`
	ID                string   `json:"id"`
	Hash              string   `json:"hash"`        // event hash, hex
	ClaimedTime       string   `json:"claimedTime"` // the issuer's claim
	Keys              []string `json:"keys"`        // key ids, hex
	SignaturesChecked bool     `json:"signaturesChecked"`
	// Signers are the parties of Keys, as "authority court", if the verifier's charter names them.
	Signers []string `json:"signers,omitempty"`
}

// WitnessReport is a witness of the policy that cosigned.
type WitnessReport struct {
	Name    string `json:"name"`
	Key     string `json:"key"`
	Time    string `json:"time"`
	Counted bool   `json:"counted"`
}

// AuditReport is the quorum of auditors that vouched for the checkpoint: each of its members had
// replayed the log up to there, and found that the rules held at the time of its cosignature.
type AuditReport struct {
	Auditors []WitnessReport `json:"auditors"` // of the audit policy, that cosigned
	// VouchedAt is the latest time such that cosignatures at or after it meet the audit policy.
	VouchedAt string `json:"vouchedAt"`
}

func reports(list []Witness) (out []WitnessReport) {
	for _, w := range list {
		out = append(out, WitnessReport{w.Name, w.Key, formatTime(w.Time), w.Counted})
	}
	return out
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
		Spread:        in.Spread(),
		NotShown:      in.NotShown(),
	}
	if in.age != nil {
		r.Age = new(int64(*in.age / time.Second))
	}
	r.Witnesses = reports(in.witnesses)
	if in.auditors != nil {
		r.Audit = &AuditReport{reports(in.auditors), formatTime(in.vouched)}
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
