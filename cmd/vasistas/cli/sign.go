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
		Long: `sign makes an event and signs it, signs a payload that is already there
(--payload), or adds a signature to a signed event (--add).

--body is the JSON of the event's body; what each type has in it is in
docs/events.md. Sealed values are given by name, or in a JSON file that keeps
them out of the process list:

  {"until": "2027-01-31T00:00:00Z", "public": {"agency": "bka", "grounds": ["g1"]},
   "subject": {"case": "7 Js 12/26", "identifier": ["a@example.com"]}}

Their salts and values go to the openings file (mode 0600): whoever has it can
open the event, and whoever loses it can't.

A KEY is a private key file, or NAME://KEY for a key in an HSM or KMS, which the
plug-in sigstore-kms-NAME holds.`,
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
	fl.StringVar(&f.time, "time", "", "time that the event claims (default: now)")
	fl.StringVar(&f.id, "id", "", "id of the event, if others have signed for it: 16 random bytes in base64url (default: fresh ones)")
	fl.StringVar(&f.payload, "payload", "", "sign this payload as it is")
	fl.StringVar(&f.add, "add", "", "add a signature to this signed event")
	fl.StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	fl.StringVar(&f.seal.until, "until", "", "by when public values are opened: a time, or a duration")
	fl.StringArrayVar(&f.seal.public, "public", nil, "value opened to everyone, as name=value (repeatable)")
	fl.StringArrayVar(&f.seal.subject, "subject", nil, "value opened to the subject alone, as name=value (repeatable)")
	fl.StringVar(&f.seal.file, "sealed", "", "JSON file with the sealed values")
	fl.IntVar(&f.seal.decoys, "decoys", 0, "decoys in each class, to hide how many values there are")
	fl.StringVar(&f.out, "out", "", "file of the signed event (default: standard output)")
	fl.StringVar(&f.openings, "openings", "", "file of the openings; needed if something is sealed")
	c.MarkFlagRequired("key")
	c.MarkFlagsOneRequired("type", "payload", "add")
	c.MarkFlagsMutuallyExclusive("type", "payload", "add")
	c.MarkFlagsRequiredTogether("type", "origin", "body")
	return c
}

func (e *env) runSign(ctx context.Context, f *signFlags) error {
	if f.kind == "" && (!f.seal.empty() || f.openings != "" || f.time != "" || f.id != "") {
		return usagef("an event that exists already can't be sealed, named or dated; use --type")
	}
	if !f.seal.empty() && f.openings == "" {
		return usagef("give --openings FILE: without its openings, what is sealed is lost")
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
	// The openings first: without them the event must not get out.
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
		os.Remove(f.openings) // of an event that nobody has
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

// makeEvent puts header and body together, and lets the one parser judge them.
func (e *env) makeEvent(f *signFlags) (*event.Event, error) {
	body, err := e.read(f.body, event.MaxPayloadSize)
	if err != nil {
		return nil, err
	}
	if !event.Type(f.kind).Valid() {
		return nil, usagef("--type %q: it is one of %v", f.kind, event.Types())
	}
	at := time.Now().UTC().Truncate(time.Second).Format("2006-01-02T15:04:05Z")
	if f.time != "" {
		at = f.time
	}
	var id event.ID
	rand.Read(id[:])
	name := id.String()
	if f.id != "" {
		name = f.id // the parser below judges it
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
