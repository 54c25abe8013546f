// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// client asks one witness, by the tlog-witness protocol. Witnesses of the policies that
// share a URL are keys of one operator, and answer together.
type client struct {
	url    string // submission prefix without a trailing slash
	http   *http.Client
	prover *prover.Prover
	clock  *Clock

	name string // of the first key, for logs and metrics

	busy    sync.Mutex // held during a call; guards what follows
	keys    []*tlog.PolicyWitness
	known   uint64 // size of the head that the witness cosigned last, as far as we know
	isKnown bool
}

// NewHTTP returns a client for witnesses. It follows no redirection, which would let a
// witness choose a host that the log talks to.
func NewHTTP() *http.Client {
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

// ErrBusy: the witness was not asked, and the next round asks it.
var ErrBusy = errors.New("an earlier request to this witness is still under way")

// Errors of client.cosign that call for more than trying again.
var (
	errAhead    = errors.New("the witness says that it has cosigned a larger tree")
	errConflict = errors.New("the witness says that the head conflicts with one that it has cosigned")
)

// maxClockLead is how far in the future a cosignature's time may be.
const maxClockLead = 5 * time.Minute

// cosign returns the witness's lines over head, each verified. head carries the log's
// own lines only.
func (c *client) cosign(ctx context.Context, head *tlog.Checkpoint) (Lines, error) {
	if !c.busy.TryLock() {
		return nil, ErrBusy
	}
	defer c.busy.Unlock()
	if !c.isKnown {
		c.known, c.isKnown = head.Size, true
	}
	for range 3 {
		got, retry, err := c.try(ctx, head)
		if !retry {
			return got, err
		}
	}
	return nil, errors.New("the witness keeps changing its mind about the size that it has cosigned")
}

// try makes one request from c.known. retry says that c.known was wrong.
func (c *client) try(ctx context.Context, head *tlog.Checkpoint) (got Lines, retry bool, err error) {
	req := tlog.AddCheckpoint{Old: min(c.known, head.Size), Checkpoint: head}
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
		if got, err = c.verify(head, body); err != nil {
			return nil, false, err
		}
		c.known = head.Size
		return got, false, nil
	case http.StatusConflict:
		size, err := tlog.ParseTreeSize(body)
		if err != nil {
			return nil, false, fmt.Errorf("witness answered 409 without a size: %w", err)
		}
		if size > head.Size {
			return nil, false, fmt.Errorf("%w: %d entries", errAhead, size)
		}
		if size == req.Old {
			return nil, false, fmt.Errorf("witness answered 409 with the size that it was asked from, %d", size)
		}
		c.known = size
		return nil, true, nil
	case http.StatusUnprocessableEntity:
		return nil, false, fmt.Errorf("%w: %s", errConflict, excerpt(body))
	}
	return nil, false, fmt.Errorf("witness answered %d: %s", status, excerpt(body))
}

// verify reads an answer of 200. It ignores lines of keys that are not the witness's. A
// line that does not verify spoils the answer.
func (c *client) verify(head *tlog.Checkpoint, body []byte) (Lines, error) {
	sigs, err := tlog.ParseSignatureLines(body)
	if err != nil {
		return nil, fmt.Errorf("the answer of the witness: %w", err)
	}
	answer := tlog.Checkpoint{Head: head.Head, Signatures: sigs}
	got := make(Lines)
	for _, w := range c.keys {
		line := answer.Find(w.Key)
		if line == nil {
			continue
		}
		t, err := w.Key.Verify(&head.Head, line)
		if err != nil {
			return nil, fmt.Errorf("the answer of the witness: %w", err)
		}
		if limit := c.clock.Now().Add(maxClockLead); t > uint64(limit.Unix()) {
			return nil, fmt.Errorf("the answer of the witness: the cosignature is from the future, %s: its clock is wrong, or this machine's", time.Unix(int64(t), 0).UTC().Format(time.RFC3339))
		}
		got[w.Key.String()] = tlog.Cosignature{Witness: w, Time: t, Line: line}
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("the answer of the witness has no line of a key that the policy names")
	}
	return got, nil
}

// latest fetches the checkpoint that the witness serves to monitors for the
// origin.
func (c *client) latest(ctx context.Context, origin string) (*tlog.Checkpoint, error) {
	hash := sha256.Sum256([]byte(origin))
	status, body, err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s/%x/checkpoint", c.url, hash), nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("witness answered %d: %s", status, excerpt(body))
	}
	return tlog.ParseCheckpoint(body)
}

func (c *client) call(ctx context.Context, method, url string, body []byte) (status int, answer []byte, err error) {
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
	answer, err = io.ReadAll(io.LimitReader(resp.Body, tlog.MaxCheckpointSize+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of the witness: %w", err)
	}
	return resp.StatusCode, answer, nil
}

// excerpt quotes the beginning of an answer.
func excerpt(b []byte) string {
	const most = 120
	if len(b) > most {
		return fmt.Sprintf("%q...", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
