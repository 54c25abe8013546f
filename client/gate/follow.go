// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// book is what the gate knows of the log: every entry up to the largest head that
// it has verified, and what they mean. One goroutine at a time has it; see
// [Gate.lock].
type book struct {
	cfg *Config
	// own is told of each entry that this gate's key has signed, before the
	// ledger applies it.
	own func(ledger.Entry) error

	keys     []*tlog.VerifierKey // of the log: configured, or named by a charter
	client   *client.Client
	follower *client.Follower
	ledger   *ledger.Ledger
	tree     *tree
	// head is the largest head that met the policies of the charter in force and
	// of the one that the operator trusts. It never gets smaller, and is in the
	// register before anything is judged by it. nil before the first.
	head     *tlog.Verified
	trusted  trust     // the last charter that is trusted
	saved    uint64    // size of the ledger's last snapshot
	followed time.Time // when the last sync that succeeded had begun
	register *durable.Register
	stopped  error // why nothing goes any more; never reset
}

// errBehind: the log has not shown a head that can be judged at.
var errBehind = errors.New("no head is verified up to what the log has shown")

// connect makes the client and the follower for the log's keys that are known.
func (b *book) connect() error {
	c, f, err := b.dial(b.state())
	if err != nil {
		return err
	}
	b.client, b.follower = c, f
	b.tree.use(c)
	return nil
}

// dial makes a client that takes what a key of the log has signed. Whether its
// head counts is judged by the charter's policies, once they are known.
func (b *book) dial(from client.State) (*client.Client, *client.Follower, error) {
	var text strings.Builder
	for _, k := range b.keys {
		fmt.Fprintf(&text, "log %s\n", k)
	}
	policy, err := tlog.ParsePolicy([]byte(text.String() + "quorum none\n"))
	if err != nil {
		return nil, nil, err
	}
	c, err := client.New(client.Config{URL: b.cfg.URL, Source: b.cfg.Source, Policy: policy, Origin: b.cfg.Origin,
		HTTPClient: b.cfg.HTTPClient, Timeout: b.cfg.Timeout, SubmitTimeout: b.cfg.Timeout, Retries: 1, UserAgent: "vasistas-gate"})
	if err != nil {
		return nil, nil, err
	}
	f, err := c.Follower(client.FollowOptions{From: from, UntilHead: true})
	if err != nil {
		return nil, nil, err
	}
	return c, f, nil
}

// state is where a follower goes on.
func (b *book) state() client.State {
	s := client.State{Size: b.ledger.Size(), Root: b.ledger.Root()}
	if b.follower != nil {
		s.Checkpoint = b.follower.State().Checkpoint
	} else if b.head != nil {
		s.Checkpoint = b.head.Checkpoint.Bytes()
	}
	return s
}

// sync goes up to the log's present head. Only the caller's context bounds it.
func (b *book) sync(ctx context.Context) error {
	if b.stopped != nil {
		return b.stopped
	}
	begun := time.Now()
	v, err := b.follower.Update(ctx)
	if err != nil {
		return b.fork(err)
	}
	var judged *tlog.Verified // under the charter in force before the entries
	before := b.ledger.Charter()
	if before != nil {
		judged, _ = before.Witnesses.Verify(v.Checkpoint, b.cfg.Origin)
	}
	switch {
	case v.Checkpoint.Size == b.ledger.Size():
		b.tree.head = v.Checkpoint
	case judged != nil, b.meetsTrusted(v):
		if err := b.replay(ctx, b.follower, b.ledger, b.tree, b.own); err != nil {
			return err
		}
	default:
		if v, err = b.leap(ctx); err != nil {
			return err
		}
	}
	if b.ledger.Charter() != before {
		judged = nil
	}
	if err := b.accept(v, judged); err != nil {
		return err
	}
	b.followed = begun
	return b.newKeys()
}

// meetsTrusted says whether a head meets the policy of the charter that is trusted,
// if that is not the one in force: enough to read what it has.
func (b *book) meetsTrusted(v *tlog.Verified) bool {
	c := b.trusted.charter
	return c != nil && c != b.ledger.Charter() && meets(v, c.Witnesses, b.cfg.Origin) == nil
}

func meets(v *tlog.Verified, p *tlog.Policy, origin string) error {
	_, err := p.Verify(v.Checkpoint, origin)
	return err
}

// replay applies the entries up to the follower's head. own, if not nil, is told of
// those that this gate's key has signed.
func (b *book) replay(ctx context.Context, f *client.Follower, l *ledger.Ledger, t *tree, own func(ledger.Entry) error) error {
	t.ctx, t.head = ctx, f.Head().Checkpoint
	defer func() { t.ctx = context.Background() }()
	for e, err := range f.Entries(ctx) {
		if err != nil {
			return err
		}
		if err := b.apply(l, t, e, own); err != nil {
			// The follower has gone on; the ledger has not.
			return errors.Join(err, b.connect())
		}
	}
	return nil
}

func (b *book) apply(l *ledger.Ledger, t *tree, e client.Entry, own func(ledger.Entry) error) error {
	if e.Index == 0 && e.Leaf != b.cfg.Founded {
		return b.stop(fmt.Errorf("%w: it has the leaf hash %x", ErrFounded, e.Leaf))
	}
	entry := ledger.Read(e.Index, e.Bytes)
	if own != nil && entry.Envelope != nil && b.signed(&entry) {
		if err := own(entry); err != nil {
			return b.stop(err)
		}
	}
	if _, err := l.Apply(entry); err != nil {
		return err
	}
	t.keep(l.Size(), l.Root())
	return nil
}

// signed says whether this gate's key has signed an entry. What only bears its id is
// somebody else's.
func (b *book) signed(e *ledger.Entry) bool {
	own := b.cfg.Signer
	e.Verify(func(id string) *event.PublicKey {
		if id == own.KeyID() {
			return own.Public()
		}
		return nil
	})
	return slices.Contains(e.Signatures, ledger.Good)
}

// leap reads up to a head that meets no policy known so far. It counts only if an
// amendment on the way explains it: else nothing has happened, and nothing that this
// head shows is taken for logged.
func (b *book) leap(ctx context.Context) (*tlog.Verified, error) {
	c, f, err := b.dial(b.state())
	if err != nil {
		return nil, err
	}
	t := b.tree.clone(c)
	l := ledger.New(b.cfg.Origin, t)
	if b.ledger.Size() > 0 {
		if l, err = ledger.Restore(b.ledger.Snapshot(), b.ledger.Size(), b.ledger.Root(), t); err != nil {
			return nil, err
		}
	}
	v, err := f.Update(ctx)
	if err != nil {
		return nil, b.fork(err)
	}
	var own []ledger.Entry
	collect := func(e ledger.Entry) error {
		e.Envelope = &event.Envelope{Event: &event.Event{Type: e.Envelope.Event.Type}} // all that is asked for
		own = append(own, e)
		return nil
	}
	if err := b.replay(ctx, f, l, t, collect); err != nil {
		return nil, err
	}
	in := l.Charter()
	if in == nil {
		return nil, b.stop(ErrFounded)
	}
	if err := meets(v, in.Witnesses, b.cfg.Origin); err != nil {
		// The follower goes back to where it was, with what it has verified.
		return nil, errors.Join(fmt.Errorf("the log's head of size %d: %w", v.Checkpoint.Size, err), b.rewind())
	}
	b.client, b.follower, b.ledger, b.tree = c, f, l, t
	if b.own == nil {
		return v, nil
	}
	for _, e := range own {
		if err := b.own(e); err != nil {
			return nil, b.stop(err)
		}
	}
	return v, nil
}

// rewind makes the follower forget a head that nobody vouches for.
func (b *book) rewind() error {
	b.follower = nil
	return b.connect()
}

// accept makes a head the one that is judged at, if every policy that it must meet
// is met. It is durable before it counts. head is v as judged under the charter in
// force; nil: it is judged here.
func (b *book) accept(v, head *tlog.Verified) error {
	in := b.ledger.Charter()
	if in == nil {
		return errBehind
	}
	if err := b.settleTrust(); err != nil {
		return err
	}
	if head == nil {
		var err error
		if head, err = in.Witnesses.Verify(v.Checkpoint, b.cfg.Origin); err != nil {
			return fmt.Errorf("the log's head of size %d: %w", v.Checkpoint.Size, err)
		}
	}
	if b.trusted.charter != in {
		if err := meets(v, b.trusted.charter.Witnesses, b.cfg.Origin); err != nil {
			return fmt.Errorf("an amendment (entry %d) changes who is trusted, and the log's head does not meet the policy before it: confirm it: %w", in.Index, err)
		}
	}
	if b.head != nil && b.head.Checkpoint.Size == head.Checkpoint.Size && b.head.LoggedAfter >= head.LoggedAfter {
		return nil // an older copy of the same
	}
	grown := b.head == nil || head.Checkpoint.Size > b.head.Checkpoint.Size
	if grown {
		if err := b.record(head); err != nil {
			return err
		}
	}
	b.head = head
	return nil
}

// fork keeps the evidence of a fork, and stops the gate for good.
func (b *book) fork(err error) error {
	var fork *client.ForkError
	if !errors.As(err, &fork) {
		return err
	}
	if kept := b.evidence(fork); kept != nil {
		return b.stop(fmt.Errorf("%w: %w (the evidence could not be kept: %w)", ErrForked, fork, kept))
	}
	return b.stop(fmt.Errorf("%w: %w", ErrForked, fork))
}

// stop ends what the gate does for others. It returns why.
func (b *book) stop(err error) error {
	if b.stopped == nil {
		b.stopped = err
		b.cfg.Logger.Error("the gate stops", "err", err)
	}
	return err
}

// newKeys lets the log sign with the keys that its charter names now.
func (b *book) newKeys() error {
	known := len(b.keys)
	for _, s := range b.ledger.Charter().LogKeys {
		k, err := tlog.ParseVerifierKey(s)
		if err != nil {
			return err
		}
		b.addKey(k)
	}
	if len(b.keys) == known {
		return nil
	}
	return b.connect()
}

// fromLog says whether a key of the log has signed a checkpoint.
func (b *book) fromLog(cp *tlog.Checkpoint) bool {
	for _, k := range b.keys {
		if s := cp.Find(k); s != nil {
			_, err := k.Verify(&cp.Head, s)
			return err == nil
		}
	}
	return false
}

// contains says whether a head is one of the log that this gate follows, and of
// no more than it has read. A contradiction is a fork, and stops the gate.
func (b *book) contains(ctx context.Context, cp *tlog.Checkpoint) error {
	if cp.Size > b.ledger.Size() {
		return errBehind
	}
	b.tree.ctx = ctx
	root, err := b.tree.Root(cp.Size)
	b.tree.ctx = context.Background()
	if err != nil {
		return err
	}
	if root == cp.Root {
		return nil
	}
	// Whoever sent it may have made it up; the log's signature says who did.
	_, err = b.follower.Offer(ctx, cp.Bytes())
	var back *client.RollbackError
	if err == nil || errors.As(err, &back) {
		return fmt.Errorf("root %x at size %d, and the log has %x", cp.Root, cp.Size, root)
	}
	return b.fork(err)
}
