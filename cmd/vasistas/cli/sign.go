// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type keygenFlags struct {
	kind, note, alg, out string
	json                 bool
}

func (e *env) keygen() *cobra.Command {
	var f keygenFlags
	c := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key: for events, or for a log or witness",
		Long: `keygen makes a key. It writes the private key to FILE (mode 0600) and the public
key to FILE.pub. It never overwrites a file.

By default the key signs events (PKCS #8 PEM). With --note NAME it is a key of the
log or witness of that name (C2SP signed-note).`,
		Example: `  vasistas keygen --type ed25519 --out judge.pem
  vasistas keygen --note example.com/log --alg ed25519 --out log.key
  vasistas keygen --note example.com/witness --alg mldsa --out witness.key`,
		Args: cobra.NoArgs,
		RunE: do(func(context.Context, []string) error { return e.runKeygen(&f) }),
	}
	c.Flags().StringVar(&f.kind, "type", "ed25519", "algorithm of an event key: ed25519 or p256")
	c.Flags().StringVar(&f.note, "note", "", "make a note key of this name")
	c.Flags().StringVar(&f.alg, "alg", "ed25519", "algorithm of a note key: ed25519 (log), cosignature (Ed25519, witness), mldsa (ML-DSA-44, both)")
	c.Flags().StringVar(&f.out, "out", "", "new file for the private key")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.MarkFlagRequired("out")
	c.MarkFlagsMutuallyExclusive("type", "note")
	return c
}

var eventAlgorithms = map[string]string{"ed25519": eventkey.Ed25519, "p256": eventkey.ECDSAP256}

var noteAlgorithms = map[string]tlog.Algorithm{
	"ed25519":     tlog.Ed25519,
	"cosignature": tlog.CosignatureEd25519,
	"mldsa":       tlog.CosignatureMLDSA44,
}

type madeEventKey struct {
	KeyID string `json:"keyId"`
	SPKI  string `json:"spki"` // hex
}

type madeNoteKey struct {
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
}

var errKeyOut = usagef("--out -: a key has two files, FILE and FILE.pub; name one")

func (e *env) runKeygen(f *keygenFlags) error {
	if f.out == "-" {
		return errKeyOut
	}
	if f.note != "" {
		return e.noteKey(f)
	}
	alg, ok := eventAlgorithms[f.kind]
	if !ok {
		return usagef("--type %q: give ed25519 or p256", f.kind)
	}
	key, err := eventkey.Generate(alg, f.out)
	if err != nil {
		return err
	}
	if f.json {
		return e.printJSON(madeEventKey{key.KeyID(), hex.EncodeToString(key.SPKI())})
	}
	e.printf("%s\n", key.KeyID())
	return nil
}

// createKey creates the files of a private and a public key, both or none.
func createKey(name string, private, public []byte) error {
	if err := durable.CreateFile(name, private, 0o600); err != nil {
		return err
	}
	if err := durable.CreateFile(name+eventkey.PublicSuffix, public, 0o644); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func (e *env) noteKey(f *keygenFlags) error {
	alg, ok := noteAlgorithms[f.alg]
	if !ok {
		return usagef("--alg %q: give ed25519, cosignature or mldsa", f.alg)
	}
	s, err := tlog.GenerateSigner(f.note, alg)
	if err != nil {
		return usagef("--note: %w", err)
	}
	if err := createKey(f.out, []byte(s.Secret()+"\n"), []byte(s.Verifier().String()+"\n")); err != nil {
		return err
	}
	if f.json {
		return e.printJSON(madeNoteKey{s.Verifier().String(), f.alg})
	}
	e.printf("%s\n", s.Verifier())
	return nil
}

type signFlags struct {
	kind, origin, body, time string
	set                      []string
	payload, add             string
	keys                     []string
	seal                     sealFlags
	charter                  string
	out, openings            string
}

func (e *env) sign() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "sign --key KEY (--type TYPE --origin LOG --set NAME=VALUE... | --payload FILE | --add FILE)",
		Short: "Make and sign an event",
		Long: `sign makes an event and signs it, signs an existing payload (--payload), or adds a
signature to a signed event (--add).

Give each member of the event's body as --set NAME=VALUE; docs/events.md has the members
of each type. A list has commas between its elements. A reference to an entry is @FILE,
its proof file, or 'INDEX LEAF', as 'vasistas show' prints both. --body is a file with
the body in JSON, whose members --set replaces: members and lists may be in any order,
and a reference is {"index": INDEX, "leaf": "LEAF HASH"}.

With --charter, --origin may be left out, and sign checks codes, names, keys and limits
by that charter before it writes the event, lists the valid codes and names, and seals
for the profile's default time if you give no --until. What depends on other entries,
only the log checks: see 'vasistas append --dry-run'.

Give sealed values by name, or in a JSON file, which keeps them out of the process
list:

  {"until": "2027-01-31T00:00:00Z", "public": {"agency": "bka", "grounds": ["g1"]},
   "subject": {"case": "7 Js 12/26", "identifier": ["a@example.com"]}}

Give a key as @FILE. Give the earlier warrant that a warrant extends as @FILE, its proof
file, or as 'INDEX LEAF'. Give periods of data as START/END, in any order. Give a
proceeding as its tag or, with --proceeding-secret, as its number, from which sign
derives the tag.

sign writes their salts and values to the openings file (mode 0600). Keep it: only
with it can the event be opened.

A KEY is a private key file or pipe, or NAME://KEY for a key in an HSM or KMS, with
the plug-in sigstore-kms-NAME. sign asks for the passphrase of an encrypted key on
the terminal, or takes it from the file that $` + eventkey.PassphraseEnv + ` names.`,
		Example: `  vasistas sign --charter charter.event --type warrant --set decision=granted --set provider=messenger \
      --set instrument=calecpa-search-warrant --set offence=homicide --set accounts=1 --set accesses=1 \
      --set notBefore=2026-07-01T00:00:00Z --set notAfter=2026-07-10T00:00:00Z \
      --public agency=police --public agencyKey=@police.pem.pub --public grounds=means-of-felony \
      --subject 'case=7 Js 12/26' --key judge.pem --out w.event --openings w.openings
  vasistas sign --charter charter.event --type revocation --set warrant=@w.event.tlog-proof --set scope=all \
      --set reason=moot --key judge.pem --out r.event
  vasistas sign --type warrant --origin example.com/log --body warrant.json --key judge.pem \
      --sealed sealed.json --public dataPeriods=2026-01-01T00:00:00Z/2026-03-31T23:59:59Z \
      --public extends=@earlier.tlog-proof --public 'proceeding=7 Js 12/26' --proceeding-secret tags.secret \
      --out w.event --openings w.openings
  vasistas sign --add access.event --key duty.pem --out access2.event`,
		Args: cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error { return e.runSign(ctx, &f) }),
	}
	f.define(c)
	return c
}

func (f *signFlags) define(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.kind, "type", "", "type of the event, such as warrant")
	fl.StringVar(&f.origin, "origin", "", "origin of the log that the event is for (default: that of --charter)")
	fl.StringArrayVar(&f.set, "set", nil, "member of the body, as name=value (repeatable)")
	fl.StringVar(&f.body, "body", "", "file with the body as JSON; - is the standard input")
	fl.StringVar(&f.charter, "charter", "", "charter of the log, as file, event or proof, to check the event by")
	fl.StringVar(&f.time, "time", "", "claimed time of the event (default: now)")
	fl.StringVar(&f.payload, "payload", "", "file with a payload to sign unchanged")
	fl.StringVar(&f.add, "add", "", "file with a signed event to add a signature to")
	fl.StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	fl.StringVar(&f.seal.until, "until", "", "time by which public values are opened, or a duration (with --charter: the profile's default)")
	fl.StringArrayVar(&f.seal.public, "public", nil, "value to be opened to everyone, as name=value (repeatable)")
	fl.StringArrayVar(&f.seal.subject, "subject", nil, "value to be opened to the subject alone, as name=value (repeatable)")
	fl.StringVar(&f.seal.file, "sealed", "", "JSON file with the sealed values")
	fl.StringVar(&f.seal.proceeding, "proceeding-secret", "", "file with the secret (mode 0600, 16 bytes or more) that makes a tag of a proceeding's number")
	fl.IntVar(&f.seal.decoys, "decoys", 0, "number of decoys in each class, to hide the number of values")
	fl.StringVar(&f.out, "out", "", "new file for the signed event (default: standard output)")
	fl.StringVar(&f.openings, "openings", "", "new file for the openings; required with sealed values")
	c.MarkFlagRequired("key")
	c.MarkFlagsOneRequired("type", "payload", "add")
	c.MarkFlagsMutuallyExclusive("type", "payload", "add")
}

func (e *env) runSign(ctx context.Context, f *signFlags) error {
	switch {
	case f.kind == "" && (!f.seal.empty() || f.openings+f.time+f.body != "" || len(f.set) > 0):
		return usagef("a body, sealed values, --openings and --time are for a new event; give --type")
	case f.kind != "" && f.origin+f.charter == "":
		return usagef("give --charter FILE, or --origin LOG")
	}
	if !f.seal.empty() && f.openings == "" {
		return usagef("give --openings FILE: without their openings, sealed values are lost")
	}
	if f.openings == "-" && (f.out == "" || f.out == "-") {
		return usagef("the event and its openings can't both go to the standard output; give --out FILE or --openings FILE")
	}
	signers, err := command.Each(f.keys, func(ref string) (event.Signer, error) { return eventkey.Load(ctx, ref) })
	if err != nil {
		return err
	}
	var charter *charterFile
	if f.charter != "" {
		if charter, err = e.readCharter(f.charter); err != nil {
			return err
		}
		f.origin = cmp.Or(f.origin, charter.event.Log)
	}
	envelope, openings, err := e.signed(f, signers, charter)
	if err == nil && charter != nil {
		err = byCharter(charter, envelope, openings)
	}
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
		if err := e.create(f.openings, b, 0o600); err != nil {
			return err
		}
	}
	if f.out == "" || f.out == "-" {
		err = e.create("-", append(envelope.Bytes(), '\n'), 0)
	} else {
		err = e.create(f.out, envelope.Bytes(), 0o644)
	}
	if err != nil && openings != nil && f.openings != "-" {
		os.Remove(f.openings) // of an event that was not written
	}
	return err
}

// signed makes and signs the event. charter may be nil.
func (e *env) signed(f *signFlags, signers []event.Signer, charter *charterFile) (*event.Envelope, *event.Openings, error) {
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
		if charter != nil {
			// A wrong code is the better message, before anything is sealed.
			f.seal.limit, err = sealLimit(charter.charter, ev), choose(charter.charter, ev, nil)
		}
		if err == nil {
			openings, err = e.seal(ev, &f.seal)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	envelope, err := event.Sign(ev, signers...)
	return envelope, openings, err
}

func (e *env) makeEvent(f *signFlags) (*event.Event, error) {
	if !event.Type(f.kind).Valid() {
		return nil, usagef("--type %q: give one of %v", f.kind, event.Types())
	}
	text, err := e.bodyText(f)
	if err != nil {
		return nil, err
	}
	var ev *event.Event
	body, err := event.ParseBodyFile(event.Type(f.kind), text)
	if err == nil {
		ev, err = event.New(f.origin, body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not the body of a %s: %w", cmp.Or(f.body, "what --set gives"), f.kind, err)
	}
	if f.time != "" {
		if ev.Time, err = time.Parse("2006-01-02T15:04:05Z", f.time); err != nil || ev.Time.Nanosecond() != 0 {
			return nil, usagef("--time %q: give a time like 2006-01-02T15:04:05Z", f.time)
		}
	}
	_, err = ev.Bytes() // of the given time, too
	return ev, err
}

// bodyText returns the body as JSON: the file's, with the members of the flags.
func (e *env) bodyText(f *signFlags) (text []byte, err error) {
	t := event.Type(f.kind)
	members := event.Members(t)
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	if text = []byte("{}"); f.body != "" {
		if text, err = e.read(f.body, event.MaxCharterFile); err != nil || len(f.set) == 0 {
			return text, err
		}
	} else if len(f.set) == 0 {
		return nil, usagef("give the members of a %s, as --set NAME=VALUE or in --body FILE; it has %s", t, strings.Join(names, ", "))
	}
	given := make(map[string]string)
	for _, arg := range f.set {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || !slices.Contains(names, name) {
			return nil, usagef("--set %s: write NAME=VALUE, with a member of a %s; it has %s, and --public and --subject give what is sealed", arg, t, strings.Join(names, ", "))
		}
		if old, ok := given[name]; ok {
			value = old + "," + value // of a list
		}
		given[name] = value
	}
	set := make(map[string]any)
	for _, m := range members {
		value, ok := given[m.Name]
		if !ok {
			continue
		}
		if m.Kind == event.MemberReference {
			r, err := e.reference(m.Name, event.Type(m.Name), value, f.origin) // a member warrant is a warrant
			if err != nil {
				return nil, err
			}
			value = r.String()
		}
		if set[m.Name], err = m.JSON(value); err != nil {
			return nil, err
		}
	}
	if text, err = setMembers(text, set); err != nil {
		err = fmt.Errorf("%s: %w", f.body, err)
	}
	return text, err
}
