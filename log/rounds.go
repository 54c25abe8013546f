// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// rounds names published heads for the auditors, one at a time, and serves the head that
// met the audit policy last. Publication does not know of it: rounds reads what is
// published, and shares only the ledger's lock with the sequencer, for the check of a
// note.
//
// An idle log names its head again one profile round after it met the policy, so the
// audited head's cosignatures are younger than two rounds while auditors answer. The
// profile has 4 x round <= stale.
//
// The goroutine run owns every field that has no other comment.
type rounds struct {
	cfg       Config
	ledger    *liveLedger   // shared
	publisher *publisher    // shared
	clock     *cosign.Clock // shared
	metrics   *logMetrics   // shared
	logger    *slog.Logger

	asked []*audience      // the last one has the audit policy that is asked now
	last  *naming          // the last round; nil: none yet
	head  *tlog.Checkpoint // the audited one; nil: none yet
	after uint64           // its audit time, which never goes back

	shown atomic.Pointer[audits] // written by run, shared
}

// audits is what is served of rounds. It is immutable.
type audits struct {
	none    bool  // the audit policy in force needs no auditors
	round   *page // nil: nothing is named yet
	audited *page // nil: no head has met the audit policy
}

// page is a body with its entity tag.
type page struct {
	body []byte
	etag string
}

func newPage(body []byte) *page {
	sum := sha256.Sum256(body)
	return &page{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
}

// nameEvery is the least time between two heads that are named, since cosignatures count
// in seconds: each head costs the auditors and the log's state a write.
const nameEvery = time.Second

// errAuditedBehind: see rounds.load.
var errAuditedBehind = fmt.Errorf("%w (that of the audited checkpoint)", ErrLogBehind)

// newRounds serves what met the audit policy last.
func newRounds(ctx context.Context, cfg Config, p *publisher) (*rounds, error) {
	r := &rounds{cfg: cfg, ledger: p.ledger, publisher: p, clock: p.clock, metrics: p.metrics, logger: cfg.Logger}
	r.shown.Store(&audits{none: !p.ledger.view.Load().inForce().Auditors.NeedsWitnesses()})
	cp, after, err := r.load(ctx)
	switch {
	case errors.Is(err, ErrLogBehind):
		return nil, err
	case err != nil:
		r.logger.Warn("the checkpoint that auditors cosigned last can't be served; serving none until the next", "err", err)
	case cp != nil:
		r.show(cp, after)
	}
	return r, nil
}

// load returns the checkpoint that met the audit policy last, nil if there is none, and its
// audit time. One that is larger than the recorded head shows that the state is an old
// copy.
func (r *rounds) load(ctx context.Context) (cp *tlog.Checkpoint, after uint64, err error) {
	h := r.publisher.head
	p, err := h.Record.Published(ctx)
	if err != nil || len(p.Audited) == 0 {
		return nil, 0, err
	}
	if cp, err = h.Record.Parse(p.Audited); err != nil {
		return nil, 0, err
	}
	if signed := h.Signed().Size; cp.Size == 0 {
		return nil, 0, errors.New("it is of the empty tree")
	} else if cp.Size > signed {
		return nil, 0, fmt.Errorf("%w: it has %d entries, the recorded head %d", errAuditedBehind, cp.Size, signed)
	}
	root, err := chain.ProvenRoot(ctx, r.publisher.prover, cp.Size, *r.ledger.edge.Load())
	if err != nil {
		return nil, 0, err
	}
	if root != cp.Root {
		return nil, 0, fmt.Errorf("its root at size %d is not that of the tree", cp.Size)
	}
	if after, err = r.verify(cp); err != nil {
		return nil, 0, err
	}
	return cp, after, nil
}

// verify checks a checkpoint under the policies of witnesses and auditors at its size, and
// returns its audit time in POSIX seconds.
func (r *rounds) verify(cp *tlog.Checkpoint) (after uint64, err error) {
	v := r.ledger.view.Load()
	if err := cosign.NewDemand(v.policies(cp.Size-1, cp.Size), nil).Verify(cp, r.ledger.origin); err != nil {
		return 0, err
	}
	r.ledger.Query(func(l *ledger.Ledger, _ *duty.Agenda) {
		var ok *tlog.Verified
		if ok, err = l.VerifyAudit(l.CharterAt(cp.Size), cp); err == nil {
			after = ok.LoggedAfter
		}
	})
	return after, err
}

// run names heads until ctx ends.
func (r *rounds) run(ctx context.Context) {
	defer func() {
		for _, a := range r.asked {
			a.witnesses.Wait()
		}
	}()
	for ctx.Err() == nil {
		pub, changed := r.publisher.current()
		wait, named := r.due(ctx, pub)
		if named && wait <= 0 {
			r.name(ctx, pub)
			continue
		}
		var due <-chan time.Time
		if named {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
		}
	}
}

// due returns how long to wait before the published head is named. It returns false if
// only another head can be.
func (r *rounds) due(ctx context.Context, pub *publication) (wait time.Duration, ok bool) {
	if pub == nil || !pub.fresh { // before, the log may be a copy of another one
		return 0, false
	}
	c := r.ledger.view.Load().at(pub.checkpoint.Size)
	switch {
	case !c.Auditors.NeedsWitnesses():
		r.end(ctx)
		return 0, false
	case pub.after != 0 && r.clock.Now().Sub(time.Unix(int64(pub.after), 0)) > seconds(c.Profile.Stale):
		return 0, false // no auditor may sign it
	case r.last == nil:
		return 0, true
	case pub.checkpoint.Size > r.last.head.Size:
		return max(r.cfg.Interval, nameEvery) - time.Since(r.last.began), true
	}
	return time.Until(r.last.again), true
}

// end forgets all rounds, since the charter asks for no auditors.
func (r *rounds) end(ctx context.Context) {
	if s := r.shown.Load(); s.none && s.audited == nil {
		return
	}
	// An audited checkpoint of an earlier policy must not come back with a restart.
	if err := r.publisher.head.Record.PublishAudited(ctx, nil); err != nil {
		r.logger.Warn("the audited checkpoint of an earlier policy could not be removed", "err", err)
	}
	r.last, r.head, r.after = nil, nil, 0
	r.shown.Store(&audits{none: true})
	r.metrics.forgetRounds()
}

// name runs one round: the head stays named until the round has ended.
func (r *rounds) name(ctx context.Context, pub *publication) {
	c := r.ledger.view.Load().at(pub.checkpoint.Size)
	if n := len(r.asked); n == 0 || r.asked[n-1].policy != c.Auditors {
		r.asked = append(r.asked, r.newAudience(c))
	}
	n := newNaming(r, r.asked[len(r.asked)-1], pub, c)
	r.last = n
	n.show()
	n.run(ctx)
	n.show()
}

// publish makes a checkpoint, with its audit time, the audited one. It is durable before it
// is served. One of the same size with an older time, as an auditor with a slow clock can make
// it, replaces none.
func (r *rounds) publish(ctx context.Context, cp *tlog.Checkpoint, after uint64) error {
	switch {
	case r.head != nil && r.head.Size > cp.Size:
		return fmt.Errorf("the audited checkpoint has %d entries, and one with %d was served", cp.Size, r.head.Size)
	case r.head != nil && r.head.Size == cp.Size && r.after >= after:
		return nil
	}
	if err := r.publisher.head.Record.PublishAudited(ctx, cp.Bytes()); err != nil {
		return fmt.Errorf("%w: writing the audited checkpoint: %w", chain.ErrState, err)
	}
	r.show(cp, after)
	return nil
}

// show serves a durable checkpoint as the audited one.
func (r *rounds) show(cp *tlog.Checkpoint, after uint64) {
	r.head, r.after = cp, after
	s := *r.shown.Load()
	s.audited = newPage(cp.Bytes())
	r.shown.Store(&s)
	r.metrics.auditedSize.Set(float64(cp.Size))
	r.metrics.auditedAt.Set(float64(after))
}

// showRound serves a round.
func (r *rounds) showRound(n *round.Round) {
	s := *r.shown.Load()
	body := n.Bytes()
	if s.round != nil && bytes.Equal(s.round.body, body) {
		return
	}
	s.none, s.round = false, newPage(body)
	r.shown.Store(&s)
}

// audits returns what is served.
func (r *rounds) audits() (*audits, error) { return r.shown.Load(), nil }
