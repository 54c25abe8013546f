// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witness is a C2SP tlog-witness for many logs: it cosigns a log's checkpoint if a
// consistency proof shows that the tree extends the last one cosigned.
//
// It promises to all who trust its cosignatures:
//
//   - It cosigns no two inconsistent heads of one log, under any crash, race or failure. A
//     cosignature leaves only after its head and timestamp are on stable storage.
//   - Its timestamps never go back, within a log, across logs or over a restart.
//   - It never replaces a lost state under the same keys, unless the operator confirms it
//     with the witness's name ([ResumeLost]). A missing state is an error. For logs with
//     a URL, [Open] fails if the log publishes a cosignature of this witness that the
//     state does not cover.
//   - It keeps conflicting signed heads as evidence, up to a bound.
//
// It trusts the operator's list of log keys, and the disk as package durable does. It
// does not trust its clients: bad input gets an answer of 4xx and changes nothing. It does
// not trust the logs: a log's signature only makes the witness check a head. It vouches for
// no extension lines, which it stores and (with Ed25519) signs as they are.
//
// The protocol is c2sp.org/tlog-witness, with both types of c2sp.org/tlog-cosignature. The
// optional sign-subtree call is not offered.
//
// Each request passes the functions parse, verify and decide. A new head passes persist,
// which calls cosign while the disk writes. The recorded head passes refresh, which takes
// neither the log's lock nor a slot of requests that advance a log: any stranger can
// send such a request. The witness signs a re-encoding of the parsed head.
//
// BUG(witness): a lost state can't be detected for a log without a URL, or one that is
// unreachable when the witness starts. The check protects against accidents, such as a
// restored backup, and not against a malicious log.
package witness

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/edverify"
	"github.com/vasistas/vasistas/log/tlog"
)

// Limits that are not configured.
const (
	maxKeysPerLog = 8         // keys that one origin may have
	maxRecord     = 128 << 10 // bytes: a head with the lines of all its keys
)

// Config is the configuration of a witness, which must not change afterwards.
type Config struct {
	// Dir is the state directory. It must exist: see [Create].
	Dir string
	// Signers are the witness's own cosignature keys (types 0x04 and 0x06), at
	// least one, all of one name. An answer has a line of each, in this order.
	Signers []*tlog.Signer
	// Logs are the keys that the witness trusts. The name of a key is its log's origin,
	// and an origin may have several keys. A URL, if any, is the prefix under which the
	// log serves /checkpoint.
	Logs []tlog.PolicyLog

	// RequireLogCheck makes [Open] fail if the checkpoint of a log with a URL can't be
	// fetched. If false, Open logs a warning instead.
	RequireLogCheck bool
	// CheckTimeout bounds the fetching of all checkpoints; 0 means 30 s.
	CheckTimeout time.Duration
	// Client fetches the checkpoints; nil means a new one, which follows no redirection: a
	// log must not make its witness ask hosts that only the witness can reach.
	Client *http.Client

	MaxBody        int64 // bytes of an add-checkpoint body; 0 means 64 KiB
	MaxRequests    int   // requests under way, and as many that advance a log; 0 means 256
	MaxPerLog      int   // requests under way that advance one log; 0 means 32
	MaxConnections int   // open connections of Serve; 0 means 512

	// Logger is for the operator; nil discards its messages.
	Logger *slog.Logger
}

// Name returns the witness's key name, "" without signers.
func (c *Config) Name() string {
	if len(c.Signers) == 0 {
		return ""
	}
	return c.Signers[0].Verifier().Name
}

// withDefaults checks c and replaces zero values by the defaults.
func (c Config) withDefaults() (*Config, error) {
	if c.Dir == "" {
		return nil, errors.New("no state directory is configured")
	}
	if err := cosigning.CheckSigners("witness", c.Signers); err != nil {
		return nil, err
	}
	if min(c.MaxRequests, c.MaxPerLog, c.MaxConnections) < 0 {
		return nil, errors.New("a limit is negative")
	}
	c.MaxRequests = cmp.Or(c.MaxRequests, 256)
	c.MaxPerLog = cmp.Or(c.MaxPerLog, 32)
	c.MaxConnections = cmp.Or(c.MaxConnections, 512)
	if c.MaxBody < 0 || c.MaxBody > tlog.MaxAddCheckpointSize {
		return nil, fmt.Errorf("the body limit is %d; it must be 0 to %d", c.MaxBody, tlog.MaxAddCheckpointSize)
	}
	c.MaxBody = cmp.Or(c.MaxBody, cosigning.MaxBody)
	c.CheckTimeout = cmp.Or(c.CheckTimeout, 30*time.Second)
	c.Client = cmp.Or(c.Client, &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return &c, nil
}

type trusted struct {
	keys []*tlog.VerifierKey
	urls []string // each once
}

// groupLogs collects the keys of each origin. It refuses a public key that is given twice,
// under any name, or is one of this witness's.
func groupLogs(c *Config, logs []tlog.PolicyLog) (map[string]*trusted, error) {
	used := make(map[string]string)
	for _, s := range c.Signers {
		used[string(s.Verifier().Key)] = "this witness"
	}
	byOrigin := make(map[string]*trusted)
	for _, l := range logs {
		k := l.Key
		if k.Algorithm == tlog.CosignatureEd25519 {
			return nil, fmt.Errorf("the key %s+%08x is of type %v, which is not a log's", k.Name, k.ID, k.Algorithm)
		}
		if who, ok := used[string(k.Key)]; ok {
			return nil, fmt.Errorf("the public key of log %s is already that of %s", k.Name, who)
		}
		used[string(k.Key)] = "log " + k.Name
		t := byOrigin[k.Name]
		if t == nil {
			t = &trusted{}
			byOrigin[k.Name] = t
		}
		if slices.ContainsFunc(t.keys, func(other *tlog.VerifierKey) bool { return other.ID == k.ID }) {
			return nil, fmt.Errorf("two keys of log %s have the key ID %08x", k.Name, k.ID)
		}
		if len(t.keys) == maxKeysPerLog {
			return nil, fmt.Errorf("log %s has more than %d keys", k.Name, maxKeysPerLog)
		}
		t.keys = append(t.keys, k)
		if l.URL != "" && !slices.Contains(t.urls, l.URL) {
			t.urls = append(t.urls, l.URL)
		}
	}
	return byOrigin, nil
}

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
	metrics *witnessMetrics
	slots   chan struct{} // one for each request under way that advances no log
	advance chan struct{} // one for each that advances a log

	keeping sync.Mutex // held by keepEvidence
	reload  sync.Mutex // held by SetLogs
	view    atomic.Pointer[view]
}

// view has the configured logs by origin, and all logs with a state by the hash of their origin, for
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
	err = create(c)
	if errors.Is(err, fs.ErrExist) {
		return durable.Like(fs.ErrExist, "%s has the state of a witness already; nothing was changed", c.Dir)
	}
	return err
}

// create makes the directory and an empty journal in it.
func create(c *Config) error {
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(c.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
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
		return nil, fmt.Errorf("there is no state directory %s (%w); create one with init if this witness never signed anything, otherwise restore it or use resume-lost",
			c.Dir, durable.ErrMissing)
	}
	if err != nil {
		return nil, err
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
		advance: make(chan struct{}, c.MaxRequests),
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
		v.byHash[cosigning.OriginHash(l.origin)] = l
	}
	for _, t := range fresh {
		for _, k := range t.keys {
			if k.Algorithm == tlog.Ed25519 {
				edverify.Expect(k.Key)
			}
		}
	}
	w.view.Store(v)
	return nil
}

// AddCheckpoint answers the body of an add-checkpoint request with the lines of this
// witness's cosignatures (tlog-witness, "add-checkpoint").
func (w *Witness) AddCheckpoint(ctx context.Context, body []byte) ([]byte, error) {
	r, known, err := w.parse(body)
	if err != nil {
		return nil, err
	}
	slots := w.slots
	if last := known.state.last.Load(); r.Old < r.Checkpoint.Size && (last == nil || r.Old == last.head.Size) {
		slots = w.advance
	}
	if err := enter(slots); err != nil {
		return nil, err
	}
	defer leave(slots)
	s, err := known.verify(r)
	if err != nil {
		return nil, err
	}
	a, err := w.cosignatures(ctx, s)
	if err != nil {
		if e := evidenceOf(err); e != nil {
			w.keepEvidence(e)
		}
		return nil, err
	}
	known.state.told.Cosigned(w.config.Logger, &a.head, a.time)
	return tlog.SignatureLines(a.ours), nil
}

// cosignatures returns the head of s with this witness's lines. Only a head that may follow
// the recorded one waits for the lock of the log.
func (w *Witness) cosignatures(ctx context.Context, s *submission) (*accepted, error) {
	for {
		prev := s.log.last.Load()
		next, err := decide(prev, s)
		if err != nil {
			return nil, err
		}
		if !next.repeats(prev) {
			return w.record(ctx, s, prev, next)
		}
		a, err := w.store.refresh(s.log, prev, w.cosign)
		if !errors.Is(err, errMoved) {
			return a, err
		}
	}
}

// record persists next, which was decided upon prev, and signs while the disk writes; the lines leave
// once the head is durable. If prev is no longer the recorded head, it decides again.
func (w *Witness) record(ctx context.Context, s *submission, prev, next *accepted) (*accepted, error) {
	if err := s.log.acquire(ctx, w.config.MaxPerLog); err != nil {
		return nil, err
	}
	defer s.log.release()
	for {
		var ours []tlog.Signature
		var failed error
		err := w.store.persist(s.log, prev, next, func() { ours, failed = w.cosign(next) })
		if err == nil {
			if failed != nil {
				return nil, failed
			}
			return w.keep(s.log, next, ours), nil
		}
		if !errors.Is(err, errMoved) {
			return nil, err
		}
		prev = s.log.last.Load()
		if next, err = decide(prev, s); err != nil {
			return nil, err
		}
	}
}

// cosign makes this witness's lines for a head at its time. They must not leave or be kept
// before the head is durable.
func (w *Witness) cosign(a *accepted) ([]tlog.Signature, error) {
	ours, err := cosigning.Cosign(w.config.Signers, &a.head, a.time)
	if err != nil {
		return nil, err
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
	return l.newest(a).checkpoint().Bytes(), nil
}
