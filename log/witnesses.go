// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/tiles/prover"
)

// witnessClient asks one witness, by the tlog-witness protocol. The witnesses of
// the policy that share its URL are keys of one operator, and answer together.
type witnessClient struct {
	url    string // submission prefix without a trailing slash
	policy *c2sp.Policy
	keys   []int // places in policy.Witnesses
	http   *http.Client
	prover *prover.Prover

	busy sync.Mutex // held during a call
	// known is the size of the head that the witness cosigned last, as far as
	// we know; guarded by busy.
	known   uint64
	isKnown bool
}

func newWitnessClients(policy *c2sp.Policy, client *http.Client, p *prover.Prover) ([]*witnessClient, error) {
	var out []*witnessClient
	byURL := make(map[string]*witnessClient)
	for i, w := range policy.Witnesses {
		if w.URL == "" {
			continue
		}
		url := strings.TrimSuffix(w.URL, "/")
		c := byURL[url]
		if c == nil {
			c = &witnessClient{url: url, policy: policy, http: client, prover: p}
			byURL[url] = c
			out = append(out, c)
		}
		c.keys = append(c.keys, i)
	}
	asked := func(i int) bool { return policy.Witnesses[i].URL != "" }
	if !policy.Satisfied(asked) {
		return nil, errors.New("the witness policy can't be met: too many of its witnesses have no URL")
	}
	// The log must hear so many that no quorum is unheard.
	if policy.NeedsWitnesses() && policy.Satisfied(func(i int) bool { return !asked(i) }) {
		return nil, errors.New("the witness policy can be met by witnesses without a URL: " +
			"the log could never know that they have seen no later head; give them URLs, or ask for a larger quorum")
	}
	return out, nil
}

// witnessHTTP returns the default of Config.HTTP. It follows no redirection,
// which would let a witness choose whom the log talks to.
func witnessHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        2 * time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// name is the name of the first key, for logs and metrics.
func (c *witnessClient) name() string { return c.policy.Witnesses[c.keys[0]].Name }

// Errors of witnessClient.cosign that call for more than trying again.
var (
	errBusy = errors.New("an earlier request to this witness is still under way")
	// errWitnessAhead: the witness says that it has cosigned a larger tree.
	errWitnessAhead = errors.New("the witness says that it has cosigned a larger tree")
	// errWitnessConflict: the witness says that the head conflicts with what it
	// has cosigned.
	errWitnessConflict = errors.New("the witness says that the head conflicts with one that it has cosigned")
)

// maxClockLead is how far in the future a cosignature's time may be.
const maxClockLead = 5 * time.Minute

// cosign returns the witness's lines over head, by their place in the policy,
// each verified. head carries the log's own lines only.
func (c *witnessClient) cosign(ctx context.Context, head *c2sp.Checkpoint) (map[int]c2sp.Cosignature, error) {
	if !c.busy.TryLock() {
		return nil, errBusy
	}
	defer c.busy.Unlock()
	if !c.isKnown {
		c.known, c.isKnown = head.Size, true
	}
	for range 3 {
		lines, retry, err := c.try(ctx, head)
		if !retry {
			return lines, err
		}
	}
	return nil, errors.New("the witness keeps changing its mind about the size that it has cosigned")
}

// try makes one request from c.known. retry says that c.known was wrong.
func (c *witnessClient) try(ctx context.Context, head *c2sp.Checkpoint) (lines map[int]c2sp.Cosignature, retry bool, err error) {
	req := c2sp.AddCheckpoint{Old: min(c.known, head.Size), Checkpoint: head}
	if req.Old > 0 && req.Old < head.Size {
		root, err := c.prover.Root(ctx, req.Old, head.Size)
		if err != nil {
			return nil, false, err
		}
		if req.Proof, err = c.prover.Consistency(ctx, req.Old, root, head.Size, head.Root); err != nil {
			return nil, false, err
		}
	}
	status, body, err := c.call(ctx, http.MethodPost, c.url+"/add-checkpoint", req.Bytes())
	if err != nil {
		return nil, false, err
	}
	switch status {
	case http.StatusOK:
		if lines, err = c.verify(head, body); err != nil {
			return nil, false, err
		}
		c.known = head.Size
		return lines, false, nil
	case http.StatusConflict:
		size, err := c2sp.ParseTreeSize(body)
		if err != nil {
			return nil, false, fmt.Errorf("witness answered 409 without a size: %w", err)
		}
		if size > head.Size {
			return nil, false, fmt.Errorf("%w: %d entries", errWitnessAhead, size)
		}
		if size == req.Old {
			return nil, false, fmt.Errorf("witness answered 409 with the size that it was asked from, %d", size)
		}
		c.known = size
		return nil, true, nil
	case http.StatusUnprocessableEntity:
		return nil, false, fmt.Errorf("%w: %s", errWitnessConflict, excerpt(body))
	}
	return nil, false, fmt.Errorf("witness answered %d: %s", status, excerpt(body))
}

// verify reads an answer of 200. Lines of keys that are not the witness's are
// ignored; one that does not verify spoils the answer.
func (c *witnessClient) verify(head *c2sp.Checkpoint, body []byte) (map[int]c2sp.Cosignature, error) {
	sigs, err := c2sp.ParseSignatureLines(body)
	if err != nil {
		return nil, fmt.Errorf("the answer of the witness: %w", err)
	}
	answer := c2sp.Checkpoint{Head: head.Head, Signatures: sigs}
	lines := make(map[int]c2sp.Cosignature)
	for _, i := range c.keys {
		w := &c.policy.Witnesses[i]
		line := answer.Find(w.Key)
		if line == nil {
			continue
		}
		t, err := w.Key.Verify(&head.Head, line)
		if err != nil {
			return nil, fmt.Errorf("the answer of the witness: %w", err)
		}
		if limit := time.Now().Add(maxClockLead); t > uint64(limit.Unix()) {
			return nil, fmt.Errorf("the answer of the witness: the cosignature is from the future, %s", time.Unix(int64(t), 0).UTC().Format(time.RFC3339))
		}
		lines[i] = c2sp.Cosignature{Witness: w, Time: t, Line: line}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("the answer of the witness has no line of a key that the policy names")
	}
	return lines, nil
}

// latest fetches the checkpoint that the witness serves to monitors for the
// origin.
func (c *witnessClient) latest(ctx context.Context, origin string) (*c2sp.Checkpoint, error) {
	hash := sha256.Sum256([]byte(origin))
	status, body, err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s/%x/checkpoint", c.url, hash), nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("witness answered %d: %s", status, excerpt(body))
	}
	return c2sp.ParseCheckpoint(body)
}

func (c *witnessClient) call(ctx context.Context, method, url string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("User-Agent", "vasistas-log")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, c2sp.MaxCheckpointSize+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of the witness: %w", err)
	}
	return resp.StatusCode, answer, nil
}

// excerpt quotes the beginning of what a stranger sent.
func excerpt(b []byte) string {
	const most = 120
	if len(b) > most {
		return fmt.Sprintf("%q...", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
