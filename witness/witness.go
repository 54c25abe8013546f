// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// Names in the state directory.
const (
	journalFile = "journal"
	evidenceDir = "evidence"
)

// Witness is an open witness. Its methods are safe for concurrent use.
type Witness struct {
	config  *Config
	lock    *durable.Lock
	store   *store
	metrics *metrics
	slots   chan struct{} // one for each request under way

	reload sync.Mutex // held by SetLogs
	view   atomic.Pointer[view]
}

// view has the configured logs by origin, and all logs with a state by originHash, for
// monitors. It is immutable; SetLogs replaces it.
type view struct {
	byOrigin map[string]*knownLog
	byHash   map[string]*logState
}

type knownLog struct {
	keys  []*tlog.VerifierKey
	state *logState
}

// Create makes the state of a witness that never signed anything. It returns [fs.ErrExist]
// if dir has a state already. After the loss of a state use [ResumeLost] instead: with an
// empty state, a key that has signed would break its promise.
func Create(dir string, config Config) error {
	config.Dir = dir
	c, err := config.withDefaults()
	if err != nil {
		return err
	}
	lock, err := createDir(c)
	if err != nil {
		return err
	}
	defer lock.Close()
	err = createJournal(c)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("witness: %s has the state of a witness already: %w", c.Dir, fs.ErrExist)
	}
	return err
}

func createDir(c *Config) (*durable.Lock, error) {
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return durable.LockDir(c.Dir)
}

func createJournal(c *Config) error {
	j, err := durable.CreateJournal(filepath.Join(c.Dir, journalFile), journalLabel(c), maxRecord)
	if err != nil {
		return err
	}
	return j.Close()
}

// journalLabel binds a state to the witness's name, and not to its keys, which may change.
func journalLabel(c *Config) string {
	return fmt.Sprintf("vasistas-witness state v1, SHA-256 of the name %x", sha256.Sum256([]byte(c.Name())))
}

// Open opens the state in config.Dir, compares it with the heads that logs with a URL
// publish, and returns a ready witness. ctx bounds the fetching of heads.
//
// It refuses a state that is missing ([fs.ErrNotExist]), in use, damaged, of another
// witness, or behind a published head ([LostStateError]).
func Open(ctx context.Context, config Config) (*Witness, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := openState(c)
	if err != nil {
		return nil, err
	}
	if err := w.SetLogs(ctx, c.Logs); err != nil {
		w.Close()
		return nil, err
	}
	w.store.compact()
	return w, nil
}

// openState opens the state without fetching heads.
func openState(c *Config) (*Witness, error) {
	lock, err := durable.LockDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("witness: there is no state directory %s (%w); create one with init if this witness never signed anything, otherwise restore it or use resume-lost",
			c.Dir, durable.ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	store, err := openStore(c)
	if err != nil {
		lock.Close()
		return nil, err
	}
	w := &Witness{
		config:  c,
		lock:    lock,
		store:   store,
		metrics: newMetrics(),
		slots:   make(chan struct{}, c.MaxRequests),
	}
	w.view.Store(&view{})
	return w, nil
}

// Close closes the state. Requests under way fail with [ErrNotDurable].
func (w *Witness) Close() error {
	return errors.Join(w.store.close(), w.lock.Close())
}

// Keys returns the witness's verifier keys, in the order of its answers.
func (w *Witness) Keys() []*tlog.VerifierKey {
	var keys []*tlog.VerifierKey
	for _, s := range w.config.Signers {
		keys = append(keys, s.Verifier())
	}
	return keys
}

// SetLogs replaces the configured logs. It first compares the state with the published
// heads of new logs, like [Open]. An error changes nothing. A log that is left out keeps
// its state, for its return.
func (w *Witness) SetLogs(ctx context.Context, logs []tlog.PolicyLog) error {
	w.reload.Lock()
	defer w.reload.Unlock()
	byOrigin, err := groupLogs(w.config, logs)
	if err != nil {
		return err
	}
	old := w.view.Load()
	fresh := maps.Clone(byOrigin)
	maps.DeleteFunc(fresh, func(origin string, _ *trusted) bool { return old.byOrigin[origin] != nil })
	if err := w.checkLost(ctx, fresh); err != nil {
		return err
	}
	v := &view{byOrigin: make(map[string]*knownLog), byHash: make(map[string]*logState)}
	for origin, t := range byOrigin {
		v.byOrigin[origin] = &knownLog{keys: t.keys, state: w.store.log(origin)}
	}
	for _, l := range w.store.logs() {
		v.byHash[originHash(l.origin)] = l
	}
	w.view.Store(v)
	return nil
}

// AddCheckpoint answers the body of an add-checkpoint request with the lines of this
// witness's cosignatures (tlog-witness, "add-checkpoint").
func (w *Witness) AddCheckpoint(ctx context.Context, body []byte) ([]byte, error) {
	if int64(len(body)) > w.config.MaxBody {
		return nil, fmt.Errorf("%w: the body has %d bytes; at most %d are allowed", ErrTooLarge, len(body), w.config.MaxBody)
	}
	s, err := parse(body, w.view.Load().byOrigin)
	if err != nil {
		return nil, err
	}
	if err := s.log.acquire(ctx, w.config.MaxPerLog); err != nil {
		return nil, err
	}
	defer s.log.release()
	next, lines, err := w.advance(s)
	if err != nil {
		return nil, err
	}
	signed := <-lines
	if signed.err != nil {
		return nil, signed.err
	}
	return tlog.SignatureLines(w.keep(s.log, next, signed.ours).ours), nil
}

// advance decides and persists, again if the store has reopened its journal in between. It
// signs while the disk writes: the lines may leave once advance returns no error. It needs
// the lock of the log.
func (w *Witness) advance(s *submission) (*accepted, <-chan cosigned, error) {
	for {
		prev := s.log.last.Load()
		next, err := decide(prev, s)
		if err != nil {
			if e := evidenceOf(err); e != nil {
				w.keepEvidence(e)
			}
			return nil, nil, err
		}
		lines := make(chan cosigned, 1)
		err = w.store.persist(s.log, prev, next, func() {
			go func() {
				ours, err := w.cosign(next)
				lines <- cosigned{ours, err}
			}()
		})
		if !errors.Is(err, errMoved) {
			return next, lines, err
		}
	}
}

type cosigned struct {
	ours []tlog.Signature
	err  error
}

// cosign makes this witness's lines for a head at its time. They must not leave or be kept
// before the head is durable.
func (w *Witness) cosign(a *accepted) ([]tlog.Signature, error) {
	ours := make([]tlog.Signature, 0, len(w.config.Signers))
	for _, s := range w.config.Signers {
		sig, err := s.Sign(&a.head, a.time)
		if err != nil {
			return nil, fmt.Errorf("witness: %w", err)
		}
		ours = append(ours, sig)
	}
	return ours, nil
}

// keep keeps the lines of a persisted head for monitors. It needs the lock of the log.
func (w *Witness) keep(l *logState, a *accepted, ours []tlog.Signature) *accepted {
	signed := *a
	signed.ours = ours
	// If the store has reopened its journal, the same head is there without lines.
	l.last.CompareAndSwap(a, &signed)
	return &signed
}

// checkpoint returns the latest cosigned head of a log with the lines of log and witness,
// nil if there is none. After a restart it signs again, at the time in the journal.
func (w *Witness) checkpoint(ctx context.Context, l *logState) ([]byte, error) {
	a := l.last.Load()
	if a == nil || a.time == 0 {
		return nil, nil
	}
	if a.ours == nil {
		if err := l.acquire(ctx, w.config.MaxPerLog); err != nil {
			return nil, err
		}
		defer l.release()
		if a = l.last.Load(); a.ours == nil {
			ours, err := w.cosign(a)
			if err != nil {
				return nil, err
			}
			a = w.keep(l, a, ours)
		}
	}
	return a.note(), nil
}
