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
	logKeys  []*tlog.VerifierKey
}

func (l *layout) define(fs *flag.FlagSet) {
	fs.StringVar(&l.dir, "dir", "", "`directory` of the gate (required)")
}

// defineRun adds the flags of the commands that use the log.
func (l *layout) defineRun(fs *flag.FlagSet) {
	l.define(fs)
	fs.StringVar(&l.eventKey, "event-key", "", "the custodian's event `key`, if not DIR/keys/event.pem: a file, or NAME://KEY of a KMS")
	fs.StringVar(&l.url, "log", "", "`URL` of the log, if not the one given to join")
	fs.Func("log-key", "verifier `key` of the log in addition to those of its charter, for a log that lost its key; repeat it", func(s string) error {
		k, err := tlog.ParseVerifierKey(s)
		l.logKeys = append(l.logKeys, k)
		return err
	})
	fs.DurationVar(&l.timeout, "timeout", 30*time.Second, "time limit of a request to the log, and of a release's publication")
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

// config loads the keys and gate.json.
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
	for _, s := range j.LogKeys {
		k, err := tlog.ParseVerifierKey(s)
		if err != nil {
			return c, fmt.Errorf("gate.json: %w", err)
		}
		c.LogKeys = append(c.LogKeys, k)
	}
	c.LogKeys = append(c.LogKeys, l.logKeys...)
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
