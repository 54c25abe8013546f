// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"
	"math"
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

	// Now is the verifier's time. A cosignature more than MaxSkew later does not count
	// towards the quorum. Zero: there is no trusted clock, and all times up to the year
	// 9999 count.
	Now time.Time
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
	if err != nil {
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
	v, err := policy.Verify(c, o.Origin)
	switch {
	case errors.Is(err, tlog.ErrNoQuorum):
		return nil, &Error{NoQuorum, err}
	case err != nil:
		return nil, &Error{BadSignature, err}
	}
	in := &Inclusion{checkpoint: c, head: c.Head, logs: v.Logs, index: p.Index, leaf: leaf, quorum: policy.NeedsWitnesses()}
	if err := in.count(policy, v, o.Now); err != nil {
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
	for i := range policy.Logs {
		if policy.Logs[i].Key.Name == origin {
			return nil
		}
	}
	return fail(UnknownLog, "the policy has no key of the log %q", origin)
}

// lastTime is the end of the year 9999, in Unix time.
const lastTime = 253402300799

// count decides which cosignatures count at now, and derives the two times from them.
// A witness with a fast clock does not count, and does not stop the others.
func (in *Inclusion) count(policy *Policy, v *tlog.Verified, now time.Time) error {
	latest := uint64(lastTime)
	if !now.IsZero() {
		latest = uint64(min(lastTime, max(0, now.Add(MaxSkew).Unix())))
	}
	index := make(map[*tlog.VerifierKey]int, len(policy.Witnesses))
	for i := range policy.Witnesses {
		index[policy.Witnesses[i].Key] = i
	}
	times := make(map[int]uint64, len(v.Witnesses))
	for _, w := range v.Witnesses {
		counted := w.Time <= latest
		if counted {
			times[index[w.Witness.Key]] = w.Time
		}
		in.witnesses = append(in.witnesses, Witness{
			Name: w.Witness.Name, Key: keyName(w.Witness.Key), Time: posix(w.Time), Counted: counted,
		})
	}
	before, after, ok := policy.Times(times)
	if !ok {
		return fail(InTheFuture, "the policy is met only by cosignatures in the future: the clock of this machine or of the witnesses is wrong")
	}
	if in.quorum {
		in.before, in.after = posix(before), posix(after)
	}
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
