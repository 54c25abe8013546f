// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// Files of a gate's state directory.
const (
	headFile    = "head"    // register: the largest verified head, and the trusted charter
	journalFile = "journal" // events signed by this gate's key
	ledgerFile  = "ledger"  // snapshot of the ledger: a cache
	forkFile    = "fork"    // evidence that the log has forked
)

const maxHead = 2*tlog.MaxCheckpointSize + 1024

type headRecord struct {
	Checkpoint string    `json:"checkpoint,omitempty"` // absent: none was verified yet
	Gate       string    `json:"gate"`                 // id of the event key
	Trusted    uint64    `json:"trusted"`              // index of the trusted charter
	Leaf       tlog.Hash `json:"leaf"`                 // its leaf hash
}

func (r *headRecord) bytes() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, '\n')
}

func parseHeadRecord(b []byte) (*headRecord, error) {
	var r headRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("the head register: %w", err)
	}
	if !bytes.Equal(r.bytes(), b) {
		return nil, errors.New("the head register was changed by hand; restore it from a backup")
	}
	return &r, nil
}

// record writes a head and the trusted charter to the register.
func (f *follower) record(head *tlog.Verified) error {
	r := headRecord{Gate: f.cfg.Signer.KeyID(), Trusted: f.trusted.index, Leaf: f.trusted.leaf}
	if head != nil {
		r.Checkpoint = string(head.Checkpoint.Bytes())
	}
	old, err := f.register.Load()
	if err != nil {
		return err
	}
	next := r.bytes()
	if bytes.Equal(old, next) {
		return nil
	}
	return f.register.CompareAndSwap(old, next)
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
	if f.client, err = f.dial(); err != nil {
		return err
	}
	c := replica.Config{Client: f.client, Origin: f.cfg.Origin, Use: "gate"}
	if r.Checkpoint != "" {
		if c.Known, err = tlog.ParseCheckpoint([]byte(r.Checkpoint)); err != nil {
			return err
		}
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

// evidence writes the evidence of the first fork.
func (f *follower) evidence(fork *client.ForkError) error {
	raw, err := json.MarshalIndent(fork.Evidence(), "", "  ")
	if err != nil {
		return err
	}
	if err = durable.CreateFile(filepath.Join(f.cfg.Dir, forkFile), append(raw, '\n'), 0o600); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (f *follower) addKey(k *tlog.VerifierKey) {
	if !slices.ContainsFunc(f.keys, func(o *tlog.VerifierKey) bool { return o.String() == k.String() }) {
		f.keys = append(f.keys, k)
	}
}
