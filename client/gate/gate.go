// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate is a custodian's gate: it holds a share of each escrowed key, and opens a
// share only for a release that is already in the public, cosigned log.
//
// It promises the subject that each opened share has a release in a witnessed head of
// the log (C2SP tlog-checkpoint, tlog-cosignature), logged before the share was opened,
// with a notice that the subject alone can read. It promises its custodian that it never
// signs two releases of one number, even after a crash or a restored backup. It trusts
// its own keys, its disk, its clock as far as witnessed times don't contradict it, and a
// quorum of the charter's witnesses and auditors. It trusts neither the provider, the
// agency nor the log: it follows the log itself, applies every entry to its own ledger,
// and decides at the largest head that it has ever verified.
//
// # Order
//
// A release takes these steps; a repeated request skips 5 and 6. A refusal names its cause
// ([Code]). Before step 9 the gate's keys open only the request and part one.
//
//  1. open and parse the request, which is sealed to this gate;
//  2. prove that warrant and access are in a head that meets the charter's witness and
//     audit policies and is fresh by its logged-after times;
//  3. check the ledger at the largest head: the access is live and names this gate's
//     group; the journal has the gate's answer, if there is one; the gate's chain is
//     unbroken; every breach is closed, and no overdue obligation bars the custodian; it
//     is within the warrant's window, and no claim is ahead;
//  4. check that every digest of warrant and access opens, of decoys too; that the
//     packages are the access's and each account is one of the warrant's; and that the
//     agency has signed for the recipient;
//  5. open part one of each stanza, and write the notices;
//  6. sync the release to the journal;
//  7. post the release with its notices, and wait until a witnessed head has it;
//  8. check the ledger again, at that head;
//  9. open part two of each stanza, and encrypt it to the recipient.
//
// # The journal
//
// Every event is in the journal before it leaves. If the log has an entry signed by this
// key that the journal lacks, a second instance signed it, or this gate was restored from
// an older backup. The gate then stops, and signs nothing until its operator resumes the
// chain from the log ([Gate.Resume]). A release that is in the journal but not in the log
// is posted again, with the same bytes, until the log has it.
//
// The journal keeps the notices. If the provider has not published those of a release in
// time, the gate discloses them itself.
//
// BUG(gate): the journal only grows, by 10 to 30 KB a release, and opening it reads all
// of it.
//
// # Trust
//
// A gate is configured with the log's keys and the leaf hash of the log's first charter.
// It follows an amendment that changes neither who is trusted nor, for the worse, what is
// demanded (package event, Diff). Under any other it opens nothing until its operator has
// confirmed the amendment's event hash ([Confirm]), which needs no stop. Two heads of the
// log that do not extend each other, and both meet the witness policy, stop a gate until
// its operator confirms the one that stands. Any other contradiction raises an alarm.
//
// # Time
//
// The gate's now is its machine's clock and the logged-after time of its newest head; they
// must agree within the profile's skew and stale. What an event claims is never believed
// if it is ahead of that.
//
// # Held events
//
// Revocations, denials, releases and heartbeats may be handed to the gate ([Gate.Hold]).
// They bind it as if the log had them, so the log can't suppress them, nor by giving no answer. What resumes a
// suspended warrant lets a gate open, so only the log can show it.
//
// A gate takes no recovery envelope, since it follows only the log. After a log has changed or
// lost its key, the gate learns the new one from the log's entries, and its operator confirms
// the change like any other.
package gate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a gate's log, keys and state directory. Members up to Keys are required,
// except Source.
type Config struct {
	// Dir is the state directory, made by [Create].
	Dir string
	// URL of the log. Source, if not nil, is read in its place.
	URL    string
	Source client.Source
	// Origin of the log.
	Origin string
	// LogKeys sign the log's heads: those of its first charter. Entries name later ones.
	LogKeys []*tlog.VerifierKey
	// Founded is the leaf hash of the log's first charter.
	Founded tlog.Hash
	// Signer is the custodian's event key, Keys the gate's own keys.
	Signer event.Signer
	Keys   []KeyHolder

	// Poll is the pause between two updates from the log, and between two tries to post
	// an event. 0: a second.
	Poll time.Duration
	// Timeout of one request to the log, and of the wait for a release's publication. 0:
	// 30 seconds.
	Timeout time.Duration
	// Requests bounds the requests under way; 16 times as many may wait. 0: 64.
	Requests int
	// HTTPClient for the log. nil: one with limits.
	HTTPClient *http.Client

	Logger *slog.Logger // nil: none
}

func (c *Config) setDefaults() error {
	switch {
	case c.Dir == "" || c.Origin == "" || len(c.LogKeys) == 0:
		return errors.New("give the state directory, the log's origin and the log's keys")
	case c.URL == "" && c.Source == nil:
		return errors.New("give the log's URL")
	case c.Signer == nil || len(c.Keys) == 0:
		return errors.New("give the custodian's event key and the gate's keys")
	}
	c.Poll = cmp.Or(max(c.Poll, 0), time.Second)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 30*time.Second)
	c.Requests = cmp.Or(max(c.Requests, 0), 64)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return nil
}

// Gate is a running gate. It is safe for concurrent use.
type Gate struct {
	cfg     Config
	dir     *durable.Lock
	journal *journal
	metrics *gateMetrics

	// lock guards follower: see with. It is a channel, so that a context can end the wait.
	lock     chan struct{}
	follower *follower
	client   atomic.Pointer[client.Client] // follower's
	turn     chan struct{}                 // held by the one that follows the log: see inTurn

	slots   chan struct{} // requests under way
	queue   chan struct{} // requests under way or waiting
	posting sync.Mutex    // held while posting the outbox

	running context.Context // ends with Close
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	lately error // of the last update from the log

	// Only run uses these.
	disclosing time.Time // of the next check for overdue notices
	said       *Refusal  // why the gate would open nothing, as logged last; nil: it would
	saidAt     time.Time
}

// Create makes the state directory of a new gate. If its key has signed before, call
// [Gate.Resume] next.
func Create(c Config) error {
	if err := c.setDefaults(); err != nil {
		return err
	}
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(c.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	first := headRecord{Gate: c.Signer.KeyID(), Leaf: c.Founded}
	if err := createJournal(filepath.Join(c.Dir, journalFile), c.Signer.KeyID()); err != nil {
		return err
	}
	// The register comes last: Open requires it.
	_, err = durable.CreateRegister(filepath.Join(c.Dir, headFile), maxHead, first.bytes())
	return err
}

// Open opens a gate's state directory. The gate signs nothing before [Gate.Start].
func Open(c Config) (_ *Gate, err error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: c, lock: make(chan struct{}, 1), turn: make(chan struct{}, 1), metrics: newMetrics(),
		slots: make(chan struct{}, c.Requests), queue: make(chan struct{}, 17*c.Requests)}
	if g.dir, err = durable.LockDir(c.Dir); err != nil {
		return nil, err
	}
	g.running, g.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, g.closeFiles())
		}
	}()
	f := &follower{cfg: &g.cfg, outside: g.outside, keys: replica.Keys(nil).With(c.LogKeys...)}
	g.follower = f
	if f.register, err = durable.OpenRegister(filepath.Join(c.Dir, headFile), maxHead); err != nil {
		return nil, err
	}
	durable.WarnTruncated(c.Logger, headFile, f.register.Truncated())
	if g.journal, err = openJournal(filepath.Join(c.Dir, journalFile), c.Signer.KeyID()); err != nil {
		return nil, err
	}
	durable.WarnTruncated(c.Logger, journalFile, g.journal.j.Truncated())
	f.own = g.journal.seen
	for _, b := range g.journal.held {
		h, err := readHeld(b)
		if err != nil {
			return nil, err
		}
		f.held = append(f.held, h)
	}
	g.journal.held = nil // the follower has them
	if err := f.load(c.Dir); err != nil {
		return nil, err
	}
	if err := f.loadForks(); err != nil {
		return nil, err
	}
	g.client.Store(f.client)
	return g, nil
}

// Start follows the log and posts due events in the background, until Close.
func (g *Gate) Start() {
	g.done.Go(func() { g.run(g.running) })
	g.done.Go(func() { g.watchAudits(g.running) })
}

// Close ends the gate. Requests under way are refused: none of them writes to the state directory
// or opens a share once Close has returned, since another process may have the directory.
func (g *Gate) Close() error {
	g.stop()
	g.done.Wait()
	ctx := context.Background()
	err := g.with(ctx, func(f *follower) error {
		return g.inTurn(ctx, f, func() error {
			f.closed = true
			return g.save(f, 1)
		})
	})
	return errors.Join(err, g.closeFiles())
}

func (g *Gate) closeFiles() error {
	var err error
	if g.journal != nil {
		err = g.journal.close()
	}
	if g.follower != nil && g.follower.register != nil {
		err = errors.Join(err, g.follower.register.Close())
	}
	return errors.Join(err, g.dir.Close())
}

// saveEvery is the number of entries between two snapshots of the ledger.
const saveEvery = 1 << 14

func (g *Gate) run(ctx context.Context) {
	tick := time.NewTicker(g.cfg.Poll)
	defer tick.Stop()
	last := ""
	for {
		err := g.round(ctx)
		if ctx.Err() != nil {
			return
		}
		g.say()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != last {
			g.cfg.Logger.Warn("following the log", "err", err)
		}
		last = text
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sayEvery is the least time between two reasons that are logged while the gate stays shut:
// strangers choose some of the words.
const sayEvery = time.Minute

// say logs whether the gate would open, once after each change.
func (g *Gate) say() {
	err := g.Ready()
	if err == nil {
		if g.said != nil {
			g.cfg.Logger.Info("the gate would open")
		}
		g.said = nil
		return
	}
	r := refusal(err)
	if s := g.said; s != nil && (s.Error() == r.Error() || s.Code == r.Code && time.Since(g.saidAt) < sayEvery) {
		return
	}
	g.cfg.Logger.Warn("the gate would open nothing", "why", err, "until", r.Ends())
	g.said, g.saidAt = r, time.Now()
}

// round follows the log once. What the log refuses does not shut the gate.
func (g *Gate) round(ctx context.Context) error {
	err := g.with(ctx, func(f *follower) error {
		if err := g.follow(ctx, f, time.Now()); err != nil {
			return err
		}
		if err := errors.Join(g.tidy(f), g.beat(f), g.disclose(f)); err != nil {
			return err
		}
		return g.save(f, saveEvery)
	})
	g.metrics.looks.Add(1, outcome(err))
	g.mu.Lock()
	g.lately = err
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(g.post(ctx), g.forward(ctx))
}

// save records logged events in the journal, and then the ledger: a ledger ahead of the
// journal would not replay their entries again.
func (g *Gate) save(f *follower, every uint64) error {
	if err := g.journal.flush(); err != nil {
		return err
	}
	return f.save(g.cfg.Dir, every)
}

// with calls do under the lock.
func (g *Gate) with(ctx context.Context, do func(*follower) error) error {
	select {
	case g.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.lock }()
	return g.follower.open(do)
}

// outside calls do without the lock, which the caller has.
func (g *Gate) outside(do func()) {
	<-g.lock
	defer func() { g.lock <- struct{}{} }()
	do()
}

// inTurn calls do, which follows the log and lets go of the lock where it waits for the log. So a
// log that does not answer can't keep the gate from taking a revocation. Until do returns, the
// ledger may be ahead of the head, and only do changes either.
func (g *Gate) inTurn(ctx context.Context, f *follower, do func() error) (err error) {
	g.outside(func() {
		select {
		case g.turn <- struct{}{}:
		case <-ctx.Done():
			err = ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	f.syncing = time.Now()
	defer func() {
		f.syncing = time.Time{}
		<-g.turn
	}()
	return f.open(func(*follower) error { return do() })
}

// follow syncs with the log, unless a sync has begun at since or later, and compares the
// log's chain with the journal.
func (g *Gate) follow(ctx context.Context, f *follower, since time.Time) error {
	if err := f.survive(); err != nil {
		return err
	}
	if f.stopped != nil {
		return f.stopped
	}
	if err := g.journal.failed(); err != nil {
		return err
	}
	if f.syncing.IsZero() && !f.followed.Before(since) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.running, cancel)()
	err := g.inTurn(ctx, f, func() error {
		if f.stopped != nil || !f.followed.Before(since) {
			return f.stopped
		}
		err := f.sync(ctx)
		g.client.Store(f.client)
		return err
	})
	if err != nil {
		return err
	}
	if chain, ok := f.ledger.Chain(g.cfg.Signer.KeyID()); ok {
		err = f.stop(g.journal.fits(chain))
	}
	return err
}

// custodian returns this gate's custodian under the charter in force.
func (g *Gate) custodian(f *follower) (string, error) {
	p := f.ledger.Charter().Signer(g.cfg.Signer.KeyID(), f.ledger.Size())
	if p == nil || p.Role != event.RoleCustodian {
		return "", ErrNoCustodian
	}
	return p.Name, nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// patience is how long a log may take to answer until the gate says that it is not ready.
const patience = time.Second

// Ready returns why the gate would open nothing at present, nil if it would. The error is a
// [Refusal].
func (g *Gate) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return g.with(ctx, g.shut)
}

// Files of a gate's state directory.
const (
	headFile    = "head"    // register: the largest verified head, and the trusted charter
	journalFile = "journal" // events signed by this gate's key
	ledgerFile  = "ledger"  // snapshot of the ledger: a cache
	forkFile    = "fork"    // evidence of a fork, which stops the gate
	settledFile = "settled" // evidence of the last fork that the operator has settled
	// contradictionFile has evidence of a contradiction that stops nothing.
	contradictionFile = "contradiction"
	pendingFile       = "pending" // the amendments to confirm: see Confirm
	// What the operator confirmed last: see Confirm.
	charterFile  = "confirmed"
	survivorFile = "survivor"
)

const maxPending = 64 << 20 // of the amendments' changes

const maxHead = 2*tlog.MaxCheckpointSize + 1024

type headRecord struct {
	Checkpoint string    `json:"checkpoint,omitempty"` // absent: none was verified yet
	Gate       string    `json:"gate"`                 // id of the event key
	Trusted    uint64    `json:"trusted"`              // index of the trusted charter
	Leaf       tlog.Hash `json:"leaf"`                 // its leaf hash
}

func (r *headRecord) bytes() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, '\n')
}

func parseHeadRecord(b []byte) (*headRecord, error) {
	var r headRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("the head register: %w", err)
	}
	if !bytes.Equal(r.bytes(), b) {
		return nil, errors.New("the head register was changed by hand; restore it from a backup")
	}
	return &r, nil
}
