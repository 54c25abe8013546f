// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package state is what a log must remember apart from its tree: its name, the
// last head that it signed, and the last checkpoint that it published.
//
// A log signs only heads that extend the recorded one, so the record decides that
// no two heads conflict. It is kept apart from the tree: restoring a backup of
// one does not bring back the other.
//
// [Dir] keeps the state in files. Package pgstate keeps it in PostgreSQL, where
// several instances share it. Anyone can implement [Store] and [Creator].
package state

import (
	"context"
	"errors"
	"io"

	"github.com/vasistas/vasistas/log/tlog"
)

// Settings say which log this is. They never change.
type Settings struct {
	Origin string
	// Charter is the leaf hash of the first charter: what gates and monitors
	// are configured with.
	Charter tlog.Hash
}

// Published is what readers are served by.
type Published struct {
	Checkpoint []byte
	// Charter is the index of the charter in force at the checkpoint's size.
	Charter uint64
}

// Store is the state of one log. What a method wrote is durable when the method
// returns nil.
//
// A store has one writer. Where another process can become the writer, each write
// of a former one is refused with [ErrOusted].
type Store interface {
	Settings() Settings
	// Held returns nil while the writer may write, else an error that wraps ErrOusted.
	// It asks no other process. The log asks it before it signs, and before it
	// answers.
	Held() error
	// LoadHead returns the record of the last signed head.
	LoadHead(ctx context.Context) ([]byte, error)
	// SwapHead replaces the record if it equals old, byte by byte. After an error
	// the record may be old or next, which LoadHead then tells.
	SwapHead(ctx context.Context, old, next []byte) error
	// RestoreHead replaces a record that is lost or damaged. Only an offline
	// recovery may call it.
	RestoreHead(ctx context.Context, next []byte) error
	// Published returns what was published last, zero if nothing was.
	Published(ctx context.Context) (Published, error)
	// Publish replaces what was published last.
	Publish(ctx context.Context, p Published) error
	// KeepEvidence keeps a head that should not exist, and says where.
	KeepEvidence(ctx context.Context, name string, checkpoint []byte) (where string, err error)
}

// Creator creates the state of a new log.
type Creator interface {
	// Begin refuses a place that has a log, with fs.ErrExist, and keeps others
	// out until the closer is closed.
	Begin(ctx context.Context) (io.Closer, error)
	// Create writes the state. If Create is cut off, there is no log, and both
	// steps can be tried again.
	Create(ctx context.Context, set Settings, head []byte) error
}

// ErrOusted: this instance was active, and another one may be by now.
var ErrOusted = errors.New("this instance of the log is not active any more; submit the event again, which logs it once only")

// ErrChanged: the record of the last signed head is not what this process wrote.
// Only opening the log again can help, since that reads everything again.
var ErrChanged = errors.New("the record of the last signed head was changed by another process")

// HowToRestoreHead ends errors about the record of the head.
const HowToRestoreHead = "restore it, or bring it back from the published log with \"vasistas-log recover -from MIRROR\""
