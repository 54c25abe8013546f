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
	"github.com/vasistas/vasistas/client/replica"
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

	keys    []*tlog.VerifierKey // of the log: configured, or named by a charter
	client  *client.Client
	replica *replica.Replica
	ledger  *ledger.Ledger // the replica's
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

// dial makes a client that takes what a key of the log has signed. Whether its
// head counts is judged by the charter's policies, once they are known.
func (b *book) dial() (*client.Client, error) {
	var text strings.Builder
	for _, k := range b.keys {
		fmt.Fprintf(&text, "log %s\n", k)
	}
	policy, err := tlog.ParsePolicy([]byte(text.String() + "quorum none\n"))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: b.cfg.URL, Source: b.cfg.Source, Policy: policy, Origin: b.cfg.Origin,
		HTTPClient: b.cfg.HTTPClient, Timeout: b.cfg.Timeout, SubmitTimeout: b.cfg.Timeout, Retries: 1, UserAgent: "vasistas-gate"})
}

// sync goes up to the log's present head. Only the caller's context bounds it.
func (b *book) sync(ctx context.Context) error {
	if b.stopped != nil {
		return b.stopped
	}
	begun := time.Now()
	v, err := b.replica.Update(ctx)
	if err != nil {
		return b.fork(err)
	}
	var judged *tlog.Verified // under the charter in force before the entries
	before := b.ledger.Charter()
	if before != nil {
		judged, _ = before.Witnesses.Verify(v.Checkpoint, b.cfg.Origin)
	}
	if v.Checkpoint.Size == b.ledger.Size() || judged != nil || b.meetsTrusted(v) {
		err = b.replica.Replay(ctx, b.observer(b.own))
	} else {
		err = b.leap(ctx, v)
	}
	if err != nil {
		return err
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

// observer checks the log's first charter. own, if not nil, is called for each entry
// that this gate's key signed.
func (b *book) observer(own func(ledger.Entry) error) replica.Observer {
	id, key := b.cfg.Signer.KeyID(), b.cfg.Signer.Public()
	lookup := func(k string) *event.PublicKey {
		if k == id {
			return key
		}
		return nil // a signature that only bears the id is another key's
	}
	return replica.Observer{
		Read: func(e *ledger.Entry) any {
			if !slices.ContainsFunc(e.Envelope.Signatures, func(s event.Signature) bool { return s.KeyID == id }) {
				return false
			}
			mine := *e
			mine.Verify(lookup)
			return slices.Contains(mine.Signatures, ledger.Good)
		},
		Before: func(e *ledger.Entry, mine any) error {
			if e.Index == 0 && e.Leaf != b.cfg.Founded {
				return b.stop(fmt.Errorf("%w: it has the leaf hash %x", ErrFounded, e.Leaf))
			}
			if own == nil || mine != any(true) {
				return nil
			}
			return b.stop(own(*e))
		},
	}
}

// leap reads up to a head that meets no policy known so far. It counts only if an
// amendment on the way explains it: else nothing has happened, and nothing that this
// head shows is taken for logged.
func (b *book) leap(ctx context.Context, v *tlog.Verified) error {
	var own []ledger.Entry
	collect := func(e ledger.Entry) error {
		e.Envelope = &event.Envelope{Event: &event.Event{Type: e.Envelope.Event.Type}} // all that is asked for
		own = append(own, e)
		return nil
	}
	err := b.replica.Try(ctx, b.observer(collect), func(l *ledger.Ledger) error {
		in := l.Charter()
		if in == nil {
			return b.stop(ErrFounded)
		}
		if err := meets(v, in.Witnesses, b.cfg.Origin); err != nil {
			return fmt.Errorf("the log's head of size %d: %w", v.Checkpoint.Size, err)
		}
		return nil
	})
	b.ledger = b.replica.Ledger()
	if err != nil || b.own == nil {
		return err
	}
	for i := 0; err == nil && i < len(own); i++ {
		err = b.stop(b.own(own[i]))
	}
	return err
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
	if b.head == nil || head.Checkpoint.Size > b.head.Checkpoint.Size {
		if err := b.record(head); err != nil {
			return err
		}
	}
	b.head = head
	return nil
}

// fork keeps the evidence of a fork, and stops the gate for good.
func (b *book) fork(err error) error {
	fork, ok := errors.AsType[*client.ForkError](err)
	if !ok {
		return err
	}
	if kept := b.evidence(fork); kept != nil {
		return b.stop(fmt.Errorf("%w: %w (the evidence could not be kept: %w)", ErrForked, fork, kept))
	}
	return b.stop(fmt.Errorf("%w: %w", ErrForked, fork))
}

// stop stops the gate if err is not nil; the first error stands. It returns err.
func (b *book) stop(err error) error {
	if err != nil && b.stopped == nil {
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
	c, err := b.dial()
	if err != nil {
		return err
	}
	b.client = c
	b.replica.Use(c)
	return nil
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
	root, err := b.replica.Tree().Root(ctx, cp.Size)
	if err != nil {
		return err
	}
	if root == cp.Root {
		return nil
	}
	// The sender may have made the checkpoint up; if the log signed it, this is a
	// fork.
	_, err = b.replica.Offer(ctx, cp.Bytes())
	if _, back := errors.AsType[*client.RollbackError](err); err == nil || back {
		return fmt.Errorf("root %x at size %d, and the log has %x", cp.Root, cp.Size, root)
	}
	return b.fork(err)
}
