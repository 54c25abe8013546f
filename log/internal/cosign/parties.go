// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"context"

	"github.com/vasistas/vasistas/log/tlog"
)

// Party is one or more keys of a demand that share a URL, and so answer together. It is
// asked one head at a time.
type Party struct {
	Keys []*tlog.PolicyWitness
	c    *client
	w    *Witnesses
}

// Parties returns those of the demand that have URLs. Auditors are asked one by one:
// how each answered is shown, and an auditor that can't cosign yet is asked again.
func (w *Witnesses) Parties() []*Party {
	var out []*Party
	for _, c := range w.asked {
		out = append(out, &Party{*c.keys.Load(), c, w})
	}
	return out
}

// Cosign offers the head once, within the time-out, in a goroutine that [Witnesses.Wait]
// waits for, and gives done the party's lines, each verified. If the party gave none, the
// error is [ErrBusy], an *[Unanswered] or a *[Refusal]; any other one is a wrong answer.
// The head may have lines of others.
func (p *Party) Cosign(ctx context.Context, head *tlog.Checkpoint, done func(Lines, error)) {
	timeout := p.w.timeout
	p.w.requests.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		got, err := p.c.cosign(ctx, head)
		p.w.Observe(p.c.name, err)
		done(got, err)
	})
}
