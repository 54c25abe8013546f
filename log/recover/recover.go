// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package recover works on a log that is not running. [Init] creates a log from its
// charter. [Run] brings back what a log lacks from an untrusted copy of the log, or
// moves the log to another engine.
//
// Both check everything before they write, and never leave a log that could sign a head
// that conflicts with an earlier one. A take-over by a recovery amendment happens when
// the log is opened: see log.Config.Recovery.
package recover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// Source is a copy of a log: a mirror, a directory, or the log itself under
// another address. It is not trusted.
type Source interface {
	tlog.TileReader
	// ReadCheckpoint returns the copy's checkpoint as it is served.
	ReadCheckpoint(ctx context.Context) ([]byte, error)
}

// Config configures [Run].
type Config struct {
	StateDir string
	// State, if not nil, is recovered instead of the files in StateDir. The
	// caller must ensure that no log uses it.
	State state.Store
	Keys  []*tlog.Signer
	// Source is a copy of the log. nil: there is none; the present tree, which must be
	// whole, is moved to OpenTo.
	Source Source
	Policy *tlog.Policy // that the copy's checkpoint must meet

	// TreeDir is the engine's directory.
	TreeDir string
	// OpenTree opens the engine in a directory; CreateTree creates an empty one.
	OpenTree   func(ctx context.Context, dir string) (log.Engine, error)
	CreateTree func(ctx context.Context, dir string) error
	// Salvage yields the entries from an index on that are left in a
	// directory, whatever its state, as far as they go. nil: there are none.
	Salvage func(dir string, from uint64) iter.Seq[[]byte]
	// InPlace is for an engine whose tree can't be put aside: it is completed,
	// or Run fails. Salvage then yields what is stored apart from the tree.
	InPlace bool
	// OpenTo, if not nil, opens the engine that the log moves to; the present tree
	// stays as it is. The new engine is empty, or has the part of the tree that an
	// attempt wrote before it was cut off. OpenTo is called once the present tree was
	// read and is locked; Run closes the engine.
	OpenTo func(ctx context.Context) (log.Engine, error)

	// Progress, if not nil, is called with the present step and how far it is.
	Progress func(what string, done, total uint64)
}

// Result is what [Run] did.
type Result struct {
	Size     uint64 // of the tree, at least that of the copy's checkpoint
	Added    uint64 // entries that were missing, from the copy or the present tree
	Salvaged uint64 // entries beyond the copy that came from the damaged tree
	Rebuilt  bool   // the tree was built again
	Old      string // where the old tree was put, if it was of no use

	// Seen is the size of the largest head of this log that a witness of the policy shows, and
	// SeenBy that witness. A log with fewer entries logs nothing until it has them.
	Seen   uint64
	SeenBy string
}

// recovery is one call of Run.
type recovery struct {
	Config
	record   chain.Record
	caches   *state.Dir
	head     *tlog.Checkpoint // recorded; nil: it is lost
	headTime uint64
	copy     *tlog.Checkpoint // the recorded head, if there is no copy
	// published is the published checkpoint, if it is larger than the copy's and meets the policy.
	published *tlog.Checkpoint
	contained bool // the recovered tree contains published
}

// Run brings back what a log lacks, from a copy whose checkpoint the log's key signed
// and a quorum of its witnesses cosigned. It checks every entry against that
// checkpoint. It completes a tree that is a part of the copy; it puts any other aside,
// and builds the tree again. It keeps the entries beyond the copy that the old tree
// still has, as far as the rules let them follow: some of them were acknowledged. The
// log must not be running.
//
// With OpenTo, the tree is built in the new engine, from the present tree if that is
// whole and reaches as far as the copy. The log stays the same: state, keys and proofs
// do not change.
//
// Run reads and checks every entry, and that no signed head lacks any, before it
// writes; it reads again what it has written. If Run is cut off, it can be run again.
func Run(ctx context.Context, cfg Config) (_ *Result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recovering the log: %w", err)
		}
	}()
	if cfg.Salvage == nil {
		cfg.Salvage = func(string, uint64) iter.Seq[[]byte] { return slices.Values[[][]byte](nil) }
	}
	open := state.RecoverDir
	if cfg.State != nil {
		open = state.OpenCaches
	}
	dir, err := open(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	r := &recovery{Config: cfg, record: chain.Record{Store: cfg.State}, caches: dir}
	if cfg.State == nil {
		r.record.Store = dir
	}
	if err := r.record.CheckKeys(cfg.Keys); err != nil {
		return nil, err
	}
	if cfg.Source == nil {
		r.copy, _, err = r.record.Head(ctx, chain.Verifiers(r.Keys))
	} else if err = r.readCopy(ctx); err == nil {
		r.readPublished(ctx)
		err = r.readHead(ctx)
	}
	if err != nil {
		return nil, err
	}
	done, err := r.build(ctx)
	if cfg.Source == nil {
		// No write to the state would fail, so ask whether it is still held.
		err = errors.Join(err, r.record.Held())
	} else if err == nil {
		err = r.adopt(ctx)
	}
	if err != nil {
		return nil, err
	}
	if cfg.Source != nil {
		if cp, witness := cosign.Largest(ctx, cosign.NewHTTP(), r.Policy, r.record.Settings().Origin); cp != nil {
			done.Seen, done.SeenBy = cp.Size, witness
		}
	}
	return done, nil
}

func (r *recovery) readCopy(ctx context.Context) error {
	b, err := r.Source.ReadCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("reading the checkpoint of the copy: %w", err)
	}
	if r.copy, err = r.record.Parse(b); err != nil {
		return fmt.Errorf("the checkpoint of the copy: %w", err)
	}
	if _, err := r.Policy.Verify(r.copy, ""); err != nil {
		return fmt.Errorf("the checkpoint of the copy: %w", err)
	}
	return nil
}

// readPublished reads the published checkpoint. If it is damaged, does not meet the policy, or is no
// larger than the copy's, the copy's replaces it.
func (r *recovery) readPublished(ctx context.Context) {
	cp, err := r.record.LastPublished(ctx)
	if err != nil || cp == nil || cp.Size <= r.copy.Size {
		return
	}
	if _, err := r.Policy.Verify(cp, ""); err == nil {
		r.published = cp
	}
}

// readHead reads the recorded head, and refuses a copy that conflicts with it. A lost or
// damaged head will be replaced by the copy's. At the next start the witnesses say
// whether the log has signed a later one.
func (r *recovery) readHead(ctx context.Context) (err error) {
	r.head, r.headTime, err = r.record.Head(ctx, chain.Verifiers(r.Keys))
	if errors.Is(err, chain.ErrHeadDamaged) || errors.Is(err, chain.ErrOtherKeys) || errors.Is(err, durable.ErrMissing) {
		return nil
	} else if err != nil || r.head.Size > r.copy.Size {
		return err
	}
	root, err := chain.ProvenRoot(ctx, prover.New(r.Source, 0), r.head.Size, chain.EdgeOf(&r.copy.Head))
	if err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	if root != r.head.Root {
		return fmt.Errorf("%w (the copy's root at size %d is another than the recorded one)", chain.ErrForked, r.head.Size)
	}
	return nil
}

// adopt makes the copy's checkpoint the recorded head and the published checkpoint, unless these
// are later, and drops the cache of events. A later published checkpoint becomes the recorded head
// if the tree contains it. Neither head goes back.
func (r *recovery) adopt(ctx context.Context) error {
	// The tree may be another one. The removal is durable once the head is.
	if err := os.Remove(r.caches.Path("events")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	latest := r.copy
	if r.contained {
		latest = r.published
	}
	if r.head == nil || r.head.Size < latest.Size {
		if err := r.adoptHead(ctx, latest); err != nil {
			return err
		}
	}
	if r.published != nil {
		return nil
	}
	p := state.Published{Checkpoint: r.copy.Bytes()}
	if r.State != nil {
		var err error
		if p.Charter, err = r.charter(ctx); err != nil {
			return err
		}
	}
	if err := r.record.SetPublished(ctx, p); err != nil {
		return err
	}
	// What auditors cosigned may be beyond the copy. The next round follows the next start.
	return r.record.PublishAudited(ctx, nil)
}

// charter returns the index of the charter in force at the copy's size.
func (r *recovery) charter(ctx context.Context) (uint64, error) {
	whole, err := (&tiles.Frontier{}).Extend(ctx, r.Source, r.copy.Size, nil)
	if err != nil {
		return 0, fmt.Errorf("reading the copy: %w", err)
	}
	check, err := newTailCheck(ctx, r.record.Settings().Origin, r.Source, whole)
	if err != nil {
		return 0, err
	}
	c := check.ledger.Charter()
	if c == nil {
		return 0, errors.New("the copy has no charter")
	}
	return c.Index, nil
}

func (r *recovery) adoptHead(ctx context.Context, cp *tlog.Checkpoint) error {
	// Those that the charter names.
	keys := slices.DeleteFunc(slices.Clone(r.Keys), func(k *tlog.Signer) bool { return cp.Find(k.Verifier()) == nil })
	if len(keys) == 0 {
		return fmt.Errorf("none of the keys given signed the checkpoint of %d entries", cp.Size)
	}
	head, err := chain.Sign(keys, cp.Head, max(r.headTime, uint64(time.Now().Unix())))
	if err != nil {
		return err
	}
	return r.record.RestoreHead(ctx, head.Bytes())
}
