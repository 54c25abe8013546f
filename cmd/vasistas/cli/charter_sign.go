// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

type charterSignFlags struct {
	keys, merge []string
	from        fromFlags
	out         string
}

func (e *env) charterSign() *cobra.Command {
	var f charterSignFlags
	c := &cobra.Command{
		Use:   "sign FILE (--key KEY | --merge OTHER)",
		Short: "Add a founder's signature to a charter",
		Long: `sign adds a signature to the charter in FILE and writes FILE anew. Founders pass
the file on, or sign copies, which --merge joins. All sign the same event hash,
so that is what to compare.

An amendment is signed by founders of the charter before it: give that as
--from, and what the amendment changes is shown first.`,
		Example: `  vasistas charter sign charter.event --key one.pem
  vasistas charter sign v2.event --from charter.event --key two.pem
  vasistas charter sign v2.event --merge copy-of-three.event`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runCharterSign(ctx, &f, args[0]) }),
	}
	fl := c.Flags()
	fl.StringArrayVar(&f.keys, "key", nil, "private key file, or NAME://KEY of a KMS (repeatable)")
	fl.StringArrayVar(&f.merge, "merge", nil, "take over the signatures of this copy (repeatable)")
	f.from.add(c, "signed charter in force, or its proof file, if FILE amends it")
	fl.StringVar(&f.out, "out", "", "write here, and leave FILE as it is")
	c.MarkFlagsOneRequired("key", "merge")
	return c
}

func (e *env) runCharterSign(ctx context.Context, f *charterSignFlags, name string) error {
	file, err := e.readCharter(name)
	if err != nil {
		return err
	}
	if file.index != nil {
		return fmt.Errorf("%s: a logged charter takes no more signatures", name)
	}
	by, err := e.signedBy(file, &f.from)
	if err != nil {
		return err
	}
	for _, other := range f.merge {
		if err := e.mergeCharter(file, by, other); err != nil {
			return err
		}
	}
	if err := signCharter(ctx, file, by, f.keys); err != nil {
		return err
	}
	if f.out != "" {
		err = durable.CreateFile(f.out, file.bytes(), 0o644)
		file.name = f.out
	} else {
		err = durable.WriteFile(name, file.bytes(), 0o644)
	}
	if err != nil {
		return err
	}
	hash := file.envelope.Hash()
	e.printf("%s: version %d, %d signatures, event hash %s\n", file.name, file.charter.Version, len(file.envelope.Signatures), hex.EncodeToString(hash[:]))
	e.printf("thresholds of version %d: %d to amend, %d to recover\n", by.Version, by.Thresholds.Amend, by.Thresholds.Recover)
	return nil
}

// signedBy returns the charter whose founders sign a charter: the first is
// signed by its own, any other by those of the one before.
func (e *env) signedBy(file *charterFile, from *fromFlags) (*event.Charter, error) {
	if file.charter.Version == 1 {
		if from.file != "" {
			return nil, usagef("%s is the first charter: it amends nothing, so leave out --from", file.name)
		}
		return file.charter, nil
	}
	if from.file == "" {
		return nil, usagef("%s is version %d: its signers are the founders of version %d; give that as --from", file.name, file.charter.Version, file.charter.Version-1)
	}
	now, err := e.readFrom(from)
	if err != nil {
		return nil, err
	}
	if problems := follows(file, now); len(problems) > 0 {
		return nil, fmt.Errorf("%s is not to be signed: %s", file.name, strings.Join(problems, "; "))
	}
	changes, err := diffCharters(now.event, file.event)
	if err != nil {
		return nil, err
	}
	e.printf("what version %d changes:\n", file.charter.Version)
	e.printChanges(changes)
	return now.charter, nil
}

// mergeCharter takes over signatures of a copy. Each is verified, so that one
// bad copy can't spoil the file.
func (e *env) mergeCharter(file *charterFile, by *event.Charter, name string) error {
	other, err := e.readCharter(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(other.payload, file.payload) {
		return fmt.Errorf("%s is another charter than %s", name, file.name)
	}
	if other.envelope == nil {
		return nil
	}
	merged := &event.Envelope{Event: file.event, Payload: file.payload}
	if file.envelope != nil {
		merged.Signatures = slices.Clone(file.envelope.Signatures)
	}
	for _, s := range signatures(other.envelope, by) {
		if s.problem != "" {
			return fmt.Errorf("%s: %s", name, s.problem)
		}
		i, found := slices.BinarySearchFunc(merged.Signatures, s.KeyID, func(m event.Signature, id string) int { return strings.Compare(m.KeyID, id) })
		if !found {
			merged.Signatures = slices.Insert(merged.Signatures, i, s.Signature)
		}
	}
	// The strict parser is the one that judges what was put together.
	file.envelope, err = event.ParseEnvelope(merged.Bytes())
	return err
}

// A judged signature has a problem, or the name of its founder.
type judged struct {
	event.Signature
	founder string
	problem string // "" is none
}

// signatures judges each signature of a charter under the founders of by.
func signatures(envelope *event.Envelope, by *event.Charter) []judged {
	var out []judged
	for _, s := range envelope.Signatures {
		j := judged{Signature: s}
		p := founder(by, s.KeyID)
		if p == nil {
			j.problem = fmt.Sprintf("signed by %s, which is no charter key of version %d", s.KeyID, by.Version)
			out = append(out, j)
			continue
		}
		j.founder = p.Name
		one := *envelope
		one.Signatures = []event.Signature{s}
		if err := one.Verify(func(string) *event.PublicKey { return p.Keys[0] }); err != nil {
			j.problem = fmt.Sprintf("signature of %s: %v", p.Name, err)
		}
		out = append(out, j)
	}
	return out
}
