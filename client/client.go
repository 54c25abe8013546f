// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log, the policy for its checkpoints, and limits.
type Config struct {
	// URL is the prefix of the log's resources, http:// or https://. A file:// URL
	// or a path names a directory with the same layout.
	URL string
	// Source is a mirror to read instead of URL. Submissions still go to URL. nil: URL.
	Source Source
	// Keep is a directory for accepted full tiles and bundles, in the layout of C2SP
	// tlog-tiles. The client reads kept files instead of asking the server again, and
	// checks their hashes, too. It creates the directory. "": nothing is kept.
	Keep string
	// Policy decides which checkpoints are accepted (C2SP tlog-policy). nil: none,
	// and only submissions with [WaitSequenced] work.
	Policy *tlog.Policy
	// Origin of the log. "": the name of its key.
	Origin string
	// AllowRollback accepts a smaller tree than a verified one. [Tree] never does.
	AllowRollback bool

	// HTTPClient. nil: a new one, with limits on every step. Its transport must not
	// decompress bodies that it did not ask to be compressed.
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
	remote *remote // for submissions; nil for a directory
	submit *remote // the same, with another timeout
	keeper *keeper // nil: nothing is kept
	goBack bool
	full   *tileCache // for proofs

	mu       sync.Mutex
	latest   *tlog.Verified // the largest that was served; it never gets smaller
	verified *tlog.Verified // the last one that was verified
	bytes    []byte         // of verified
	proving  *rooted        // the tree of the last proof
}

// New returns a client of one log. It does not connect.
func New(c Config) (*Client, error) {
	c.setDefaults()
	cl := &Client{source: c.Source, policy: c.Policy, origin: c.Origin, goBack: c.AllowRollback, full: newCache[tlog.Hash, []tlog.Hash](keepTiles)}
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
		cl.keeper = newKeeper(cl.source, c.Keep)
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

var _ tlog.TileReader = (*Client)(nil)

// ReadTile returns a tile or bundle as the log serves it (C2SP tlog-tiles), of
// exactly the width asked for. It checks no hashes.
func (c *Client) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	return c.source.ReadTile(ctx, t)
}

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
	if known != nil && !c.goBack {
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

// verifyHead verifies a checkpoint under the policy. It remembers the last one, since
// many proofs carry the same.
func (c *Client) verifyHead(cp *tlog.Checkpoint) (*tlog.Verified, error) {
	b := cp.Bytes()
	c.mu.Lock()
	v, known := c.verified, c.latest
	same := v != nil && bytes.Equal(c.bytes, b)
	c.mu.Unlock()
	if same {
		return v, nil
	}
	v, err := c.policy.Verify(cp, c.origin)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Checkpoint.Size == cp.Size {
		if err := notBefore(known.Checkpoint, cp); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	c.verified, c.bytes = v, b
	c.mu.Unlock()
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
	if err == nil {
		err = t.persist()
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proving = t
	return t, nil
}
