// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// Options are an agency's limits. The zero value is fine.
type Options struct {
	// HTTPClient. nil: one with limits on every step, which follows no redirects.
	HTTPClient *http.Client
	// UserAgent. "": vasistas.
	UserAgent string
	// Timeout of all requests to one gate, which answers once its release is published.
	// 0: 2 minutes.
	Timeout time.Duration
	// Backoff is the first pause before asking a gate again after a temporary refusal; it
	// doubles up to 10 seconds. 0: 250 milliseconds.
	Backoff time.Duration
	// Progress, if not nil, is called when a gate has answered or failed, one call at a
	// time.
	Progress func(Result)
	// Brief errors leave out the results of which Progress was told.
	Brief bool
}

// A Refusal is a gate's answer other than its shares (RFC 9457).
type Refusal = problem.Problem

// A Result is the outcome for one gate.
type Result struct {
	Custodian string
	URL       string           // "": unknown, so the gate was not asked
	Err       error            // nil: it gave its shares; wraps a [Refusal] if it refused
	Release   *event.Reference // of its answer
}

// String says what the gate did and, if it refused, what would end that.
func (r Result) String() string {
	no, refused := errors.AsType[*Refusal](r.Err)
	switch {
	case r.Err == nil:
		return fmt.Sprintf("gate %s gave its shares; its release is entry %d", r.Custodian, r.Release.Index)
	case !refused || no.Code() == "":
		return fmt.Sprintf("gate %s: %v", r.Custodian, r.Err)
	}
	text := fmt.Sprintf("gate %s refuses (%s): %s", r.Custodian, no.Code(), no.Detail)
	if no.Ends != "" {
		text += ". It opens once " + no.Ends
	}
	return text
}

// An Answer is what a gate said last.
type Answer struct {
	Gate    string  `json:"gate"`
	URL     string  `json:"url,omitempty"`
	Time    string  `json:"time"`              // like 2006-01-02T15:04:05Z
	Release *uint64 `json:"release,omitempty"` // index of its release
	Code    string  `json:"code,omitempty"`    // if it refused
	Error   string  `json:"error,omitempty"`
	Ends    string  `json:"ends,omitempty"` // what would end its refusal: it follows "once"
}

// Answer returns the result as an answer of this time.
func (r Result) Answer(now time.Time) Answer {
	a := Answer{Gate: r.Custodian, URL: r.URL, Time: now.UTC().Format("2006-01-02T15:04:05Z")}
	if no, ok := errors.AsType[*Refusal](r.Err); ok {
		a.Code, a.Ends = string(no.Code()), no.Ends
	}
	if r.Err != nil {
		a.Error = r.Err.Error()
	}
	if r.Release != nil {
		a.Release = &r.Release.Index
	}
	return a
}

// Remember keeps the answers of the gates that were asked and waited for in the case, each
// gate's last one.
func (c *Case) Remember(results []Result, now time.Time) {
	for _, r := range results {
		if r.URL == "" || errors.Is(r.Err, errEnough) {
			continue
		}
		c.Answers = slices.DeleteFunc(c.Answers, func(a Answer) bool { return a.Gate == r.Custodian })
		c.Answers = append(c.Answers, r.Answer(now))
	}
}

// errEnough is of gates whose answer was not waited for.
var errEnough = errors.New("not waited for: enough gates had answered")

// ErrTooFew is wrapped by the error of [Case.FileKeys] if the threshold is missed.
var ErrTooFew = errors.New("too few gates gave their shares")

// FileKeys asks all gates of the case at the same time, until the threshold of shares is
// reached, and returns the file keys by the packages' digests. The results, one for each
// gate in the order of the group, are returned with an error, too.
func (c *Case) FileKeys(ctx context.Context, o Options) (map[event.Digest][]byte, []Result, error) {
	if c.Access == nil {
		return nil, nil, ErrNotLogged
	}
	o.setDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results, answers, asked := c.askAll(ctx, &o)
	got := make(map[event.Digest][]*escrow.Share)
	good, threshold := 0, c.group.Threshold()
	for range asked {
		a := <-answers
		r := &results[a.i]
		switch {
		case a.err == nil:
			r.Err, r.Release = nil, &a.release
			good++
			for j, s := range a.shares {
				d := c.request.Packages[j].Digest()
				got[d] = append(got[d], s)
			}
		case good >= threshold && errors.Is(a.err, context.Canceled):
			r.Err = errEnough
		default:
			r.Err = a.err
		}
		if o.Progress != nil {
			o.Progress(*r)
		}
		if good == threshold {
			cancel()
		}
	}
	if good < threshold {
		return nil, results, fmt.Errorf("%w: %d of %d, and %d are needed", ErrTooFew, good, len(results), threshold)
	}
	keys := make(map[event.Digest][]byte)
	for _, p := range c.request.Packages {
		k, err := p.FileKey(got[p.Digest()])
		if err != nil {
			return nil, results, fmt.Errorf("the package %s: %w", p.Digest(), err)
		}
		keys[p.Digest()] = k
	}
	return keys, results, nil
}

type answer struct {
	i       int
	shares  []*escrow.Share // of the request's packages, in their order
	release event.Reference
	err     error
}

// askAll asks each gate whose URL is known. It returns the channel of their answers, and
// how many gates it asked.
func (c *Case) askAll(ctx context.Context, o *Options) ([]Result, <-chan answer, int) {
	members := c.group.Members()
	results := make([]Result, len(members))
	answers := make(chan answer, len(members))
	asked := 0
	for i, m := range members {
		results[i] = Result{Custodian: m.Name, URL: c.Gates[m.Name], Err: errors.New("not asked: its URL is not known")}
		url := results[i].URL
		if url == "" {
			continue
		}
		asked++
		go func() {
			ctx, cancel := context.WithTimeout(ctx, o.Timeout)
			defer cancel()
			a := answer{i: i}
			a.shares, a.release, a.err = c.ask(ctx, m, url, o)
			answers <- a
		}()
	}
	return results, answers, asked
}

func (o *Options) setDefaults() {
	o.Timeout = cmp.Or(max(o.Timeout, 0), 2*time.Minute)
	o.Backoff = cmp.Or(max(o.Backoff, 0), 250*time.Millisecond)
	o.UserAgent = cmp.Or(o.UserAgent, "vasistas")
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{
			Transport:     client.NewTransport(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
}

// ask gets one gate's shares of the packages, in their order. It asks again while the gate
// is unreachable or refuses for a time, until ctx ends.
func (c *Case) ask(ctx context.Context, m escrow.Member, base string, o *Options) ([]*escrow.Share, event.Reference, error) {
	sealed, err := c.request.Seal(c.group.Origin(), strongest(m.Keys))
	if err != nil {
		return nil, event.Reference{}, err
	}
	signer := c.charter.Party(event.RoleCustodian, m.Name).Keys[0]
	for pause := o.Backoff; ; pause = min(2*pause, 10*time.Second) {
		b, err := o.fetch(ctx, strings.TrimSuffix(base, "/")+escrow.RequestPath, sealed, escrow.MaxAnswerSize)
		if err == nil {
			want := escrow.Delivery{Origin: c.group.Origin(), Access: c.accessRef}
			shares, err := escrow.OpenAnswer(b, &want, m.Index, signer, c.key, c.request.Packages)
			if err != nil {
				return nil, event.Reference{}, fmt.Errorf("its answer does not hold: %w", err)
			}
			return shares, want.Release, nil
		}
		no, refused := errors.AsType[*Refusal](err)
		if refused && !no.Temporary() {
			return nil, event.Reference{}, err
		}
		wait := pause
		if refused {
			wait = max(wait, no.RetryAfter)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = fmt.Errorf("no shares within %v; the last try: %w", o.Timeout, err)
			} else {
				err = ctx.Err()
			}
			return nil, event.Reference{}, err
		}
	}
}

func strongest(keys []event.HPKEKey) event.HPKEKey {
	i := slices.IndexFunc(keys, func(k event.HPKEKey) bool { return k.KEM == event.KEMMLKEMX25519 })
	return keys[max(i, 0)]
}

// fetch asks a gate and returns its answer of at most limit bytes. If body is nil, fetch sends a GET; else
// it posts body, a request for shares.
func (o *Options) fetch(ctx context.Context, url string, body []byte, limit int) ([]byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", escrow.RequestType)
		req.Header.Set("Accept", escrow.AnswerType)
	}
	req.Header.Set("User-Agent", o.UserAgent)
	resp, err := o.HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %w", problem.Read(resp))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("it answers %w", &Refusal{Status: http.StatusOK, Detail: fmt.Sprintf("more than %d bytes", limit)})
	}
	return b, nil
}

// Identity opens the age files of a case. Its first Unwrap asks the gates, and it keeps
// the file keys.
type Identity struct {
	ctx  context.Context
	c    *Case
	o    Options
	keys map[event.Digest][]byte
	// Results of the gates, once they were asked.
	Results []Result
}

// String describes the value and leaves out its secrets.
func (i Identity) String() string { return fmt.Sprintf("identity of a %v", i.c) }

// GoString is String.
func (i Identity) GoString() string { return i.String() }

var _ age.Identity = (*Identity)(nil)

// Identity returns the case as an age identity. It is not safe for concurrent use.
func (c *Case) Identity(ctx context.Context, o Options) *Identity {
	return &Identity{ctx: ctx, c: c, o: o}
}

// Unwrap implements [age.Identity].
func (id *Identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	packages, err := escrow.ParsePackages(stanzas)
	if err != nil {
		return nil, err
	}
	mine := slices.IndexFunc(packages, func(p *escrow.Package) bool {
		return slices.ContainsFunc(id.c.request.Packages, func(q *escrow.Package) bool { return p.Digest() == q.Digest() })
	})
	if mine < 0 {
		if len(packages) > 0 {
			return nil, fmt.Errorf("%w: the access does not name the package of this file, %s", age.ErrIncorrectIdentity, packages[0].Digest())
		}
		return nil, age.ErrIncorrectIdentity
	}
	if id.keys == nil {
		keys, results, err := id.c.FileKeys(id.ctx, id.o)
		id.Results = results
		if err != nil {
			return nil, withResults(err, results, id.o.Brief)
		}
		id.keys = keys
	}
	return id.keys[packages[mine].Digest()], nil
}

// withResults adds each gate's result to an error or, if brief, those of the gates that were not
// asked.
func withResults(err error, results []Result, brief bool) error {
	for _, r := range results {
		if !brief || r.URL == "" {
			err = fmt.Errorf("%w; %v", err, r)
		}
	}
	return err
}

// Group returns the custodian group of the access. The case must have been checked.
func (c *Case) Group() *escrow.Group { return c.group }

// Is reports whether an event is the access of the case. The case must have been checked.
func (c *Case) Is(e *event.Envelope) bool { return e.Hash() == c.request.AccessOpenings.Event }

// maxStatus bounds a gate's status, in bytes.
const maxStatus = 1 << 20

// A Standing is what a gate says of itself, whatever the access.
type Standing struct {
	Opens bool   `json:"opens"`
	Why   string `json:"why,omitempty"`  // it would open nothing, or did not say
	Ends  string `json:"ends,omitempty"` // what would end that: it follows "once"
}

// Standings asks each gate whose URL is known whether it would open, all at the same time, and
// returns what they say by the custodians' names. It asks for no share, so no gate logs a
// release.
func (c *Case) Standings(ctx context.Context, o Options) map[string]Standing {
	o.setDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	out := make(map[string]Standing)
	var mu sync.Mutex
	var asked sync.WaitGroup
	for name, url := range c.Gates {
		asked.Go(func() {
			s, err := standing(ctx, &o, url)
			if err != nil {
				s = Standing{Why: err.Error(), Ends: "it answers at " + url}
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = s
		})
	}
	asked.Wait()
	return out
}

func standing(ctx context.Context, o *Options, url string) (s Standing, err error) {
	b, err := o.fetch(ctx, strings.TrimSuffix(url, "/")+"/status", nil, maxStatus)
	if err != nil {
		return s, err
	}
	var status struct{ Shut, Ends string } // of gate.Status
	if err := json.Unmarshal(b, &status); err != nil {
		return s, fmt.Errorf("its status is not one: %w", err)
	}
	return Standing{status.Shut == "", status.Shut, status.Ends}, nil
}
