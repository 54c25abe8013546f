// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// submit logs an event of the log itself, at a witnessed time.
func (k *keeper) submit(body event.Body, at int64) (<-chan sequenced, error) {
	ev, err := event.New(k.book.origin, body)
	if err != nil {
		return nil, err
	}
	ev.Time = time.Unix(at, 0).UTC()
	env, err := event.Sign(ev, k.signer)
	if err != nil {
		return nil, fmt.Errorf("signing with the provider's key: %w", err)
	}
	own := newAdmitted(env, env.Bytes())
	own.signatures, own.own = []ledger.SigState{ledger.Good}, true
	return k.sequencer.submit(own)
}

// anchorDue returns when the next anchor is to be logged: half of the profile's
// interval after what the last one proves, so that there is time to try again. fresh
// says whether the head has anything to be anchored.
func (k *keeper) anchorDue(pub *publication) (at int64, fresh bool) {
	c := k.book.view.Load().at(pub.checkpoint.Size)
	_, since, fresh := k.book.anchoring(pub.checkpoint.Size)
	if !fresh || k.signer == nil || !c.Witnesses.NeedsWitnesses() {
		return 0, false
	}
	return since + int64(min(c.Profile.Anchor.Within, 1<<40)/2), true
}

// anchor logs the published head: its text, the log's signatures and one minimal
// satisfying set.
func (k *keeper) anchor(ctx context.Context, pub *publication) error {
	note, err := minimal(pub.checkpoint, k.book.view.Load().at(pub.checkpoint.Size).Witnesses)
	if err != nil {
		return err
	}
	done, err := k.submit(&event.Anchor{Checkpoint: string(note.Bytes())}, int64(pub.after))
	if err != nil {
		return err
	}
	return (<-done).err
}

// minimal returns the checkpoint with no more lines than a policy needs.
func minimal(cp *tlog.Checkpoint, p *tlog.Policy) (*tlog.Checkpoint, error) {
	out := &tlog.Checkpoint{Head: cp.Head}
	for _, l := range p.Logs {
		if s := cp.Find(l.Key); s != nil {
			out.Signatures = append(out.Signatures, *s)
		}
	}
	set, ok := p.SmallestSet(func(i int) bool { return cp.Find(p.Witnesses[i].Key) != nil })
	if !ok {
		return nil, fmt.Errorf("anchoring the head of size %d: %w", cp.Size, tlog.ErrNoQuorum)
	}
	for _, i := range set {
		out.Signatures = append(out.Signatures, *cp.Find(p.Witnesses[i].Key))
	}
	_, err := p.Verify(out, cp.Origin)
	return out, err
}

// disclose logs the disclosures of deposits, side by side. What fails is tried again
// later.
func (k *keeper) disclose(ctx context.Context, due []deposit, now int64) {
	if len(due) == 0 {
		return
	}
	hashes := make([]event.Digest, len(due))
	for i := range due {
		hashes[i] = due[i].hash
	}
	records, lost := k.vault.Get(ctx, hashes...)
	have := make(map[event.Digest]*vault.Record, len(records))
	for _, r := range records {
		have[r.Event()] = r
	}
	waits := make([][]<-chan sequenced, len(due))
	for i := range due {
		d := &due[i]
		r := have[d.hash]
		if r == nil {
			k.lose(d, lost)
			k.book.lookAt(now+keeperRetry, d.index)
			continue
		}
		var err error
		if waits[i], err = k.open(ctx, d, r, now); err != nil {
			k.report("disclosure", err)
			k.book.lookAt(now+keeperRetry, d.index)
		}
	}
	for i := range due {
		for _, done := range waits[i] {
			err := (<-done).err
			if isOpened(err) {
				err = nil
				k.book.lookAt(0, due[i].index)
			}
			k.report("disclosure", err)
			if err != nil {
				k.book.lookAt(now+keeperRetry, due[i].index)
			}
		}
	}
}

// open submits the disclosures of one deposit.
func (k *keeper) open(ctx context.Context, d *deposit, r *vault.Record, now int64) ([]<-chan sequenced, error) {
	entry, err := readProven(ctx, k.engine, k.prover, d.index, k.book.edge.Load())
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", d.index, err)
	}
	bodies, err := vault.Disclosures(d.index, env, r)
	if err != nil {
		return nil, err
	}
	var out []<-chan sequenced
	for _, body := range bodies {
		done, err := k.submit(body, now)
		if err != nil {
			return out, err
		}
		out = append(out, done)
	}
	return out, nil
}

// isOpened returns whether a disclosure was refused since all of it is open already:
// somebody else was faster, or this log before a crash.
func isOpened(err error) bool {
	var rule *RuleError
	return errors.As(err, &rule) && rule.Rule == "opening" && rule.Code == "opened"
}
