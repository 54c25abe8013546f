// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/log/tlog"
)

// LostStateError reports that logs publish cosignatures of this witness that its state
// does not cover: the state was lost, or restored from a backup.
type LostStateError struct {
	Name string // of the witness
	Logs []string
}

func (e *LostStateError) Error() string {
	return fmt.Sprintf("witness: state lost: logs publish cosignatures of %s that the state does not cover:\n\t%s\n"+
		"Restore the latest state, or retire the keys. If you can do neither, resume at the heads that the logs publish: resume-lost --name %s",
		e.Name, strings.Join(e.Logs, "\n\t"), e.Name)
}

type published struct {
	origin string
	head   tlog.Head
	lines  []tlog.Signature // of the log, verified
	// own is the latest time of this witness's verified cosignatures on head, 0 if there
	// is none.
	own uint64
}

// beyond returns why p shows that last, which may be nil, is not the latest state; "" if
// it does not.
func (p *published) beyond(last *accepted) string {
	switch {
	case p.own == 0:
		return ""
	case last == nil:
		return fmt.Sprintf("%s: size %d, and the state has no head of this log", p.origin, p.head.Size)
	case p.head.Size > last.head.Size:
		return fmt.Sprintf("%s: size %d, and the state ends at size %d", p.origin, p.head.Size, last.head.Size)
	case p.head.Size == last.head.Size && p.head.Root != last.head.Root:
		return fmt.Sprintf("%s: size %d with another root hash than the state has", p.origin, p.head.Size)
	case p.own > last.time:
		return fmt.Sprintf("%s: size %d at the time %d, and the state ends at the time %d", p.origin, p.head.Size, p.own, last.time)
	}
	return ""
}

// checkLost fetches the checkpoints of logs with a URL. It returns a [LostStateError] if
// they show that the state is not the latest.
func (w *Witness) checkLost(ctx context.Context, logs map[string]*trusted) error {
	lost := &LostStateError{Name: w.config.Name()}
	var unknown []error
	w.fetchAll(ctx, logs, func(origin string, p *published, err error) {
		if err != nil {
			unknown = append(unknown, fmt.Errorf("log %s: %w", origin, err))
			w.config.Logger.Warn("a log's checkpoint could not be fetched, so a lost state would not be noticed", "origin", origin, "error", err)
			return
		}
		last := w.store.log(origin).last.Load()
		if reason := p.beyond(last); reason != "" {
			lost.Logs = append(lost.Logs, reason)
		}
		w.compare(p, last)
	})
	if len(lost.Logs) > 0 {
		slices.Sort(lost.Logs)
		return lost
	}
	if len(unknown) > 0 && w.config.RequireLogCheck {
		return fmt.Errorf("witness: the checkpoints of all logs with a URL are required, and some could not be fetched: %w", errors.Join(unknown...))
	}
	return nil
}

// compare keeps evidence of a log that publishes another head of the accepted size.
func (w *Witness) compare(p *published, last *accepted) {
	if last != nil && len(p.lines) > 0 && p.head.Size == last.head.Size && p.head.Root != last.head.Root {
		s := &submission{log: w.store.log(p.origin), head: p.head, lines: p.lines}
		w.keepEvidence(newEvidence(Fork, last, s))
	}
}

// fetchAll fetches the heads of all logs with a URL, several at a time. It calls each once
// for each log, one call at a time.
func (w *Witness) fetchAll(ctx context.Context, logs map[string]*trusted, each func(origin string, p *published, err error)) {
	ctx, cancel := context.WithTimeout(ctx, w.config.CheckTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 16)
	for origin, t := range logs {
		if len(t.urls) == 0 {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p, err := w.fetchLog(ctx, origin, t)
			mu.Lock()
			defer mu.Unlock()
			each(origin, p, err)
		})
	}
	wg.Wait()
}

// fetchLog returns, of the heads at a log's URLs, the largest that this witness cosigned,
// or else the largest.
func (w *Witness) fetchLog(ctx context.Context, origin string, t *trusted) (*published, error) {
	var best *published
	var errs []error
	for _, url := range t.urls {
		p, err := w.fetch(ctx, url, origin, t.keys)
		switch {
		case err != nil:
			errs = append(errs, err)
		case best == nil, p.own > 0 && best.own == 0,
			(p.own > 0) == (best.own > 0) && p.head.Size > best.head.Size:
			best = p
		}
	}
	if best == nil || best.own == 0 && len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return best, nil
}

// fetch gets and verifies the checkpoint of a log. A cosignature of this witness counts
// even without a signature by a configured key of the log, since this witness cosigns for
// configured keys only.
func (w *Witness) fetch(ctx context.Context, url, origin string, keys []*tlog.VerifierKey) (*published, error) {
	url = strings.TrimSuffix(url, "/") + "/checkpoint"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.config.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, tlog.MaxCheckpointSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	c, err := tlog.ParseCheckpoint(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if c.Origin != origin {
		return nil, fmt.Errorf("%s: the checkpoint is of the log %q", url, c.Origin)
	}
	p := &published{origin: origin, head: cloneHead(&c.Head, origin)}
	for _, s := range w.config.Signers {
		if line := c.Find(s.Verifier()); line != nil {
			if t, err := s.Verifier().Verify(&c.Head, line); err == nil {
				p.own = max(p.own, t)
			}
		}
	}
	if p.lines, err = verifyLines(c, keys); err != nil && p.own == 0 {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return p, nil
}
