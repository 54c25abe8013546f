// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package duty is what a log does by itself: its [Keeper] anchors published heads,
// and discloses what a seal no longer hides. The contract:
//
//   - A published head with entries that no anchor covers is anchored after half of
//     the profile's interval, so that there is time to try again.
//   - What a seal hides is disclosed once the seal has ended by the witnesses' time. A
//     failure is reported to the operator and tried again.
//   - The vault keeps a record until a published head shows that the log need not
//     disclose it any more.
//   - No clock of this machine decides: the keeper's time is the logged-after time of
//     the published head, and its events claim that time.
//
// If a seal ended while the log was down, the disclosure waits with admission open until
// half of the profile's grace is left. A deferral that was signed in time and could not
// be submitted meanwhile still counts. Anchors wait for nothing, since only they prove
// time.
//
// The keeper uses the log by its [Log] and [Feed] only: it submits events, follows the
// published heads, and queries the ledger under its lock.
package duty

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Log is the log that a [Keeper] works for. Its methods are safe for concurrent use.
type Log interface {
	// Submit queues an event of the log's own. wait returns once the event is
	// logged or refused, with [ErrOpened] or [context.Canceled] (the log is closing)
	// among the reasons.
	Submit(*event.Envelope) (wait func() error, err error)
	// Query calls f with the ledger and its agenda, under the lock of both. f calls no
	// method of the log but Size. After f returns, the caller may only compare the two
	// with later ones.
	Query(f func(*ledger.Ledger, *Agenda))
	// Size returns the size of the tree that is durable and checked. The ledger may
	// have more entries, which may never be stored.
	Size() uint64
	// Entry returns an entry of that tree, proven to be in it.
	Entry(ctx context.Context, index uint64) ([]byte, error)
}

// ErrOpened: a disclosure was refused because all of it was disclosed before.
var ErrOpened = errors.New("all of it is open already")

// Feed is the published heads.
type Feed interface {
	// Published returns the head that was published last, nil if none was, and a
	// channel that is closed when that changes.
	Published() (*Head, <-chan struct{})
	// Refresh asks for a head with a later time.
	Refresh()
}

// Head is a published head.
type Head struct {
	Checkpoint *tlog.Checkpoint
	Charter    *ledger.Charter // in force at its size
	Time       int64           // logged-after, in POSIX seconds; 0: no witness gave one
	Fresh      bool            // published since the log was opened
}

// Metrics counts what the keeper does and sees.
type Metrics interface {
	// Own counts an anchor, a disclosure or a cleaning of the vault. After an err the
	// keeper tries again.
	Own(what string, err error)
	// Lost reports how many events the log must disclose that the vault has lost.
	Lost(events int)
	// Owed reports what is owed and what of it is overdue, for each of [ledger.Owing], and how
	// much is open.
	Owed(owed, overdue map[string]int, open int)
	// Vault reports on the vault.
	Vault(vault.Stats)
}

// Config configures [New].
type Config struct {
	Origin string
	Vault  *vault.Vault
	// Signer is an event key of the provider. nil: the keeper logs nothing, and only
	// reports.
	Signer  event.Signer
	Log     Log
	Feed    Feed
	Now     func() time.Time // the time as the witnesses have it
	Metrics Metrics
	Logger  *slog.Logger
}
