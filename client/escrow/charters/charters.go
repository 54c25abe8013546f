// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package charters finds custodian groups in a directory of charters.
//
// Each file of the directory whose name ends in .charter is a charter's entry, or a
// proof file (C2SP tlog-proof) with one. Of several charters of one log the one with the
// highest version counts. The package promises that each key of a group is safe to
// encrypt to. It trusts the files like a policy file and checks no signatures: who can
// write to the directory decides to whose keys files are escrowed.
package charters

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Env names the environment variable with the directory. The default is vasistas/charters
// in the user's configuration directory.
const Env = "VASISTAS_CHARTERS"

// Suffix ends the name of a charter's file.
const Suffix = ".charter"

const maxFiles = 1024

// A Charter is a charter with its log.
type Charter struct {
	Origin string
	*event.Charter
}

// Dir returns the directory of Env, or the default one.
func Dir() (string, error) {
	if d := os.Getenv(Env); d != "" {
		return d, nil
	}
	d, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no directory of charters; set %s: %w", Env, err)
	}
	return filepath.Join(d, "vasistas", "charters"), nil
}

// Group returns a custodian group of a log, from the charters in a directory.
func Group(dir, origin, id string) (*escrow.Group, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the directory of charters: %w", err)
	}
	var best *Charter
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), Suffix) {
			continue
		}
		if seen++; seen > maxFiles {
			return nil, fmt.Errorf("%s has more than %d charters", dir, maxFiles)
		}
		c, err := Load(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		if c.Origin == origin && (best == nil || c.Version > best.Version) {
			best = c
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%s has no charter of the log %q; put one there, in a file whose name ends in %s", dir, origin, Suffix)
	}
	return escrow.NewGroup(origin, best.Charter, id)
}

// Load reads and parses a file.
func Load(name string) (*Charter, error) {
	b, err := durable.ReadFile(name, tlog.MaxProofSize)
	if err != nil {
		return nil, err
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// Parse parses a charter's entry, or a proof file with one. It ignores a line feed at the
// end of an entry, which editors add.
func Parse(b []byte) (*Charter, error) {
	entry := bytes.TrimSuffix(b, []byte("\n"))
	if !bytes.HasPrefix(b, []byte("{")) {
		p, err := tlog.ParseProof(b)
		if err != nil {
			return nil, err
		}
		entry = p.Extra
	}
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return nil, err
	}
	ch, ok := env.Event.Body.(*event.Charter)
	if !ok {
		return nil, errors.New("the event is not a charter")
	}
	return &Charter{env.Event.Log, ch}, nil
}
