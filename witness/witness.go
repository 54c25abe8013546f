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

// Witness is a witness at work. Its methods are safe for concurrent use.
type Witness struct {
	config  *Config
	lock    *durable.Lock
	store   *store
	metrics *metrics
	slots   chan struct{} // one for each request at work

	reload sync.Mutex // held by SetLogs
	view   atomic.Pointer[view]
}

// view is the configured logs, and every log of which there is a state. It is
// immutable; SetLogs replaces it.
type view struct {
	byOrigin map[string]*knownLog
	byHash   map[string]*logState // for monitors; configured or not
}

// knownLog is a configured log.
type knownLog struct {
	keys  []*tlog.VerifierKey
	state *logState
}

// Create makes the state of a witness that never signed anything. It refuses
// with [fs.ErrExist] if dir holds a state already. If one was lost, use
// [ResumeLost] instead: under a key that signed before, an empty state is a
// promise broken.
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
		return fmt.Errorf("witness: %s holds the state of a witness already: %w", c.Dir, fs.ErrExist)
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

// journalLabel ties a state to the witness's name. A key may be added or
// rotated under it; another witness's state is refused.
func journalLabel(c *Config) string {
	return fmt.Sprintf("vasistas-witness state v1, SHA-256 of the name %x", sha256.Sum256([]byte(c.Name())))
}

// Open takes up the state in config.Dir, asks the logs that have a URL what they
// publish, and returns a witness that is ready. ctx bounds the asking.
//
// It refuses a state that is missing ([fs.ErrNotExist]), in use, damaged, of another
// witness, or behind what a log publishes ([LostStateError]).
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

// openState opens the state without a look at the logs.
func openState(c *Config) (*Witness, error) {
	lock, err := durable.LockDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("witness: there is no state directory %s (%w); make one with init if this witness never signed anything, otherwise restore it or use resume-lost",
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

// Close gives the state back. Requests under way fail with [ErrNotDurable].
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

// SetLogs replaces the configured logs. Logs that are new here are first asked
// what they publish, as [Open] does; if SetLogs fails, nothing is changed. A
// log that is left out keeps its state, and goes on from it if it comes back.
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

// AddCheckpoint answers the body of an add-checkpoint request with the lines of
// our cosignatures (tlog-witness, "add-checkpoint").
func (w *Witness) AddCheckpoint(ctx context.Context, body []byte) ([]byte, error) {
	if int64(len(body)) > w.config.MaxBody {
		return nil, fmt.Errorf("%w: the body has %d bytes, and %d are allowed", ErrTooLarge, len(body), w.config.MaxBody)
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

// advance is decide and persist, repeated if the state was read anew from the
// disk in between. While the disk is busy the lines are made; without an error they
// are of what was persisted, and may leave. It needs the lock of the log.
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

// cosigned is what became of cosigning.
type cosigned struct {
	ours []tlog.Signature
	err  error
}

// cosign makes our lines for a head at its time. They must not leave, nor be kept,
// before that is durable.
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

// keep keeps the lines for what was persisted, for monitors. It needs the lock of
// the log.
func (w *Witness) keep(l *logState, a *accepted, ours []tlog.Signature) *accepted {
	signed := *a
	signed.ours = ours
	// Unless the store was read anew, which put the same head there.
	l.last.CompareAndSwap(a, &signed)
	return &signed
}

// checkpoint returns the latest head of a log with its lines and ours, or nil
// if there is none that we cosigned. After a restart our lines are made again,
// at the time that the journal says: the same claim, and never a newer one.
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
