// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosigning

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxForks bounds the files of one kind of evidence. The first ones stay, so that an attacker can't
// displace them.
const maxForks = 8

// KeepFork writes evidence to a directory, and makes the directory. It keeps no evidence twice, and at
// most maxForks files of a kind. It is not safe for concurrent use.
func KeepFork(dir string, f *tlog.Fork) (kept bool, err error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	// Temporary files of a crash only take space.
	if err := durable.RemoveTemps(dir); err != nil {
		return false, err
	}
	if n, err := Forks(dir, f.Kind()); err != nil || n >= maxForks {
		return false, err
	}
	err = durable.CreateFile(filepath.Join(dir, f.Name()), f.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// Forks returns how many files of a kind of evidence a directory has.
func Forks(dir, kind string) (n int, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), kind+"-") {
			n++
		}
	}
	return n, err
}
