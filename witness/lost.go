// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/tlog"
)

// LostStateError reports that logs publish cosignatures of this witness that its state
// does not cover: the state was lost, or restored from a backup.
type LostStateError struct {
	Name string // of the witness
	Logs []string
}

func (e *LostStateError) Error() string {
	return fmt.Sprintf("the state is lost or old: logs publish cosignatures of %s that the state does not cover:\n\t%s\n"+
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

// beyond returns why p shows that last, which may be nil, with timestamps up to latest, is not
// the latest state; "" if it does not.
func (p *published) beyond(last *accepted, latest uint64) string {
	switch {
	case p.own == 0:
		return ""
	case last == nil:
		return fmt.Sprintf("%s: size %d, and the state has no head of this log", p.origin, p.head.Size)
	case p.head.Size > last.head.Size:
		return fmt.Sprintf("%s: size %d, and the state ends at size %d", p.origin, p.head.Size, last.head.Size)
	case p.head.Size == last.head.Size && p.head.Root != last.head.Root:
		return fmt.Sprintf("%s: size %d with another root hash than the state has", p.origin, p.head.Size)
	case p.own > latest:
		return fmt.Sprintf("%s: size %d at the time %d, and the state ends at the time %d", p.origin, p.head.Size, p.own, latest)
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
		if reason := p.beyond(last, w.store.clock.latest()); reason != "" {
			lost.Logs = append(lost.Logs, reason)
		}
		w.compare(p, last)
	})
	if len(lost.Logs) > 0 {
		slices.Sort(lost.Logs)
		return lost
	}
	if len(unknown) > 0 && w.config.RequireLogCheck {
		return fmt.Errorf("the checkpoints of all logs with a URL are required, and some could not be fetched: %w", errors.Join(unknown...))
	}
	return nil
}

// compare keeps evidence of a log that publishes another head of the accepted size.
func (w *Witness) compare(p *published, last *accepted) {
	if last != nil && len(p.lines) > 0 && p.head.Size == last.head.Size && p.head.Root != last.head.Root {
		s := &submission{log: w.store.log(p.origin), head: p.head, lines: p.lines}
		w.keepEvidence(&tlog.Fork{Small: last.checkpoint(), Large: s.checkpoint(), Prefix: p.head.Root, Own: tlog.OwnSmall})
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
	p := &published{origin: origin, head: cosigning.CloneHead(&c.Head, origin), own: cosigning.Cosigned(w.config.Signers, c)}
	if p.lines, err = cosigning.VerifyLines(c, keys); err != nil && p.own == 0 {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return p, nil
}

// ErrWrongName: the operator named another witness than the one configured.
var ErrWrongName = errors.New("that is not the name of this witness")

// Resumed is the outcome of [ResumeLost] for one log.
type Resumed struct {
	Origin string
	From   uint64 // size of the state before
	To     uint64 // size of the state now
	// Cosigned: the head at To has a cosignature of this witness. If false, the witness
	// may have cosigned larger heads, which can't be known.
	Cosigned bool
}

// ResumeLost replaces a lost state by the heads that the logs publish, under the same keys.
// It creates the state if there is none. If a log publishes less than was cosigned, or has
// forked, this breaks the witness's promise, so the operator must confirm it with the exact
// name of the witness.
//
// Every configured log must answer with a head that its key signed, except those in skip,
// whose state stays. If one does not, or publishes a head that conflicts with the state,
// nothing changes. A state never goes back.
func ResumeLost(ctx context.Context, config Config, name string, skip []string) ([]Resumed, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if name != c.Name() {
		return nil, fmt.Errorf("%w: %q; give the name in its keys exactly", ErrWrongName, name)
	}
	logs, err := groupLogs(c, c.Logs)
	if err != nil {
		return nil, err
	}
	for _, origin := range skip {
		if logs[origin] == nil {
			return nil, fmt.Errorf("skipping %[2]q: %[1]w", ErrUnknownLog, origin)
		}
		delete(logs, origin)
	}
	if err := create(c); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	w, err := openState(c)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	heads, err := w.resumeHeads(ctx, logs)
	if err != nil {
		return nil, err
	}
	return w.resumeAt(heads)
}

func (w *Witness) resumeHeads(ctx context.Context, logs map[string]*trusted) ([]*published, error) {
	var heads []*published
	var errs []error
	for origin, t := range logs {
		if len(t.urls) == 0 {
			errs = append(errs, fmt.Errorf("log %s has no URL; give it one, or skip it", origin))
		}
	}
	w.fetchAll(ctx, logs, func(origin string, p *published, err error) {
		if err == nil {
			err = w.resumable(p)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log %s: %w", origin, err))
			return
		}
		heads = append(heads, p)
	})
	if len(errs) > 0 {
		return nil, fmt.Errorf("nothing was resumed: %w", errors.Join(errs...))
	}
	slices.SortFunc(heads, func(a, b *published) int { return strings.Compare(a.origin, b.origin) })
	return heads, nil
}

func (w *Witness) resumable(p *published) error {
	last := w.store.log(p.origin).last.Load()
	switch {
	case len(p.lines) == 0:
		return fmt.Errorf("its published head: %w", ErrUntrusted)
	case cosigning.CheckText(&p.head) != nil:
		return fmt.Errorf("its published head: %w", ErrTooLarge)
	case p.head.Size == 0 && p.head.Root != emptyRoot:
		return errors.New("it publishes a head of size 0 with another root hash than the empty tree's")
	case last == nil || p.head.Size > last.head.Size:
		return nil
	case p.head.Size == last.head.Size && p.head.Root != last.head.Root:
		w.compare(p, last)
		return fmt.Errorf("it publishes another head of size %d than the state has; keep both as evidence, and go on under new keys", p.head.Size)
	case p.head.Size < last.head.Size && p.own > last.time:
		return fmt.Errorf("this witness cosigned size %d after size %d; go on under new keys", p.head.Size, last.head.Size)
	}
	return nil
}

// resumeAt records the heads that the state does not cover.
func (w *Witness) resumeAt(heads []*published) ([]Resumed, error) {
	var done []Resumed
	for _, p := range heads {
		w.store.clock.observe(p.own)
	}
	for _, p := range heads {
		l := w.store.log(p.origin)
		r := Resumed{Origin: p.origin, To: p.head.Size, Cosigned: p.own > 0}
		last := l.last.Load()
		if last != nil {
			r.From = last.head.Size
		}
		if last != nil && (p.head.Size < last.head.Size || p.head.Size == last.head.Size && p.own <= last.time) {
			r.To, r.Cosigned = r.From, last.time > 0
			done = append(done, r)
			continue
		}
		// Keep the time of the published cosignature.
		a := &accepted{head: p.head, time: p.own, lines: p.lines}
		if err := w.store.resume(l, a); err != nil {
			return done, err
		}
		done = append(done, r)
	}
	return done, nil
}
