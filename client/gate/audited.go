// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// auditTimeout bounds one reading of what the log shows of its auditors.
const auditTimeout = 5 * time.Second

// audits is what the log shows of its auditors. Each request proves its own heads, so only what
// the gate says of itself depends on audits. Gate.lock guards it.
type audits struct {
	read    bool           // the log was asked
	head    *tlog.Verified // the newest audited head, by its witnesses; nil: none yet
	round   *round.Round   // the last round that the log has shown; nil: none yet
	unnamed bool           // the log shows no round at present
	// answers has each key's last answer, as far as it is more than the silence with which a round
	// begins.
	answers map[string]round.Answer

	size  uint64 // of the ledger by which after and err hold
	after uint64 // logged-after time of the auditors' lines that count
	err   error
}

// watchAudits reads what the log shows of its auditors until ctx ends. It is apart from run, so
// that a slow answer delays only what the gate says of itself.
func (g *Gate) watchAudits(ctx context.Context) {
	tick := time.NewTicker(g.cfg.Poll)
	defer tick.Stop()
	last := ""
	for {
		text := ""
		if err := g.readAudits(ctx); err != nil {
			text = err.Error()
		}
		if ctx.Err() == nil && text != "" && text != last {
			g.cfg.Logger.Warn("reading the audited head", "err", text)
		}
		last = text
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// readAudits reads the log's audited head and audit round once, if the charter in force asks for
// auditors.
func (g *Gate) readAudits(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	asked := false
	err := g.with(ctx, func(f *follower) error {
		in := f.ledger.Charter()
		asked = in != nil && in.Auditors.NeedsWitnesses()
		return nil
	})
	if !asked {
		return err
	}
	c := g.client.Load()
	named, unnamed := c.Round(ctx)
	head, _, err := c.Audited(ctx, nil)
	// The lock is needed longer than the log was given.
	return g.with(context.WithoutCancel(ctx), func(f *follower) error {
		f.audits.read = true
		f.audits.heard(named, unnamed)
		if err != nil {
			return err
		}
		return g.takeAudited(f, head.Checkpoint)
	})
}

// heard keeps a round, and the auditors' last answers.
func (a *audits) heard(r *round.Round, err error) {
	if a.unnamed = err != nil; a.unnamed {
		return
	}
	answers := make(map[string]round.Answer)
	for _, n := range r.Auditors {
		if before, ok := a.answers[n.Key]; ok && n.Kind == round.Silent && n.Text == "" {
			n = before
		}
		answers[n.Key] = n
	}
	a.round, a.answers = r, answers
}

// takeAudited makes a head the audited one, if it is of the followed tree, meets the policy of
// the witnesses, and is the one that auditors signed last.
func (g *Gate) takeAudited(f *follower, cp *tlog.Checkpoint) error {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	a := &f.audits
	if a.head != nil && a.size == f.ledger.Size() && slices.Equal(a.head.Checkpoint.Bytes(), cp.Bytes()) {
		return nil
	}
	if cp.Size > f.ledger.Size() {
		if err := g.follow(ctx, f, time.Now()); err != nil {
			return err
		}
	}
	in := f.ledger.CharterAt(cp.Size)
	if in == nil {
		return errBehind
	}
	v, err := in.Witnesses.Verify(cp, g.cfg.Origin)
	if err == nil {
		err = f.contains(ctx, cp)
	}
	if err != nil {
		return fmt.Errorf("the audited head of size %d: %w", cp.Size, err)
	}
	_, after, err := f.ledger.AuditNote(cp)
	if old, failed := a.judged(f.ledger); err == nil && failed == nil && after < old {
		return nil
	}
	a.head, a.size, a.after, a.err = v, f.ledger.Size(), after, err
	return nil
}

// judged returns the logged-after time of the auditors that vouch for the head, by the present
// ledger.
func (a *audits) judged(l *ledger.Ledger) (after uint64, err error) {
	switch {
	case a.head == nil:
		return 0, errUnaudited
	case a.size != l.Size():
		_, a.after, a.err = l.AuditNote(a.head.Checkpoint)
		a.size = l.Size()
	}
	return a.after, a.err
}

var errUnaudited = fmt.Errorf("the log shows no head that they vouch for: %w", tlog.ErrNoQuorum)

// audited returns a refusal if no request can prove a fresh head that auditors vouch for.
func (f *follower) audited(now moment) error {
	in, a := f.ledger.Charter(), &f.audits
	switch {
	case !in.Auditors.NeedsWitnesses():
		return nil
	case !a.read:
		return refuse(CodeNotReady, "the gate has not asked the log for its audited head yet")
	}
	after, err := a.judged(f.ledger)
	if err != nil {
		return a.explained(refuse(CodeQuorum, "the policy of the auditors: %w", err), now, in)
	}
	size := a.head.Checkpoint.Size
	if err := now.fresh(vouched{"auditors", size, after}, in); err != nil {
		return a.explained(refusal(err), now, in)
	}
	return now.fresh(vouched{"witnesses", size, a.head.LoggedAfter}, in)
}

// explained adds to a refusal which auditors do not cosign, by the log's round, and what would
// end it.
func (a *audits) explained(r *Refusal, now moment, in *ledger.Charter) *Refusal {
	if r.Code == CodeClock {
		return r
	}
	const again = "enough auditors cosign a head with the access"
	if text := a.unasked(now, in); text != "" {
		r.Err, r.ends = fmt.Errorf("%w; %s", r.Err, text), "the log asks its auditors again, and "+again
		return r
	}
	var why, ends []string
	add := func(list *[]string, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	for _, n := range a.round.Auditors {
		switch n = a.answers[n.Key]; {
		case n.Kind == round.Silent && n.Text == "":
			add(&why, "auditor %s has not answered yet", n.Auditor)
		case n.Kind == round.Silent:
			add(&why, "auditor %s is silent", n.Auditor)
		case n.Kind == round.Wrong:
			add(&why, "auditor %s gives no cosignature: %s", n.Auditor, n.Text)
		case n.Kind == round.Refused && len(n.Bars) == 0:
			add(&why, "auditor %s declines: %s", n.Auditor, n.Text)
		}
		for _, b := range n.Bars {
			if v := b.Breach; v != nil {
				add(&why, "auditor %s declines: breach of %s at entry %d (%s)", n.Auditor, v.Rule, v.Index, v.Text)
				add(&ends, "auditor %s closes it by a finding", n.Auditor)
				continue
			}
			o := b.Obligation
			add(&why, "auditor %s declines: overdue %s of entry %d (%s)", n.Auditor, o.Rule, o.Index, o.Text)
			add(&ends, "%s", cures(o))
		}
	}
	if why == nil {
		add(&why, "by the log's round no auditor declines, so ask the log's operator")
	}
	r.Err, r.ends = fmt.Errorf("%w; %s", r.Err, strings.Join(why, "; ")), strings.Join(append(ends, again), "; ")
	return r
}

// unasked says that the log asks no auditor, "" if it does. The log is then to blame, and no
// auditor.
func (a *audits) unasked(now moment, in *ledger.Charter) string {
	switch {
	case a.unnamed || a.round == nil:
		return "the log names no head for its auditors"
	case now.earliest().After(a.round.Named.Add(3*seconds(in.Profile.Round) + seconds(in.Profile.Skew))):
		// A log names its head again one round after it met the policy.
		return "the log has named no head for its auditors since " + formatTime(a.round.Named)
	}
	return ""
}

// cures says what ends an overdue obligation.
func cures(o *ledger.Obligation) string {
	return fmt.Sprintf("%s has done what is owed: %s", ledger.Party(o.By), cmp.Or(o.Cure, o.Text))
}

// newer is what ends a refusal of proofs under an old or an unaudited head.
const newer = "the request has proofs under the newest audited head: vasistas open --policy FILE gets them"

// ends says what would end a refusal.
var ends = map[Code]string{
	CodeNotReady: "the gate has followed the log to a head that its witnesses signed; it tries again by itself",
	CodeStopped:  "the gate's operator has acted",
	CodeStale:    "the log publishes a head with new lines of its witnesses",
	CodeQuorum:   "an amendment names witnesses",
	CodeClock:    "this machine's clock is set",
	CodeTrust:    "the gate's operator has confirmed the charter: vasistas-gate confirm HASH -dir DIR",
	CodeGroup:    "an amendment names this gate's key, in a group",
	CodeChain:    "an amendment names another key for this custodian",
	CodeBreach:   "an audit quorum closes it by findings",
	CodeOverdue:  "what is owed is done",

	CodeForm:      "the request is sealed to this gate's key, under the charter in force",
	CodeBusy:      "fewer requests wait",
	CodeProof:     "the request has this log's proofs of access and warrant",
	CodeFork:      "the request has a proof under a head of this gate's log; tell the gate's operator of the other one",
	CodeHead:      "the log publishes that head",
	CodeAccess:    "the provider has logged another access, which takes effect",
	CodeDead:      "the provider has logged another access, on a warrant that is in force",
	CodeAnswered:  "the gate's operator has its lost journal again; other gates' shares may suffice",
	CodeOpenings:  "the request has the openings of warrant and access, as their signers wrote them",
	CodePackage:   "the request has all packages that the access names, and no others",
	CodeAccount:   "another access names only accounts of its warrant",
	CodeRecipient: "another access has the signature of the agency's key that its warrant names",
	CodeStanza:    "the file is escrowed to the keys of this gate, by vasistas escrow rewrap",
	CodeNotice:    "another access names fewer files",
	CodeStorage:   "the gate's operator has made room, and started the gate again",
	CodeLog:       "the log has shown the gate's release in a witnessed head: ask again",
	CodeEffect:    newer,
	CodeShare:     "the file is escrowed again: its share for this gate is damaged; other gates' shares may suffice",
}

// Ends says what would end the refusal: it follows "once".
func (r *Refusal) Ends() string {
	if r.ends != "" {
		return r.ends
	}
	return ends[r.Code]
}
