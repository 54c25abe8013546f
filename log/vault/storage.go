// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
)

// Storage holds the files of a vault, which are ciphertext. The default is a
// directory, see Config.Dir; package pgstate keeps them in PostgreSQL. A write or
// removal is durable when the method returns nil.
type Storage interface {
	// String returns the place of the vault, for messages.
	String() string
	// Lock makes the caller the owner, which alone calls Create and Remove.
	Lock() (io.Closer, error)

	// Recipients returns the text of the recipients, or fs.ErrNotExist if no vault
	// exists. CreateRecipients fails with fs.ErrExist if a vault exists.
	Recipients() ([]byte, error)
	CreateRecipients(text []byte) error

	// List returns all batches, in ascending order of their numbers.
	List() ([]BatchInfo, error)
	// Open opens a batch, or fails with fs.ErrNotExist.
	Open(seq uint64) (BatchFile, error)
	// Create makes a batch. After an error the batch may exist or not.
	Create(seq uint64, data []byte) error
	// Remove removes those of the batches that exist.
	Remove(seqs []uint64) error
	// Probe returns nil if a batch could be created now, as far as can be told.
	Probe() error
	// Path names a batch, for messages.
	Path(seq uint64) string

	// LockAudit locks the audit file for one writer.
	LockAudit() (io.Closer, error)
	// ReadAudit returns the audit file, or fs.ErrNotExist if it has no line.
	ReadAudit() (io.ReadCloser, error)
	// AppendAudit writes a line after the first length bytes and drops what follows
	// them, which is a line that a crash cut off.
	AppendAudit(length int64, line []byte) error
}

// BatchInfo is a batch in a list.
type BatchInfo struct {
	Seq uint64
	Age time.Duration // since Create, by the storage's clock
}

// BatchFile is an open batch. A ReadAt error other than io.EOF means that the storage
// failed, not that the batch is damaged.
type BatchFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// dir is a vault's directory.
type dir struct{ name string }

var _ Storage = (*dir)(nil)

func (d *dir) String() string { return d.name }

func (d *dir) Path(seq uint64) string { return filepath.Join(d.name, batchName(seq)) }

func (d *dir) Lock() (io.Closer, error) { return durable.LockDir(d.name) }

func (d *dir) Recipients() ([]byte, error) {
	return durable.ReadFile(filepath.Join(d.name, recipientsFile), maxKeyFile)
}

func (d *dir) CreateRecipients(text []byte) error {
	if err := durable.MkdirAll(filepath.Join(d.name, auditDir), 0o700); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := durable.CreateFile(filepath.Join(d.name, recipientsFile), text, 0o600); err != nil {
		return fmt.Errorf("vault: creating one in %s: %w", d.name, err)
	}
	return nil
}

func (d *dir) List() ([]BatchInfo, error) {
	entries, err := os.ReadDir(d.name)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	var out []BatchInfo
	for _, e := range entries { // in ascending order
		seq, ok := parseBatchName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since ReadDir
		} else if err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
		out = append(out, BatchInfo{seq, time.Since(info.ModTime())})
	}
	return out, nil
}

func (d *dir) Open(seq uint64) (BatchFile, error) {
	f, err := os.Open(d.Path(seq))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		*io.SectionReader
		io.Closer
	}{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

func (d *dir) Create(seq uint64, data []byte) error {
	return durable.CreateFile(d.Path(seq), data, 0o600)
}

func (d *dir) Probe() error { return durable.Probe(d.name) }

func (d *dir) Remove(seqs []uint64) error {
	for _, seq := range seqs {
		name := d.Path(seq)
		err := durable.Remove.Do(name, func() error { return os.Remove(name) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.FsyncDir(d.name)
}

func (d *dir) auditFile() string { return filepath.Join(d.name, auditDir, auditFile) }

func (d *dir) LockAudit() (io.Closer, error) {
	name := filepath.Join(d.name, auditDir)
	if err := durable.MkdirAll(name, 0o700); err != nil {
		return nil, err
	}
	return durable.LockDir(name)
}

func (d *dir) ReadAudit() (io.ReadCloser, error) { return os.Open(d.auditFile()) }

func (d *dir) AppendAudit(length int64, line []byte) (err error) {
	name := d.auditFile()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > length {
		if err := durable.Truncate.Do(name, func() error { return f.Truncate(length) }); err != nil {
			return err
		}
	}
	if err := durable.Append.Write(name, line, f.Write); err != nil {
		return err
	}
	if err := durable.AppendSync.Do(name, f.Sync); err != nil {
		return err
	}
	return durable.FsyncDir(filepath.Dir(name))
}
