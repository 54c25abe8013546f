// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"os"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// ReadSigner reads the file of a note key: the key, and a line feed. It refuses a file that every
// user of the machine may read.
func ReadSigner(name string) (*tlog.Signer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("reading the key in %s: every user of this machine may read it; change its mode to 0600", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	k, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", name, err)
	}
	return k, nil
}
