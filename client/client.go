// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package client reads a Vasistas log, or any other tiled log (C2SP
// tlog-tiles), and submits events to one.
//
// It promises its callers that every entry it returns as verified is in a tree
// whose head the caller's policy accepts (C2SP tlog-policy), and that accepted
// heads never go back. It trusts the policy, and neither the log, a mirror nor
// the transport. It bounds every input before reading it, and checks the
// input's hash before using it.
//
// # Follow
//
// [Tree] is the verified tree of one log, and [Follower] a loop over its entries. Each
// new head goes through these steps, in this order:
//
//  1. checkpoint: parsed strictly, verified under the policy; one smaller than
//     the last is a [RollbackError];
//  2. tree: the right edge of the tree must have the root that the checkpoint
//     signs; from there a tile is accepted only if its hash stands in an accepted
//     tile above it;
//  3. consistency: the root at the last head's size is computed from such tiles;
//     if it differs from the last head's, the log has signed a fork
//     ([ForkError], with evidence that convinces a third party);
//  4. entries: bundles are read ahead; the leaf hashes of a bundle must give the
//     hash in the tile above. Only then its entries are yielded, in order.
//
// If a head adds entries only to the last bundle, whose other entries are known, one step takes the
// place of 2 to 4: the new entries, appended to the last head's right edge, must give the root that
// the checkpoint signs. If they don't, the steps are taken in turn.
//
// An entry is yielded as soon as it is proven to be in the signed tree. Memory is
// bounded by the bundles read ahead, whatever the size of the log. Full tiles of
// level 0 are not fetched, since they follow from the entries. At the end of each
// head the root computed from all entries is compared with the head's once more.
//
// # Errors
//
// A log's refusal is a [Problem] (RFC 9457). A tile that does not fit its tree is a
// [tlog.CorruptError], which does not show who damaged it. A [ForkError] convicts the
// log.
package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log, the policy for its checkpoints, and limits.
type Config struct {
	// URL is the prefix of the log's resources, http:// or https://. A file:// URL
	// or a path names a directory with the same layout.
	URL string
	// Source is a mirror to read instead of URL. Submissions still go to URL. nil: URL.
	Source Source
	// Keep is a directory for full tiles and bundles that a [Tree] accepted, in the layout of
	// C2SP tlog-tiles. The client reads kept files instead of asking the server again, and
	// checks their hashes, too. Proofs keep nothing. New creates the directory. "":
	// nothing is kept.
	Keep string
	// Policy decides which checkpoints are accepted (C2SP tlog-policy). nil: none,
	// and only submissions with [WaitSequenced] work.
	Policy *tlog.Policy
	// Origin of the log. "": the name of its key.
	Origin string
	// HTTPClient. nil: a new one, with limits on every step. Its transport must not
	// decompress bodies that it did not ask to be compressed. The client follows redirects
	// of reads to the same scheme, host and port only.
	HTTPClient *http.Client
	// UserAgent. "": vasistas.
	UserAgent string
	// Timeout of one try of a read. 0: 30 seconds.
	Timeout time.Duration
	// SubmitTimeout of one try of a submission, which waits for the log's next
	// checkpoint and its witnesses. 0: 2 minutes.
	SubmitTimeout time.Duration
	// Retries after a connection error, a 429 or a 5xx. 0: 4; below 0: none.
	Retries int
	// Backoff is the first pause between tries; it doubles up to 30 seconds.
	// 0: 250 milliseconds.
	Backoff time.Duration
}

// Client reads one log and submits to it. It is safe for concurrent use.
type Client struct {
	source Source
	policy *tlog.Policy
	origin string
	remote *remote    // for submissions; nil for a directory
	submit *remote    // the same, with another timeout
	keeper *keeper    // nil: nothing is kept
	full   *tileCache // for proofs

	mu      sync.Mutex
	latest  *tlog.Verified // the largest head that was served; it never gets smaller
	proving *rooted        // the tree of the last proof
}

// New returns a client of one log. It does not connect.
func New(c Config) (*Client, error) {
	c.setDefaults()
	cl := &Client{source: c.Source, policy: c.Policy, origin: c.Origin, full: newCache[tlog.Hash, []tlog.Hash](keepTiles)}
	dir, isDir, err := localDir(c.URL)
	switch {
	case err != nil:
		return nil, err
	case isDir && cl.source == nil:
		cl.source = Dir(dir)
	case !isDir && c.URL != "":
		if cl.remote, err = newRemote(&c); err != nil {
			return nil, err
		}
		patient := *cl.remote
		patient.timeout = c.SubmitTimeout
		cl.submit = &patient
		if cl.source == nil {
			cl.source = cl.remote
		}
	}
	if cl.source == nil {
		return nil, errors.New("no log: give its URL or a directory")
	}
	if c.Keep != "" {
		if err := os.MkdirAll(c.Keep, 0o700); err != nil {
			return nil, fmt.Errorf("the directory for what is read: %w", err)
		}
		cl.keeper = &keeper{from: cl.source, kept: dirSource{c.Keep}, partial: make(map[tlog.Tile][]byte)}
		cl.source = cl.keeper
	}
	return cl, nil
}

func (c *Config) setDefaults() {
	c.UserAgent = cmp.Or(c.UserAgent, "vasistas")
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.SubmitTimeout = cmp.Or(c.SubmitTimeout, 2*time.Minute)
	c.Retries = cmp.Or(c.Retries, 4)
	c.Backoff = cmp.Or(c.Backoff, 250*time.Millisecond)
}

// Source returns what the client reads: [Config].Source, or the log at the URL, with the
// client's limits and retries.
func (c *Client) Source() Source { return c.source }

// Checkpoint fetches the latest checkpoint (C2SP tlog-checkpoint) and verifies it
// under the policy. One smaller than a verified one is a [RollbackError], one of the
// same size with another root a [ForkError]. Only [Tree] checks that a larger one
// extends the verified ones; here the policy's witnesses vouch for that.
func (c *Client) Checkpoint(ctx context.Context) (*tlog.Verified, error) {
	// A slow request must not be compared with the head of a faster, later one.
	c.mu.Lock()
	known := c.latest
	c.mu.Unlock()
	v, err := c.fetchCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if known != nil {
		if err := notBefore(known.Checkpoint, v.Checkpoint); err != nil {
			return nil, err
		}
	}
	c.remember(v)
	return v, nil
}

func (c *Client) remember(v *tlog.Verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == nil || v.Checkpoint.Size >= c.latest.Checkpoint.Size {
		c.latest = v
	}
}

// fetchCheckpoint verifies the latest checkpoint under the policy only.
func (c *Client) fetchCheckpoint(ctx context.Context) (*tlog.Verified, error) {
	if c.policy == nil {
		return nil, ErrNoPolicy
	}
	b, err := c.source.ReadCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return c.verify(b)
}

func (c *Client) verify(checkpoint []byte) (*tlog.Verified, error) {
	cp, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return nil, fmt.Errorf("the log's checkpoint: %w", err)
	}
	return c.verifyHead(cp)
}

// verifyHead verifies a checkpoint under the policy.
func (c *Client) verifyHead(cp *tlog.Checkpoint) (*tlog.Verified, error) {
	c.mu.Lock()
	known := c.latest
	c.mu.Unlock()
	v, err := c.policy.Verify(cp, c.origin)
	if errors.Is(err, tlog.ErrNoQuorum) && known != nil {
		if fork, ok := errors.AsType[*ForkError](notBefore(known.Checkpoint, cp)); ok {
			return nil, &ContradictionError{fork, err}
		}
	}
	if err != nil {
		return nil, err
	}
	if known != nil && known.Checkpoint.Size == cp.Size {
		if err := notBefore(known.Checkpoint, cp); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// notBefore returns an error if offered is smaller than known, of another origin, or
// another tree of the same size.
func notBefore(known, offered *tlog.Checkpoint) error {
	switch {
	case offered.Origin != known.Origin:
		return fmt.Errorf("the log %q now serves checkpoints of %q", known.Origin, offered.Origin)
	case offered.Size < known.Size:
		return &RollbackError{Known: known, Offered: offered}
	case offered.Size == known.Size && offered.Root != known.Root:
		return &ForkError{Small: known, Large: offered, Prefix: offered.Root}
	}
	return nil
}

// Prove returns the verified proof of the entry at index under the latest checkpoint
// (C2SP tlog-proof), with the entry as extra data.
func (c *Client) Prove(ctx context.Context, index uint64) (*tlog.Proof, error) {
	v, err := c.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return c.ProveAt(ctx, v, index)
}

// ProveAt is Prove under a verified checkpoint of the caller's choice.
func (c *Client) ProveAt(ctx context.Context, v *tlog.Verified, index uint64) (*tlog.Proof, error) {
	head := v.Checkpoint
	if index >= head.Size {
		return nil, fmt.Errorf("entry %d is %w, of size %d", index, ErrNotLogged, head.Size)
	}
	t, err := c.rooted(ctx, head)
	if err != nil {
		return nil, err
	}
	b, err := t.read(ctx, index/tlog.TileWidth)
	if err != nil {
		return nil, err
	}
	i := index % tlog.TileWidth
	hashes, err := t.prover.Inclusion(ctx, index, b.leaves[i], head.Size, head.Root)
	if err != nil {
		return nil, err
	}
	return &tlog.Proof{Extra: b.entries[i], Index: index, Hashes: hashes, Checkpoint: head}, nil
}

// rooted returns the tree of a head. It remembers the last one, since many proofs are
// made under the same.
func (c *Client) rooted(ctx context.Context, head *tlog.Checkpoint) (*rooted, error) {
	c.mu.Lock()
	t := c.proving
	c.mu.Unlock()
	if t != nil && t.size == head.Size && t.root == head.Root {
		return t, nil
	}
	t, err := openRooted(ctx, c, head.Size, head.Root, c.full)
	if err != nil {
		return nil, err
	}
	t.keeper, t.early = nil, nil // the head may be a fork of the tree that is kept: only a Tree checks that
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proving = t
	return t, nil
}

var (
	// ErrNoPolicy is returned by calls that need a verified checkpoint, if [Config] has
	// no policy.
	ErrNoPolicy = errors.New("no policy: a checkpoint can't be verified without one")
	// ErrReadOnly is returned for submissions to a directory.
	ErrReadOnly = errors.New("a directory takes no submissions; give the log's URL, with http:// or https://")
	// ErrNotLogged is returned for an index that is not below the head's size.
	ErrNotLogged = errors.New("not in the tree of the latest verified checkpoint")
)

// RollbackError reports that a server offered a smaller tree than a verified one. It
// is no proof of misbehaviour, since a stale cache does the same: ask again.
type RollbackError struct {
	Known   *tlog.Checkpoint // verified before
	Offered *tlog.Checkpoint // verified, and smaller
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("the log %q goes back: it serves size %d after size %d was verified", e.Offered.Origin, e.Offered.Size, e.Known.Size)
}

// ForkError reports that a log signed two heads of which neither extends the other. It carries
// evidence that convinces a third party: see [tlog.Fork].
type ForkError = tlog.Fork

// ContradictionError reports that the log signed another head of the size of a verified one, but
// without the quorum of the policy. Fork convicts the log. It is no
// [ForkError]: a follower does not believe such a head, and goes on.
type ContradictionError struct {
	Fork *ForkError
	Err  error // why the head is not accepted
}

func (e *ContradictionError) Error() string { return fmt.Sprintf("%v; %v", e.Err, e.Fork) }
func (e *ContradictionError) Unwrap() error { return e.Err }

// Problem is a refusal by a log or a gate (RFC 9457).
type Problem = problem.Problem

// A Code is why a request was refused; see docs/operations.md.
type Code = problem.Code

// Codes of a log's refusals of submissions; see docs/operations.md.
const (
	CodeForm, CodeTooLarge, CodeMediaType, CodeOrigin = problem.Form, problem.TooLarge, problem.MediaType, problem.Origin
	CodeUnknownSigner, CodeSignature, CodeOpenings    = problem.UnknownSigner, problem.Signature, problem.Openings
	CodeRule, CodeNoQuorum, CodeStorage               = problem.Rule, problem.NoQuorum, problem.Storage
	CodeQueueFull, CodeNotReady, CodeShuttingDown     = problem.QueueFull, problem.NotReady, problem.ShuttingDown
)
