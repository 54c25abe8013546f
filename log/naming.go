// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// askAgain is the first pause before an auditor that gave no cosignature is asked
	// again for the same head. It doubles up to maxAskAgain.
	askAgain    = time.Second
	maxAskAgain = 30 * time.Second
	// maxLines is how many signature lines the audited checkpoint has at most, unless the
	// policies need more: what every reader of notes must accept (signed-note, "Format").
	maxLines = 16
)

// audience is the auditors of one audit policy.
type audience struct {
	policy    *tlog.Policy
	witnesses *cosign.Witnesses
	parties   []*cosign.Party
	names     map[string]string // auditors by vkey
}

// newAudience returns the auditors of a charter. Requests to those of an earlier policy
// end with their time-outs.
func (r *rounds) newAudience(c *ledger.Charter) *audience {
	a := &audience{policy: c.Auditors, names: make(map[string]string)}
	a.witnesses = cosign.New(cosign.Config{
		HTTP: r.cfg.HTTP, Prover: r.publisher.prover, Store: r.cfg.State, Observe: func(string, error) {}, Logger: r.logger,
	})
	timeout := seconds(c.Profile.WitnessTimeout)
	if r.cfg.WitnessTimeout > 0 {
		timeout = min(timeout, r.cfg.WitnessTimeout)
	}
	// Evidence against the log comes from witnesses: no auditor can stop a log.
	a.witnesses.SetDemand([]*tlog.Policy{c.Auditors}, timeout, func(*tlog.Checkpoint) bool { return false })
	a.parties = a.witnesses.Parties()
	for i := range c.Parties {
		if p := &c.Parties[i]; p.Role == event.RoleAuditor {
			for _, vkey := range p.Cosigners {
				a.names[vkey] = p.Name
			}
		}
	}
	if !a.policy.Satisfied(func(i int) bool { return a.policy.Witnesses[i].URL != "" }) {
		r.logger.Warn("the audit policy can't be met, so gates stay shut: too many of its auditors have no URL; name them in an amendment")
	}
	return a
}

// naming is one round. The goroutine of rounds owns it.
type naming struct {
	r        *rounds
	charter  *ledger.Charter // in force at the head
	audience *audience
	head     *tlog.Checkpoint // as it was published when it was named
	round    *round.Round
	places   map[string]int // in round.Auditors, by vkey
	began    time.Time
	again    time.Time // when the same head may be named again; set at the end
	lines    cosign.Lines
	asked    []*auditor
	answers  chan said
}

// auditor is a party that is asked in a round.
type auditor struct {
	*cosign.Party
	pending bool
	done    bool      // it has cosigned
	next    time.Time // when it is asked again
	pause   time.Duration
}

// said is an auditor's answer.
type said struct {
	by    *auditor
	lines cosign.Lines
	err   error
}

func newNaming(r *rounds, to *audience, pub *publication, c *ledger.Charter) *naming {
	n := &naming{
		r: r, charter: c, audience: to, head: pub.checkpoint, began: time.Now(), places: make(map[string]int),
		lines: make(cosign.Lines), answers: make(chan said, len(to.parties)),
	}
	var answers []round.Answer
	for i := range c.Auditors.Witnesses {
		w := &c.Auditors.Witnesses[i]
		a := round.Answer{Auditor: to.names[w.Key.String()], Key: w.Key.String(), Kind: round.Silent}
		if w.URL == "" {
			a.Text = "the charter names no URL"
		}
		n.places[a.Key] = len(answers)
		answers = append(answers, a)
	}
	n.round = round.New(pub.checkpoint, r.clock.Now(), answers)
	for _, p := range to.parties {
		n.asked = append(n.asked, &auditor{Party: p, pause: askAgain})
	}
	r.metrics.named(n.head.Size, n.round.Named)
	return n
}

// show serves the round as it is.
func (n *naming) show() { n.r.showRound(n.round) }

// run asks the auditors until the round has ended.
func (n *naming) run(ctx context.Context) {
	over := time.NewTimer(seconds(n.charter.Profile.Round))
	defer over.Stop()
	var enough <-chan time.Time // once the policy is met: the end of the wait for others
	for {
		wait := n.ask(ctx)
		_, changed := n.r.publisher.current()
		if n.amended() {
			n.end(round.Over, 0)
			return
		}
		if enough != nil && !slices.ContainsFunc(n.asked, func(a *auditor) bool { return a.pending }) {
			enough = time.After(0)
		}
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			if !n.met() || !n.finish(ctx) {
				n.end(round.Over, 0)
			}
			return
		case <-changed:
		case <-time.After(wait):
		case a := <-n.answers:
			n.take(a)
			n.show()
			if enough == nil && n.met() {
				enough = time.After(n.r.cfg.Interval / 4)
			}
			if n.unreachable() {
				n.end(round.Declined, n.soonest())
				return
			}
		case <-enough:
			enough = nil
			if n.finish(ctx) {
				return
			}
			if n.spent() {
				n.end(round.Declined, n.soonest())
				return
			}
		}
	}
}

// ask asks those that are due, and returns when the next one is.
func (n *naming) ask(ctx context.Context) time.Duration {
	wait := time.Hour
	for _, a := range n.asked {
		if a.pending || a.done {
			continue
		}
		if until := time.Until(a.next); until > 0 {
			wait = min(wait, until)
			continue
		}
		a.pending = true
		answers := n.answers
		a.Cosign(ctx, n.head, func(lines cosign.Lines, err error) { answers <- said{a, lines, err} })
	}
	return wait
}

// amended reports whether the audit policy in force at the published head is another than
// at the named one. The next head needs the new policy only, so the round ends.
func (n *naming) amended() bool {
	v := n.r.ledger.view.Load()
	return !slices.Equal(v.at(n.r.publisher.published.Load().size()).Auditors.Bytes(), n.charter.Auditors.Bytes())
}

// take records an answer.
func (n *naming) take(s said) {
	a := s.by
	a.pending = false
	retry := a.pause
	if a.pause = min(2*a.pause, maxAskAgain); errors.Is(s.err, cosign.ErrBusy) {
		a.pause = askAgain // a request of an earlier round ends within the time-out
	}
	for _, w := range a.Keys {
		key := w.Key.String()
		out := &n.round.Auditors[n.places[key]]
		line, signed := s.lines[key]
		err := s.err
		if err == nil && !signed {
			err = errors.New("its answer has no line of this key")
		}
		if err == nil {
			err = n.timely(line.Time)
		}
		if err != nil {
			n.quote(out, err, &retry)
		} else {
			at := time.Unix(int64(line.Time), 0).UTC()
			*out = round.Answer{Auditor: out.Auditor, Key: key, Kind: round.Cosigned, Time: &at}
			n.lines[key], a.done = line, true
		}
		n.r.metrics.answers.Add(1, out.Auditor, string(out.Kind))
	}
	a.next = time.Now().Add(retry)
}

// timely refuses a cosignature whose time is not that of this round: an old one would
// make the audited head look stale, and no auditor knows a later time.
func (n *naming) timely(at uint64) error {
	skew := int64(n.charter.Profile.Skew)
	if t := int64(min(at, 1<<40)); t < n.round.Named.Unix()-skew || t > n.r.clock.Now().Unix()+skew {
		return fmt.Errorf("it signed with the time %s", time.Unix(t, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// quote records why an auditor gave no cosignature. It raises retry to what the auditor
// asks for.
func (n *naming) quote(out *round.Answer, err error, retry *time.Duration) {
	var silent *cosign.Unanswered
	var refusal *cosign.Refusal
	a := round.Answer{Auditor: out.Auditor, Key: out.Key, Kind: round.Wrong, Text: round.Quote(err.Error())}
	switch {
	case errors.As(err, &silent), errors.Is(err, cosign.ErrBusy):
		a.Kind = round.Silent
	case errors.As(err, &refusal) && refusal.Status >= 500, errors.As(err, &refusal) && refusal.Status == http.StatusTooManyRequests:
		a.Kind = round.Silent // a proxy answers in place of an auditor
		if said, err := round.ParseDecline(refusal.Body); err == nil && refusal.Status == http.StatusServiceUnavailable {
			a.Kind, a.Text, a.Bars = round.Refused, said.Detail, said.Bars
		}
		if s, err := strconv.ParseUint(refusal.Header.Get("Retry-After"), 10, 16); err == nil {
			*retry = min(max(*retry, seconds(s)), max(seconds(n.charter.Profile.Round)/2, askAgain))
		}
	}
	*out = a
}

// met reports whether the cosignatures meet the audit policy by their keys.
func (n *naming) met() bool {
	p := n.audience.policy
	return p.Satisfied(func(i int) bool { _, ok := n.lines[p.Witnesses[i].Key.String()]; return ok })
}

// unreachable reports whether so many auditors decline that the policy can't be met. One
// that is catching up declines without a bar, and may still cosign this head.
func (n *naming) unreachable() bool {
	p, barred := n.audience.policy, false
	return !p.Satisfied(func(i int) bool {
		bars := len(n.round.Auditors[i].Bars) > 0
		barred = barred || bars
		return !bars && p.Witnesses[i].URL != ""
	}) && barred
}

// spent reports whether no auditor is left whose answer could change the outcome.
func (n *naming) spent() bool {
	return !slices.ContainsFunc(n.asked, func(a *auditor) bool {
		return !a.done && len(n.round.Auditors[n.places[a.Keys[0].Key.String()]].Bars) == 0
	})
}

// soonest returns how long the first of those that decline wants to be left alone.
func (n *naming) soonest() time.Duration {
	wait := maxAskAgain
	for _, a := range n.asked {
		if !a.pending {
			wait = min(wait, time.Until(a.next))
		}
	}
	return max(wait, askAgain)
}

// end ends the round. The same head may be named again after the pause.
func (n *naming) end(s round.State, pause time.Duration) {
	n.round.State = s
	n.again = time.Now().Add(pause)
}

// finish makes the head the audited one. It returns false if the cosignatures do not
// count, or if the round must be tried again.
func (n *naming) finish(ctx context.Context) bool {
	cp, after, err := n.audited()
	if err != nil {
		n.r.logger.Warn("the cosignatures of auditors do not meet the audit policy; waiting for others", "size", n.head.Size, "err", err)
		return false
	}
	if err := n.r.publish(ctx, cp, after); err != nil {
		n.r.logger.Error("the audited checkpoint is not served; trying again", "err", err)
		n.end(round.Over, askAgain)
		return true
	}
	n.end(round.Met, seconds(n.charter.Profile.Round))
	return true
}

// audited returns the head with cosignatures that meet the witness policy and the audit
// policy, checked, and its audit time.
func (n *naming) audited() (cp *tlog.Checkpoint, after uint64, err error) {
	base := n.head
	if pub := n.r.publisher.published.Load(); pub.size() == base.Size {
		base = pub.checkpoint // its cosignatures are fresher
	}
	all := &tlog.Checkpoint{Head: base.Head, Signatures: slices.Clone(base.Signatures)}
	for _, key := range slices.Sorted(maps.Keys(n.lines)) {
		all.Signatures = append(all.Signatures, *n.lines[key].Line)
	}
	note, err := n.r.note(all)
	if err != nil {
		return nil, 0, err
	}
	counted, err := tlog.ParseCheckpoint([]byte(note))
	if err != nil {
		return nil, 0, err
	}
	if cp, err = tlog.ParseCheckpoint(n.assemble(base, counted, all).Bytes()); err != nil {
		return nil, 0, err
	}
	if after, err = n.r.verify(cp); err != nil {
		return nil, 0, err
	}
	_, err = n.r.note(cp)
	return cp, after, err
}

// note returns what a release carries as its audit under a head, by the ledger.
func (r *rounds) note(cp *tlog.Checkpoint) (note string, err error) {
	r.ledger.Query(func(l *ledger.Ledger, _ *duty.Agenda) { note, _, err = l.AuditNote(cp) })
	if err == nil && note == "" {
		err = errors.New("an amendment that is not published yet asks for no auditors")
	}
	return note, err
}

// assemble returns the head with the log's lines, then smallest sets that meet the
// policies of witnesses and auditors, and then other lines that fit.
func (n *naming) assemble(base, counted, all *tlog.Checkpoint) *tlog.Checkpoint {
	cp := &tlog.Checkpoint{Head: base.Head}
	add := func(lines []tlog.Signature, keep func(*tlog.Signature) bool) {
		for i := range lines {
			s := &lines[i]
			had := slices.ContainsFunc(cp.Signatures, func(t tlog.Signature) bool { return t.Name == s.Name && t.KeyID == s.KeyID })
			if !had && keep(s) {
				cp.Signatures = append(cp.Signatures, *s)
			}
		}
	}
	add(base.Signatures, func(s *tlog.Signature) bool { return s.Name == base.Origin })
	v := n.r.ledger.view.Load()
	for _, p := range slices.Backward(v.policies(base.Size-1, base.Size)) {
		ok, err := p.Verify(base, n.r.ledger.origin)
		if err != nil {
			continue // the caller verifies what comes out
		}
		times := make(tlog.Times)
		for i := range p.Witnesses {
			for _, c := range ok.Witnesses {
				if c.Witness == &p.Witnesses[i] {
					times[i] = c.Time
				}
			}
		}
		w, _ := p.Window(times)
		for _, i := range w.Set {
			add([]tlog.Signature{*base.Find(p.Witnesses[i].Key)}, func(*tlog.Signature) bool { return true })
		}
	}
	add(counted.Signatures, func(*tlog.Signature) bool { return true })
	fits := func(*tlog.Signature) bool { return len(cp.Signatures) < maxLines }
	add(all.Signatures[len(base.Signatures):], fits)
	add(base.Signatures, fits)
	return cp
}
