// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

type keys = replica.Keys

// replicated is the replica of the log up to the last named head that the auditor has followed.
// Auditor.lock guards it.
type replicated struct {
	cfg     *Config
	sources *sources
	keys    keys // of the log: configured, or named by a charter
	client  *client.Client
	replica *replica.Replica
	ledger  *ledger.Ledger    // the replica's
	ahead   *replica.Replayed // where the next call of advance may start; nil: at the ledger's size
	saved   uint64            // size of the ledger's last snapshot
	applied atomic.Uint64     // entries applied so far, also while a call is under way

	unproven replica.Unproven
}

// saveEvery is the number of entries between two snapshots of the ledger.
const saveEvery = 1 << 16

// openCopy loads the snapshot, or starts at the first entry. Every later head must extend
// recorded, which may be nil. Entries come from the full copy, and those that it lacks, because
// an amendment changed which heads it may take, from the sources.
func openCopy(cfg *Config, recorded *tlog.Checkpoint, stored tlog.TileReader) (_ *replicated, err error) {
	c := &replicated{cfg: cfg, keys: slices.Clone(cfg.LogKeys), sources: &sources{list: []tlog.TileReader{stored}}}
	for _, s := range cfg.Sources {
		c.sources.list = append(c.sources.list, s)
	}
	if c.client, err = dial(cfg, c.keys, c.sources); err != nil {
		return nil, err
	}
	if recorded != nil {
		if _, err := c.client.Signed(recorded.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := c.load(recorded); err != nil {
		cfg.Logger.Warn("the ledger's snapshot is unusable; replaying the log", "err", err)
		c.replica = nil
	}
	if c.replica == nil {
		if c.replica, err = replica.New(replica.Config{Client: c.client, Origin: cfg.Origin, Use: "auditor", Known: recorded}); err != nil {
			return nil, err
		}
	}
	c.ledger = c.replica.Ledger()
	c.applied.Store(c.ledger.Size())
	return c, c.newKeys()
}

// load loads the snapshot, if there is one. It may be of a larger head than the recorded one,
// which the auditor declined.
func (c *replicated) load(recorded *tlog.Checkpoint) error {
	b, err := os.ReadFile(filepath.Join(c.cfg.Dir, ledgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	config := replica.Config{Client: c.client, Origin: c.cfg.Origin, Use: "auditor", Snapshot: b}
	r, err := replica.New(config)
	if err != nil {
		return err
	}
	if recorded != nil && recorded.Size > r.Tree().Largest().Size {
		config.Known = recorded
		if r, err = replica.New(config); err != nil {
			return err
		}
	}
	if first := r.Ledger().CharterAt(1); first == nil || first.Leaf != c.cfg.Founded {
		return errors.New("it is of another log")
	}
	c.replica, c.saved = r, r.Ledger().Size()
	return nil
}

// save writes a snapshot of the ledger, if it has grown by at least every entries.
func (c *replicated) save(every uint64) error {
	size := c.ledger.Size()
	if size == 0 || size-c.saved < every {
		return nil
	}
	out, err := c.replica.Snapshot()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(c.cfg.Dir, ledgerFile), out, 0o600); err != nil {
		return err
	}
	c.saved = size
	return nil
}

// dial returns a client of the log that accepts every head signed by one of the keys; the charter's
// policies decide which one counts. It reads tiles from a source, nil: from the log, and makes one
// try of a request.
func dial(cfg *Config, by keys, from client.Source) (*client.Client, error) {
	policy, err := by.Policy()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: cfg.URL, Source: from, Policy: policy, Origin: cfg.Origin, HTTPClient: cfg.HTTPClient, Timeout: cfg.Timeout,
		Retries: -1, UserAgent: userAgent})
}

// newKeys takes up the keys of the charter in force.
func (c *replicated) newKeys() error {
	known := c.keys.Of(c.ledger.Charter())
	if len(known) == len(c.keys) {
		return nil
	}
	c.keys = known
	dialed, err := dial(c.cfg, c.keys, c.sources)
	if err != nil {
		return err
	}
	c.client = dialed
	c.replica.Use(dialed)
	return nil
}

// advance applies the entries up to a head that the log names. A source whose tiles do not fit
// the head is left for the next one.
func (c *replicated) advance(ctx context.Context, cp *tlog.Checkpoint) (err error) {
	for n := range c.sources.list {
		if n > 0 {
			c.unproven.Forget()
		}
		err = c.try(ctx, cp)
		if _, corrupt := errors.AsType[*tlog.CorruptError](err); !corrupt {
			break
		}
		c.cfg.Logger.Warn("a source of entries is wrong; asking the next one", "origin", c.cfg.Origin, "err", err)
		c.sources.first.Add(1)
	}
	return err
}

func (c *replicated) try(ctx context.Context, cp *tlog.Checkpoint) error {
	defer func() { c.applied.Store(c.ledger.Size()) }()
	ahead := c.ahead
	c.ahead = nil
	if _, err := c.replica.Offer(ctx, cp.Bytes()); err != nil {
		return err
	}
	var err error
	if ahead != nil && c.ledger.Size() < ahead.Size && ahead.Size <= cp.Size && cp.Size-ahead.Size <= inline {
		if c.leap(ctx, ahead, cp) {
			return c.newKeys()
		}
		if _, err = c.replica.Offer(ctx, cp.Bytes()); err != nil { // leap has used the first offer
			return err
		}
	}
	if before := c.ledger.Charter(); before != nil && (cp.Size == c.ledger.Size() || meets(before, cp, c.cfg.Origin) == nil) {
		err = c.replica.Replay(ctx, c.observer())
		if err == nil {
			err = c.witnessed(cp, c.ledger)
		}
	} else {
		err = c.tryUnproven(ctx, cp)
	}
	return errors.Join(err, c.newKeys())
}

// leap starts with the state of the monitor's other replay, and reports whether the head then meets the
// policy in force. If not, the auditor replays the entries by itself, and finds what is wrong.
func (c *replicated) leap(ctx context.Context, from *replica.Replayed, cp *tlog.Checkpoint) bool {
	err := c.replica.TryFrom(ctx, from, c.observer(), func(l *ledger.Ledger) error {
		if first := l.CharterAt(1); first == nil || first.Leaf != c.cfg.Founded {
			return errFounded
		}
		return c.witnessed(cp, l)
	})
	if c.ledger = c.replica.Ledger(); err != nil {
		c.cfg.Logger.Warn("another replay of the log is of no use", "origin", c.cfg.Origin, "err", err)
	} else {
		c.cfg.Logger.Info("started with another replay of the log", "origin", c.cfg.Origin, "size", from.Size)
	}
	return err == nil
}

// tryUnproven applies the entries up to a head that no known policy accepts, to a copy of the ledger.
func (c *replicated) tryUnproven(ctx context.Context, cp *tlog.Checkpoint) error {
	err := c.unproven.Try(ctx, c.replica, cp, c.observer(), func(l *ledger.Ledger) error { return c.witnessed(cp, l) })
	c.ledger = c.replica.Ledger()
	if no, ok := errors.AsType[*replica.UnprovenError](err); ok {
		return refuse(codeQuorum, "%w", no)
	}
	return err
}

// learn applies the entries up to a head that no known key of the log signed. It counts only if the
// charter in force at its size, in a tree that extends the auditor's, names one of these keys.
func (c *replicated) learn(ctx context.Context, cp *tlog.Checkpoint, unproven keys) error {
	dialed, err := dial(c.cfg, unproven, c.sources)
	if err != nil {
		return err
	}
	err = c.replica.Learn(dialed, func() error {
		if _, err := c.replica.Offer(ctx, cp.Bytes()); err != nil {
			return err
		}
		return c.tryUnproven(ctx, cp)
	})
	c.applied.Store(c.ledger.Size())
	return errors.Join(err, c.newKeys())
}

func meets(c *ledger.Charter, cp *tlog.Checkpoint, origin string) error {
	_, err := c.Witnesses.Verify(cp, origin)
	return err
}

// witnessed checks that a head meets the witness policy in force at its size, by a ledger of
// that size; a head that ends with an amendment must meet the policy before, too.
func (c *replicated) witnessed(cp *tlog.Checkpoint, l *ledger.Ledger) error {
	in := l.CharterAt(cp.Size)
	switch {
	case in == nil:
		return errFounded
	case !in.Witnesses.NeedsWitnesses():
		return refuse(codeQuorum, "the charter in force asks for no witness, so no time is proven")
	}
	err := meets(in, cp, c.cfg.Origin)
	if before := l.CharterAt(in.Index); err == nil && before != nil && in.Index+1 == cp.Size {
		err = meets(before, cp, c.cfg.Origin)
	}
	if err != nil {
		return refuse(codeQuorum, "the policy of the witnesses: %w", err)
	}
	return nil
}

// errFounded: entry 0 of the log that the auditor is shown is not the charter of Config.Founded.
var errFounded = errors.New("the log's first charter is not the configured one")

// observer checks the log's first charter, counts, and saves the ledger on a long way.
func (c *replicated) observer() replica.Observer {
	return replica.Observer{
		Before: func(e *ledger.Entry, _ any) error {
			if e.Index == 0 && e.Leaf != c.cfg.Founded {
				return fmt.Errorf("%w: it has the leaf hash %x", errFounded, e.Leaf)
			}
			return nil
		},
		After: func(e *ledger.Entry, _ []*ledger.Violation, _ []ledger.Change) error {
			c.applied.Store(e.Index + 1)
			return nil
		},
		Applied: func() error { return c.save(saveEvery) },
	}
}

// sources reads tiles from the first of several sources that has them.
type sources struct {
	list  []tlog.TileReader
	first atomic.Uint64 // place in list, modulo its length, of the source that is asked first
}

var _ client.Source = (*sources)(nil)

// ReadCheckpoint returns an error: an auditor follows only heads that the log names.
func (s *sources) ReadCheckpoint(context.Context) ([]byte, error) {
	return nil, errors.New("only the round names heads")
}

func (s *sources) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	var errs []error
	first := int(s.first.Load() % uint64(len(s.list)))
	for i := range s.list {
		b, err := s.list[(first+i)%len(s.list)].ReadTile(ctx, t)
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
