// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

var (
	auditMissing = &Way{"audit", "missing", KindBreach, "the audit policy needs cosignatures, and the release carries none", ""}
	auditNone    = &Way{"audit", "none", KindBreach, "it carries a checkpoint, and the audit policy is none", ""}
	auditBad     = &Way{"audit", "checkpoint", KindBreach, "its checkpoint proves no audit: {why}", ""}
	auditForeign = &Way{"audit", "foreign", KindBreach, "its checkpoint has a line of a key that is not in the audit policy", ""}
	auditAccess  = &Way{"audit", "access", KindBreach, "its checkpoint of size {size} does not contain access {access}", ""}
	auditBarred  = &Way{"audit", "barred", KindBreach, "auditor {auditor} cosigned the head of size {size} at {time}, and was barred", ""}
	auditStale   = &Way{"audit", "stale", KindNoEffect, "the cosignatures of its checkpoint of size {size} were stale when it was logged: the release counts in the chain and opens nothing", "sign another release, under a newer checkpoint"}
	auditAmended = &Way{"audit", "amended", KindNoEffect, "its checkpoint does not meet the audit policy of an amendment that its custodian may not have known: the release counts in the chain and opens nothing", "sign another release, under a newer checkpoint"}
)

// audit checks the checkpoint under which a custodian opens. The policies at its size,
// at the release's head and in force must be met; the custodian does not answer for the
// last, which it may not have known. late is the verdict of a release that opens
// nothing; barred are lines that their auditors must answer for.
func (x *act) audit(r *event.Release) (late *Violation, barred []*Violation, v *Violation, err error) {
	known := x.l.CharterAt(r.Head.Size)
	needs, now := known.Auditors.NeedsWitnesses(), x.c.Auditors.NeedsWitnesses()
	switch {
	case needs && r.Audit == "":
		return nil, nil, x.fail(auditMissing), nil
	case !needs && r.Audit != "":
		return nil, nil, x.fail(auditNone), nil
	case needs != now:
		return x.fail(auditAmended), nil, nil, nil
	case !needs:
		return nil, nil, nil, nil
	}
	cp, perr := tlog.ParseCheckpoint([]byte(r.Audit))
	switch {
	case perr != nil:
		return nil, nil, x.fail(auditBad, perr), nil
	case cp.Size > x.e.Index:
		return nil, nil, x.fail(referenceFuture, cp.Size), nil
	case cp.Size <= r.Access.Index:
		return nil, nil, x.fail(auditAccess, cp.Size, r.Access.Index), nil
	}
	after, lines, v := x.vouched(cp, known)
	if v != nil {
		return nil, nil, v, nil
	}
	root, err := x.l.root(cp.Size)
	if err != nil {
		return nil, nil, nil, err
	}
	if root != cp.Root {
		v := x.fail(referenceHead, cp.Size)
		v.By = orLog(v.By)
		return nil, nil, v, nil
	}
	if cp.Size < x.l.recent.oldest || x.l.after > after+int64(x.c.Profile.Stale) {
		return x.fail(auditStale, cp.Size), nil, nil, nil
	}
	if x.c != known { // the policy that vouched has not verified
		if _, err := x.l.VerifyAudit(x.c, cp); err != nil {
			late = x.fail(auditAmended)
		}
	}
	return late, x.barred(cp.Size, lines), nil, nil
}

// vouch is an auditor's cosignature.
type vouch struct {
	auditor string
	key     uint32 // number + 1 of the auditor's event key
	time    int64
}

// vouched verifies a checkpoint under the audit policies at its size and of a charter
// that the custodian knew. It returns the earlier of their logged-after times.
func (x *act) vouched(cp *tlog.Checkpoint, known *Charter) (after int64, lines []vouch, v *Violation) {
	after = maxTime
	ours := make(map[*tlog.Signature]bool)
	for _, c := range slices.Compact([]*Charter{x.l.CharterAt(cp.Size), known}) {
		ok, err := x.l.VerifyAudit(c, cp)
		if err != nil {
			return 0, nil, x.fail(auditBad, err)
		}
		if c.Auditors.NeedsWitnesses() {
			after = min(after, clamp(ok.LoggedAfter))
		}
		for _, k := range ok.Logs {
			ours[cp.Find(k)] = true
		}
		for _, w := range ok.Witnesses {
			s := cp.Find(w.Witness.Key)
			if !ours[s] {
				auditor := c.cosigners[w.Witness.Key.String()]
				lines = append(lines, vouch{auditor, x.l.auditorKey(c, auditor), clamp(w.Time)})
			}
			ours[s] = true
		}
	}
	if len(ours) != len(cp.Signatures) {
		return 0, nil, x.fail(auditForeign)
	}
	return after, lines, nil
}

// barred returns the breaches of the auditors that signed while they were barred.
func (x *act) barred(size uint64, lines []vouch) []*Violation {
	var out []*Violation
	for _, s := range lines {
		if x.l.wasBarred(s.auditor, size, s.time) {
			v := auditBarred.by(string(event.RoleAuditor)+" "+s.auditor, x.e.Index, x.e.Index, s.auditor, size, unix(s.time))
			v.key = s.key
			out = append(out, v)
		}
	}
	return out
}

// AuditNote returns what a release carries as its audit if its custodian opens under
// this head: the log's line and a smallest set of cosignatures, by auditors that are
// not set aside and were not barred, that meets the audit policies at the head's size
// and in force; and the logged-after time of these. The note is "" if no policy asks
// for auditors. The error wraps [tlog.ErrUnknownLog] or [tlog.ErrNoQuorum].
func (l *Ledger) AuditNote(cp *tlog.Checkpoint) (note string, loggedAfter uint64, err error) {
	at, in := l.CharterAt(cp.Size), l.Charter()
	if at == nil || !in.Auditors.NeedsWitnesses() {
		return "", 0, nil
	}
	out := &tlog.Checkpoint{Head: cp.Head}
	add := func(k *tlog.VerifierKey) {
		if out.Find(k) == nil {
			out.Signatures = append(out.Signatures, *cp.Find(k))
		}
	}
	for _, k := range l.logsAt(cp.Size) {
		if s := cp.Find(k.Key); s != nil && len(out.Signatures) == 0 {
			if _, err := k.Key.Verify(&cp.Head, s); err == nil {
				add(k.Key)
			}
		}
	}
	if len(out.Signatures) == 0 {
		return "", 0, fmt.Errorf("the audit of size %d: %w", cp.Size, tlog.ErrUnknownLog)
	}
	loggedAfter = maxTime
	for _, c := range slices.Compact([]*Charter{at, in}) {
		w, err := c.Auditors.Window(l.counted(c, cp))
		if err != nil {
			return "", 0, fmt.Errorf("the audit of size %d: %w", cp.Size, err)
		}
		if c.Auditors.NeedsWitnesses() {
			loggedAfter = min(loggedAfter, w.LoggedAfter)
		}
		for _, i := range w.Set {
			add(c.Auditors.Witnesses[i].Key)
		}
	}
	return string(out.Bytes()), loggedAfter, nil
}

// counted returns the times of a head's lines that count under a charter's audit policy.
func (l *Ledger) counted(c *Charter, cp *tlog.Checkpoint) tlog.Times {
	times := make(tlog.Times)
	for i, w := range c.Auditors.Witnesses {
		s := cp.Find(w.Key)
		if s == nil {
			continue
		}
		t, err := w.Key.Verify(&cp.Head, s)
		name := c.cosigners[w.Key.String()]
		if err == nil && !l.SetAside(c.Party(event.RoleAuditor, name), cp.Size) && !l.wasBarred(name, cp.Size, clamp(t)) {
			times[i] = t
		}
	}
	return times
}
