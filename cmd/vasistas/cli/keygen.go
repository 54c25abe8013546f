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
		Long: `keygen makes a key and writes its private half to FILE (mode 0600) and its
public half to FILE.pub. It never overwrites a file.

Without --note it is a key that signs events (PKCS #8 PEM); with --note NAME a
key of a log or witness of that name (C2SP signed-note).`,
		Example: `  vasistas keygen --type ed25519 --out judge.pem
  vasistas keygen --note example.com/log --alg ed25519 --out log.key
  vasistas keygen --note example.com/witness --alg mldsa --out witness.key`,
		Args: cobra.NoArgs,
		RunE: do(func(context.Context, []string) error { return e.runKeygen(&f) }),
	}
	c.Flags().StringVar(&f.kind, "type", "ed25519", "event key: ed25519 or p256")
	c.Flags().StringVar(&f.note, "note", "", "make a note key of this name instead")
	c.Flags().StringVar(&f.alg, "alg", "ed25519", "note key: ed25519 (a log), cosignature (Ed25519, a witness), mldsa (ML-DSA-44, either)")
	c.Flags().StringVar(&f.out, "out", "", "file of the private key")
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
		return usagef("--type %q: it is ed25519 or p256", f.kind)
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

func (e *env) noteKey(f *keygenFlags) error {
	alg, ok := noteAlgorithms[f.alg]
	if !ok {
		return usagef("--alg %q: it is ed25519, cosignature or mldsa", f.alg)
	}
	s, err := tlog.GenerateSigner(f.note, alg)
	if err != nil {
		return usagef("--note: %w", err)
	}
	if err := durable.CreateFile(f.out, []byte(s.Secret()+"\n"), 0o600); err != nil {
		return err
	}
	if err := durable.CreateFile(f.out+eventkey.PublicSuffix, []byte(s.Verifier().String()+"\n"), 0o644); err != nil {
		// Nobody has seen the private key yet, and it is ours.
		return errors.Join(err, os.Remove(f.out))
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
