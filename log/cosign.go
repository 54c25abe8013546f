// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// maxLines is how many signature lines a published checkpoint has at most: what
// every reader of notes must accept (signed-note, "Format").
const maxLines = 16

// answer is what a witness said to a head.
type answer struct {
	witness *witnessClient
	lines   lines
	err     error
}

// ask offers the head to all witnesses side by side. Each answers once, within
// the time-out; one that is too slow for this round may still finish.
func (p *publisher) ask(ctx context.Context) <-chan answer {
	answers := make(chan answer, len(p.witnesses))
	head := p.head.signed
	for _, w := range p.witnesses {
		p.requests.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, p.cfg.WitnessTimeout)
			defer cancel()
			got, err := w.cosign(ctx, head)
			p.metrics.witness(w.name, err)
			answers <- answer{w, got, err}
		})
	}
	return answers
}

// consult asks all witnesses for their cosignatures of the recorded head, and
// adds them to have. Once there are enough, it waits for the others for a grace
// period only. It returns why witnesses did not cosign, and as err that the log
// must stop: see conflict.
func (p *publisher) consult(ctx context.Context, have lines, enough func() bool, grace time.Duration) (failures, err error) {
	var stop <-chan time.Time
	if enough() {
		stop = time.After(grace)
	}
	var errs []error
	answers := p.ask(ctx)
	for range p.witnesses {
		select {
		case a := <-answers:
			if a.err != nil {
				if err := p.conflict(ctx, a); err != nil {
					return nil, err
				}
				errs = append(errs, fmt.Errorf("witness %s: %w", a.witness.name, a.err))
				continue
			}
			maps.Copy(have, a.lines)
			if stop == nil && enough() {
				stop = time.After(grace)
			}
		case <-stop:
			return errors.Join(errs...), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return errors.Join(errs...), nil
}

// gather returns the recorded head with cosignatures that meet the demand.
func (p *publisher) gather(ctx context.Context) (*tlog.Checkpoint, error) {
	have := make(lines)
	has := func(key string) bool { _, ok := have[key]; return ok }
	failures, err := p.consult(ctx, have, func() bool { return p.demand.satisfied(has) }, p.cfg.Interval/4)
	if err != nil {
		return nil, fmt.Errorf("gathering cosignatures: %w", err)
	}
	set, ok := p.demand.smallest(have)
	if !ok {
		return nil, fmt.Errorf("%w: %w", tlog.ErrNoQuorum, failures)
	}
	if len(p.head.signed.Signatures)+len(set) > maxLines {
		return nil, fmt.Errorf("%w: the smallest set has %d lines, and a checkpoint has %d", tlog.ErrNoQuorum, len(set), maxLines)
	}
	return p.assemble(set, have), nil
}

// assemble puts a satisfying set first, and leaves out what does not fit.
func (p *publisher) assemble(set []string, have lines) *tlog.Checkpoint {
	cp := &tlog.Checkpoint{Head: p.head.signed.Head}
	cp.Signatures = append(cp.Signatures, p.head.signed.Signatures...)
	for _, key := range set {
		cp.Signatures = append(cp.Signatures, *have[key].Line)
	}
	for _, w := range p.demand.witnesses {
		key := w.Key.String()
		if l, ok := have[key]; ok && !slices.Contains(set, key) && len(cp.Signatures) < maxLines {
			cp.Signatures = append(cp.Signatures, *l.Line)
		}
	}
	return cp
}

// hearWitnesses offers the recorded head to the witnesses until so many have
// cosigned it that no quorum can have seen a later one. It returns false if the
// log must not go on, or is being shut down.
func (p *publisher) hearWitnesses(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.draining, cancel)()
	heard := make(lines)
	for wait := p.cfg.Interval; ; wait = min(2*wait, 5*time.Second) {
		err := p.hear(ctx, heard)
		if err == nil {
			p.status.set(&p.status.publisher, nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if errors.Is(err, ErrLogBehind) || errors.Is(err, ErrForked) {
			p.status.halt(err)
			p.logger.Error("the log will sign nothing", "err", err)
			return false
		}
		if p.status.set(&p.status.publisher, fmt.Errorf("%w: %w", ErrStarting, err)) {
			p.logger.Warn("waiting for witnesses", "err", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// hear asks once and adds to heard who cosigned the recorded head. A witness that
// claims to have seen more counts as unheard, unless it can show a head with the
// log's own signature: then the log is behind.
func (p *publisher) hear(ctx context.Context, heard lines) error {
	unheard := func(key string) bool { _, ok := heard[key]; return !ok }
	enough := func() bool { return p.demand.needsWitnesses() && !p.demand.anySatisfied(unheard) }
	failures, err := p.consult(ctx, heard, enough, 0)
	if err != nil || enough() || !p.demand.needsWitnesses() {
		return err
	}
	if errors.Is(failures, errWitnessAhead) {
		return fmt.Errorf("%w; if that is so, this log was restored from an older backup: "+
			"bring the later entries back with \"vasistas-log recover -from MIRROR\"", failures)
	}
	if failures == nil {
		failures = errors.New("it needs more witnesses")
	}
	return failures
}
