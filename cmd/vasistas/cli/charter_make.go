// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/ledger"
)

// newCharter makes the event of a charter, and refuses what no log would take
// or no set of founders could ever sign.
func newCharter(origin string, ch *event.Charter) (*event.Event, error) {
	ev, err := event.New(origin, ch)
	if err != nil {
		return nil, fmt.Errorf("this can't be a charter: %w", err)
	}
	if err := checkCharter(ev, ch); err != nil {
		return nil, fmt.Errorf("this can't be a charter: %w", err)
	}
	return ev, nil
}

// checkCharter holds what package event has accepted to the rules, and to what
// can be signed.
func checkCharter(ev *event.Event, ch *event.Charter) error {
	if err := underRules(ev, ch); err != nil {
		return err
	}
	if ch.Thresholds.Recover > event.MaxSignatures {
		return fmt.Errorf("body.thresholds: recover %d: an entry carries at most %d signatures", ch.Thresholds.Recover, event.MaxSignatures)
	}
	payload, err := ev.Bytes()
	if err != nil {
		return err
	}
	// About 100 bytes of JSON around it, and 200 a signature.
	size := base64.StdEncoding.EncodedLen(len(payload)) + 100 + 200*int(ch.Thresholds.Recover)
	if size > event.MaxEntrySize {
		return fmt.Errorf("signed, it would have %d bytes, and an entry has %d at most: give it fewer parties, or fewer ML-DSA keys", size, event.MaxEntrySize)
	}
	return nil
}

// underRules asks the ledger about what a charter says by itself: its policies,
// its operators, its profile. An amendment is asked about as if it were a log's
// first charter, for which the ledger needs no history; all that a first charter
// without signatures lacks must then be signatures.
func underRules(ev *event.Event, ch *event.Charter) error {
	if ledger.Rules(ch.Rules) == nil {
		return fmt.Errorf("rules %d: this program does not know them", ch.Rules)
	}
	first, body := *ev, *ch
	body.Version, body.Prev = 1, nil
	first.Body = &body
	payload, err := first.Bytes()
	if err != nil {
		return err
	}
	v, err := ledger.New(ev.Log, nil).Check(ledger.Entry{Envelope: &event.Envelope{Event: &first, Payload: payload}})
	if err != nil {
		return err
	}
	if v != nil && (v.Rule != "charter" || v.Code != "few") {
		return errors.New(v.Text())
	}
	return nil
}

// founders returns the charter keys of a charter.
func founders(ch *event.Charter) []event.Party {
	return slices.DeleteFunc(slices.Clone(ch.Parties), func(p event.Party) bool { return p.Role != event.RoleCharter })
}

// founder returns the charter party whose key has this id, or nil.
func founder(ch *event.Charter, keyID string) *event.Party {
	if p := ch.Holder(keyID); p != nil && p.Role == event.RoleCharter {
		return p
	}
	return nil
}

// signCharter signs with the keys of founders of by, the charter that says who
// they are.
func signCharter(ctx context.Context, f *charterFile, by *event.Charter, keys []string) error {
	for _, ref := range keys {
		s, err := eventkey.Load(ctx, ref)
		if err != nil {
			return err
		}
		if founder(by, s.KeyID()) == nil {
			return fmt.Errorf("%s: the key %s is no charter key of version %d, whose founders sign this", ref, s.KeyID(), by.Version)
		}
		if f.envelope == nil {
			f.envelope, err = event.Sign(f.event, s)
		} else {
			f.envelope, err = f.envelope.AddSignature(s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	return nil
}

// bytes is what a file of it has.
func (f *charterFile) bytes() []byte {
	if f.envelope != nil {
		return f.envelope.Bytes()
	}
	return f.payload
}

// writeCharter signs a new charter, if keys were given, and writes it.
func (e *env) writeCharter(ctx context.Context, ev *event.Event, by *event.Charter, f *charterFlags) (*charterFile, error) {
	payload, err := ev.Bytes()
	if err != nil {
		return nil, err
	}
	file, err := parseCharter(payload)
	if err != nil {
		return nil, err
	}
	file.name = f.out
	if err := signCharter(ctx, file, by, f.keys); err != nil {
		return nil, err
	}
	return file, durable.CreateFile(f.out, file.bytes(), 0o644)
}

// advise tells what a charter allows and its founders may not want.
func (e *env) advise(ch *event.Charter) {
	n := uint64(len(founders(ch)))
	auditors := slices.ContainsFunc(ch.Parties, func(p event.Party) bool { return p.Role == event.RoleAuditor })
	nobody := func(policy string) bool { return strings.HasSuffix(policy, policyNone) }
	for _, a := range []struct {
		is   bool
		text string
	}{
		{nobody(ch.WitnessPolicy),
			"the witness policy asks for no witness, so the log may show different people different trees"},
		{nobody(ch.AuditPolicy) && len(ch.Groups) > 0,
			"the audit policy asks for no auditor, so keys open even while disclosures are overdue"},
		{nobody(ch.AuditPolicy) && auditors,
			"there are auditors, and the audit policy asks for none of them"},
		{ch.Thresholds.Recover == n && n > 1,
			fmt.Sprintf("a recovery needs all %d founders, so it is impossible once one key is lost", n)},
		{n == 1, "one founder alone can change everything"},
		{len(ch.Groups) == 0, "there is no custodian group, so the log can open no key"},
	} {
		if a.is {
			e.note("note: %s", a.text)
		}
	}
}

type charterReport struct {
	Kind       string   `json:"kind"` // charter
	File       string   `json:"file"`
	Log        string   `json:"log"`
	Version    uint64   `json:"version"`
	Hash       string   `json:"hash,omitempty"` // event hash, once signed
	Leaf       string   `json:"leaf,omitempty"` // leaf hash, once signed; each signature changes it
	Signatures int      `json:"signatures"`
	Needed     uint64   `json:"needed"`
	Changes    []string `json:"changes,omitempty"`
}

// reportCharter says what was written, and what is to be done next.
func (e *env) reportCharter(file *charterFile, by *event.Charter, needed uint64, f *charterFlags) error {
	r := newReport(file, needed)
	if f.json {
		return e.printJSON(r)
	}
	e.printf("%s: charter version %d of the log %s: %d of %d signatures\n", r.File, r.Version, r.Log, r.Signatures, needed)
	if uint64(r.Signatures) < needed {
		e.printf("next: vasistas charter sign %s --key KEY, by %d more of its %d founders\n", r.File, needed-uint64(r.Signatures), len(founders(by)))
	}
	return nil
}

func newReport(file *charterFile, needed uint64) charterReport {
	r := charterReport{Kind: "charter", File: file.name, Log: file.event.Log, Version: file.charter.Version, Needed: needed}
	if file.envelope != nil {
		hash, leaf := file.envelope.Hash(), file.envelope.LeafHash()
		r.Hash, r.Leaf = hex.EncodeToString(hash[:]), base64.StdEncoding.EncodeToString(leaf[:])
		r.Signatures = len(file.envelope.Signatures)
	}
	return r
}
