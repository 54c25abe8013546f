// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify decides offline whether an entry is in a transparency log.
//
// # Contract
//
// From a proof file (C2SP tlog-proof) and the verifier's policy (C2SP tlog-policy)
// it returns an [Inclusion] or an [Error]. Only this package can make an Inclusion
// that proves something. An Inclusion promises its holder that
//
//   - a log of the policy signed a checkpoint,
//   - witnesses that meet the policy's quorum cosigned it, at times within the policy's
//     spread,
//   - with [Options].Audit, auditors that meet that policy's quorum cosigned it, too,
//   - the entry has its index in the tree of that checkpoint,
//   - for [Proof]: the entry is a well-formed event that names this log.
//
// It trusts only the policy: not the log, the file's source or a clock (unless
// [Options].Now gives one). All verifiers with one policy see one log, unless the log
// lies and every witness that two quorums share is dishonest. Two quorums of k of n
// share at least 2k-n witnesses: one under 2 of 3, all under 3 of 3.
//
// An Inclusion does not show whether the signers held their roles, whether limits and
// deadlines were kept, or what was logged later: only a replay of the log does.
// [Inclusion.NotShown] lists what a result leaves open; tools must show that list.
//
// Only authenticated data decides. The extra data of a file is the entry, which the
// inclusion proof binds, or is ignored. Signature lines of keys outside the policy are
// ignored, and so are a checkpoint's extension lines, which ML-DSA-44 cosignatures
// don't cover. Changing a file can make it fail, or remove cosignatures that the
// quorum didn't need, but can't change what it proves.
//
// # Verdicts
//
// A failure is [Disproven] or [Undecided]. Disproven: the file itself fails, and would
// under this policy whatever else the verifier knew. Undecided: the verifier lacks a
// policy, the entry, a key of the log, or a signer's key. An attacker can choose
// between the two, so a script must accept only [Proven], exit code 0.
//
// The package does no I/O and links no network code, so it runs in a browser or on a
// machine without a network.
package verify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxSkew is how far after [Options].Now a cosignature still counts.
const MaxSkew = 5 * time.Minute

// Options are what a verifier may know in addition to policy and file. The zero value
// is fine for a file that carries its entry.
type Options struct {
	// Origin is the origin that the checkpoint must have. "": any log of the policy,
	// under the name of its key. A log whose origin is not the name of its key needs its
	// origin here. Then any log key of the policy may sign, unless a key is named like
	// the origin.
	Origin string

	// Entry is the exact bytes of the entry; the file's extra data is ignored then. nil:
	// the extra data.
	Entry []byte

	// Signers returns the key of an id, nil for an unknown id. Only [Proof] uses it. nil:
	// the event's signatures are not checked, as [Inclusion.SignaturesChecked] shows.
	Signers func(keyID string) *event.PublicKey

	// Audit is the audit policy that the checkpoint must meet too, at cosignature times of any
	// spread: a log's charter has it, or the verifier's own file. Only its auditors and their
	// quorum count, not its log lines. nil: auditors are not asked for.
	Audit *Policy

	// Now is the verifier's time. A cosignature more than MaxSkew later does not count
	// towards the quorum. Zero: there is no trusted clock, and all times up to the year
	// 9999 count.
	Now time.Time
	// MaxAge is how long before Now the checkpoint may have been cosigned, by its logged-after time.
	// An older one, or one without a time, is [Stale]. 0: of any age.
	MaxAge time.Duration
}

// Proof verifies that an event is in the log that it names.
func Proof(policy *Policy, file []byte, o Options) (*Inclusion, error) {
	in, err := Entry(policy, file, o)
	if err != nil {
		return nil, err
	}
	if in.envelope, err = event.ParseEnvelope(in.entry); err != nil {
		return nil, fail(NotAnEvent, "the entry is in the log, but is not an event: %w", err)
	}
	if log := in.envelope.Event.Log; log != in.Origin() {
		return nil, fail(WrongOrigin, "the event is for the log %q, but is in the log %q", log, in.Origin())
	}
	if o.Signers != nil {
		if err := verifySignatures(in.envelope, o.Signers); err != nil {
			return nil, err
		}
		in.signaturesChecked = true
	}
	return in, nil
}

// Entry verifies that an entry of any kind is in a log of the policy: that its leaf
// hash (RFC 6962, section 2.1) is included.
func Entry(policy *Policy, file []byte, o Options) (*Inclusion, error) {
	p, err := parse(policy, file)
	if err != nil {
		return nil, err
	}
	entry := bytes.Clone(o.Entry)
	if entry == nil {
		entry = p.Extra
	}
	if entry == nil {
		return nil, fail(NoEntry, "the file does not carry the entry; give the entry as well")
	}
	in, err := include(policy, p, tiles.LeafHash(entry), o)
	if err != nil {
		return nil, err
	}
	in.entry = entry
	return in, nil
}

// Leaf verifies that a leaf hash (RFC 6962, section 2.1) is in a log of the policy. It
// does not verify the entry. o.Entry must be nil.
func Leaf(policy *Policy, file []byte, leaf [32]byte, o Options) (*Inclusion, error) {
	if o.Entry != nil {
		return nil, fail(noReason, "both an entry and a leaf hash were given; give one of them")
	}
	p, err := parse(policy, file)
	if err != nil {
		return nil, err
	}
	return include(policy, p, leaf, o)
}

func parse(policy *Policy, file []byte) (*tlog.Proof, error) {
	if policy == nil {
		return nil, fail(NoPolicy, "no policy: nothing can be verified without one")
	}
	p, err := tlog.ParseProof(file)
	if errors.Is(err, tlog.ErrTooManySignatures) {
		return nil, &Error{ManySignatures, err}
	} else if err != nil {
		return nil, &Error{Malformed, err}
	}
	return p, nil
}

// include verifies checkpoint and inclusion proof. Only include makes an Inclusion.
func include(policy *Policy, p *tlog.Proof, leaf tlog.Hash, o Options) (*Inclusion, error) {
	c := p.Checkpoint
	if err := checkOrigin(policy, c.Origin, o.Origin); err != nil {
		return nil, err
	}
	v, err := policy.WithSpread(tlog.NoSpread).Verify(c, o.Origin) // count asks for a window
	switch {
	case errors.Is(err, tlog.ErrNoQuorum):
		return nil, &Error{NoQuorum, err}
	case err != nil:
		return nil, &Error{BadSignature, err}
	}
	in := &Inclusion{checkpoint: c, head: c.Head, logs: v.Logs, index: p.Index, leaf: leaf, quorum: policy.NeedsWitnesses(), spread: policy.Spread}
	w, err := in.count(policy, v, o.Now)
	if err != nil {
		return nil, err
	}
	if in.witnesses = w.lines; in.quorum {
		in.before, in.after = posix(w.ExistedBefore), posix(w.LoggedAfter)
	}
	if in.quorum && !o.Now.IsZero() {
		in.age = new(o.Now.Sub(in.after))
	}
	switch {
	case o.MaxAge == 0:
	case in.age == nil:
		return nil, fail(Stale, "no time of its checkpoint is proven, so its age is unknown")
	case *in.age > o.MaxAge:
		return nil, fail(Stale, "its checkpoint is of %s, and %s ago is the most that you allow: get a newer proof", formatTime(in.after), o.MaxAge)
	}
	if err := in.audit(policy, o); err != nil {
		return nil, err
	}
	if err := tiles.VerifyInclusion(p.Index, leaf, c.Size, c.Root, p.Hashes); err != nil {
		return nil, fail(NotIncluded, "the tree of %d entries does not have this entry at index %d: %w", c.Size, p.Index, err)
	}
	return in, nil
}

func checkOrigin(policy *Policy, origin, want string) error {
	if want != "" && origin != want {
		return fail(WrongOrigin, "the checkpoint is of the log %q, not of %q", origin, want)
	}
	if want != "" && len(policy.Logs) > 0 {
		return nil
	}
	if slices.ContainsFunc(policy.Logs, func(l tlog.PolicyLog) bool { return l.Key.Name == origin }) {
		return nil
	}
	return fail(UnknownLog, "the policy has no key of the log %q", origin)
}

// lastTime is the end of the year 9999, in Unix time.
const lastTime = 253402300799

// counted is the cosignatures of a policy's witnesses or auditors, and the window of those
// that count.
type counted struct {
	tlog.Window
	lines []Witness
}

// count decides which cosignatures count at now, and derives the two times from them.
// A witness with a fast clock does not count, and does not stop the others.
func (in *Inclusion) count(policy *Policy, v *tlog.Verified, now time.Time) (c counted, err error) {
	latest := uint64(lastTime)
	if !now.IsZero() {
		latest = uint64(min(lastTime, max(0, now.Add(MaxSkew).Unix())))
	}
	index := make(map[*tlog.VerifierKey]int, len(policy.Witnesses))
	for i := range policy.Witnesses {
		index[policy.Witnesses[i].Key] = i
	}
	times, all := make(tlog.Times), make(tlog.Times)
	for _, w := range v.Witnesses {
		i, counts := index[w.Witness.Key], w.Time <= latest
		if all[i] = w.Time; counts {
			times[i] = w.Time
		}
		c.lines = append(c.lines, Witness{
			Name: w.Witness.Name, Key: keyName(w.Witness.Key), Time: posix(w.Time), Counted: counts,
		})
	}
	c.Window, err = policy.Window(times)
	if _, ever := policy.Window(all); ever != nil {
		return c, fail(NoQuorum, "%w, %d seconds", ever, policy.Spread)
	} else if err != nil {
		return c, fail(InTheFuture, "the policy is met only by cosignatures in the future: the clock of this machine or of the witnesses is wrong")
	}
	return c, nil
}

// audit verifies that the checkpoint meets the audit policy, if one is asked for. Only a log of
// policy may have signed it.
func (in *Inclusion) audit(policy *Policy, o Options) error {
	switch {
	case o.Audit == nil:
		return nil
	case !o.Audit.NeedsWitnesses():
		return fail(NoPolicy, "the audit policy asks for no auditors, so none can have vouched")
	}
	audit := o.Audit.WithSpread(tlog.NoSpread)
	audit.Logs = policy.Logs
	v, err := audit.Verify(in.checkpoint, o.Origin)
	switch {
	case errors.Is(err, tlog.ErrNoQuorum):
		return fail(NoAudit, "by the audit policy: %w", err)
	case err != nil:
		return fail(BadSignature, "by the audit policy: %w", err)
	}
	c, err := in.count(audit, v, o.Now)
	if err != nil {
		return err
	}
	in.auditors, in.vouched = c.lines, posix(c.LoggedAfter)
	return nil
}

// posix returns the time of a timestamp, at most the end of the year 9999.
func posix(seconds uint64) time.Time {
	return time.Unix(int64(min(seconds, lastTime, math.MaxInt64)), 0).UTC()
}

// verifySignatures checks all signatures of known keys before it reports an unknown
// key: a forged signature disproves the event in any case.
func verifySignatures(e *event.Envelope, signers func(string) *event.PublicKey) error {
	known := &event.Envelope{Event: e.Event, Payload: e.Payload}
	unknown := ""
	for _, s := range e.Signatures {
		if signers(s.KeyID) == nil {
			unknown = s.KeyID
			continue
		}
		known.Signatures = append(known.Signatures, s)
	}
	if len(known.Signatures) > 0 {
		if err := known.Verify(signers); errors.Is(err, event.ErrUnknownSigner) {
			// signers returned a key of another id.
			return &Error{UnknownSigner, err}
		} else if err != nil {
			return &Error{BadEventSignature, err}
		}
	}
	if unknown != "" {
		return fail(UnknownSigner, "%w: %s", event.ErrUnknownSigner, unknown)
	}
	return nil
}

// Verdict is the outcome of a verification. Its numbers are exit codes, and stable.
type Verdict int

const (
	Proven    Verdict = 0 // there is an [Inclusion]
	Disproven Verdict = 1 // the file fails
	Undecided Verdict = 2 // the verifier lacks something
)

// String returns proven, disproven or undecided.
func (v Verdict) String() string {
	switch v {
	case Proven:
		return "proven"
	case Disproven:
		return "disproven"
	}
	return "undecided"
}

// Reason is why a verification failed. Its text is stable.
type Reason string

// Reasons that disprove.
const (
	Malformed         Reason = "malformed"     // not a C2SP tlog-proof in its one encoding
	WrongOrigin       Reason = "wrong-origin"  // a checkpoint of, or an event for, another log than the expected one
	BadSignature      Reason = "bad-signature" // a line of a key of the policy does not verify, or the log's is missing
	NoQuorum          Reason = "no-quorum"     // the cosignatures don't meet the policy
	NoAudit           Reason = "no-audit"      // the auditors' cosignatures don't meet Options.Audit
	NotIncluded       Reason = "not-included"  // the tree of the checkpoint does not have the entry at the index
	NotAnEvent        Reason = "not-an-event"  // the entry is not an event in its one encoding
	BadEventSignature Reason = "bad-event-sig" // a signature of the event does not verify
	BadNotice         Reason = "bad-notice"    // a notice and the entries that it names contradict each other
	NoFork            Reason = "no-fork"       // two heads do not contradict each other as the evidence of a fork says
	noReason          Reason = ""              // of errors that are no [Error]
)

// Reasons that leave it undecided.
const (
	NoPolicy      Reason = "no-policy"      // no policy was given, or an audit policy without auditors
	NoEntry       Reason = "no-entry"       // neither the file nor the caller has the entry
	UnknownLog    Reason = "unknown-log"    // the policy has no log of the checkpoint's origin
	UnknownSigner Reason = "unknown-signer" // Options.Signers doesn't know a key that signed the event
	NoCharters    Reason = "no-charters"    // a notice's charters do not prove who may sign
	Stale         Reason = "stale"          // the checkpoint is older than Options.MaxAge
	InTheFuture   Reason = "in-the-future"  // the policy is met only by cosignatures later than Options.Now

	// ManySignatures: the note has more lines than [tlog.MaxSignatures]; anyone can add some.
	ManySignatures Reason = "many-signatures"

	UnprovenFork Reason = "unproven-fork" // evidence of a fork has no proof that the two heads contradict each other
)

// Verdict returns what the reason means.
func (r Reason) Verdict() Verdict {
	switch r {
	case Malformed, WrongOrigin, BadSignature, NoQuorum, NoAudit, NotIncluded, NotAnEvent, BadEventSignature, BadNotice, NoFork:
		return Disproven
	}
	return Undecided
}

// Error is the type of every error of [Proof], [Entry], [Leaf] and [Fork].
type Error struct {
	Reason Reason
	Err    error // never nil
}

// Error returns the verdict and its cause.
func (e *Error) Error() string { return fmt.Sprintf("%v: %v", e.Reason.Verdict(), e.Err) }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// VerdictOf returns Proven for nil, the verdict of an [Error] in err, and Undecided for
// all other errors, such as that of an unreadable file.
func VerdictOf(err error) Verdict {
	if err == nil {
		return Proven
	}
	return reasonOf(err).Verdict()
}

func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return noReason
}

func fail(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Policy is a trust policy (C2SP tlog-policy): logs, witnesses and a quorum.
type Policy = tlog.Policy

// PolicyError names the line of a policy that breaks a rule.
type PolicyError = tlog.PolicyError

// ParsePolicy parses a policy file (C2SP tlog-policy). Everything that the format does
// not name is a [PolicyError].
func ParsePolicy(b []byte) (*Policy, error) { return tlog.ParsePolicy(b) }
