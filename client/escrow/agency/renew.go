// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// renewEvery is the pause between two looks at the audited head.
const renewEvery = 250 * time.Millisecond

// Renew replaces the proofs of warrant and access by proofs under one head of the log, and
// checks the case: gates refuse heads whose cosignatures are stale. The head is the one
// that met the audit policy last, since gates open nothing under a head that auditors have not
// cosigned; Renew waits until that head contains the access, or ctx ends. Without auditors the
// head is the latest one.
//
// cl is a client of the case's log; its policy decides which heads Renew accepts. The
// auditors' lines are for the gates to judge, by the charter in force.
func (c *Case) Renew(ctx context.Context, cl *client.Client) error {
	if err := c.Find(ctx, cl); err != nil {
		return err
	}
	access, err := tlog.ParseProof(c.Access)
	if err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	head, err := auditedHead(ctx, cl, access.Index)
	if err != nil {
		return err
	}
	next := *c
	for _, p := range []struct {
		name  string
		proof *[]byte
	}{{"access", &next.Access}, {"warrant", &next.Warrant}} {
		if *p.proof == nil {
			continue // an emergency
		}
		old, err := tlog.ParseProof(*p.proof)
		if err != nil {
			return fmt.Errorf("the %s: %w", p.name, err)
		}
		proof, err := cl.ProveAt(ctx, head, old.Index)
		if err != nil {
			return fmt.Errorf("proving the %s: %w", p.name, err)
		}
		*p.proof = proof.Bytes()
	}
	if err := next.Check(); err != nil {
		return fmt.Errorf("the log has another entry than the case: %w", err)
	}
	*c = next
	return nil
}

// ErrNotLogged is the error of a case whose access is not in the log, as far as is known.
var ErrNotLogged = errors.New("the access of this case is not known to be in the log: open with --policy, once the provider has signed and logged it")

// Find looks for the access of a case from [Ask.Case] in the log, and adds its proof to the
// case. A case that has its access stays as it is.
func (c *Case) Find(ctx context.Context, cl *client.Client) error {
	if c.Access != nil {
		return nil
	}
	env, _, err := c.access()
	if err != nil {
		return err
	}
	from := client.FollowOptions{UntilHead: true}
	if w := env.Event.Body.(*event.Access).Warrant; w != nil {
		from.Start = w.Index
	}
	// An event is logged again only if it then has an effect, so the last one counts.
	index, found := uint64(0), false
	for entry, err := range cl.Follow(ctx, from) {
		if err != nil {
			return fmt.Errorf("looking for the access in the log: %w", err)
		}
		if logged, err := event.ParseEnvelope(entry.Bytes); err == nil && c.Is(logged) {
			index, found = entry.Index, true
		}
	}
	if !found {
		return ErrNotLogged
	}
	proof, err := cl.Prove(ctx, index)
	if err != nil {
		return fmt.Errorf("proving the access: %w", err)
	}
	next := *c
	next.Access = proof.Bytes()
	if err := next.Check(); err != nil {
		return err
	}
	*c = next
	return nil
}

// auditedHead returns the head under which gates open, once it contains an entry.
func auditedHead(ctx context.Context, cl *client.Client, index uint64) (*tlog.Verified, error) {
	var last error
	for {
		head, _, err := cl.Audited(ctx, nil)
		if errors.Is(err, fs.ErrNotExist) { // there are no auditors
			head, err = cl.Checkpoint(ctx)
		}
		refused, ok := errors.AsType[*problem.Problem](err)
		switch {
		case err == nil && head.Checkpoint.Size > index:
			return head, nil
		case err == nil:
			last = fmt.Errorf("its latest one has %d entries, and the access is entry %d", head.Checkpoint.Size, index)
		case ok && refused.Temporary():
			last = err
		case ctx.Err() == nil:
			return nil, err
		}
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			if last == nil {
				last = context.Cause(ctx)
			}
			return nil, fmt.Errorf("the log shows no audited head with the access; its /audit/round says why: %w", last)
		}
	}
}
