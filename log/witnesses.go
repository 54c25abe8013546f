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

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// witnessClient asks one witness, by the tlog-witness protocol. Witnesses of the
// policies that share its URL are keys of one operator, and answer together.
type witnessClient struct {
	url    string // submission prefix without a trailing slash
	http   *http.Client
	prover *prover.Prover
	clock  *clock

	busy sync.Mutex // held during a call
	// What follows is guarded by busy.
	keys []*tlog.PolicyWitness
	// known is the size of the head that the witness cosigned last, as far as
	// we know.
	known   uint64
	isKnown bool
	name    string // of the first key, for logs and metrics; never changes
}

// clientsOf returns the clients for those witnesses of a demand that have URLs. A
// client of an earlier demand goes on.
func (p *publisher) clientsOf(d *demand) []*witnessClient {
	var out []*witnessClient
	keys := make(map[string][]*tlog.PolicyWitness)
	for _, w := range d.witnesses {
		if w.URL == "" {
			continue
		}
		url := strings.TrimSuffix(w.URL, "/")
		if p.clients[url] == nil {
			p.clients[url] = &witnessClient{url: url, http: p.cfg.HTTP, prover: p.prover, clock: p.clock, name: w.Name}
		}
		if keys[url] == nil {
			out = append(out, p.clients[url])
		}
		keys[url] = append(keys[url], w)
	}
	for _, c := range out {
		c.busy.Lock()
		c.keys = keys[c.url]
		c.busy.Unlock()
	}
	return out
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

// cosign returns the witness's lines over head, each verified. head carries the log's own lines only.
func (c *witnessClient) cosign(ctx context.Context, head *tlog.Checkpoint) (lines, error) {
	if !c.busy.TryLock() {
		return nil, errBusy
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
func (c *witnessClient) try(ctx context.Context, head *tlog.Checkpoint) (got lines, retry bool, err error) {
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
func (c *witnessClient) verify(head *tlog.Checkpoint, body []byte) (lines, error) {
	sigs, err := tlog.ParseSignatureLines(body)
	if err != nil {
		return nil, fmt.Errorf("the answer of the witness: %w", err)
	}
	answer := tlog.Checkpoint{Head: head.Head, Signatures: sigs}
	got := make(lines)
	for _, w := range c.keys {
		line := answer.Find(w.Key)
		if line == nil {
			continue
		}
		t, err := w.Key.Verify(&head.Head, line)
		if err != nil {
			return nil, fmt.Errorf("the answer of the witness: %w", err)
		}
		if limit := c.clock.now().Add(maxClockLead); t > uint64(limit.Unix()) {
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
func (c *witnessClient) latest(ctx context.Context, origin string) (*tlog.Checkpoint, error) {
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
	answer, err = io.ReadAll(io.LimitReader(resp.Body, tlog.MaxCheckpointSize+1))
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
