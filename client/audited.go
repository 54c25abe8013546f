// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

var errNoURL = errors.New("only the log itself says what it names for auditors; give its URL")

// Round fetches the head that the log names for its auditors, from the log's URL and never
// from a mirror. The head is verified under the policy. The auditors' answers are the
// log's claim.
func (c *Client) Round(ctx context.Context) (*round.Round, error) {
	b, err := c.readAudit(ctx, "audit/round", round.MaxSize)
	if err != nil {
		return nil, err
	}
	n, err := round.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("the log's audit round: %w", err)
	}
	if _, err := c.policy.Verify(n.Head(), c.origin); err != nil {
		return nil, fmt.Errorf("the head that the log names: %w", err)
	}
	return n, nil
}

// Audited fetches the checkpoint that met the log's audit policy last, from the log's URL,
// and verifies it under the policy. With audit, a charter's audit policy, the auditors'
// cosignatures are verified too, and vouched has their times; audit times have no spread.
// With nil, vouched is nil. The checkpoint may be smaller than the latest one; one that contradicts
// the client's latest is a [ForkError].
//
// The error is [fs.ErrNotExist] if the log has no auditors.
func (c *Client) Audited(ctx context.Context, audit *tlog.Policy) (head, vouched *tlog.Verified, err error) {
	b, err := c.readAudit(ctx, "audit/checkpoint", tlog.MaxCheckpointSize)
	if err != nil {
		return nil, nil, err
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return nil, nil, fmt.Errorf("the audited checkpoint: %w", err)
	}
	if head, err = c.policy.Verify(cp, c.origin); err != nil {
		return nil, nil, fmt.Errorf("the audited checkpoint: %w", err)
	}
	c.mu.Lock()
	known := c.latest
	c.mu.Unlock()
	if known != nil {
		if err := c.consistent(ctx, known.Checkpoint, cp); err != nil {
			return nil, nil, err
		}
	}
	if audit == nil {
		return head, nil, nil
	}
	if vouched, err = audit.WithSpread(tlog.NoSpread).Verify(cp, c.origin); err != nil {
		return nil, nil, fmt.Errorf("the audited checkpoint, by its auditors: %w", err)
	}
	return head, vouched, nil
}

// consistent returns a [ForkError] unless the larger of two verified heads extends the other.
func (c *Client) consistent(ctx context.Context, small, large *tlog.Checkpoint) error {
	if small.Size > large.Size {
		small, large = large, small
	}
	if small.Size == large.Size || small.Origin != large.Origin {
		return notBefore(small, large)
	}
	t, err := c.rooted(ctx, large)
	if err != nil {
		return err
	}
	return extends(ctx, t, small, large)
}

// Charter fetches the charter that the log says is in force. It is not verified: only the log's
// entries prove a charter.
func (c *Client) Charter(ctx context.Context) (*event.Charter, error) {
	env, err := c.CharterEvent(ctx)
	if err != nil {
		return nil, err
	}
	return env.Event.Body.(*event.Charter), nil
}

// CharterEvent fetches the charter like Charter, as its event. It needs no policy.
func (c *Client) CharterEvent(ctx context.Context) (*event.Envelope, error) {
	if c.remote == nil {
		return nil, errNoURL
	}
	b, err := c.remote.get(ctx, "charter", 0, event.MaxEntrySize)
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("the log's charter: %w", err)
	}
	if _, ok := env.Event.Body.(*event.Charter); !ok {
		return nil, fmt.Errorf("the log's charter: it is a %s", env.Event.Type)
	}
	return env, nil
}

func (c *Client) readAudit(ctx context.Context, path string, limit int) ([]byte, error) {
	switch {
	case c.policy == nil:
		return nil, ErrNoPolicy
	case c.remote == nil:
		return nil, errNoURL
	}
	return c.remote.get(ctx, path, 0, limit)
}
