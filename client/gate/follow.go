// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/internal/held"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// follower is the gate's copy of the log: the ledger of every entry up to the largest
// verified head. Gate.lock guards it.
type follower struct {
	cfg *Config
	// own, if set, is called for each entry that this gate's key signed, once the ledger
	// has applied it. effect is false if it changed nothing in the ledger.
	own func(e ledger.Entry, effect bool) error

	outside func(do func()) // calls do without the lock
	syncing time.Time       // start of the sync under way, perhaps outside of the lock; zero: none is

	keys    replica.Keys // of the log: configured, or named by a charter
	client  *client.Client
	replica *replica.Replica
	ledger  *ledger.Ledger // the replica's
	// unproven bounds what leap reads.
	unproven replica.Unproven
	// head is the newest head that meets the policies of the charter in force and of the
	// one that the operator trusts: the largest and, of one size, the one with the latest
	// logged-after time. It never goes back, and is in the register before it counts. nil
	// before the first.
	head     *tlog.Verified
	received time.Time        // when head came; its time was no later
	recorded *tlog.Checkpoint // in the register; nil: none
	trusted  trust            // the last charter that is trusted
	listed   []Amendment      // in the file that Confirm reads; nil: it is not written yet
	saved    uint64           // size of the ledger's last snapshot
	followed time.Time        // start of the last successful sync
	register *durable.Register
	stopped  error // why the gate has stopped; Resume and survive reset it
	closed   bool  // by Close

	held    held.List
	audits  audits
	trial   *ledger.Ledger // the ledger at trialAt with the held events; nil: to be made
	trialAt uint64

	settled        uint64 // contradictions up to this size are settled by the operator
	contradictions int    // that stop nothing, since the start
	alarm          string // about the last of them; "": none
}

// open calls do, unless the gate is closed.
func (f *follower) open(do func(*follower) error) error {
	if f.closed {
		return refuse(CodeNotReady, "the gate has stopped")
	}
	return do(f)
}

// errBehind: no verified head covers the ledger.
var errBehind = errors.New("no head is verified up to the last entry that the log has shown")

// dial returns a client that accepts every head signed by one of the keys; accept checks
// the charter's policies.
func (f *follower) dial(keys replica.Keys) (*client.Client, error) {
	policy, err := keys.Policy()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: f.cfg.URL, Source: f.cfg.Source, Policy: policy, Origin: f.cfg.Origin,
		HTTPClient: f.cfg.HTTPClient, Timeout: f.cfg.Timeout, SubmitTimeout: f.cfg.Timeout, Retries: 1, UserAgent: "vasistas-gate"})
}

// sync follows the log up to its present head. Only ctx bounds its time.
func (f *follower) sync(ctx context.Context) error {
	if f.stopped != nil {
		return f.stopped
	}
	begun := time.Now()
	v, head, err := f.update(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(f.newKeys(), f.accept(v, head, begun)); err != nil {
		return err
	}
	f.followed = begun
	return nil
}

// update applies the entries up to the log's present head v. head is v under the charter in
// force; nil: it is not verified under that.
func (f *follower) update(ctx context.Context) (v, head *tlog.Verified, err error) {
	v, err = f.newest(ctx)
	switch {
	case errors.Is(err, tlog.ErrUnknownLog):
		v, err = f.learn(ctx)
		return v, nil, err
	case err != nil:
		return nil, nil, f.fork(err)
	}
	before := f.ledger.Charter()
	if before != nil {
		head, _ = before.Witnesses.Verify(v.Checkpoint, f.cfg.Origin)
	}
	if v.Checkpoint.Size == f.ledger.Size() || head != nil || f.meetsTrusted(v) {
		err = f.replica.Replay(ctx, f.observer(f.own))
	} else {
		err = f.leap(ctx, v)
	}
	if f.ledger.Charter() != before {
		head = nil
	}
	return v, head, err
}

// newest returns the log's present head.
func (f *follower) newest(ctx context.Context) (v *tlog.Verified, err error) {
	f.outside(func() { v, err = f.replica.Update(ctx) })
	return v, err
}

// learn applies the entries up to a head that no known key of the log signed. The log says what
// its keys are, and the entries must prove it. A fork by a key that is not proven is no evidence.
func (f *follower) learn(ctx context.Context) (v *tlog.Verified, err error) {
	var claimed replica.Keys
	f.outside(func() { claimed, err = f.keys.Claimed(ctx, f.client) })
	if err != nil {
		return nil, fmt.Errorf("no known key of the log signed its head: %w", err)
	}
	c, err := f.dial(claimed)
	if err != nil {
		return nil, err
	}
	err = f.replica.Learn(c, func() (err error) {
		if v, err = f.newest(ctx); err == nil {
			err = f.leap(ctx, v)
		}
		return err
	})
	return v, err
}

// meetsTrusted returns whether a head meets the policy of the trusted charter, if another
// one is in force. Such a head's entries may be replayed.
func (f *follower) meetsTrusted(v *tlog.Verified) bool {
	c := f.trusted.charter
	return c != nil && c.Index != f.ledger.Charter().Index && meets(v, c.Witnesses, f.cfg.Origin) == nil
}

func meets(v *tlog.Verified, p *tlog.Policy, origin string) error {
	_, err := p.Verify(v.Checkpoint, origin)
	return err
}

// observer checks the log's first charter, and calls own, if set, for each entry that this
// gate's key signed.
func (f *follower) observer(own func(ledger.Entry, bool) error) replica.Observer {
	id, key := f.cfg.Signer.KeyID(), f.cfg.Signer.Public()
	lookup := func(k string) *event.PublicKey {
		if k == id {
			return key
		}
		return nil
	}
	mine := false // the entry that is being applied
	return replica.Observer{
		Wait: f.outside,
		Read: func(e *ledger.Entry) any {
			if !slices.ContainsFunc(e.Envelope.Signatures, func(s event.Signature) bool { return s.KeyID == id }) {
				return false
			}
			mine := *e
			mine.Verify(lookup)
			return slices.Contains(mine.Signatures, ledger.Good)
		},
		Before: func(e *ledger.Entry, note any) error {
			mine = note == any(true)
			if e.Index == 0 && e.Leaf != f.cfg.Founded {
				return fmt.Errorf("%w: it has the leaf hash %x", ErrFounded, e.Leaf) // perhaps a key of the log's alone says so
			}
			return nil
		},
		After: func(e *ledger.Entry, violations []*ledger.Violation, _ []ledger.Change) error {
			if own == nil || !mine {
				return nil
			}
			about := func(v *ledger.Violation) bool { return v.Index == e.Index }
			c, _ := f.ledger.Chain(id) // a release that came too late still counts in its chain
			return f.stop(own(*e, !slices.ContainsFunc(violations, about) || c.Hash == e.Hash))
		},
	}
}

// leap follows the log up to a head that meets no policy known so far. It accepts the head
// only if an amendment below it has a policy that it meets; otherwise nothing changes.
func (f *follower) leap(ctx context.Context, v *tlog.Verified) error {
	var own []func() error
	collect := func(e ledger.Entry, effect bool) error {
		own = append(own, func() error { return f.own(e, effect) })
		return nil
	}
	err := f.unproven.Try(ctx, f.replica, v.Checkpoint, f.observer(collect), func(l *ledger.Ledger) error {
		in := l.Charter()
		if in == nil {
			return ErrFounded
		}
		if err := meets(v, in.Witnesses, f.cfg.Origin); err != nil {
			return fmt.Errorf("the log's head of size %d: %w", v.Checkpoint.Size, err)
		}
		return nil
	})
	f.ledger = f.replica.Ledger()
	if err != nil || f.own == nil {
		return err
	}
	for i := 0; err == nil && i < len(own); i++ {
		err = f.stop(own[i]())
	}
	return err
}

// accept makes v the head at which the gate decides, if v meets every policy that it must
// meet and is newer. It records it first. head is v under the charter in force; nil: accept
// verifies it. v came at received or later.
func (f *follower) accept(v, head *tlog.Verified, received time.Time) error {
	in := f.ledger.Charter()
	if in == nil {
		return errBehind
	}
	if err := f.updateTrust(); err != nil {
		return err
	}
	if head == nil {
		var err error
		if head, err = in.Witnesses.Verify(v.Checkpoint, f.cfg.Origin); err != nil {
			return fmt.Errorf("the log's head of size %d: %w", v.Checkpoint.Size, err)
		}
	}
	if f.trusted.index != in.Index {
		if err := meets(v, f.trusted.charter.Witnesses, f.cfg.Origin); err != nil {
			return fmt.Errorf("the amendment in entry %d changes who is trusted, and the log's head does not meet the policy before it; confirm the amendment: %w", in.Index, err)
		}
	}
	if f.head == nil && f.recorded != nil {
		// The newest head of before the restart still bounds the time, if it counts.
		f.head, _ = in.Witnesses.Verify(f.recorded, f.cfg.Origin)
		f.received = received
	}
	if f.head != nil && f.head.Checkpoint.Size == head.Checkpoint.Size && f.head.LoggedAfter >= head.LoggedAfter {
		return f.record(f.head.Checkpoint) // no newer cosignatures
	}
	if err := f.record(head.Checkpoint); err != nil {
		return err
	}
	f.head, f.received = head, received
	return nil
}

// stop stops the gate if err is not nil, and returns err. The first error stands.
func (f *follower) stop(err error) error {
	if err != nil && f.stopped == nil {
		f.stopped = err
		f.cfg.Logger.Error("the gate stops", "err", err)
	}
	return err
}

// newKeys takes up the keys of the charter in force.
func (f *follower) newKeys() error {
	known := f.keys.Of(f.ledger.Charter())
	if len(known) == len(f.keys) {
		return nil
	}
	c, err := f.dial(known)
	if err != nil {
		return err
	}
	f.keys, f.client = known, c
	f.replica.Use(c)
	return nil
}

// record writes a head and the trusted charter to the register.
func (f *follower) record(head *tlog.Checkpoint) error {
	r := headRecord{Gate: f.cfg.Signer.KeyID(), Trusted: f.trusted.index, Leaf: f.trusted.leaf, Checkpoint: string(head.Bytes())}
	old, err := f.register.Load()
	if err != nil {
		return err
	}
	if next := r.bytes(); !bytes.Equal(old, next) {
		err = f.register.CompareAndSwap(old, next)
	}
	if err == nil {
		f.recorded = head
	}
	return err
}

// load loads the register and the snapshot. The log's own signature binds later heads to
// extend the recorded one; cosignatures count again from the next head on.
func (f *follower) load(dir string) error {
	value, err := f.register.Load()
	if err != nil {
		return err
	}
	r, err := parseHeadRecord(value)
	if err != nil {
		return err
	}
	if r.Gate != f.cfg.Signer.KeyID() {
		return fmt.Errorf("the state in %s is that of another gate, with the key %s", dir, r.Gate)
	}
	f.trusted = trust{index: r.Trusted, leaf: r.Leaf}
	if f.client, err = f.dial(f.keys); err != nil {
		return err
	}
	c := replica.Config{Client: f.client, Origin: f.cfg.Origin, Use: "gate"}
	if r.Checkpoint != "" {
		if c.Known, err = tlog.ParseCheckpoint([]byte(r.Checkpoint)); err != nil {
			return err
		}
		f.recorded = c.Known
		f.snapshot(filepath.Join(dir, ledgerFile), c)
	}
	if f.replica == nil {
		if f.replica, err = replica.New(c); err != nil {
			return err
		}
	}
	f.ledger = f.replica.Ledger()
	if f.ledger.Charter() != nil {
		if err := errors.Join(f.newKeys(), f.updateTrust()); err != nil {
			return err
		}
	}
	if c.Known != nil {
		_, err = f.client.Signed(c.Known.Bytes())
	}
	return err
}

// snapshot loads a saved ledger. If it is missing or damaged, the gate replays the log. A
// loaded ledger is compared with the log's tree before a head counts.
func (f *follower) snapshot(name string, c replica.Config) {
	var r *replica.Replica
	var err error
	if c.Snapshot, err = os.ReadFile(name); errors.Is(err, fs.ErrNotExist) {
		return
	} else if err == nil {
		r, err = replica.New(c)
	}
	if err == nil {
		if first := r.Ledger().CharterAt(1); first == nil || first.Leaf != f.cfg.Founded {
			err = errors.New("it is of another log")
		}
	}
	if err != nil {
		f.cfg.Logger.Warn("the ledger's snapshot is unusable; replaying the log", "err", err)
		return
	}
	f.replica, f.saved = r, r.Ledger().Size()
}

// save writes a snapshot of the ledger, if it has grown by at least every entries.
func (f *follower) save(dir string, every uint64) error {
	size := f.ledger.Size()
	if f.head == nil || size != f.head.Checkpoint.Size || size-f.saved < every {
		return nil
	}
	out, err := f.replica.Snapshot()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, ledgerFile), out, 0o600); err != nil {
		return err
	}
	f.saved = size
	return nil
}
