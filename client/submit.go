// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Wait is when a log answers a submission.
type Wait string

const (
	// WaitCosigned: with the proof, under a checkpoint that meets the log's witness
	// policy.
	WaitCosigned Wait = "cosigned"
	// WaitSequenced: once the entry is durable and has its index. No witness has seen
	// it then.
	WaitSequenced Wait = "sequenced"
)

// ErrAnswer is wrapped by errors about an answer that contradicts the submission or
// the policy. The event may be logged. Submitting it again is safe: the log answers
// with the logged entry.
var ErrAnswer = errors.New("the log's answer does not hold")

// VariantError reports that a log answers with another entry of the submitted event, and that this
// entry lacks a submitted signature. The error wraps [ErrAnswer]. The entry may have no effect:
// only the ledger can tell (package ledger). [Client.Prove] fetches the entry.
type VariantError struct {
	Index  uint64
	Leaf   tlog.Hash
	Reason string
}

func (e *VariantError) Error() string {
	return fmt.Sprintf("%v: it says that the event is entry %d, which has other signatures, so that it may have no effect: %s", ErrAnswer, e.Index, e.Reason)
}

func (e *VariantError) Unwrap() error { return ErrAnswer }

// Submitted is the log's answer to one event, checked.
type Submitted struct {
	Index uint64
	// Leaf hash of the logged entry (RFC 6962, section 2.1). If the event was logged before, the
	// logged entry may have more signatures than the submitted envelope, and then another leaf hash.
	Leaf      tlog.Hash
	Duplicate bool // the event was logged before
	// Proof with the entry as extra data, verified under the policy. nil with
	// WaitSequenced.
	Proof *tlog.Proof
}

// Submit submits one event, with its openings or notices. It retries like a read, since
// a log answers a repeated event with the logged one. A refusal is a [Problem]. One
// with the code no-quorum carries the index of the logged entry: submit again for the
// proof.
func (c *Client) Submit(ctx context.Context, submission *event.Submission, wait Wait) (*Submitted, error) {
	if err := c.maySubmit(wait); err != nil {
		return nil, err
	}
	text, err := submission.Bytes()
	if err != nil {
		return nil, err
	}
	envelope := submission.Entry()
	var s *Submitted
	err = c.submit.retry(ctx, func(ctx context.Context) error {
		resp, err := c.post(ctx, wait, "application/json", bytes.NewReader(text))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := readBody(resp, tlog.MaxProofSize)
		if err != nil {
			return err
		}
		s, err = c.accept(resp, envelope, wait, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("submitting to %s: %w", c.submit.base, err)
	}
	return s, nil
}

func (c *Client) maySubmit(wait Wait) error {
	switch {
	case c.submit == nil:
		return ErrReadOnly
	case wait == WaitCosigned && c.policy == nil:
		return ErrNoPolicy
	case wait != WaitCosigned && wait != WaitSequenced:
		return fmt.Errorf("wait %q: it is %s or %s", wait, WaitCosigned, WaitSequenced)
	}
	return nil
}

// entryOf returns the envelope of a submission, which is the entry to be logged. It
// parses only submissions that have more than an envelope.
func entryOf(submission []byte) ([]byte, error) {
	if !bytes.HasPrefix(submission, []byte(`{"envelope":`)) {
		return submission, nil
	}
	s, err := event.ParseSubmission(submission)
	if err != nil {
		return nil, err
	}
	return s.Envelope.Bytes(), nil
}

func (c *Client) post(ctx context.Context, wait Wait, mediaType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.submit.base+"/events?wait="+string(wait), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	return c.submit.do(req)
}

func (c *Client) accept(resp *http.Response, envelope []byte, wait Wait, body []byte) (*Submitted, error) {
	if wait == WaitSequenced {
		var r result
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		return c.checkResult(&r, envelope, wait)
	}
	index, err := strconv.ParseUint(resp.Header.Get("Vasistas-Index"), 10, 63)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no header Vasistas-Index with a number", ErrAnswer)
	}
	proof := string(body)
	return c.checkResult(&result{
		Index:     &index,
		Duplicate: resp.Header.Get("Vasistas-Duplicate") == "true",
		Proof:     &proof,
	}, envelope, wait)
}

// result is the JSON answer to a submission with WaitSequenced, and a line of a stream.
type result struct {
	Index     *uint64    `json:"index"`
	Leaf      *tlog.Hash `json:"leaf"`
	Duplicate bool       `json:"duplicate"`
	Proof     *string    `json:"proof"`
	Error     *Problem   `json:"error"`
}

// checkResult checks an answer against the submitted envelope and the policy.
func (c *Client) checkResult(r *result, envelope []byte, wait Wait) (*Submitted, error) {
	if r.Error != nil {
		return nil, fmt.Errorf("the log answers %w", r.Error)
	}
	if r.Index == nil {
		return nil, fmt.Errorf("%w: it has no index", ErrAnswer)
	}
	s := &Submitted{Index: *r.Index, Duplicate: r.Duplicate, Leaf: tiles.LeafHash(envelope)}
	switch {
	case r.Leaf == nil || *r.Leaf == s.Leaf:
	case !s.Duplicate:
		return nil, fmt.Errorf("%w: the leaf hash %x at index %d is not that of what was submitted", ErrAnswer, *r.Leaf, s.Index)
	case wait == WaitSequenced:
		return nil, &VariantError{s.Index, *r.Leaf, "without a proof, its signatures are not known; submit the event again and wait for the proof"}
	default:
		s.Leaf = *r.Leaf
	}
	if wait == WaitSequenced {
		if r.Leaf == nil {
			return nil, fmt.Errorf("%w: it has no leaf", ErrAnswer)
		}
		return s, nil
	}
	if r.Proof == nil {
		return nil, fmt.Errorf("%w: it has no proof", ErrAnswer)
	}
	if err := c.checkProof(s, r, envelope); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Client) checkProof(s *Submitted, r *result, envelope []byte) error {
	p, err := tlog.ParseProof([]byte(*r.Proof))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	leaf := tiles.LeafHash(p.Extra)
	switch {
	case p.Index != s.Index:
		return fmt.Errorf("%w: its proof is for index %d, and it says %d", ErrAnswer, p.Index, s.Index)
	case r.Leaf != nil && leaf != s.Leaf:
		return fmt.Errorf("%w: its proof is for another leaf hash", ErrAnswer)
	case !bytes.Equal(p.Extra, envelope) && !s.Duplicate:
		return fmt.Errorf("%w: its proof is for another entry", ErrAnswer)
	}
	if !bytes.Equal(p.Extra, envelope) {
		err = recorded(s.Index, p.Extra, envelope)
	}
	if err == nil {
		s.Leaf = leaf
		_, err = c.verifyHead(p.Checkpoint)
	}
	if err == nil {
		err = tiles.VerifyInclusion(p.Index, leaf, p.Checkpoint.Size, p.Checkpoint.Root, p.Hashes)
	}
	if variant, ok := errors.AsType[*VariantError](err); ok {
		return variant
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	s.Proof = p
	return nil
}

// recorded returns nil if the logged envelope has the submitted event and each submitted signature.
// The submitter knows whether its own signatures are valid.
func recorded(index uint64, logged, submitted []byte) error {
	a, err := event.ParseEnvelope(logged)
	if err != nil {
		return fmt.Errorf("the logged entry: %w", err)
	}
	b, err := event.ParseEnvelope(submitted)
	if err != nil {
		return fmt.Errorf("what was submitted: %w", err)
	}
	if a.Hash() != b.Hash() {
		return errors.New("its proof is for another event")
	}
	variant := func(format string, args ...any) error {
		return &VariantError{index, a.LeafHash(), fmt.Sprintf(format, args...)}
	}
	for _, want := range b.Signatures {
		i := slices.IndexFunc(a.Signatures, func(s event.Signature) bool { return s.KeyID == want.KeyID })
		switch {
		case i < 0:
			return variant("it has no signature by key %s", want.KeyID)
		case !bytes.Equal(a.Signatures[i].Sig, want.Sig):
			return variant("its signature by key %s is not the one submitted, and can't be verified without the public key", want.KeyID)
		}
	}
	return nil
}
