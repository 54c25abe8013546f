// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/internal/durable"
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

func (e *env) runKeygen(f *keygenFlags) error {
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
		return e.printJSON(struct {
			KeyID string `json:"keyId"`
			SPKI  string `json:"spki"`
		}{key.KeyID(), hex.EncodeToString(key.SPKI())})
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
		return e.printJSON(struct {
			Key       string `json:"key"`
			Algorithm string `json:"algorithm"`
		}{s.Verifier().String(), f.alg})
	}
	e.printf("%s\n", s.Verifier())
	return nil
}
