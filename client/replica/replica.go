// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package replica keeps a verified copy of one log: its tree, its ledger, and a
// snapshot of both. The gate, the audit and the scan use it.
//
// It promises its caller that the ledger applies entries in the log's order, and only
// entries proven to be in the tree of a head that the client's policy accepts (C2SP
// tlog-policy, tlog-checkpoint); that each head extends every earlier head (else there
// is a [client.ForkError], with evidence); and that an event's signature counts as
// verified only under a key that a charter names. It trusts the client's policy and the
// caller's snapshot, and neither the log, a mirror nor the transport: see
// [client.Tree], which checks the hashes of tiles (C2SP tlog-tiles). Package ledger
// defines what entries mean.
//
// # Steps
//
// [Replica.Update] verifies the log's present head. [Replica.Replay] then accepts that
// head and applies the entries up to it; after an error the next Replay goes on where
// this one stopped. [Replica.Try] applies them to a copy, which the caller accepts or
// rejects. A rejected copy leaves the replica as it was.
//
// # How
//
// One goroutine reads the log bundle by bundle. Bundles are parsed and their
// signatures verified on all cores, in shares of a bundle; the ledger takes the
// bundles in order. Bundles of up to 256 entries pass through one small queue, except
// that a few entries of one bundle are checked and applied at once. Memory is bounded
// by this queue, by the 16 bundles that the tree keeps, and by what the ledger keeps,
// whatever the size of the log.
//
// # Snapshots
//
// A snapshot holds the ledger's state, the size and root of its tree, the largest
// head, and the caller's own part. Its SHA-256, use, origin and policy must match, and
// every accepted head must have the snapshot's root at the snapshot's size. Otherwise
// there is a [SnapshotError], and no replay from the start. Resuming from a snapshot
// gives the same result as replaying from the start. A snapshot is not signed: protect
// it against writers like the policy file.
package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log and the use of its replica.
type Config struct {
	// Client of the log. Its policy decides which heads are accepted. Required.
	Client *client.Client
	// Origin of the log. "": the first head's.
	Origin string
	// Known is the largest checkpoint that the caller has verified. nil: the
	// snapshot's, if there is one.
	Known *tlog.Checkpoint

	// Use is the purpose of the replica, in one word. A snapshot of another use is
	// refused.
	Use string
	// Policy binds snapshots: one made under other policy bytes is refused. nil:
	// snapshots are not bound to a policy.
	Policy []byte
	// Snapshot to resume from. nil: start at the first entry.
	Snapshot []byte
	// Own points to the caller's part of a snapshot, in JSON: New fills it from the
	// snapshot, and Replica.Snapshot writes it. nil: there is none.
	Own any

	// Tiles compares each tile of leaf hashes with its entries: see
	// [client.TreeOptions].
	Tiles bool
}

// Replica is a verified copy of one log. It is not safe for concurrent use.
type Replica struct {
	c     Config
	tree  *client.Tree // of the accepted head; it never goes back
	next  *client.Tree // of the head of the last Update, until it is accepted; or nil
	state *state       // nil before the first head, if Origin is ""
}

// view is the tree as the ledger reads it.
type view struct {
	ctx  context.Context // of the call: ledger.Tree has none
	tree *client.Tree
}

var _ ledger.Tree = (*view)(nil)

func (v *view) Entry(index uint64) ([]byte, error)        { return v.tree.Entry(v.ctx, index) }
func (v *view) Root(size uint64) (root [32]byte, _ error) { return v.tree.Root(v.ctx, size) }

// New returns the replica of a log. It does not read from the log. A snapshot that does
// not fit is a [SnapshotError].
func New(c Config) (*Replica, error) {
	if c.Client == nil {
		return nil, errors.New("no client of a log was given")
	}
	var snap *snapshot
	if c.Snapshot != nil {
		var err error
		if snap, err = c.parse(); err != nil {
			return nil, err
		}
		c.Snapshot = nil
	}
	t, err := c.Client.Tree(client.TreeOptions{Known: c.Known, Tiles: c.Tiles})
	if err != nil {
		return nil, err
	}
	r := &Replica{c: c, tree: t}
	if c.Origin != "" {
		r.create(c.Origin)
	}
	if snap != nil {
		if err := r.restore(snap); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// create starts an empty ledger.
func (r *Replica) create(origin string) {
	v := &view{context.Background(), r.tree}
	r.state = &state{ledger: ledger.New(origin, v), view: v}
}

// Ledger returns the ledger, which Try may replace. It is nil before the first Update if
// Config.Origin is "".
func (r *Replica) Ledger() *ledger.Ledger {
	if r.state == nil {
		return nil
	}
	return r.state.ledger
}

// Tree returns a clone of the tree under the accepted head: see [client.Tree.Clone].
func (r *Replica) Tree() *client.Tree { return r.tree.Clone(nil) }

// Use replaces the client by another one of the same log, such as one with a new policy.
func (r *Replica) Use(c *client.Client) {
	r.c.Client, r.next = c, nil
	r.tree = r.tree.Clone(c)
	if r.state != nil {
		r.state.view.tree = r.tree
	}
}

// Update fetches the log's present head, and returns it if the policy accepts it and it
// extends every earlier head and the ledger's tree. Replay or Try then accept it.
func (r *Replica) Update(ctx context.Context) (*tlog.Verified, error) {
	return r.fetch(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Update(ctx) })
}

// Offer is Update with a checkpoint from elsewhere: see [client.Tree.Offer].
func (r *Replica) Offer(ctx context.Context, checkpoint []byte) (*tlog.Verified, error) {
	return r.fetch(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Offer(ctx, checkpoint) })
}

func (r *Replica) fetch(ctx context.Context, head func(*client.Tree) (*tlog.Verified, error)) (*tlog.Verified, error) {
	r.next = nil
	next := r.tree.Clone(nil)
	v, err := head(next)
	if err != nil {
		return nil, err
	}
	if r.state == nil {
		r.create(v.Checkpoint.Origin)
	}
	size := r.state.ledger.Size()
	root, err := next.Root(ctx, size)
	if err != nil {
		return nil, err
	}
	if own := r.state.root(); root != own {
		return nil, &SnapshotError{fmt.Sprintf("it does not fit this log, whose root at size %d is %x, not %x", size, root, own)}
	}
	r.next = next
	return v, nil
}

var errNoHead = errors.New("there is no head yet; call Update")

// Replay accepts the head of the last Update and applies the entries up to it. After an
// error the head stays accepted, and the next Replay goes on after the last entry
// applied.
func (r *Replica) Replay(ctx context.Context, o Observer) error {
	if r.state == nil {
		return errNoHead
	}
	if r.next != nil {
		r.tree, r.next = r.next, nil
		r.state.view.tree = r.tree
	}
	return r.state.replay(ctx, o)
}

// Try applies the entries up to the head of the last Update to a copy, and calls accept.
// An error, of accept too, leaves the replica as it was before Update. Try takes the time
// and memory of a snapshot.
func (r *Replica) Try(ctx context.Context, o Observer, accept func(*ledger.Ledger) error) error {
	if r.state == nil {
		return errNoHead
	}
	var from *Replayed
	if l := r.state.ledger; l.Size() > 0 {
		from = &Replayed{l.Snapshot(), l.Size(), l.Root()}
	}
	return r.TryFrom(ctx, from, o, accept)
}

// Replayed is the state of a ledger that another replica of the log in this process has made.
type Replayed struct {
	Snapshot []byte // of the ledger: see [ledger.Ledger.Snapshot]
	Size     uint64 // entries applied
	Root     tlog.Hash
}

// TryFrom is Try, but the copy starts with the state of another replica; nil: at the first entry. A state
// whose tree is no prefix of the head's is a [SnapshotError].
func (r *Replica) TryFrom(ctx context.Context, from *Replayed, o Observer, accept func(*ledger.Ledger) error) error {
	if r.state == nil {
		return errNoHead
	}
	next := r.next
	if r.next = nil; next == nil {
		next = r.tree
	}
	copied := Replica{tree: next}
	copied.create(r.state.ledger.Origin())
	if from != nil {
		root, err := next.Root(ctx, from.Size)
		if err != nil {
			return err
		}
		if root != from.Root {
			return &SnapshotError{fmt.Sprintf("the tree of the head has another root at size %d", from.Size)}
		}
		if err := copied.state.restore(from.Snapshot, from.Size, from.Root); err != nil {
			return err
		}
	}
	if err := copied.state.replay(ctx, o); err != nil {
		return err
	}
	if err := accept(copied.state.ledger); err != nil {
		return err
	}
	r.tree, r.state = next, copied.state
	return nil
}

// Copy returns a copy of the ledger, which reads the same tree. It takes the time and memory
// of a snapshot.
func (r *Replica) Copy() (*ledger.Ledger, error) {
	l := r.state.ledger
	return ledger.Restore(l.Snapshot(), l.Size(), l.Root(), r.state.view)
}

// MaxSnapshotSize bounds a snapshot in bytes: some millions of open events.
const MaxSnapshotSize = 1<<31 - 1

const (
	// magic begins a snapshot; its use follows. It changes with the layout.
	magic = "vasistas replica snapshot 2 "
	// maxHeader bounds the line of JSON.
	maxHeader = 512 << 20
)

// earlier are the first lines of earlier layouts.
var earlier = []string{"vasistas replica snapshot 1 ", "vasistas audit snapshot 1\n", "vasistas scan state 1\n", "vasistas gate ledger 1\n"}

// SnapshotError reports a snapshot that is unusable for this log.
type SnapshotError struct{ Reason string }

func (e *SnapshotError) Error() string {
	return "the snapshot can't be resumed from: " + e.Reason
}

// snapshot is what a replica resumes from. As bytes it is the magic with the use, a line
// of JSON, the ledger's own snapshot, and SHA-256 of all that.
type snapshot struct {
	Origin     string    `json:"origin"`
	Policy     string    `json:"policy,omitempty"` // hex SHA-256
	Checkpoint string    `json:"checkpoint"`       // the largest verified
	Size       uint64    `json:"size"`             // entries applied, at most the checkpoint's
	Root       tlog.Hash `json:"root"`
	Own        any       `json:"own,omitempty"`

	ledger []byte
}

func (c *Config) magic() string { return magic + c.Use + "\n" }

func (c *Config) policy() string {
	if c.Policy == nil {
		return ""
	}
	sum := sha256.Sum256(c.Policy)
	return hex.EncodeToString(sum[:])
}

// Snapshot returns the state under the accepted head, in its one encoding, with the
// present Config.Own. At least one entry must have been applied.
func (r *Replica) Snapshot() ([]byte, error) {
	l := r.state.ledger
	s := &snapshot{Origin: l.Origin(), Policy: r.c.policy(), Checkpoint: string(r.tree.Largest().Bytes()), Size: l.Size(),
		Root: l.Root(), Own: r.c.Own}
	header, err := strictjson.Line(s)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(append([]byte(r.c.magic()), header...))
	_ = l.SnapshotLater()(b) // a Buffer has no errors
	if n := b.Len() + sha256.Size; len(header) > maxHeader || n > MaxSnapshotSize {
		return nil, fmt.Errorf("it would have %d bytes, and %d are allowed", n, MaxSnapshotSize)
	}
	return checksum.Append(b.Bytes(), 0), nil
}

// parse parses exactly what Replica.Snapshot returns, but for the ledger's part. It sets
// c.Known, if that is nil.
func (c *Config) parse() (*snapshot, error) {
	b := c.Snapshot
	bad := func(format string, args ...any) (*snapshot, error) {
		return nil, &SnapshotError{fmt.Sprintf(format, args...)}
	}
	if len(b) > MaxSnapshotSize {
		return bad("it has more than %d bytes", MaxSnapshotSize)
	}
	body, err := checksum.Cut(b, c.magic())
	switch {
	case errors.Is(err, checksum.ErrDamaged):
		return bad("it is damaged; restore the file, or name another one to replay the whole log")
	case slices.ContainsFunc(earlier, func(m string) bool { return strings.HasPrefix(string(b[:min(len(b), len(m))]), m) }):
		return bad("an earlier version wrote it; name another file to replay the whole log")
	case err != nil:
		return bad("it is %s, and no %s snapshot; name another file", checksum.Kind(b), c.Use)
	}
	n := bytes.IndexByte(body[:min(len(body), maxHeader)], '\n') + 1
	if n == 0 {
		return bad("its header has no end")
	}
	s := &snapshot{Own: c.Own, ledger: body[n:]}
	if err := json.Unmarshal(body[:n], s); err != nil {
		return bad("its header: %v", err)
	}
	if again, err := strictjson.Line(s); err != nil || !bytes.Equal(again, body[:n]) || (s.Own == nil) != (c.Own == nil) {
		return bad("its header has another encoding")
	}
	if s.Policy != c.policy() {
		return bad("it was made under another policy; use that policy, or name another file to replay the whole log")
	}
	if c.Known == nil {
		if c.Known, err = c.Client.Signed([]byte(s.Checkpoint)); err != nil {
			return bad("%v", err)
		}
	}
	switch {
	case s.Size == 0 || c.Known.Size < s.Size:
		return bad("it has %d entries, and the largest verified head %d", s.Size, c.Known.Size)
	case c.Known.Origin != s.Origin || c.Origin != "" && c.Origin != s.Origin:
		return bad("it is of the log %q, and this is %q", s.Origin, c.Known.Origin)
	}
	return s, nil
}

// restore loads the ledger of a snapshot. Update checks that each head extends it.
func (r *Replica) restore(s *snapshot) error {
	r.create(s.Origin)
	if err := r.state.restore(s.ledger, s.Size, s.Root); err != nil {
		return &SnapshotError{err.Error()}
	}
	if l := r.state.ledger; l.Origin() != s.Origin {
		return &SnapshotError{fmt.Sprintf("its ledger is of the log %q", l.Origin())}
	}
	return nil
}
