// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package cosign gets cosignatures for a log's heads: it asks the witnesses
// ([Witnesses]) for what the policies demand ([Demand]), and tells the time that
// their cosignatures prove ([Clock]).
//
// No witness is trusted. Each cosignature is verified before it counts, and a claim to
// know a later or another head counts only with a head that this log's key signed.
package cosign

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config configures [New].
type Config struct {
	Policy *tlog.Policy // the operator's; or nil
	HTTP   *http.Client
	Prover *prover.Prover
	Store  state.Store // keeps evidence
	// Contains returns nil if the log may go on from a head that is later than its recorded one, and
	// [chain.ErrLogBehind] if not. With any other error, the log must sign nothing until it is known.
	Contains func(ctx context.Context, cp *tlog.Checkpoint) error
	// Observe is called with the outcome of each request.
	Observe func(witness string, err error)
	Logger  *slog.Logger
}

// Witnesses asks the witnesses of a demand. One goroutine owns it.
type Witnesses struct {
	Config
	demand   *Demand
	charters []*tlog.Policy              // of demand
	timeout  time.Duration               // of a request
	ours     func(*tlog.Checkpoint) bool // see Witnesses.SetDemand
	clients  map[string]*client          // all there ever were, by URL
	asked    []*client                   // those of the demand
	requests sync.WaitGroup
}

// New returns witnesses without a demand.
func New(cfg Config) *Witnesses {
	return &Witnesses{Config: cfg, clients: make(map[string]*client)}
}

// SetDemand sets the policies of charters that the next head must meet in addition to
// the operator's, of which the last is in force, how long a witness may take to answer,
// and ours: whether a head that a witness shows counts as this log's.
func (w *Witnesses) SetDemand(charters []*tlog.Policy, timeout time.Duration, ours func(*tlog.Checkpoint) bool) *Demand {
	w.timeout, w.ours = timeout, ours
	if w.demand == nil || !slices.Equal(charters, w.charters) {
		w.charters, w.demand = charters, NewDemand(charters, w.Policy)
		w.asked = w.clientsOf(w.demand)
	}
	return w.demand
}

// clientsOf returns the clients for those witnesses of a demand that have URLs. A
// client of an earlier demand goes on.
func (w *Witnesses) clientsOf(d *Demand) []*client {
	var out []*client
	keys := make(map[string][]*tlog.PolicyWitness)
	for _, k := range d.witnesses {
		if k.URL == "" {
			continue
		}
		url := strings.TrimSuffix(k.URL, "/")
		if w.clients[url] == nil {
			w.clients[url] = &client{url: url, http: w.HTTP, prover: w.Prover, name: k.Name}
		}
		if keys[url] == nil {
			out = append(out, w.clients[url])
		}
		keys[url] = append(keys[url], k)
	}
	for _, c := range out {
		named := keys[c.url]
		c.keys.Store(&named)
	}
	return out
}

// Wait waits for the requests under way, which end with their contexts.
func (w *Witnesses) Wait() { w.requests.Wait() }

// answer is what a witness said to a head.
type answer struct {
	witness *client
	lines   Lines
	err     error
}

// ask offers the head to all witnesses side by side. Each answers once, within the
// time-out; a request that is too slow for this round may still finish.
func (w *Witnesses) ask(ctx context.Context, head *tlog.Checkpoint) <-chan answer {
	answers, timeout := make(chan answer, len(w.asked)), w.timeout
	for _, c := range w.asked {
		w.requests.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			got, err := c.cosign(ctx, head)
			w.Observe(c.name, err)
			answers <- answer{c, got, err}
		})
	}
	return answers
}

// consult asks all witnesses for their cosignatures of the head, and adds them to
// have. Once there are enough, it waits for the others for a grace period only. It
// returns why witnesses did not cosign, and as err that the log must stop: see
// conflict.
func (w *Witnesses) consult(ctx context.Context, head *tlog.Checkpoint, have Lines, enough func() bool, grace time.Duration) (failures, err error) {
	var stop <-chan time.Time
	if enough() {
		stop = time.After(grace)
	}
	var errs []error
	answers := w.ask(ctx, head)
	for range w.asked {
		select {
		case a := <-answers:
			if a.err != nil {
				if err := w.conflict(ctx, &head.Head, a); err != nil {
					return nil, err
				}
				errs = append(errs, fmt.Errorf("witness %s: %w", a.witness.name, a.err))
				continue
			}
			maps.Copy(have, a.lines)
			if stop == nil && enough() {
				stop = time.After(grace)
			}
		case <-stop:
			return errors.Join(errs...), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return errors.Join(errs...), nil
}

// Gather returns the head, which has the log's lines only, with cosignatures that meet
// the demand, in the latest windows. A witness whose time is far off counts for nothing
// until the others' lines have a window without it, so Gather waits for these. The error
// wraps [tlog.ErrNoQuorum] if there are too few, and [tlog.ErrNoWindow] if their times
// are too far apart.
func (w *Witnesses) Gather(ctx context.Context, head *tlog.Checkpoint, grace time.Duration) (*tlog.Checkpoint, error) {
	have := make(Lines)
	enough := func() bool { _, err := w.demand.window(have); return err == nil }
	failures, err := w.consult(ctx, head, have, enough, grace)
	if err != nil {
		return nil, fmt.Errorf("gathering cosignatures: %w", err)
	}
	set, err := w.demand.window(have)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)%s", err, have, because(failures))
	}
	if len(head.Signatures)+len(set) > maxLines {
		return nil, fmt.Errorf("%w: the smallest set has %d lines, and a checkpoint has %d", tlog.ErrNoQuorum, len(set), maxLines)
	}
	return w.demand.assemble(head, set, have), nil
}

// String lists the witnesses and their times.
func (l Lines) String() string {
	var out []string
	for _, c := range l {
		out = append(out, fmt.Sprintf("%s at %s", c.Witness.Name, time.Unix(int64(c.Time), 0).UTC().Format(time.RFC3339)))
	}
	slices.Sort(out)
	return "cosigned by " + cmp.Or(strings.Join(out, ", "), "none")
}

// because appends the reasons why witnesses did not cosign. What they said is quoted and
// not wrapped: it must not be taken for an error of this log.
func because(failures error) string {
	if failures == nil {
		return ""
	}
	return ": " + failures.Error()
}

// Hear asks once, and adds to heard the cosignatures of the head. It returns nil once so
// many witnesses were heard that no quorum can have seen a later head. A witness that
// claims to have seen more counts as unheard, unless it shows a head with the log's own
// signature: then the error wraps a [LaterError], [chain.ErrLogBehind] or [chain.ErrForked].
func (w *Witnesses) Hear(ctx context.Context, head *tlog.Checkpoint, heard Lines) error {
	unheard := func(key string) bool { _, ok := heard[key]; return !ok }
	enough := func() bool { return w.demand.NeedsWitnesses() && !w.demand.anySatisfied(unheard) }
	failures, err := w.consult(ctx, head, heard, enough, 0)
	if err != nil || enough() || !w.demand.NeedsWitnesses() {
		return err
	}
	if errors.Is(failures, errAhead) {
		return fmt.Errorf("%w; if that is so, this log was restored from an older backup: "+
			"bring the later entries back with \"vasistas-log recover -from MIRROR\"", failures)
	}
	if failures == nil {
		failures = errors.New("it needs more witnesses")
	}
	return failures
}

// LaterError: a witness shows Head, which this log signed, is larger than the head that the log
// asked about, and is contained in the log's own tree. The log can record Head and go on from it.
type LaterError struct {
	Head    *tlog.Checkpoint
	Witness string // that shows Head
}

func (e *LaterError) Error() string {
	return fmt.Sprintf("the witness %s has a later head of this log, of size %d", e.Witness, e.Head.Size)
}

// conflict looks for evidence behind a witness's claim to know a later or another head than head. If
// this log signed what the witness shows, and it is no earlier head of head's tree, conflict returns a
// [LaterError], [chain.ErrLogBehind] or [chain.ErrForked]. A claim without such evidence is only logged.
func (w *Witnesses) conflict(ctx context.Context, head *tlog.Head, a answer) error {
	if !errors.Is(a.err, errAhead) && !errors.Is(a.err, errConflict) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	warn := func(what string, err error) error {
		w.Logger.Warn("a witness claims to know a later or another head, and "+what, "witness", a.witness.name, "claim", a.err, "err", err)
		return nil
	}
	cp, err := a.witness.latest(ctx, head.Origin)
	if err != nil {
		return warn("shows none", err)
	}
	if cp.Origin != head.Origin || !w.ours(cp) {
		return warn("shows one that this log did not sign", nil)
	}
	reason := chain.ErrForked
	if cp.Size > head.Size {
		if reason = w.Contains(ctx, cp); reason == nil {
			reason = &LaterError{cp, a.witness.name}
		} else if !errors.Is(reason, chain.ErrLogBehind) {
			return reason
		}
	} else if root, err := chain.ProvenRoot(ctx, w.Prover, cp.Size, chain.EdgeOf(head)); err != nil {
		return warn("whether it is right can't be told from this tree", err)
	} else if root == cp.Root {
		return warn("shows one that this log's extends", nil)
	}
	name, err := w.Store.KeepEvidence(ctx, fmt.Sprintf("evidence-%d-%x", cp.Size, cp.Root[:4]), cp.Bytes())
	if errors.Is(err, state.ErrOusted) {
		return err // the head is that of the next active instance, and no evidence
	} else if err != nil {
		w.Logger.Error("evidence could not be kept", "checkpoint", string(cp.Bytes()), "err", err)
	}
	return fmt.Errorf("%w (witness %s has a head of size %d, this log one of size %d; see %s)", reason, a.witness.name, cp.Size, head.Size, name)
}

// client asks one witness, by the tlog-witness protocol. Witnesses of the policies that
// share a URL are keys of one operator, and answer together.
type client struct {
	url    string // submission prefix without a trailing slash
	http   *http.Client
	prover *prover.Prover

	name string // of the first key, for logs and metrics

	// keys are the witness's in the present demand. They are no part of busy, which a witness can
	// hold up to the time-out.
	keys atomic.Pointer[[]*tlog.PolicyWitness]

	busy    sync.Mutex // held during a call; guards what follows
	known   uint64     // size of the head that the witness cosigned last, as far as we know
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
			return nil, false, &Unanswered{err}
		}
		if req.Proof, err = c.prover.Consistency(ctx, req.Old, root, head.Size, head.Root); err != nil {
			return nil, false, &Unanswered{err}
		}
	}
	status, header, body, err := c.call(ctx, http.MethodPost, c.url+"/add-checkpoint", req.Bytes())
	if err != nil {
		return nil, false, &Unanswered{err}
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
	return nil, false, &Refusal{status, header, body}
}

// Unanswered is an error of asking, and says nothing about who was asked.
type Unanswered struct{ error }

func (e *Unanswered) Unwrap() error { return e.error }

// Refusal is an answer with a status that the protocol gives no meaning.
type Refusal struct {
	Status int
	Header http.Header
	Body   []byte // at most tlog.MaxCheckpointSize + 1 bytes
}

func (e *Refusal) Error() string {
	return fmt.Sprintf("witness answered %d: %s", e.Status, excerpt(e.Body))
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
	for _, w := range *c.keys.Load() {
		line := answer.Find(w.Key)
		if line == nil {
			continue
		}
		t, err := w.Key.Verify(&head.Head, line)
		if err != nil {
			return nil, fmt.Errorf("the answer of the witness: %w", err)
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
	status, _, body, err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s/%x/checkpoint", c.url, hash), nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("witness answered %d: %s", status, excerpt(body))
	}
	return tlog.ParseCheckpoint(body)
}

// Largest returns the largest head of a log that one of the policy's witnesses shows, and the
// witness's name; nil if none shows one that a log key of the policy signed. It asks once.
func Largest(ctx context.Context, h *http.Client, p *tlog.Policy, origin string) (largest *tlog.Checkpoint, witness string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, w := range p.Witnesses {
		if w.URL == "" {
			continue
		}
		asked.Go(func() {
			cp, err := (&client{url: strings.TrimSuffix(w.URL, "/"), http: h}).latest(ctx, origin)
			signed := err == nil && cp.Origin == origin && slices.ContainsFunc(p.Logs, func(l tlog.PolicyLog) bool {
				line := cp.Find(l.Key)
				if line == nil {
					return false
				}
				_, err := l.Key.Verify(&cp.Head, line)
				return err == nil
			})
			mu.Lock()
			defer mu.Unlock()
			if signed && (largest == nil || cp.Size > largest.Size) {
				largest, witness = cp, w.Name
			}
		})
	}
	asked.Wait()
	return largest, witness
}

func (c *client) call(ctx context.Context, method, url string, body []byte) (status int, header http.Header, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("User-Agent", "vasistas-log")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, tlog.MaxCheckpointSize+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the answer of the witness: %w", err)
	}
	return resp.StatusCode, resp.Header, answer, nil
}

func excerpt(b []byte) string {
	const most = 120
	if len(b) > most {
		return fmt.Sprintf("%q...", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
