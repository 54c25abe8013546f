// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// Verified is what a file shows: [File.Verify] makes it. Names and meanings of its
// JSON members are stable; members may be added.
type Verified struct {
	Origin        string    `json:"origin"`
	Size          uint64    `json:"size"` // of the tree in which every entry is
	Root          Hash      `json:"root"`
	Witnesses     []string  `json:"witnesses,omitempty"`
	ExistedBefore time.Time `json:"existedBefore,omitzero"` // all of it; zero under "quorum none"
	LoggedAfter   time.Time `json:"loggedAfter,omitzero"`   // what the tree lacks
	// Auditors whose cosignatures on the head meet the audit policy of the last charter
	// in the file: they say that the rules held. None: nobody says so in this file.
	Auditors []string `json:"auditors,omitempty"`
	Charters []uint64 `json:"charters"` // indexes

	Accounts  []string `json:"accounts"`
	Case      string   `json:"case,omitempty"`
	Warrant   *Warrant `json:"warrant,omitempty"`   // nil in an emergency
	Emergency string   `json:"emergency,omitempty"` // its ground
	Duty      string   `json:"duty,omitempty"`      // who signed for it
	Agency    string   `json:"agency"`
	AgencyKey string   `json:"agencyKey"` // key id
	Consent   bool     `json:"consent"`   // the agency's signature covers Recipient
	Access    Entry    `json:"access"`
	Unit      string   `json:"unit"`
	Group     string   `json:"group"`
	Recipient string   `json:"recipient"` // hex SHA-256 of the key to which it was opened
	Closed    int      `json:"closed"`    // sealed values that stay closed to this subject: others', or decoys
	Release   Entry    `json:"release"`
	Seq       uint64   `json:"seq"`

	Warnings []string `json:"warnings,omitempty"` // what is proven, and should not be so
}

// Entry is an entry of the log, and who signed it by the file's charters.
type Entry struct {
	Index uint64    `json:"index"`
	Time  time.Time `json:"claimedTime"` // the signer's claim
	By    string    `json:"by"`
}

// Warrant is the decision that an access stands on.
type Warrant struct {
	Entry
	Decision   event.Decision `json:"decision"`
	Instrument string         `json:"instrument"`
	Offence    string         `json:"offence"`
	Grounds    []string       `json:"grounds,omitempty"`
	NotBefore  time.Time      `json:"notBefore,omitzero"`
	NotAfter   time.Time      `json:"notAfter,omitzero"`
}

// Hash is base64 in JSON, as hashes are in checkpoints.
type Hash [32]byte

// MarshalText returns base64.
func (h Hash) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, h[:]), nil
}

// UnmarshalText reads base64.
func (h *Hash) UnmarshalText(b []byte) error {
	out, err := base64.StdEncoding.Strict().DecodeString(string(b))
	if err != nil || len(out) != len(h) {
		return fmt.Errorf("want base64 of %d bytes", len(h))
	}
	*h = Hash(out)
	return nil
}

// Shown returns, in plain words, what the file proves by itself.
func (v *Verified) Shown() []string {
	out := []string{
		"each of these entries is in the log, unchanged, under one signed head" + by(v.Witnesses, ", which was cosigned by "),
		"they are about the account named here: the notice opens digests that warrant and access have sealed",
	}
	if v.Warrant == nil {
		out[1] = "they are about the account named here: the notice opens digests that the access has sealed"
	}
	who := "by their signatures, the custodian, the provider and the authority"
	if v.Warrant == nil {
		who = "by their signatures, the custodian, the provider and who was on duty"
	}
	out = append(out, who+" are those whom the charters in this file name")
	if v.Consent {
		out = append(out, "the agency signed for the key to which the data was opened")
	}
	return out
}

// NotShown returns what it does not.
func (v *Verified) NotShown() []string {
	out := []string{
		"that the charters in this file were those in force, and that windows, limits and deadlines were kept: " + v.auditorsWord(),
		"that the key was used: a release that is logged may have gone unanswered",
		"who was told: whoever learns the openings of a notice can write this file",
		"what was logged later, and what was done without the log",
		"whether the warrant is just",
	}
	if v.ExistedBefore.IsZero() {
		out = append(out, "that everybody sees this same log, and when: the policy asks for no witnesses")
	}
	return out
}

func (v *Verified) auditorsWord() string {
	if len(v.Auditors) == 0 {
		return "that is what replaying the log shows (vasistas scan, vasistas audit)"
	}
	return "for that there is the word of the auditors " + strings.Join(v.Auditors, ", ") + ", or a replay of the log"
}

func by(names []string, intro string) string {
	if len(names) == 0 {
		return ""
	}
	return intro + printable(strings.Join(names, ", "))
}

// Text returns the file's content for people, in lines. What comes from the file is
// quoted where it could be mistaken for our words, or for a command to a terminal.
func (v *Verified) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("PROVEN: a release of your data, in the log %q", v.Origin)
	v.Story(line)
	v.textRelease(line)
	line("  tree             %d entries, root %s", v.Size, base64.StdEncoding.EncodeToString(v.Root[:]))
	if !v.ExistedBefore.IsZero() {
		line("  existed before   %s, by the witnesses %s", when(v.ExistedBefore), printable(strings.Join(v.Witnesses, ", ")))
	}
	for _, w := range v.Warnings {
		line("  WARNING          %s", printable(w))
	}
	line("Shown by this file:")
	for _, s := range v.Shown() {
		line("  - %s", s)
	}
	line("Not shown by this file:")
	for _, s := range v.NotShown() {
		line("  - %s", s)
	}
	return b.String()
}

// Story writes the lines that all notices of one access share.
func (v *Verified) Story(line func(format string, args ...any)) {
	accounts := make([]string, len(v.Accounts))
	for i, a := range v.Accounts {
		accounts[i] = fmt.Sprintf("%q", a)
	}
	line("  account          %s", strings.Join(accounts, ", "))
	if v.Case != "" {
		line("  case             %q", v.Case)
	}
	if w := v.Warrant; w != nil {
		grounds := strings.Join(w.Grounds, ", ")
		line("  warrant          entry %d by the authority %s, signed %s: %s", w.Index, w.By, when(w.Time), w.Decision)
		line("  instrument       %s, offence %s, grounds %s", w.Instrument, w.Offence, grounds)
		if !w.NotAfter.IsZero() {
			line("  window           %s to %s", when(w.NotBefore), when(w.NotAfter))
		}
	} else {
		line("  emergency        %s, signed for by %s; there was no warrant", v.Emergency, printable(v.Duty))
	}
	line("  agency           %s, under the key %s", v.Agency, v.AgencyKey)
	line("  access           entry %d by the provider %s (unit %s), signed %s", v.Access.Index, v.Access.By, v.Unit, when(v.Access.Time))
	if v.Closed > 0 {
		line("  closed to you    %d sealed values: of other persons, or decoys", v.Closed)
	}
	line("  opened to        the one-time key %s, for which the agency %s", v.Recipient, map[bool]string{true: "signed", false: "DID NOT SIGN"}[v.Consent])
}

func (v *Verified) textRelease(line func(format string, args ...any)) {
	line("  release          entry %d by the custodian %s of the group %s, its number %d, signed %s", v.Release.Index, v.Release.By, v.Group, v.Seq, when(v.Release.Time))
}

// when returns a time as text.
func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable replaces what a terminal would not show as it is.
func printable(s string) string {
	q := fmt.Sprintf("%q", s)
	if q = q[1 : len(q)-1]; q == strings.ReplaceAll(s, `"`, `\"`) {
		return s
	}
	return q
}
