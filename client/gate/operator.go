// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// Sync follows the log up to its present head, once, and reads what the log shows of its auditors.
func (g *Gate) Sync(ctx context.Context) error {
	err := g.with(ctx, func(f *follower) error { return g.follow(ctx, f, time.Now()) })
	if err == nil {
		_ = g.readAudits(ctx) // Status says what is missing
	}
	return err
}

// Resume resumes the chain from the log, for a gate that lost its journal or was restored
// from a backup. The operator must stop every other instance first, and start this one
// only afterwards. The next heartbeat states the resumption. If the log states more
// releases than it has, Resume fails: only the lost journal has them.
func (g *Gate) Resume(ctx context.Context) (seq uint64, err error) {
	resume := func(f *follower) error {
		if errors.Is(f.stopped, ErrForked) {
			return f.stopped
		}
		own := f.own
		f.own, f.stopped = nil, nil
		defer func() { f.own = own }()
		if err := f.sync(ctx); err != nil {
			return err
		}
		if err := f.at(time.Now()).fresh(vouched{"witnesses", f.head.Checkpoint.Size, f.head.LoggedAfter}, f.ledger.Charter()); err != nil {
			return err
		}
		chain, ok := f.ledger.Chain(g.cfg.Signer.KeyID())
		switch {
		case !ok:
			return ErrNoCustodian
		case chain.Ended || chain.Broken:
			return errors.New("the chain of this key has ended or is broken; an amendment can give the custodian a new key, with a new chain")
		case chain.Stated > chain.Seq || chain.Waiting > 0:
			return fmt.Errorf("the log has %d releases of this key in order, and knows of %d; submit the missing ones from the lost journal", chain.Seq, max(chain.Stated, chain.Seq+uint64(chain.Waiting)))
		}
		seq = chain.Seq
		return g.journal.resume(base{size: f.ledger.Size(), seq: chain.Seq, prev: chain.Hash, resumed: true})
	}
	err = g.with(ctx, func(f *follower) error { return g.inTurn(ctx, f, func() error { return resume(f) }) })
	return seq, err
}

// Status is a gate's state in JSON. Times are like 2006-01-02T15:04:05Z, hashes base64.
type Status struct {
	Origin      string   `json:"origin"`
	Key         string   `json:"key"`       // id of the event key
	Custodian   string   `json:"custodian"` // "": the charter in force does not name the key
	Groups      []string `json:"groups,omitempty"`
	Size        uint64   `json:"size"` // of the largest verified head; 0: none
	Root        string   `json:"root,omitempty"`
	LoggedAfter string   `json:"loggedAfter,omitempty"`
	Charter     uint64   `json:"charter"` // version of the charter in force
	Trusted     uint64   `json:"trusted"` // version of the charter that the operator trusts
	// Pending are the amendments to confirm; the hash of the last one confirms all.
	Pending  []Amendment `json:"pending,omitempty"`
	Seq      uint64      `json:"seq"`     // of the journal's last release
	Outbox   int         `json:"outbox"`  // signed events that no head has shown
	Releases []string    `json:"waiting"` // numbers of the releases among them
	Held     int         `json:"held"`    // events that were handed to this gate and that the log has not shown
	Stopped  string      `json:"stopped,omitempty"`
	// Audited is the time after which auditors signed the newest head that they vouch for, and
	// AuditedSize its size; "": none, or the charter asks for no auditors.
	Audited     string `json:"audited,omitempty"`
	AuditedSize uint64 `json:"auditedSize,omitempty"`
	// Shut says why the gate would open nothing at present, and Ends what would end that; "": it
	// would open.
	Shut string `json:"shut,omitempty"`
	Ends string `json:"ends,omitempty"`
	// Alarm says that the log has contradicted itself in a way that does not stop the gate.
	Alarm string `json:"alarm,omitempty"`
}

// Status returns the gate's state, as of the last update from the log.
func (g *Gate) Status(ctx context.Context) (*Status, error) {
	s := &Status{Origin: g.cfg.Origin, Key: g.cfg.Signer.KeyID(), Releases: []string{}}
	if err := g.journal.failed(); err != nil {
		s.Stopped = err.Error()
	}
	waiting := g.journal.waiting()
	s.Outbox = len(waiting)
	for _, w := range waiting {
		if w.kind == event.TypeRelease {
			s.Releases = append(s.Releases, fmt.Sprint(w.seq))
		}
	}
	g.journal.mu.Lock()
	s.Seq = g.journal.seq
	g.journal.mu.Unlock()
	return s, g.with(ctx, func(f *follower) error {
		if f.stopped != nil {
			s.Stopped = f.stopped.Error()
		}
		if err := g.shut(f); err != nil {
			s.Shut, s.Ends = err.Error(), refusal(err).Ends()
		}
		s.Alarm, s.Held = f.alarm, len(f.held)
		if f.head != nil {
			cp := f.head.Checkpoint
			s.Size, s.Root, s.LoggedAfter = cp.Size, cp.Root.String(), formatTime(posix(f.head.LoggedAfter))
		}
		in := f.ledger.Charter()
		if in == nil {
			return nil
		}
		if after, err := f.audits.judged(f.ledger); err == nil && in.Auditors.NeedsWitnesses() {
			s.Audited, s.AuditedSize = formatTime(posix(after)), f.audits.head.Checkpoint.Size
		}
		s.Charter, s.Pending = in.Version, f.pending()
		_ = f.list() // Confirm takes what status shows; an update reports the error
		if f.trusted.charter != nil {
			s.Trusted = f.trusted.charter.Version
		}
		if name, err := g.custodian(f); err == nil {
			s.Custodian, s.Groups = name, in.GroupsOf(name)
		}
		return nil
	})
}
