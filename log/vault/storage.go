// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"io"
	"time"
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
