// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package notice is the file that a subject keeps of an access to its data: a notice
// with the proofs of the entries that it names. Anyone can verify it offline.
//
// [File.Verify] promises its caller that every entry of the result is in a log that the
// caller's policy accepts (C2SP tlog-policy), and that the notice's openings are those
// that warrant and access sealed. It names signers and auditors only by a chain of
// charters that begins at entry 0 of the verified tree and keeps the rules of amendment
// (package ledger); otherwise they are the file's claims, and [Verified.Doubt] is set. It
// trusts only the policy, not the source of the file.
//
// The file has the notice in plain text. That is enough, since the digest in a signed
// and logged event proves an opening. The ciphertext would add nothing without the
// subject's key, which no file may hold: it opens all other notices of its month too.
// So the file does not show that the release sealed this notice to this subject. Package
// scan checks that with the subject's key.
package notice

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const magic = "vasistas notice file v1\n"

// maxCharters bounds the charters of a file.
const maxCharters = 4096

// MaxFileSize bounds a file in bytes.
const MaxFileSize = 32 << 20

// A File is a notice with the proofs of the entries that it names (C2SP tlog-proof, with
// the entry as extra data), all under one checkpoint.
//
// As bytes it is the magic line, and a line for each part, in the order of the fields:
// its name, a space, and its bytes in unpadded base64url. The line of the warrant is
// absent in an emergency; each charter has a line.
type File struct {
	Notice   *escrow.Notice
	Release  []byte
	Access   []byte
	Warrant  []byte   // nil in an emergency
	Charters [][]byte // by index: each from the first of the log to the one in force at the release, or later
}

var url64 = base64.RawURLEncoding.Strict()

// Bytes returns the file. It sorts the notice's openings in place.
func (f *File) Bytes() ([]byte, error) {
	n, err := f.Notice.Bytes()
	if err != nil {
		return nil, err
	}
	b := []byte(magic)
	line := func(name string, part []byte) {
		b = append(append(b, name...), ' ')
		b = append(url64.AppendEncode(b, part), '\n')
	}
	line("notice", n)
	line("release", f.Release)
	line("access", f.Access)
	if f.Warrant != nil {
		line("warrant", f.Warrant)
	}
	for _, c := range f.Charters {
		line("charter", c)
	}
	if len(b) > MaxFileSize {
		return nil, malformed("it would have %d bytes, at most %d", len(b), MaxFileSize)
	}
	return b, nil
}

// Is returns whether a file begins like a notice file.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

func malformed(format string, args ...any) error {
	return &verify.Error{Reason: verify.Malformed, Err: fmt.Errorf("notice file: "+format, args...)}
}

// Parse parses exactly what Bytes returns. It does not verify the proofs.
func Parse(b []byte) (*File, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(b) > MaxFileSize {
		return nil, malformed("its first line is another, or it has more than %d bytes", MaxFileSize)
	}
	f := new(File)
	var text []byte
	var err error
	part := func(name string, into *[]byte) bool {
		after, ok := bytes.CutPrefix(rest, []byte(name+" "))
		line, next, ok2 := bytes.Cut(after, []byte("\n"))
		if err != nil || !ok || !ok2 {
			return false
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			err = malformed("%s: base64 with line breaks", name)
			return false
		}
		raw, bad := url64.AppendDecode([]byte{}, line)
		if bad != nil {
			err = malformed("%s: %w", name, bad)
			return false
		}
		*into, rest = raw, next
		return true
	}
	if ok := part("notice", &text) && part("release", &f.Release) && part("access", &f.Access); !ok {
		if err == nil {
			err = malformed("want the lines notice, release and access")
		}
		return nil, err
	}
	part("warrant", &f.Warrant)
	for c := []byte(nil); len(f.Charters) < maxCharters && part("charter", &c); {
		f.Charters = append(f.Charters, c)
	}
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, malformed("unexpected data after %d bytes", len(b)-len(rest))
	case len(f.Charters) == 0:
		return nil, malformed("it has no charter")
	}
	if f.Notice, err = escrow.ParseNotice(text); err != nil {
		return nil, malformed("%w", err)
	}
	if (f.Notice.Warrant == nil) != (f.Warrant == nil) {
		return nil, malformed("either the notice names a warrant that has no proof here, or a proof is for a warrant that it does not name")
	}
	if err := f.parseProofs(); err != nil {
		return nil, err
	}
	if again, err := f.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, malformed("not the canonical encoding")
	}
	return f, nil
}

func (f *File) parseProofs() error {
	for _, p := range f.proofs() {
		if _, err := tlog.ParseProof(p); errors.Is(err, tlog.ErrTooManySignatures) {
			return &verify.Error{Reason: verify.ManySignatures, Err: err}
		} else if err != nil {
			return malformed("%w", err)
		}
	}
	return nil
}

func (f *File) proofs() [][]byte {
	out := [][]byte{f.Release, f.Access}
	if f.Warrant != nil {
		out = append(out, f.Warrant)
	}
	return append(out, f.Charters...)
}

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
