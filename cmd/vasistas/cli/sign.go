// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
)

type signFlags struct {
	kind, origin, body, time string
	id                       string
	payload, add             string
	keys                     []string
	seal                     sealFlags
	out, openings            string
}

func (e *env) sign() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "sign --key KEY (--type TYPE --origin LOG --body FILE | --payload FILE | --add FILE)",
		Short: "Make and sign an event",
		Long: `sign makes an event and signs it, signs an existing payload (--payload), or adds a
signature to a signed event (--add).

--body is the event's body in JSON; docs/events.md has the members of each type.
Give sealed values by name, or in a JSON file, which keeps them out of the process
list:

  {"until": "2027-01-31T00:00:00Z", "public": {"agency": "bka", "grounds": ["g1"]},
   "subject": {"case": "7 Js 12/26", "identifier": ["a@example.com"]}}

sign writes their salts and values to the openings file (mode 0600). Keep it: only
with it can the event be opened.

A KEY is a private key file, or NAME://KEY for a key in an HSM or KMS, with the
plug-in sigstore-kms-NAME.`,
		Example: `  vasistas sign --type warrant --origin example.com/log --body warrant.json \
      --sealed sealed.json --key judge.pem --out w.event --openings w.openings
  vasistas sign --add access.event --key duty.pem --out access2.event`,
		Args: cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error { return e.runSign(ctx, &f) }),
	}
	fl := c.Flags()
	fl.StringVar(&f.kind, "type", "", "type of the event, such as warrant")
	fl.StringVar(&f.origin, "origin", "", "origin of the log that the event is for")
	fl.StringVar(&f.body, "body", "", "file with the body as JSON; - is the standard input")
	fl.StringVar(&f.time, "time", "", "claimed time of the event (default: now)")
	fl.StringVar(&f.id, "id", "", "id of the event, 16 random bytes in base64url, if 'open consent' gave one (default: a new one)")
	fl.StringVar(&f.payload, "payload", "", "file with a payload to sign unchanged")
	fl.StringVar(&f.add, "add", "", "file with a signed event to add a signature to")
	fl.StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	fl.StringVar(&f.seal.until, "until", "", "time by which public values are opened, or a duration")
	fl.StringArrayVar(&f.seal.public, "public", nil, "value to be opened to everyone, as name=value (repeatable)")
	fl.StringArrayVar(&f.seal.subject, "subject", nil, "value to be opened to the subject alone, as name=value (repeatable)")
	fl.StringVar(&f.seal.file, "sealed", "", "JSON file with the sealed values")
	fl.IntVar(&f.seal.decoys, "decoys", 0, "number of decoys in each class, to hide the number of values")
	fl.StringVar(&f.out, "out", "", "new file for the signed event (default: standard output)")
	fl.StringVar(&f.openings, "openings", "", "new file for the openings; required with sealed values")
	c.MarkFlagRequired("key")
	c.MarkFlagsOneRequired("type", "payload", "add")
	c.MarkFlagsMutuallyExclusive("type", "payload", "add")
	c.MarkFlagsRequiredTogether("type", "origin", "body")
	return c
}

func (e *env) runSign(ctx context.Context, f *signFlags) error {
	if f.kind == "" && (!f.seal.empty() || f.openings != "" || f.time != "" || f.id != "") {
		return usagef("sealed values, --openings, --time and --id are for a new event; give --type")
	}
	if !f.seal.empty() && f.openings == "" {
		return usagef("give --openings FILE: without their openings, sealed values are lost")
	}
	var signers []event.Signer
	for _, ref := range f.keys {
		s, err := eventkey.Load(ctx, ref)
		if err != nil {
			return err
		}
		signers = append(signers, s)
	}
	envelope, openings, err := e.signed(f, signers)
	if err != nil {
		return err
	}
	// Write the openings first: without them the event would be useless.
	if openings != nil {
		openings.Event = envelope.Hash()
		b, err := openings.Bytes()
		if err != nil {
			return err
		}
		if err := durable.CreateFile(f.openings, b, 0o600); err != nil {
			return err
		}
	}
	if f.out == "" {
		_, err = e.stdout.Write(append(envelope.Bytes(), '\n'))
	} else {
		err = durable.CreateFile(f.out, envelope.Bytes(), 0o644)
	}
	if err != nil && openings != nil {
		os.Remove(f.openings) // of an event that was not written
	}
	return err
}

func (e *env) signed(f *signFlags, signers []event.Signer) (*event.Envelope, *event.Openings, error) {
	if f.add != "" {
		envelope, err := readAs(e, f.add, event.MaxEntrySize+1, line(event.ParseEnvelope))
		for _, s := range signers {
			if err != nil {
				break
			}
			envelope, err = envelope.AddSignature(s)
		}
		return envelope, nil, err
	}
	var ev *event.Event
	var openings *event.Openings
	var err error
	if f.payload != "" {
		ev, err = readAs(e, f.payload, event.MaxPayloadSize+1, line(event.Parse))
	} else if ev, err = e.makeEvent(f); err == nil {
		openings, err = e.seal(ev, &f.seal)
	}
	if err != nil {
		return nil, nil, err
	}
	envelope, err := event.Sign(ev, signers...)
	return envelope, openings, err
}

// makeEvent makes an event of header and body, and parses it strictly.
func (e *env) makeEvent(f *signFlags) (*event.Event, error) {
	body, err := e.read(f.body, event.MaxPayloadSize)
	if err != nil {
		return nil, err
	}
	if !event.Type(f.kind).Valid() {
		return nil, usagef("--type %q: give one of %v", f.kind, event.Types())
	}
	at := time.Now().UTC().Truncate(time.Second).Format("2006-01-02T15:04:05Z")
	if f.time != "" {
		at = f.time
	}
	var id event.ID
	rand.Read(id[:])
	name := id.String()
	if f.id != "" {
		name = f.id // parsed below
	}
	payload, err := json.Marshal(struct {
		Body json.RawMessage `json:"body"`
		ID   string          `json:"id"`
		Log  string          `json:"log"`
		Time string          `json:"time"`
		Type string          `json:"type"`
	}{body, name, f.origin, at, f.kind})
	if err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", f.body, err)
	}
	if payload, err = jcs.Transform(payload); err != nil {
		return nil, fmt.Errorf("%s: %w", f.body, err)
	}
	ev, err := event.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("%s is not the body of a %s: %w", f.body, f.kind, err)
	}
	return ev, nil
}
