// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice

import (
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Verified is what a file proves, and what it only claims. Names and meanings of its JSON members are stable;
// members may be added.
type Verified struct {
	Origin        string    `json:"origin"`
	Size          uint64    `json:"size"` // of the tree in which every entry is
	Root          tlog.Hash `json:"root"`
	Witnesses     []string  `json:"witnesses,omitempty"`
	ExistedBefore time.Time `json:"existedBefore,omitzero"` // of the tree; zero under "quorum none"
	LoggedAfter   time.Time `json:"loggedAfter,omitzero"`   // of every entry outside the tree
	Spread        uint64    `json:"spread,omitempty"`       // of the cosignatures' times, seconds: the charter's of Version, or the policy's
	Charters      []uint64  `json:"charters"`               // indexes of the file's charters
	// Version of the last of these charters, if they begin at entry 0 of the tree and each
	// one's founders signed the next. They can't show that the log has no other amendment.
	// 0: Doubt is set, and every By is empty, and Auditors unless the verifier's own policy names them.
	Version uint64 `json:"version"`
	// Doubt is the error of Verify: why the charters prove no signer; nil: they do.
	Doubt  error   `json:"-"`
	Claims []Claim `json:"claims,omitempty"` // of the file, if Doubt is set
	// Auditors whose cosignatures on the head meet the audit policy of the charter of
	// Version, or the verifier's own. They say that the rules held. None: the file does not show it.
	Auditors  []string  `json:"auditors,omitempty"`
	VouchedAt time.Time `json:"vouchedAt,omitzero"` // at or after it, by the verifier's own audit policy

	Accounts  []string `json:"accounts"`
	Case      string   `json:"case,omitempty"`
	Warrant   *Warrant `json:"warrant,omitempty"`   // nil in an emergency
	Emergency string   `json:"emergency,omitempty"` // its ground
	Duty      string   `json:"duty,omitempty"`      // the duty party that signed for it
	Agency    string   `json:"agency"`
	AgencyKey string   `json:"agencyKey"` // key id
	Consent   bool     `json:"consent"`   // the agency's signature covers Recipient
	Access    Entry    `json:"access"`
	Unit      string   `json:"unit"`
	Group     string   `json:"group"`
	// Categories of data that the access opens; none: it states none.
	Categories []string `json:"categories,omitempty"`
	Recipient  string   `json:"recipient"` // hex SHA-256 of the recipient key
	Closed     int      `json:"closed"`    // sealed values that are not open to this subject: others', or decoys
	Release    Entry    `json:"release"`
	Seq        uint64   `json:"seq"`

	Warnings []Warning `json:"warnings,omitempty"`
}

// Codes of warnings.
const (
	WarnAccount      = "account"       // the notice does not show that the warrant names Account
	WarnPackages     = "packages"      // the notice does not show which packages were opened
	WarnAccessSigner = "access-signer" // by the charters in the file, no provider signed the access
	WarnDutySigner   = "duty-signer"   // no duty key signed the emergency access
	WarnSigner       = "signer"        // no authority signed the warrant
	WarnConsent      = "consent"       // the agency's signature does not cover Recipient, for Err
	WarnVoid         = "void"          // a later charter voids a key that signed: Err
)

// A Warning is a proven fault. In JSON it is its code.
type Warning struct {
	Code    string
	Account string // of WarnAccount
	Err     error  // of WarnConsent and WarnVoid
}

// MarshalText returns the code.
func (w Warning) MarshalText() ([]byte, error) { return []byte(w.Code), nil }

// UnmarshalText reads the code.
func (w *Warning) UnmarshalText(b []byte) error {
	w.Code = string(b)
	return nil
}

// Entry is an entry of the log.
type Entry struct {
	Index uint64    `json:"index"`
	Time  time.Time `json:"claimedTime"` // the signer's claim
	By    string    `json:"by"`          // the parties that signed, by the charters up to Version
}

// A Claim is what a file says of an entry's signer and does not prove.
type Claim struct {
	Index uint64     `json:"index"`
	Role  event.Role `json:"role"`
	Names string     `json:"names"`
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
	Categories []string       `json:"categories,omitempty"` // of data that it asks for
	// DataPeriods are those of the data that it asks for, each as START/END.
	DataPeriods []string `json:"dataPeriods,omitempty"`
	Extends     string   `json:"extends,omitempty"` // an earlier warrant: its index and leaf hash
}
