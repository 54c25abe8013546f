// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/c2sp"
)

// MaxFileSize bounds a notice file.
const MaxFileSize = 1 << 20

// A File is a notice with the proofs of the entries that it is about, so that it can be
// verified offline, by its subject or by whoever the subject shows it to.
type File struct {
	Access     []byte `json:"access"`     // proof file (C2SP tlog-proof) with the entry as extra
	Ciphertext []byte `json:"ciphertext"` // as the release states it
	Notice     []byte `json:"notice"`     // what it says: escrow.Notice
	Release    []byte `json:"release"`    // proof file
	Warrant    []byte `json:"warrant,omitempty"`
}

// FilePrefix is how every notice file begins, and no proof file.
const FilePrefix = `{"access":"`

// Bytes encodes the file, as one line of JSON.
func (f *File) Bytes() ([]byte, error) {
	b, err := json.Marshal(f)
	if err == nil && len(b) >= MaxFileSize {
		err = fmt.Errorf("a notice file of %d bytes, at most %d", len(b), MaxFileSize)
	}
	return append(b, '\n'), err
}

// ParseFile reads what Bytes writes, and nothing else.
func ParseFile(b []byte) (*File, error) {
	if len(b) > MaxFileSize {
		return nil, fmt.Errorf("%w: a notice file of more than %d bytes", escrow.ErrMalformed, MaxFileSize)
	}
	f := new(File)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%w: %w", escrow.ErrMalformed, err)
	}
	if again, err := f.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: notice file: not the canonical encoding", escrow.ErrMalformed)
	}
	return f, nil
}

// A Verified is a notice file that holds.
type Verified struct {
	*Case
	Entries map[string]*verify.Inclusion // release, access, and warrant if there is one
}

// Verify judges a notice file under the verifier's policy. With a seed it also opens the
// ciphertext, so that the file shows what the custodian wrote and to whom; without one
// it shows what the log's entries have sealed, and that a release states some notice.
// An error that is not one of package verify's wraps ErrContradiction or
// escrow.ErrMalformed: then the file itself fails.
func (f *File) Verify(policy *c2sp.Policy, o verify.Options, seed *escrow.Seed) (*Verified, error) {
	n, err := escrow.ParseNotice(f.Notice)
	if err != nil {
		return nil, fmt.Errorf("what the notice says: %w", err)
	}
	v := &Verified{Entries: make(map[string]*verify.Inclusion)}
	entries := make(map[string]*entry)
	for name, proof := range map[string][]byte{"release": f.Release, "access": f.Access, "warrant": f.Warrant} {
		if proof == nil && name == "warrant" {
			continue
		}
		in, err := verify.Proof(policy, proof, o)
		if err != nil {
			return nil, err
		}
		v.Entries[name] = in
		entries[name] = &entry{in.Reference(), in.Envelope()}
		if in.Origin() != n.Origin {
			return nil, contradiction("the %s is of the log %q, and the notice of %q", name, in.Origin(), n.Origin)
		}
	}
	if f.Warrant != nil && n.Warrant == nil {
		return nil, contradiction("a warrant, and the notice is of an emergency")
	}
	if v.Case, err = build(n, f.Ciphertext, entries["release"], entries["access"], entries["warrant"]); err != nil {
		return nil, err
	}
	v.NotShown = append(v.NotShown, "that the signers held their roles and kept their limits: scan replays the log", "what was logged later")
	if seed == nil {
		v.NotShown = append(v.NotShown, "that the custodian wrote these words: the subject's seed opens the ciphertext")
		return v, nil
	}
	return v, v.open(f, n, seed, entries["release"])
}

// open opens the ciphertext with the seed's keys up to the month after the release's.
func (v *Verified) open(f *File, n *escrow.Notice, seed *escrow.Seed, release *entry) error {
	last := max(seed.First, escrow.PeriodOf(release.env.Event.Time)+1)
	keys, err := seed.Keys(n.Origin, last)
	if err != nil {
		return err
	}
	for _, k := range keys {
		got, err := escrow.OpenNotice(n.Origin, k, f.Ciphertext)
		if errors.Is(err, escrow.ErrOpen) {
			continue
		}
		if err != nil {
			return err
		}
		b, err := got.Bytes()
		if err != nil {
			return err
		}
		if !bytes.Equal(b, f.Notice) {
			return contradiction("the ciphertext says something else than the file")
		}
		v.ByFile = append(v.ByFile, "the custodian's ciphertext opens with a key of the seed, and says these words")
		return nil
	}
	return contradiction("no key of the seed opens the ciphertext")
}

// Report returns the entries' reports by package verify, by what they are.
func (v *Verified) Report() map[string]*verify.Report {
	out := make(map[string]*verify.Report, len(v.Entries))
	for name, in := range v.Entries {
		out[name] = in.Report()
	}
	return out
}

// File makes a notice file of a case that a scan has found, with the proofs under a head
// that the client has verified. It fetches them one by one.
func (k *Case) File(ctx context.Context, c *client.Client, head *c2sp.Verified) (*File, error) {
	text, err := k.notice.Bytes()
	if err != nil {
		return nil, err
	}
	f := &File{Ciphertext: k.ciphertext, Notice: text}
	for _, p := range []struct {
		to    *[]byte
		index *uint64
	}{{&f.Release, &k.Release}, {&f.Access, &k.Access}, {&f.Warrant, k.Warrant}} {
		if p.index == nil {
			continue
		}
		proof, err := c.ProveAt(ctx, head, *p.index)
		if err != nil {
			return nil, err
		}
		*p.to = proof.Bytes()
	}
	return f, nil
}
