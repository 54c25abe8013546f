// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// adopt makes the copy's checkpoint the recorded head and the published
// checkpoint, if they were behind, and drops the cache of events. Neither goes
// back.
func (r *recovery) adopt(ctx context.Context) error {
	// The tree may be another one. The removal is durable once the head is.
	if err := os.Remove(r.caches.path("events")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if r.head == nil || r.head.Size < r.copy.Size {
		if err := r.adoptHead(ctx); err != nil {
			return err
		}
	}
	if cp, err := r.record.published(ctx); err == nil && cp != nil && cp.Size > r.copy.Size {
		if _, err := r.Policy.Verify(cp, ""); err == nil {
			return nil
		}
	}
	p := Published{Checkpoint: r.copy.Bytes()}
	if r.State != nil {
		var err error
		if p.Charter, err = r.charter(ctx); err != nil {
			return err
		}
	}
	return r.record.publish(ctx, p)
}

// charter returns the index of the charter in force at the copy's size.
func (r *recovery) charter(ctx context.Context) (uint64, error) {
	whole, err := (&tiles.Frontier{}).Extend(ctx, r.Source, r.copy.Size, nil)
	if err != nil {
		return 0, fmt.Errorf("reading the copy: %w", err)
	}
	j, err := r.newTailJudge(ctx, nil, &tiles.Frontier{}, whole)
	if err != nil {
		return 0, err
	}
	c := j.ledger.Charter()
	if c == nil {
		return 0, errors.New("the copy has no charter")
	}
	return c.Index, nil
}

func (r *recovery) adoptHead(ctx context.Context) error {
	var keys []*tlog.Signer // those that the charter names
	for _, k := range r.Keys {
		if r.copy.Find(k.Verifier()) != nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return errors.New("none of the keys given signed the copy's checkpoint")
	}
	head, err := signHead(keys, r.copy.Head, max(r.headTime, uint64(time.Now().Unix())))
	if err != nil {
		return err
	}
	return r.record.RestoreHead(ctx, head.Bytes())
}
