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
	headFile    = "head"    // register: the largest verified head, and who is trusted
	journalFile = "journal" // what this gate's key has signed
	ledgerFile  = "ledger"  // snapshot of the ledger: a cache
	forkFile    = "fork"    // evidence that the log has forked
)

// maxHead bounds the head register in bytes.
const maxHead = 2*tlog.MaxCheckpointSize + 1024

// headRecord is the content of the head register.
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
		return nil, errors.New("the head register was changed by hand")
	}
	return &r, nil
}

// record makes a head, and who is trusted, durable.
func (b *book) record(head *tlog.Verified) error {
	r := headRecord{Gate: b.cfg.Signer.KeyID(), Trusted: b.trusted.index, Leaf: b.trusted.leaf}
	if head != nil {
		r.Checkpoint = string(head.Checkpoint.Bytes())
	}
	old, err := b.register.Load()
	if err != nil {
		return err
	}
	next := r.bytes()
	if bytes.Equal(old, next) {
		return nil
	}
	return b.register.CompareAndSwap(old, next)
}

// load takes up what the register and the snapshot say. The log's own signature
// is what makes the head one to hold later ones against; its cosignatures are
// judged again at the next head.
func (b *book) load(dir string) error {
	value, err := b.register.Load()
	if err != nil {
		return err
	}
	r, err := parseHeadRecord(value)
	if err != nil {
		return err
	}
	if r.Gate != b.cfg.Signer.KeyID() {
		return fmt.Errorf("the state in %s is that of the gate with the key %s", dir, r.Gate)
	}
	b.trusted = trust{index: r.Trusted, leaf: r.Leaf}
	if b.client, err = b.dial(); err != nil {
		return err
	}
	c := replica.Config{Client: b.client, Origin: b.cfg.Origin, Use: "gate"}
	if r.Checkpoint != "" {
		if c.Known, err = tlog.ParseCheckpoint([]byte(r.Checkpoint)); err != nil {
			return err
		}
		b.snapshot(filepath.Join(dir, ledgerFile), c)
	}
	if b.replica == nil {
		if b.replica, err = replica.New(c); err != nil {
			return err
		}
	}
	b.ledger = b.replica.Ledger()
	if b.ledger.Charter() != nil {
		if err := errors.Join(b.newKeys(), b.settleTrust()); err != nil {
			return err
		}
	}
	if c.Known != nil {
		_, err = b.client.Signed(c.Known.Bytes())
	}
	return err
}

// snapshot takes up a ledger that was saved. One that is missing or damaged costs
// the replay of the log, and nothing else: whatever is taken up is held against
// the log's tree before a head counts.
func (b *book) snapshot(name string, c replica.Config) {
	var r *replica.Replica
	var err error
	if c.Snapshot, err = os.ReadFile(name); errors.Is(err, fs.ErrNotExist) {
		return
	} else if err == nil {
		r, err = replica.New(c)
	}
	if err == nil {
		if first := r.Ledger().CharterAt(1); first == nil || first.Leaf != b.cfg.Founded {
			err = errors.New("it is of another log")
		}
	}
	if err != nil {
		b.cfg.Logger.Warn("the ledger's snapshot is of no use; the log is replayed", "err", err)
		return
	}
	b.replica, b.saved = r, r.Ledger().Size()
}

// save writes a snapshot of the ledger, if it has grown by so many entries.
func (b *book) save(dir string, every uint64) error {
	size := b.ledger.Size()
	if b.head == nil || size != b.head.Checkpoint.Size || size-b.saved < every {
		return nil
	}
	out, err := b.replica.Snapshot()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, ledgerFile), out, 0o600); err != nil {
		return err
	}
	b.saved = size
	return nil
}

// evidence writes the evidence of a fork for third parties; the first stands.
func (b *book) evidence(f *client.ForkError) error {
	raw, err := json.MarshalIndent(f.Evidence(), "", "  ")
	if err != nil {
		return err
	}
	if err = durable.CreateFile(filepath.Join(b.cfg.Dir, forkFile), append(raw, '\n'), 0o600); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (b *book) addKey(k *tlog.VerifierKey) {
	if !slices.ContainsFunc(b.keys, func(o *tlog.VerifierKey) bool { return o.String() == k.String() }) {
		b.keys = append(b.keys, k)
	}
}
