// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Auditors is what a log serves of the auditors that its charter asks for; a mirror serves none of
// it. An audit's verdict depends on it only if the audited head contradicts the replayed tree.
type Auditors struct {
	// Vouched is the head that met the audit policy last, verified under the charter's policy.
	Vouched *Vouched `json:"vouched,omitempty"`
	// Round is the head that the log names for its auditors now, with their answers: the log's
	// word.
	Round *round.Round `json:"round,omitempty"`
	// Unknown is why Vouched or Round is absent.
	Unknown []string `json:"unknown,omitempty"`
}

// Vouched is a head that the auditors' quorum cosigned.
type Vouched struct {
	Size uint64 `json:"size"`
	// At is the latest time such that cosignatures at or after it meet the audit policy.
	At time.Time `json:"at"`
	By []string  `json:"by,omitempty"` // the charter's auditors that cosigned the head
}

var errNotServed = errors.New("the log serves no audit round or audited checkpoint, as no mirror does")

// AskAuditors reads what the log serves of its auditors, by the audit policy of its charter.
// It returns nil if the policy asks for none. The error is a [client.ForkError]: the audited head
// contradicts the replica's tree.
func AskAuditors(ctx context.Context, log *client.Client, r *replica.Replica) (out *Auditors, fork error) {
	in := r.Ledger().Charter()
	if in == nil || !in.Auditors.NeedsWitnesses() {
		return nil, nil
	}
	out = new(Auditors)
	unknown := func(err error) {
		if errors.Is(err, fs.ErrNotExist) {
			err = errNotServed
		}
		if text := err.Error(); !slices.Contains(out.Unknown, text) {
			out.Unknown = append(out.Unknown, text)
		}
	}
	if head, _, err := log.Audited(ctx, in.Auditors); err != nil {
		unknown(err)
	} else if _, err := r.Tree().Offer(ctx, head.Checkpoint.Bytes()); is[*client.ForkError](err) {
		fork = err
	} else if vouched, err := r.Ledger().VerifyAudit(in, head.Checkpoint); err != nil { // those that are set aside don't count
		unknown(fmt.Errorf("the audited checkpoint, by its auditors: %w", err))
	} else {
		out.Vouched = &Vouched{head.Checkpoint.Size, time.Unix(int64(min(vouched.LoggedAfter, 1<<37)), 0).UTC(), cosigners(in.Charter, vouched)}
	}
	var err error
	if out.Round, err = log.Round(ctx); err != nil {
		unknown(err)
	}
	return out, fork
}

// cosigners returns the auditors of a charter whose keys have cosigned a head.
func cosigners(c *event.Charter, v *tlog.Verified) (by []string) {
	for i := range c.Parties {
		p := &c.Parties[i]
		if p.Role == event.RoleAuditor && slices.ContainsFunc(v.Witnesses, func(w tlog.Cosignature) bool { return slices.Contains(p.Cosigners, w.Witness.Key.String()) }) {
			by = append(by, p.Name)
		}
	}
	return by
}
