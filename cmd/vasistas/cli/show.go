// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

func (e *env) show() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE...",
		Short: "Show a file: event, proof, checkpoint, policy, or openings",
		Long: `show prints the content of a file. It detects the kind of file and parses it
strictly, but verifies nothing: see 'vasistas verify'. Of an event it prints the
members in plain words; --json has the rest.`,
		Example: "  vasistas show w.event w.event.tlog-proof",
		Args:    cobra.MinimumNArgs(1),
		RunE: do(func(_ context.Context, args []string) error {
			for _, name := range args {
				d, err := readAs(e, name, max(tlog.MaxPolicySize, event.MaxOpeningsSize), describeFile)
				if err == nil {
					err = e.print(d, asJSON)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON for each file")
	return c
}

// A description is the content of a file: it prints itself as text, or is printed as JSON.
type description interface{ text(*env) }

func (e *env) print(d description, asJSON bool) error {
	if asJSON {
		return e.printJSON(d)
	}
	d.text(e)
	return nil
}

// describeFile parses a file. Each kind of file begins in another way.
func describeFile(b []byte) (description, error) {
	starts := func(s string) bool { return bytes.HasPrefix(b, []byte(s)) }
	switch {
	case starts(proofMagic):
		return describeProof(b)
	case starts(`{"payload"`):
		return describeEnvelope(bytes.TrimSuffix(b, []byte("\n")))
	case starts(`{"event"`):
		return describeOpenings(b)
	case bytes.Contains(b, []byte("\n\n\u2014 ")):
		c, err := tlog.ParseCheckpoint(b)
		if err != nil {
			return nil, err
		}
		return describeCheckpoint(c), nil
	}
	p, err := tlog.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("it is no event, proof, checkpoint or openings file, and not a valid policy: %w", err)
	}
	return describePolicy(p), nil
}

type envelopeJSON struct {
	Kind  string          `json:"kind"`
	Hash  string          `json:"hash"`
	Leaf  string          `json:"leaf"`
	Keys  []string        `json:"keys"`
	Event json.RawMessage `json:"event"`
	ev    *event.Event
}

func describeEnvelope(b []byte) (*envelopeJSON, error) {
	envelope, err := event.ParseEnvelope(b)
	if err != nil {
		return nil, err
	}
	d := &envelopeJSON{
		Kind: "event", Hash: fmt.Sprintf("%x", envelope.Hash()), Leaf: envelope.LeafHash().String(),
		Event: envelope.Payload, ev: envelope.Event,
	}
	for _, s := range envelope.Signatures {
		d.Keys = append(d.Keys, s.KeyID)
	}
	return d, nil
}

func (d *envelopeJSON) text(e *env) {
	e.printf("event: a %s for the log %s\n", d.ev.Type, d.ev.Log)
	e.printf("  event hash   %s\n  leaf hash    %s\n", d.Hash, d.Leaf)
	e.printf("  id           %s\n  claims time  %s\n", d.ev.ID, d.ev.Time.Format(time.RFC3339))
	for _, k := range d.Keys {
		e.printf("  signed by    %s (not verified here)\n", k)
	}
	if s := d.ev.Sealed; s != nil {
		e.printf("  sealed       %d values for everyone by %s, %d for the subject alone\n",
			len(s.Public), s.Until.Format(time.RFC3339), len(s.Subject))
	}
	for _, line := range english.Event(d.ev) {
		e.printf("  meaning      %s\n", line)
	}
	if payload, err := strictjson.Parse(d.Event); d.ev.Type == event.TypeCharter {
		e.printf("  content      see 'vasistas charter show'\n")
	} else if err == nil { // it was parsed strictly before
		printMembers(e, payload.Member("body"), "")
	}
	if disclosure, ok := d.ev.Body.(*event.Disclosure); ok {
		if opened, err := describeClass(disclosure.Openings); err == nil {
			printOpenings(e, "opens", opened)
		}
	}
}

// longText is how long a list may be to be printed whole.
const longText = 120

// printMembers prints an object of a payload in plain words, one member a line. --json has all.
func printMembers(e *env, object *strictjson.Value, path string) {
	for i, name := range object.Names {
		v, text := object.Values[i], object.Values[i].Text
		switch {
		case v.Kind == '{' && v.Member("leaf") != nil:
			text = fmt.Sprintf("entry %s, with the leaf hash %s", v.Member("index").Text, v.Member("leaf").Text)
		case v.Kind == '{':
			printMembers(e, v, path+name+".")
			continue
		case v.Kind == '[':
			var list []string
			for _, element := range v.Values {
				list = append(list, element.Text)
			}
			if text = strings.Join(list, ", "); len(text) > longText {
				text = fmt.Sprintf("%d values", len(list))
			}
		}
		e.printf("  %-12s %s\n", path+name, strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n               "))
	}
}

type openingsJSON struct {
	Kind    string        `json:"kind"`
	Event   string        `json:"hash"` // of the event, hex
	Public  []openingJSON `json:"public,omitempty"`
	Subject []openingJSON `json:"subject,omitempty"`
}

type openingJSON struct {
	Name   string `json:"name"`
	Value  any    `json:"value,omitempty"` // a string, or a list of codes or periods
	Digest string `json:"digest"`
}

func describeOpenings(b []byte) (*openingsJSON, error) {
	o, err := event.ParseOpenings(b)
	if err != nil {
		return nil, err
	}
	d := &openingsJSON{Kind: "openings", Event: fmt.Sprintf("%x", o.Event)}
	if d.Public, err = describeClass(o.Public); err != nil {
		return nil, err
	}
	d.Subject, err = describeClass(o.Subject)
	return d, err
}

func describeClass(list []event.Opening) ([]openingJSON, error) {
	var out []openingJSON
	for _, o := range list {
		digest, err := o.Digest()
		if err != nil {
			return nil, err
		}
		d := openingJSON{Name: o.Name, Digest: digest.String()}
		if codes := o.Value.Codes(); codes != nil {
			d.Value = codes
		} else if s := o.Value.Text(); s != "" {
			d.Value = s
		}
		out = append(out, d)
	}
	return out, nil
}

func (d *openingsJSON) text(e *env) {
	e.printf("openings: SECRETS of the event %s\n", d.Event)
	printOpenings(e, "public", d.Public)
	printOpenings(e, "subject", d.Subject)
}

func printOpenings(e *env, class string, list []openingJSON) {
	for _, o := range list {
		if o.Value == nil {
			e.printf("  %-8s %s\n", class, o.Name)
			continue
		}
		e.printf("  %-8s %s = %q\n", class, o.Name, o.Value)
	}
}

type checkpointJSON struct {
	Kind       string     `json:"kind"`
	Origin     string     `json:"origin"`
	Size       uint64     `json:"size"`
	Root       string     `json:"root"`
	Extension  []string   `json:"extension,omitempty"`
	Signatures []lineJSON `json:"signatures"`
}

type lineJSON struct {
	Name  string `json:"name"`
	KeyID string `json:"keyId"`
}

func describeCheckpoint(c *tlog.Checkpoint) *checkpointJSON {
	d := &checkpointJSON{Kind: "checkpoint", Origin: c.Origin, Size: c.Size, Root: c.Root.String(), Extension: c.Extension}
	for _, s := range c.Signatures {
		d.Signatures = append(d.Signatures, lineJSON{s.Name, fmt.Sprintf("%08x", s.KeyID)})
	}
	return d
}

func (d *checkpointJSON) text(e *env) {
	e.printf("checkpoint: the log %q at size %d\n", d.Origin, d.Size)
	e.printf("  root         %s\n", d.Root)
	for _, x := range d.Extension {
		e.printf("  extension    %q\n", x)
	}
	for _, s := range d.Signatures {
		e.printf("  signed by    %q, key %s (not verified here)\n", s.Name, s.KeyID)
	}
}

type proofJSON struct {
	Kind       string          `json:"kind"`
	Index      uint64          `json:"index"`
	Hashes     int             `json:"hashes"`
	Checkpoint *checkpointJSON `json:"checkpoint"`
	Entry      *envelopeJSON   `json:"entry,omitempty"` // if it is an event
	Extra      int             `json:"extra,omitempty"` // its bytes
}

func describeProof(b []byte) (*proofJSON, error) {
	p, err := tlog.ParseProof(b)
	if err != nil {
		return nil, err
	}
	d := &proofJSON{
		Kind: "proof", Index: p.Index, Hashes: len(p.Hashes),
		Checkpoint: describeCheckpoint(p.Checkpoint), Extra: len(p.Extra),
	}
	// The extra data of another log's proof may be no event.
	if entry, err := describeEnvelope(p.Extra); err == nil {
		d.Entry = entry
	}
	return d, nil
}

func (d *proofJSON) text(e *env) {
	e.printf("proof: that an entry has index %d (%d hashes)\n", d.Index, d.Hashes)
	switch {
	case d.Entry != nil:
		d.Entry.text(e)
	case d.Extra > 0:
		e.printf("extra: %d bytes that are not an event\n", d.Extra)
	}
	d.Checkpoint.text(e)
}

func (e *env) policy() *cobra.Command {
	return group(&cobra.Command{Use: "policy", Short: "Work with policy files"}, e.policyCheck(), e.policyExplain(), e.policyOf())
}

func (e *env) policyCheck() *cobra.Command {
	return e.ofPolicy(&cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy file, and show its logs and witnesses",
		Long: `check parses a policy file (C2SP tlog-policy) like every part of Vasistas, and shows
the logs and witnesses that it trusts. An error names the line.`,
		Example: "  vasistas policy check policy.txt",
	}, func(p *tlog.Policy, asJSON bool) error { return e.print(describePolicy(p), asJSON) })
}

func (e *env) policyExplain() *cobra.Command {
	return e.ofPolicy(&cobra.Command{
		Use:   "explain FILE",
		Short: "Say how many keys of a policy file must lie or be silent to do harm",
		Long: `explain says what a policy (C2SP tlog-policy) bears: how many of its keys must lie
to show you another tree or a stale one, how many can stop publication by silence,
and how many false times move a head's times. It warns if one key that lies is
enough. 3 of 4 witnesses bear one that lies and one that is silent. Keys of one name
in a group that any of them satisfies are one operator's, and count as one key.`,
		Example: "  vasistas policy explain policy.txt",
	}, func(p *tlog.Policy, asJSON bool) error {
		if asJSON {
			return e.printJSON(english.PolicyJSON(p))
		}
		e.printStrength(p)
		return nil
	})
}

// ofPolicy makes c a command that reads a policy file and calls print.
func (e *env) ofPolicy(c *cobra.Command, print func(p *tlog.Policy, asJSON bool) error) *cobra.Command {
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.Args = cobra.ExactArgs(1)
	c.RunE = do(func(_ context.Context, args []string) error {
		p, err := e.readPolicy(args[0])
		if err != nil {
			return err
		}
		return print(p, *asJSON)
	})
	return c
}

func (e *env) printStrength(p *tlog.Policy) {
	for _, line := range english.Strength(p) {
		e.printf("  - %s\n", line)
	}
	if weak := english.Weak(p); weak != "" {
		e.printf("  WARNING: %s\n", weak)
	}
}

type policyJSON struct {
	Kind      string        `json:"kind"`
	Logs      []policyParty `json:"logs"`
	Witnesses []policyParty `json:"witnesses"`
	// Least is the least number of cosignatures that meet the quorum, 0 for "quorum none".
	Least int `json:"least"`
}

type policyParty struct {
	Name      string `json:"name,omitempty"`
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
	URL       string `json:"url,omitempty"`
}

func describePolicy(p *tlog.Policy) *policyJSON {
	d := &policyJSON{Kind: "policy", Logs: []policyParty{}, Witnesses: []policyParty{}}
	for _, l := range p.Logs {
		d.Logs = append(d.Logs, policyParty{l.Key.Name, l.Key.String(), l.Key.Algorithm.String(), l.URL})
	}
	for _, w := range p.Witnesses {
		d.Witnesses = append(d.Witnesses, policyParty{w.Name, w.Key.String(), w.Key.Algorithm.String(), w.URL})
	}
	set, _ := p.SmallestSet(func(int) bool { return true })
	d.Least = len(set)
	return d
}

func (d *policyJSON) text(e *env) {
	e.printf("policy: %d log keys, %d witness keys\n", len(d.Logs), len(d.Witnesses))
	for _, l := range d.Logs {
		e.printf("  log      %s, %s%s\n", l.Name, l.Algorithm, at(l.URL))
	}
	for _, w := range d.Witnesses {
		e.printf("  witness  %s, %s%s\n", w.Name, w.Algorithm, at(w.URL))
	}
	if d.Least == 0 {
		e.printf("  quorum   none: it trusts the log alone, which can show others another tree\n")
		return
	}
	e.printf("  quorum   met by %d cosignatures at least\n", d.Least)
}

func at(url string) string {
	if url == "" {
		return ""
	}
	return " at " + url
}
