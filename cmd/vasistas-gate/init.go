// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
)

// runInit makes the gate's keys, one for events and one of each KEM, and prints the option
// of "vasistas charter new" that names them.
func runInit(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var l layout
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	l.define(flags)
	name := flags.String("name", "", "`name` of the custodian in the charter (required)")
	algorithm := flags.String("type", "ed25519", "algorithm of the event key: ed25519 or p256")
	if err := command.Parse(flags, args, stderr, l.complete); err != nil {
		return err
	}
	kind, ok := map[string]string{"ed25519": eventkey.Ed25519, "p256": eventkey.ECDSAP256}[*algorithm]
	if *name == "" || !ok {
		return command.WrongUse("give -name, and for -type ed25519 or p256")
	}
	if err := durable.MkdirAll(l.path("keys"), 0o700); err != nil {
		return err
	}
	if _, err := eventkey.Generate(kind, l.eventKey); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "--party custodian:%s=%s", *name, l.eventKey+eventkey.PublicSuffix)
	for _, kem := range kems {
		public, err := l.makeKey(kem)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, ",%s", public)
	}
	fmt.Fprintln(stdout)
	fmt.Fprintf(stderr, "Made the keys of the gate in %s. Give the option above to \"vasistas charter new\", or name these files in a charter\n"+
		"file as the party's keys and gates. Only files that end in .pub may leave this machine.\n", l.path("keys"))
	return nil
}

// makeKey makes the gate's key of a KEM and returns the file of the public key.
func (l *layout) makeKey(kem event.KEM) (public string, err error) {
	k, err := escrow.GenerateKey(kem)
	if err != nil {
		return "", err
	}
	private, err := k.Bytes()
	if err != nil {
		return "", err
	}
	pub, err := k.Public().Bytes()
	if err != nil {
		return "", err
	}
	public = l.keyFile(kem) + eventkey.PublicSuffix
	if err := durable.CreateFile(l.keyFile(kem), private, 0o600); err != nil {
		return "", err
	}
	return public, durable.CreateFile(public, append(pub, '\n'), 0o644)
}

// runJoin makes the state for the log of a first charter.
func runJoin(ctx context.Context, args []string, _, stderr io.Writer) error {
	var l layout
	flags := flag.NewFlagSet("join", flag.ContinueOnError)
	l.defineRun(flags)
	file := flags.String("charter", "", "`file` with the log's first charter, from a source that you trust (required)")
	if err := command.Parse(flags, args, stderr, l.complete); err != nil {
		return err
	}
	if *file == "" || l.url == "" {
		return command.WrongUse("give -charter and -log")
	}
	b, err := durable.ReadFile(*file, event.MaxEntrySize+1)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(bytes.TrimSuffix(b, []byte("\n")))
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	ch, ok := env.Event.Body.(*event.Charter)
	if !ok || ch.Version != 1 {
		return fmt.Errorf("%s is not a first charter", *file)
	}
	leaf := env.LeafHash()
	j := joined{Origin: env.Event.Log, URL: l.url, Founded: base64.StdEncoding.EncodeToString(leaf[:]), LogKeys: ch.LogKeys}
	if err := durable.CreateFile(l.path("gate.json"), j.bytes(), 0o644); err != nil {
		return err
	}
	c, err := l.config(ctx)
	if err != nil {
		return err
	}
	if err := gate.Create(c); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "Joined the log %s. Its first charter has the leaf hash %s; compare it with that of the other operators.\n", j.Origin, j.Founded)
	return nil
}
