// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vaultcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// size returns the size of the published log.
func (c *vaultCommand) size(ctx context.Context) (uint64, error) {
	name := filepath.Join(c.state, "checkpoint")
	read := client.Dir(c.state).ReadCheckpoint
	if c.shared != nil {
		name, read = "the published checkpoint", c.shared.Published
	}
	b, err := read(ctx)
	if err == nil && b == nil {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("the log has published no checkpoint yet (%w)", err)
	} else if err != nil {
		return 0, err
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return cp.Size, nil
}

func (c *vaultCommand) entry(ctx context.Context, i, size uint64) (*event.Envelope, error) {
	if i >= size {
		return nil, fmt.Errorf("there is no entry %d: the published log has %d", i, size)
	}
	entries, err := tiles.ReadBundle(ctx, client.Dir(c.tree), i/tlog.TileWidth, size)
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(entries[i%tlog.TileWidth])
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", i, err)
	}
	return env, nil
}

// indices returns the entries of events. It reads the log until it has all of them.
func (c *vaultCommand) indices(ctx context.Context, events []event.Digest) (map[event.Digest]uint64, error) {
	wanted := make(map[event.Digest]bool, len(events))
	for _, h := range events {
		wanted[h] = true
	}
	out := make(map[event.Digest]uint64, len(events))
	if len(wanted) == 0 {
		return out, nil
	}
	size, err := c.size(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	} else if err != nil {
		return nil, err
	}
	for n := uint64(0); n*tlog.TileWidth < size && len(wanted) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := tiles.ReadBundle(ctx, client.Dir(c.tree), n, size)
		if err != nil {
			return nil, err
		}
		for i, b := range entries {
			env, err := event.ParseEnvelope(b)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", n*tlog.TileWidth+uint64(i), err)
			}
			if h := event.Digest(env.Hash()); wanted[h] {
				out[h] = n*tlog.TileWidth + uint64(i)
				delete(wanted, h)
			}
		}
	}
	return out, nil
}
