// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"io"
	"time"
)

// Storage is where the files of a vault are. The default is a directory, see
// Config.Dir; package pgstate keeps them in PostgreSQL. It sees ciphertext only.
// What a method wrote or removed is durable when it returns nil.
type Storage interface {
	// String says where it is, for people.
	String() string
	// Lock takes it for one owner, who alone calls Create and Remove.
	Lock() (io.Closer, error)

	// Recipients returns the text of the recipients, or fs.ErrNotExist if there
	// is no vault. CreateRecipients fails with fs.ErrExist if there is one.
	Recipients() ([]byte, error)
	CreateRecipients(text []byte) error

	// List returns all batches, in ascending order of their numbers.
	List() ([]BatchInfo, error)
	// Open opens a batch, or fails with fs.ErrNotExist.
	Open(seq uint64) (BatchFile, error)
	// Create makes a batch. After an error it may be there or not.
	Create(seq uint64, data []byte) error
	// Remove removes batches, and passes over those that are not there.
	Remove(seqs []uint64) error
	// Path names a batch, for people.
	Path(seq uint64) string

	// LockAudit keeps other writers away from the audit trail.
	LockAudit() (io.Closer, error)
	// ReadAudit returns the audit trail, or fs.ErrNotExist if it has no line.
	ReadAudit() (io.ReadCloser, error)
	// AppendAudit adds a line behind the first length bytes. More is there only
	// if a crash cut a line off.
	AppendAudit(length int64, line []byte) error
}

// BatchInfo is a batch in a list.
type BatchInfo struct {
	Seq uint64
	Age time.Duration // since it was made, by the clock of the storage
}

// BatchFile is a batch that is being read. An error of ReadAt other than io.EOF is
// one of the storage, and no damage of the batch.
type BatchFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
