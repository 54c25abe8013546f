// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Batch makes many files durable, with one fsync of each directory for all of them. The
// temporary files are in one directory on the same file system, so that [LockDir] of that
// directory removes those of a crash. It is safe for concurrent use, except for Sync. After Sync
// it takes further files, and knows the directories; after an error make another one.
type Batch struct {
	temps string

	mu   sync.Mutex
	made map[string]bool // directories that exist: durably, or their parents are in open
	open map[string]bool // directories with names that are not yet durable
}

// NewBatch returns an empty batch whose temporary files are in the directory temps.
func NewBatch(temps string) *Batch {
	return &Batch{temps: temps, made: make(map[string]bool), open: make(map[string]bool)}
}

// WriteFile is [WriteFile], but the file is durable only after Sync. It makes missing
// directories, and does not write a file again that holds just these bytes.
func (b *Batch) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if err := b.enter(filepath.Dir(name)); err != nil {
		return err
	}
	if same, err := b.harden(name, data); same || err != nil {
		return err
	}
	return replaceFile(b.temps, name, perm, all(data))
}

func (b *Batch) enter(dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[dir] = true
	if b.made[dir] {
		return nil
	}
	if parent := filepath.Dir(dir); b.made[parent] {
		b.open[parent] = true
		if err := Mkdir.Do(dir, func() error { return os.Mkdir(dir, 0o755) }); err != nil && !isDir(dir, err) {
			return fmt.Errorf("making directory %s: %w", dir, err)
		}
	} else if err := MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b.made[dir] = true
	return nil
}

// maxMade bounds the directories that a batch remembers.
const maxMade = 4096

// harden reports whether a file holds just these bytes, and syncs it if so: another
// program may have written it.
func (b *Batch) harden(name string, data []byte) (same bool, err error) {
	have, err := ReadFile(name, len(data))
	if err != nil || !bytes.Equal(have, data) {
		return false, nil // a file that can't be read is replaced
	}
	f, err := os.Open(name)
	if err != nil {
		return false, nil
	}
	err = errors.Join(Sync.Do(name, f.Sync), f.Close())
	return true, err
}

// Sync makes the files written so far durable. It syncs directories at the same time, since a disk
// waits for one as long as for a few.
func (b *Batch) Sync() error {
	dirs := slices.Collect(maps.Keys(b.open))
	clear(b.open)
	if len(b.made) > maxMade {
		clear(b.made)
	}
	errs := make([]error, len(dirs))
	var wg sync.WaitGroup
	for i, dir := range dirs {
		wg.Go(func() {
			if err := FsyncDir(dir); err != nil {
				errs[i] = fmt.Errorf("files in %s are written, but perhaps not durably: %w", dir, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
