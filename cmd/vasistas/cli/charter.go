// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

func (e *env) charter() *cobra.Command {
	c := &cobra.Command{
		Use:   "charter",
		Short: "Found a log, and amend its charter",
		Long: `charter works on a log's charter: who holds which role, which witnesses and
auditors must cosign, how many founders may change it, and the profile, which is
what a legislator decided. The first charter is entry 0 of the log.

A charter is made by one person (new, amend or recover), and signed by as many
founders as its thresholds ask for, each with a key that nobody else has (sign).
Anyone can read it (show) and check it (check) on the way. Nothing here uses the
network; 'vasistas append' submits the result.`,
		Example: `  vasistas charter new --help
  vasistas charter check charter.event`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(e.charterNew(), e.charterAmend(), e.charterRecover(), e.charterSign(), e.charterShow(), e.charterCheck())
	return c
}

// A charterFile is a charter as a file has it: a signed event, the payload of
// one that nobody has signed yet, or a proof that carries one.
type charterFile struct {
	name     string
	event    *event.Event
	charter  *event.Charter
	payload  []byte
	envelope *event.Envelope // nil: not signed yet
	index    *uint64         // of a proof: where it says the entry is
}

const proofMagic = "c2sp.org/tlog-proof"

// readCharter reads a charter of any of the three kinds.
func (e *env) readCharter(name string) (*charterFile, error) {
	b, err := e.read(name, tlog.MaxProofSize)
	if err != nil {
		return nil, err
	}
	f, err := parseCharter(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.name = name
	return f, nil
}

func parseCharter(b []byte) (*charterFile, error) {
	f := new(charterFile)
	if bytes.HasPrefix(b, []byte(proofMagic)) {
		proof, err := tlog.ParseProof(b)
		if err != nil {
			return nil, err
		}
		if len(proof.Extra) == 0 {
			return nil, fmt.Errorf("the proof does not carry its entry")
		}
		b, f.index = proof.Extra, &proof.Index
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	if bytes.HasPrefix(b, []byte(`{"payload"`)) {
		envelope, err := event.ParseEnvelope(b)
		if err != nil {
			return nil, err
		}
		f.envelope, f.event, f.payload = envelope, envelope.Event, envelope.Payload
	} else {
		ev, err := event.Parse(b)
		if err != nil {
			return nil, err
		}
		f.event, f.payload = ev, b
	}
	var ok bool
	if f.charter, ok = f.event.Body.(*event.Charter); !ok {
		return nil, fmt.Errorf("it is a %s, and no charter", f.event.Type)
	}
	return f, nil
}

// fromFlags name the charter in force.
type fromFlags struct {
	file  string
	index int64 // of its entry; below 0: not given
}

func (f *fromFlags) add(c *cobra.Command, usage string) {
	c.Flags().StringVar(&f.file, "from", "", usage)
	c.Flags().Int64Var(&f.index, "from-index", -1, "index of its entry in the log (default: 0 for the first charter; a proof file says it)")
	c.MarkFlagFilename("from")
}

// current is the charter in force, and the reference that an amendment makes to
// it.
type current struct {
	*charterFile
	ref event.Reference
}

// readFrom reads the charter in force. Its index is taken from the proof, if
// the file is one; the proof is not verified here, since what is wrong about
// it would make a reference that the log refuses.
func (e *env) readFrom(f *fromFlags) (*current, error) {
	file, err := e.readCharter(f.file)
	if err != nil {
		return nil, err
	}
	if file.envelope == nil {
		return nil, fmt.Errorf("%s: it is not signed, so it is no charter in force; give the signed entry, or its proof file", f.file)
	}
	c := &current{file, event.Reference{Leaf: file.envelope.LeafHash()}}
	switch {
	case file.index != nil && f.index >= 0 && *file.index != uint64(f.index):
		return nil, usagef("--from-index %d: the proof file says %d", f.index, *file.index)
	case file.index != nil:
		c.ref.Index = *file.index
	case f.index >= 0:
		c.ref.Index = uint64(f.index)
	case file.charter.Version != 1:
		return nil, usagef("%s: version %d is not the first charter: give its proof file, or --from-index N, the index of its entry", f.file, file.charter.Version)
	}
	return c, nil
}
