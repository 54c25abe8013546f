// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type layout struct {
	dir      string
	eventKey string
	url      string
	timeout  time.Duration
}

func (l *layout) define(fs *flag.FlagSet) {
	fs.StringVar(&l.dir, "dir", "", "`directory` of the gate (required)")
}

// defineRun adds the flags of the commands that use the log.
func (l *layout) defineRun(fs *flag.FlagSet) {
	l.define(fs)
	fs.StringVar(&l.eventKey, "event-key", "", "the custodian's event `key`, if not DIR/keys/event.pem: a file, or NAME://KEY of a KMS")
	fs.StringVar(&l.url, "log", "", "`URL` of the log; after join, only if it has changed")
	command.DurationVar(fs, &l.timeout, "timeout", 30*time.Second, "time limit of a request to the log, and of a release's publication")
}

func (l *layout) complete() error {
	if l.dir == "" {
		return command.WrongUse("-dir is missing: give the directory of the gate")
	}
	if l.eventKey == "" {
		l.eventKey = l.path("keys", "event.pem")
	}
	return nil
}

func (l *layout) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

// kems are the gate's keys, and the names of their files.
var kems = []event.KEM{event.KEMMLKEMX25519, event.KEMX25519}

func (l *layout) keyFile(k event.KEM) string { return l.path("keys", string(k)+".key") }

// joined is the content of gate.json, the gate's log.
type joined struct {
	Origin  string   `json:"origin"`
	URL     string   `json:"url"`
	Founded string   `json:"founded"` // leaf hash of the first charter, base64
	LogKeys []string `json:"logKeys"`
}

func (j *joined) bytes() []byte {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return append(b, '\n')
}

const maxJoined = 64 << 10

func (l *layout) config(ctx context.Context) (gate.Config, error) {
	c := gate.Config{Dir: l.path("state"), Timeout: l.timeout}
	b, err := durable.ReadFile(l.path("gate.json"), maxJoined)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%w: this gate has joined no log; see \"vasistas-gate join\"", err)
	} else if err != nil {
		return c, err
	}
	var j joined
	if err := json.Unmarshal(b, &j); err != nil || !bytes.Equal(j.bytes(), b) {
		return c, fmt.Errorf("gate.json was changed by hand; restore it, or remove it and join again")
	}
	founded, err := base64.StdEncoding.Strict().DecodeString(j.Founded)
	if err != nil || len(founded) != len(c.Founded) {
		return c, fmt.Errorf("gate.json: the leaf hash of the first charter is not base64 of 32 bytes")
	}
	c.Founded, c.Origin, c.URL = [32]byte(founded), j.Origin, j.URL
	if l.url != "" {
		c.URL = l.url
	}
	if c.LogKeys, err = command.Each(j.LogKeys, tlog.ParseVerifierKey); err != nil {
		return c, fmt.Errorf("gate.json: %w", err)
	}
	if c.Signer, err = eventkey.Load(ctx, l.eventKey); err != nil {
		return c, err
	}
	c.Keys, err = l.loadKeys()
	return c, err
}

// loadKeys loads all keys of the gate, at least one. Former keys stay in use for the packages
// that were encrypted to them.
func (l *layout) loadKeys() ([]gate.KeyHolder, error) {
	files, err := os.ReadDir(l.path("keys"))
	if err != nil {
		return nil, err
	}
	var out []gate.KeyHolder
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".key") {
			continue
		}
		name := l.path("keys", f.Name())
		b, err := durable.ReadFile(name, escrow.MaxKeyFile)
		if err != nil {
			return nil, err
		}
		k, err := escrow.ParseSecretKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no key of this gate; see \"vasistas-gate init\"", l.path("keys"))
	}
	return out, nil
}

// runInit makes the gate's keys, one for events and one of each KEM, and prints the option
// of "vasistas charter new" that names them.
func runInit(_ context.Context, c *command.Call) error {
	var l layout
	l.define(c.Flags)
	name := c.Flags.String("name", "", "`name` of the custodian in the charter (required)")
	algorithm := c.Flags.String("type", "ed25519", "algorithm of the event key: ed25519 or p256")
	if err := c.Parse(l.complete); err != nil {
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
	fmt.Fprintf(c.Stdout, "--party custodian:%s=%s", *name, l.eventKey+eventkey.PublicSuffix)
	for _, kem := range kems {
		public, err := l.makeKey(kem)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.Stdout, ",%s", public)
	}
	fmt.Fprintln(c.Stdout)
	fmt.Fprintf(c.Stderr, "Made the keys of the gate in %s. Give the option above to \"vasistas charter new\", or name these files in a charter\n"+
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

func runJoin(ctx context.Context, c *command.Call) error {
	var l layout
	l.defineRun(c.Flags)
	file := c.Flags.String("charter", "", "`file` with the log's first charter, from a source that you trust (required)")
	if err := c.Parse(l.complete); err != nil {
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
		return fmt.Errorf("%s is not a first charter: give the event that vasistas-log init made entry 0 from, not that of GET /charter after an amendment", *file)
	}
	leaf := env.LeafHash()
	j := joined{Origin: env.Event.Log, URL: l.url, Founded: base64.StdEncoding.EncodeToString(leaf[:]), LogKeys: ch.LogKeys}
	if err := durable.CreateFile(l.path("gate.json"), j.bytes(), 0o644); err != nil {
		return err
	}
	cfg, err := l.config(ctx)
	if err != nil {
		return err
	}
	if err := gate.Create(cfg); err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "Joined the log %s. Its first charter has the leaf hash %s; compare it with that of the other operators.\n", j.Origin, j.Founded)
	return nil
}
