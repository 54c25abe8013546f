// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Config configures [Open].
type Config struct {
	// StateDir has the state of a created log. It must not be within the engine's
	// directory: a restore would bring both back to the same moment, unnoticed. With
	// another State, StateDir has only caches, and is made if needed.
	StateDir string
	// State, if not nil, is used instead of the files in StateDir. It stays the
	// caller's.
	State state.Store
	// Engine is the tree. The log closes it.
	Engine Engine
	// Keys are the log's note keys. Those that the charter in force names sign; until
	// a head with new keys is published, the old ones must be here too.
	Keys []*tlog.Signer
	// Vault keeps what is to be disclosed. It stays the caller's.
	Vault *vault.Vault
	// Provider signs anchors and disclosures: an event key of a provider that
	// the charter names. nil: the log logs neither, and another provider must.
	Provider event.Signer
	// Policy, if not nil, is a witness policy that published heads must meet in
	// addition to those of the charters. The log asks a witness at its URL in this
	// policy, or else in a charter. It asks witnesses that share a URL together, and
	// none without a URL.
	Policy *tlog.Policy
	// Recovery, if not nil, is the exact bytes of an amendment that the operator has
	// decided to accept, for a log that has lost its key or its witnesses. The charter
	// before demands how many charter keys must have signed it. Open logs it, unless it is
	// logged. The head that first contains the amendment meets only the amendment's
	// policy, and only the amendment's keys sign that head.
	Recovery []byte

	// Interval is the least time between two signed heads. 0: 200 ms.
	Interval time.Duration
	// Refresh is how old the cosignatures of an idle log get before they are
	// gathered again. 0: one minute.
	Refresh time.Duration
	// WitnessTimeout is how long a witness may take to answer, if that is less than the
	// profile says. 0: as the profile says.
	WitnessTimeout time.Duration
	// MaxWait is how long a submitter may wait for a cosigned head. 0: 30 s.
	MaxWait time.Duration
	// MaxBatch is how many entries the engine gets at once. 0: 1024.
	MaxBatch int
	// MaxInFlight is how many events, submitted one by one, may be between
	// admission and their answer. 0: 8192.
	MaxInFlight int64
	// MaxInFlightBytes is how many bytes those may have. 0: 64 MiB.
	MaxInFlightBytes int64
	// MaxStreams is how many NDJSON requests are served at once, each with at
	// most 8 MiB of unanswered events. 0: 16.
	MaxStreams int
	// StreamIdle is how long a stream may stand still before it is cut off.
	// 0: 30 s.
	StreamIdle time.Duration

	// Logger gets what the operator should know. nil: slog.Default().
	Logger *slog.Logger
	// HTTP is used to ask witnesses. nil: a client of its own.
	HTTP *http.Client
}

func (c Config) withDefaults() Config {
	c.Interval = cmp.Or(c.Interval, 200*time.Millisecond)
	c.Refresh = cmp.Or(c.Refresh, time.Minute)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.StreamIdle = cmp.Or(c.StreamIdle, 30*time.Second)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 8192)
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 64<<20)
	c.MaxStreams = cmp.Or(c.MaxStreams, 16)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.HTTP == nil {
		c.HTTP = cosign.NewHTTP()
	}
	return c
}

// check refuses a configuration that can't work.
func (c *Config) check() error {
	switch {
	case c.Engine == nil:
		return errors.New("it needs an engine")
	case c.Vault == nil:
		return errors.New("it needs a vault")
	case c.Interval < 0 || c.Refresh < 0 || c.WitnessTimeout < 0 || c.MaxWait < 0 || c.StreamIdle < 0,
		c.MaxBatch < 0 || c.MaxInFlight < 0 || c.MaxInFlightBytes < 0 || c.MaxStreams < 0:
		return errors.New("a limit or a duration is negative")
	}
	return nil
}

// DefaultMaxBatch is the default of Config.MaxBatch.
const DefaultMaxBatch = 1024

const (
	// streamWindow is how many lines of one stream may be on their way.
	streamWindow = 4096
	// maxLookups is how many requests may search the tree for their events at once,
	// maxWaiting how many single events may wait for that, and maxRecent how many answers
	// are remembered.
	maxLookups = 8
	maxWaiting = 64
	maxRecent  = 256
	// streamBytes is how many bytes those may have, without what is buffered.
	streamBytes = 8 << 20
)

// Engine sequences and stores entries. It is not trusted: it holds no key, and the log
// signs only the tree that it computed itself and compared with every tile that the
// engine wrote. It has one writer, this process.
type Engine interface {
	// Add appends entries in this order, at contiguous indices from first, and returns
	// once they are stored: they are durable, and will be in the tree. After an error, any
	// of them may be stored, and the caller calls Tree before the next Add. No two calls of
	// Add run at once.
	Add(ctx context.Context, entries [][]byte) (first uint64, err error)
	// Wait returns once the tree has the first size entries, all of them stored, and ReadTile
	// returns its tiles. Add may be called meanwhile.
	Wait(ctx context.Context, size uint64) error
	// Tree returns the size and root of the tree once it has all stored entries and can be read.
	Tree(ctx context.Context) (size uint64, root [32]byte, err error)
	// ReadTile returns a tile or entry bundle in the encoding of tlog-tiles, of
	// exactly t.Width; fs.ErrNotExist if it is not there.
	ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error)
	// Show makes the tree of this size, at most Tree's, readable to other processes in the
	// engine's files. A head of that size is published next.
	Show(ctx context.Context, size uint64) error
	// Close waits for what is under way. No call may follow.
	Close(ctx context.Context) error
}

// Reserve is an [Engine] that keeps room for what must be logged when its disk is full.
type Reserve interface {
	// Writable makes the reserve whole, and returns nil if ordinary entries can be
	// added, as far as can be told.
	Writable(ctx context.Context) error
	// UseReserve frees the reserve for the next calls of Add.
	UseReserve() error
}
