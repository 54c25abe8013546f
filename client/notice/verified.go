// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice

import (
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Verified is what [File.Verify] found a file to show. Names and meanings of its JSON
// members are stable; members may be added.
type Verified struct {
	Origin        string    `json:"origin"`
	Size          uint64    `json:"size"` // of the tree in which every entry is
	Root          tlog.Hash `json:"root"`
	Witnesses     []string  `json:"witnesses,omitempty"`
	ExistedBefore time.Time `json:"existedBefore,omitzero"` // all of it; zero under "quorum none"
	LoggedAfter   time.Time `json:"loggedAfter,omitzero"`   // what the tree lacks was logged after this
	// Auditors whose cosignatures on the head meet the audit policy of the last charter
	// in the file: they say that the rules held. None: the file does not say so.
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
)

// A Warning is something that is proven and should not be so. In JSON it is its code.
type Warning struct {
	Code    string
	Account string
	Err     error
}

// MarshalText returns the code.
func (w Warning) MarshalText() ([]byte, error) { return []byte(w.Code), nil }

// UnmarshalText reads the code.
func (w *Warning) UnmarshalText(b []byte) error {
	w.Code = string(b)
	return nil
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
