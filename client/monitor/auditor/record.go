// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	userAgent = "vasistas-monitor"
	maxRecord = tlog.MaxCheckpointSize*2 + 4096 // bytes: a checkpoint in JSON
)

// record is the auditor's recorded head, which never goes back, and the time of its latest
// cosignature of it, which never goes back either.
type record struct {
	Auditor    string    `json:"auditor"` // name in the charter
	Key        string    `json:"key"`     // name of the cosignature keys
	Founded    tlog.Hash `json:"founded"`
	Time       uint64    `json:"time,omitempty"`       // POSIX seconds
	Checkpoint string    `json:"checkpoint,omitempty"` // with the log's lines; absent: none was cosigned

	head *tlog.Checkpoint // Checkpoint, parsed; or nil
}

func (r *record) bytes() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, '\n')
}

func parseRecord(b []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("the recorded head: %w", err)
	}
	if !bytes.Equal(r.bytes(), b) {
		return nil, errors.New("the recorded head was changed by hand; restore it from a backup")
	}
	if r.Checkpoint == "" {
		return r, nil
	}
	var err error
	if r.head, err = tlog.ParseCheckpoint([]byte(r.Checkpoint)); err != nil {
		return nil, fmt.Errorf("the recorded head: %w", err)
	}
	return r, nil
}

// fits checks that a record is of this auditor and log.
func (r *record) fits(c *Config) error {
	if key := c.Signers[0].Verifier().Name; r.Auditor != c.Name || r.Key != key || r.Founded != c.Founded {
		return fmt.Errorf("the state in %s is that of the auditor %s with keys of the name %s, in the log with the first charter %x",
			c.Dir, r.Auditor, r.Key, r.Founded)
	}
	return nil
}

// size returns the recorded size, 0 before the first.
func (r *record) size() uint64 {
	if r.head == nil {
		return 0
	}
	return r.head.Size
}

// repeats reports whether a head is the recorded one.
func (r *record) repeats(head *tlog.Checkpoint) bool {
	return r.head != nil && string(r.head.Text()) == string(head.Text())
}

// recorded reads the register: after a write of unknown outcome only the disk knows. It needs the
// lock.
func (a *Auditor) recorded() (*record, error) {
	b, err := a.register.Load()
	if err != nil {
		return nil, err
	}
	r := a.last.Load()
	if r != nil && bytes.Equal(r.bytes(), b) {
		return r, nil
	}
	if r, err = parseRecord(b); err == nil {
		a.last.Store(r)
	}
	return r, err
}

// persist makes a head with the log's lines, and a time, the record in place of old.
func (a *Auditor) persist(old *record, cp *tlog.Checkpoint, time uint64) error {
	next := *old
	next.Time, next.Checkpoint, next.head = time, string(cp.Bytes()), cp
	if err := a.register.CompareAndSwap(old.bytes(), next.bytes()); err != nil {
		return err
	}
	a.last.Store(&next)
	return nil
}

// LostStateError reports that the log shows a cosignature of this auditor that its state does
// not have.
type LostStateError struct {
	Name   string // of the keys
	Reason string
}

func (e *LostStateError) Error() string {
	return fmt.Sprintf("the log shows a cosignature of %s that the state does not have (%s): the state was lost or restored, or another auditor signs with these keys; "+
		"stop the other one, restore the latest state, or resume at the head that the log shows: resume-lost -name %s", e.Name, e.Reason, e.Name)
}

// lost returns a [LostStateError] if a checkpoint shows that r is not the latest state.
func (r *record) lost(signers []*tlog.Signer, shown *tlog.Checkpoint) error {
	own := cosigning.Cosigned(signers, shown)
	reason := ""
	switch {
	case own == 0:
		return nil
	case shown.Size > r.size():
		reason = fmt.Sprintf("of size %d, and the state ends at size %d", shown.Size, r.size())
	case r.head != nil && shown.Size == r.head.Size && shown.Root != r.head.Root:
		reason = fmt.Sprintf("of size %d, with another root", shown.Size)
	case own > r.Time:
		reason = fmt.Sprintf("of size %d at time %d, and the state ends at time %d", shown.Size, own, r.Time)
	default:
		return nil
	}
	return &LostStateError{signers[0].Verifier().Name, reason}
}

// ErrWrongName: the operator named other keys than the configured ones.
var ErrWrongName = errors.New("that is not the name of this auditor's keys")

// ResumeLost replaces a lost state by the head that the log shows at /audit/checkpoint, with a
// cosignature of this auditor, under the same keys. It creates the state if there is none. If
// the auditor has cosigned a larger head, this breaks its promise, so the operator must confirm
// it with the exact name of its keys. A state never goes back. It returns the recorded size.
func ResumeLost(ctx context.Context, c Config, name string) (size uint64, err error) {
	if err := c.setDefaults(); err != nil {
		return 0, err
	}
	if key := c.Signers[0].Verifier().Name; name != key {
		return 0, fmt.Errorf("%w: %q; give the name in its keys exactly", ErrWrongName, name)
	}
	log, err := dial(&c, c.LogKeys, nil)
	if err != nil {
		return 0, err
	}
	shown, err := fetchAudited(ctx, log)
	if err != nil {
		return 0, err
	}
	if shown == nil {
		return 0, errors.New("nothing was resumed: the log shows no audited head")
	}
	lines, err := cosigning.VerifyLines(shown, c.LogKeys)
	if err != nil {
		return 0, fmt.Errorf("nothing was resumed: %w", err)
	}
	next := &record{Auditor: c.Name, Key: name, Founded: c.Founded, Time: cosigning.Cosigned(c.Signers, shown)}
	if next.Time == 0 {
		return 0, errors.New("nothing was resumed: the head that the log shows has no cosignature of this auditor")
	}
	next.head = &tlog.Checkpoint{Head: shown.Head, Signatures: lines}
	next.Checkpoint = string(next.head.Bytes())
	if err := create(&c, next); !errors.Is(err, fs.ErrExist) {
		return next.size(), err
	}
	a, err := Open(c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.release()) }()
	old := a.last.Load()
	if old.head != nil && (old.size() > next.size() || old.size() == next.size() && old.head.Root != next.head.Root || old.Time > next.Time) {
		return 0, fmt.Errorf("nothing was resumed: the log shows the size %d at time %d, and the state has the size %d at time %d", next.size(), next.Time, old.size(), old.Time)
	}
	return next.size(), a.persist(old, next.head, next.Time)
}

// convict keeps evidence of a fork, if keys that count have signed both heads: a thief of a key that
// the log has replaced convicts no log. It needs the lock.
func (a *Auditor) convict(fork *client.ForkError) {
	for _, cp := range []*tlog.Checkpoint{fork.Small, fork.Large} {
		if !a.counts(cp) {
			a.cfg.Logger.Warn("a key that does not count for it has signed a head that is not the log's", "origin", a.cfg.Origin, "err", fork)
			return
		}
	}
	a.KeepFork(fork)
}

// counts reports whether a log key that the charters name for a head's size has signed the head.
func (a *Auditor) counts(cp *tlog.Checkpoint) bool {
	l := a.copy.ledger
	for in := l.CharterAt(cp.Size); in != nil; in = l.CharterAt(in.Index) {
		if _, err := cosigning.VerifyLines(cp, keys(nil).Of(in)); err == nil {
			return true
		}
		if in.Index+1 != cp.Size {
			return false
		}
	}
	return false
}

// KeepFork keeps evidence of a fork, once for each pair of trees.
func (a *Auditor) KeepFork(fork *client.ForkError) {
	dir := filepath.Join(a.cfg.Dir, evidenceDir)
	a.mu.Lock()
	kept, err := cosigning.KeepFork(dir, fork)
	a.mu.Unlock()
	switch {
	case err != nil:
		a.cfg.Logger.Error("writing evidence failed", "origin", a.cfg.Origin, "evidence", string(fork.Bytes()), "err", err)
	case kept:
		a.cfg.Logger.Error("the log contradicts itself; the evidence is in the state directory", "origin", a.cfg.Origin, "err", fork)
	}
	a.countForks()
}

// countForks counts the evidence on disk, so that a restart does not hide a fork.
func (a *Auditor) countForks() {
	if n, err := cosigning.Forks(filepath.Join(a.cfg.Dir, evidenceDir), tlog.KindFork); err == nil {
		a.metrics.forks.Set(float64(n), a.cfg.Origin)
	}
}

// Forked reports whether there is evidence that the log signed two heads of which neither extends
// the other.
func (a *Auditor) Forked() bool {
	files, err := os.ReadDir(filepath.Join(a.cfg.Dir, evidenceDir))
	return err == nil && len(files) > 0
}

// fetchAudited returns the head that the log shows as audited, nil if there is none.
func fetchAudited(ctx context.Context, log *client.Client) (*tlog.Checkpoint, error) {
	v, _, err := log.Audited(ctx, nil)
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return v.Checkpoint, nil
}

// readRound reads the log's round.
func (a *Auditor) readRound(ctx context.Context) (*round.Round, error) {
	r, err := a.log.Load().Round(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.round = r
	return r, nil
}

// learn follows the log's round over a change of the log's keys: the log need not have named the
// head that ends with the amendment, which the old keys sign, too. The log says what its keys are,
// and the entries must prove it. A fork is no evidence as long as its key is not proven.
func (a *Auditor) learn(ctx context.Context) error {
	unproven, err := a.keys.Load().Claimed(ctx, a.log.Load())
	if err != nil {
		return err
	}
	log, err := dial(&a.cfg, unproven, nil)
	if err != nil {
		return err
	}
	r, err := log.Round(ctx)
	if err != nil || !named(r) {
		return err
	}
	return a.with(ctx, func() error {
		defer a.publishKeys()
		return errors.Join(a.copy.learn(ctx, r.Head(), unproven), a.tidy())
	})
}

// named reports whether a round still names its head. One that has met the policy is named, too:
// the cosignatures of slower auditors do no harm.
func named(r *round.Round) bool { return r.State == round.Open || r.State == round.Met }

// absent reports whether the log says that it has no such resource, or none yet.
func absent(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return errors.Is(err, fs.ErrNotExist) || ok && p.Code() == problem.NotReady
}
