// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package auditor cosigns the heads of one log while the log's rules hold.
//
// A cosignature of an auditor (C2SP tlog-cosignature) states: at this time I held every entry
// below this size in a full copy on stable storage (package mirror), had applied each of them to
// the rules of package ledger, and the rules let me cosign ([ledger.Ledger.Barred]). That means:
// no overdue obligation bars auditors under the charter in force, and I have closed each breach
// on record since the charter that first names me. The cosignature also states what a witness's
// does: the tree extends each tree that I have cosigned before.
//
// The cosignature does not state that a disclosure is true, that a warrant is just, or that
// nothing was decrypted outside of the escrow.
//
// The auditor promises this to all who trust its cosignatures. It trusts its disk as package
// durable does, its machine's clock as far as witnessed times do not contradict it, and the
// hash of the log's first charter, which its operator configures. It trusts neither the log,
// nor a mirror, nor those who submit heads.
//
// # Order
//
// A request of C2SP tlog-witness, add-checkpoint, takes these steps. Each has a refusal of its
// own, and none before the seventh moves the recorded head:
//
//  1. parse the request strictly, and verify the log's own line (400, 403, 404, 413);
//  2. the old size is that of the recorded head (409), and the consistency proof verifies (422);
//  3. the log names this head at /audit/round, so a stranger's submission moves nothing;
//  4. the log shows no cosignature of this auditor that its state does not cover;
//  5. the named note meets the witness policy in force at its size, and at a size that ends
//     with an amendment also the policy before; its logged-after time is within the profile's
//     stale and not ahead of the clock;
//  6. every entry below the head is applied, in a tree that extends the recorded head, and is in
//     the copy; at the present second nothing bars this auditor, and the log suppresses no held
//     event;
//  7. the head and this second are synced to the state, and then signed.
//
// From the third step on a refusal is a 503 with Retry-After and a problem document (RFC 9457),
// whose member bars lists what bars the auditor: see [round.Bar].
//
// # Held events
//
// Revocations, denials, releases, heartbeats and findings may be handed to the auditor
// ([Auditor.Hold]), which submits them. One that the log lacks for longer than the profile's
// inclusion counts against each head, as an obligation of the rule "inclusion".
//
// # State
//
// The state directory has the recorded head with the time of its cosignature, a snapshot of the
// ledger, which is a cache, the held events, evidence of forks ([tlog.Fork]), and the copy unless
// that has a directory of its own. Times never go back.
// A missing state is an error. A state that lacks a cosignature which the log shows was lost or
// restored, or a second auditor signs with these keys: the auditor then signs nothing until its
// operator resumes at the head that the log shows ([ResumeLost]).
//
// BUG(auditor): a lost state goes unnoticed as long as the log shows no later cosignature of
// this auditor. The check protects against accidents, and not against a malicious log.
package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log and an auditor of it. Members up to Signers are required.
type Config struct {
	// Dir is the state directory, made by [Create].
	Dir string
	// URL of the log, where the auditor reads the round. http:// or https://.
	URL string
	// Origin of the log.
	Origin string
	// LogKeys sign the log's heads: those of its first charter. Entries name later ones.
	LogKeys []*tlog.VerifierKey
	// Founded is the leaf hash of the log's first charter.
	Founded tlog.Hash
	// Name of the auditor in the charter.
	Name string
	// Signers are the auditor's cosignature keys (types 0x04 and 0x06), all of one name, which no
	// witness has. The charter in force must name each of them as the auditor's. An answer has a
	// line of each, in this order.
	Signers []*tlog.Signer

	// CopyDir is the directory of the auditor's full copy of the log: see package mirror. "": the
	// directory copy in Dir.
	CopyDir string
	// Policy says which heads the copy takes until the auditor knows a charter, whose witness policy
	// decides from then on. nil: none, so the entries up to the first named head are read twice.
	Policy *tlog.Policy
	// Sources of entries, in the order in which they are asked: the log, and mirrors. nil: the log
	// only.
	Sources []mirror.Source
	// Poll is the pause between two looks at the log's round, by which the auditor catches up, and
	// between two updates of the copy. 0: 1 second.
	Poll time.Duration
	// CheckEvery is the pause after which a share of the copy is read back, and compared with what
	// the sources serve. 0: a minute.
	CheckEvery time.Duration
	// Replayed waits for another replay of the copy, and returns its state at a size above from and at
	// most to, or nil if it has none soon. An auditor that is far behind starts from that state, so that
	// one process does not check each signature twice. A nil func: there is no other replay.
	Replayed func(ctx context.Context, from, to uint64) *replica.Replayed
	// Timeout of one request to the log. 0: 30 seconds.
	Timeout time.Duration
	// Requests bounds the requests under way. 0: 64.
	Requests int
	// HTTPClient for the log: see [client.Config]. nil: one with limits.
	HTTPClient *http.Client

	Metrics *Metrics     // nil: none are kept
	Logger  *slog.Logger // nil: none
}

func (c *Config) setDefaults() error {
	switch {
	case c.Dir == "" || c.URL == "" || c.Origin == "" || len(c.LogKeys) == 0 || c.Name == "":
		return errors.New("give the state directory, the log's URL, origin and keys, and the auditor's name in the charter")
	case !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
		return fmt.Errorf("the log's URL %q: an auditor reads the round of a log, so give http:// or https://", c.URL)
	}
	if err := cosigning.CheckSigners("auditor", c.Signers); err != nil {
		return err
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	c.Poll = cmp.Or(max(c.Poll, 0), time.Second)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 30*time.Second)
	c.Requests = cmp.Or(max(c.Requests, 0), 64)
	c.Metrics = cmp.Or(c.Metrics, NewMetrics())
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return nil
}

// Auditor is an open auditor of one log. It is safe for concurrent use.
type Auditor struct {
	cfg     Config
	dir     *durable.Lock
	metrics *auditorMetrics
	slots   chan struct{}                 // requests under way
	keys    atomic.Pointer[keys]          // of the log, as far as they are known
	log     atomic.Pointer[client.Client] // accepts heads by these keys
	last    atomic.Pointer[record]
	told    cosigning.Teller
	target  atomic.Uint64 // size up to which entries are being applied

	stored  *mirror.Mirror // the full copy
	vouched atomic.Pointer[vouched]
	decided atomic.Bool // the copy's policy is that of a charter

	// lock guards the members below: see with. It is a channel, so that a wait can end.
	lock     chan struct{}
	closed   bool // guarded by lock
	register *durable.Register
	copy     *replicated
	stopped  error            // why the auditor signs nothing until its operator acts
	lines    []tlog.Signature // of the recorded head at its time; nil: none were made since the start
	judged   judgement        // the last one
	// suppressed are the events that were handed to this auditor and that the log has not shown.
	suppressed []*suppression
	// decidedBy is the leaf hash of the charter by which the copy takes heads, and decidedFor the
	// number of the log's keys then.
	decidedBy  tlog.Hash
	decidedFor int

	submit  *client.Client // submits to the log
	alone   time.Time      // until then no other replay is asked for its state; only look uses it
	keeping bool           // the copy is kept up to date; only Start and run use it
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	lately   error        // of the last look at the log
	round    *round.Round // the last one read; nil: none
	updating *update      // of the copy, for requests; nil: none is under way
}

// Files of an auditor's state directory.
const (
	headFile    = "head"     // register: the recorded head, and the time of its cosignature
	ledgerFile  = "ledger"   // snapshot of the ledger: a cache
	evidenceDir = "evidence" // forks of the log
	copyDir     = "copy"     // the full copy of the log, unless Config.CopyDir says where it is
	heldDir     = "held"     // events that were handed to the auditor, by leaf hash
)

// Create makes the state directory of an auditor whose keys have never signed. After the loss of
// a state use [ResumeLost].
func Create(c Config) error {
	if err := c.setDefaults(); err != nil {
		return err
	}
	return create(&c, &record{Auditor: c.Name, Key: c.Signers[0].Verifier().Name, Founded: c.Founded})
}

func create(c *Config, first *record) error {
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(c.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	_, err = durable.CreateRegister(filepath.Join(c.Dir, headFile), maxRecord, first.bytes())
	return err
}

// Open opens an auditor's state directory. The auditor answers at once, and catches up in the
// background from [Auditor.Start] on.
func Open(c Config) (_ *Auditor, err error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	a := &Auditor{cfg: c, lock: make(chan struct{}, 1), slots: make(chan struct{}, c.Requests), metrics: &c.Metrics.m}
	a.metrics.add(c.Origin)
	const hint = "if the state was lost, restore it, or resume at the head that the log shows"
	if a.dir, err = durable.LockDir(c.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; %s", err, hint)
	} else if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.release())
		}
	}()
	if a.register, err = durable.OpenRegister(filepath.Join(c.Dir, headFile), maxRecord); err != nil {
		return nil, fmt.Errorf("%w; %s", err, hint)
	}
	durable.WarnTruncated(c.Logger, headFile, a.register.Truncated())
	a.countForks()
	r, err := a.recorded()
	if err != nil {
		return nil, err
	}
	if err := r.fits(&c); err != nil {
		return nil, err
	}
	if a.cfg.Sources == nil {
		l, err := client.New(client.Config{URL: c.URL, HTTPClient: c.HTTPClient, Timeout: c.Timeout, UserAgent: userAgent})
		if err != nil {
			return nil, err
		}
		a.cfg.Sources = []mirror.Source{{Name: c.URL, Source: l.Source()}}
	}
	if err := a.openStored(); err != nil {
		return nil, err
	}
	if a.copy, err = openCopy(&a.cfg, r.head, a.stored.Ahead()); err != nil {
		return nil, err
	}
	a.publishKeys()
	if err := a.vouchAgain(); err != nil {
		return nil, err
	}
	a.submit, err = client.New(client.Config{URL: c.URL, HTTPClient: c.HTTPClient, Timeout: c.Timeout, SubmitTimeout: c.Timeout, Retries: -1, UserAgent: userAgent})
	if err != nil {
		return nil, err
	}
	return a, a.loadHeld()
}

// release gives the directories free.
func (a *Auditor) release() (err error) {
	if a.stored != nil {
		err = a.stored.Close()
	}
	if a.register != nil {
		err = errors.Join(err, a.register.Close())
	}
	return errors.Join(err, a.dir.Close())
}

// Start looks at the log's round in the background, and applies the entries up to the head that
// the log names, until Close.
func (a *Auditor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	a.keepCopy(ctx)
	a.done.Go(func() { a.run(ctx) })
}

// Close ends the auditor. Call it once no request is under way.
func (a *Auditor) Close() error {
	if a.stop != nil {
		a.stop()
	}
	a.done.Wait()
	err := a.with(context.Background(), func() error {
		a.closed = true
		return a.copy.save(1)
	})
	return errors.Join(err, a.release())
}

// errClosed: a request that waited meanwhile must not sign, since another process may have the state.
var errClosed = refuse(codeNotReady, "the auditor has stopped")

// with calls do under the lock.
func (a *Auditor) with(ctx context.Context, do func() error) error {
	select {
	case a.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.lock }()
	if a.closed {
		return errClosed
	}
	return do()
}

func (a *Auditor) run(ctx context.Context) {
	tick := time.NewTicker(a.cfg.Poll)
	defer tick.Stop()
	said := ""
	for {
		err := a.look(ctx)
		if ctx.Err() != nil {
			return
		}
		a.looked(err)
		a.keepCopy(ctx)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != said {
			a.cfg.Logger.Warn("following the log", "origin", a.cfg.Origin, "err", err)
		}
		said = text
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// looked notes the outcome of the last look at the log.
func (a *Auditor) looked(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lately = err
}

// look reads the log's round, and applies the entries up to the named head. The ledger goes no
// further than named heads, since the auditor must judge at exactly such a size.
func (a *Auditor) look(ctx context.Context) error {
	r, err := a.readRound(ctx)
	if errors.Is(err, tlog.ErrUnknownLog) {
		if err = a.learn(ctx); err == nil {
			r, err = a.readRound(ctx)
		}
	}
	if err != nil {
		return errors.Join(err, a.forward(ctx))
	}
	cp := r.Head()
	if !named(r) {
		return a.forward(ctx)
	}
	late := a.catchUp(ctx, cp.Size)
	var ahead *replica.Replayed
	if late == nil {
		ahead = a.ahead(ctx, cp.Size)
	}
	err = a.with(ctx, func() error {
		if cp.Size > a.copy.ledger.Size() {
			a.copy.ahead = ahead
			if err := a.advance(ctx, cp); err != nil {
				return err
			}
		}
		return a.copy.save(saveEvery)
	})
	if late != nil && err == nil { // the policy that lets the copy go on may be in these entries
		late = a.catchUp(ctx, cp.Size)
	}
	return errors.Join(err, late, a.forward(ctx))
}

// ahead returns the state of another replay, if this auditor is far behind size. It asks at most every
// ten minutes, since a state takes time to make and may not fit.
func (a *Auditor) ahead(ctx context.Context, size uint64) *replica.Replayed {
	from := a.copy.applied.Load()
	if a.cfg.Replayed == nil || size <= from+inline || time.Now().Before(a.alone) {
		return nil
	}
	a.alone = time.Now().Add(10 * time.Minute)
	return a.cfg.Replayed(ctx, from, size)
}

// advance applies the entries up to a named head. It keeps evidence of a fork.
func (a *Auditor) advance(ctx context.Context, cp *tlog.Checkpoint) error {
	a.target.Store(cp.Size)
	defer a.target.Store(0)
	err := a.copy.advance(ctx, cp)
	a.publishKeys()
	if fork, ok := errors.AsType[*client.ForkError](err); ok {
		a.convict(fork)
	}
	if err == nil {
		err = a.tidy()
	}
	return err
}

// publishKeys makes the known keys of the log visible without the lock, and lets the copy follow
// the charter in force.
func (a *Auditor) publishKeys() {
	k := a.copy.keys
	a.keys.Store(&k)
	a.log.Store(a.copy.client)
	a.decide()
}

// judgement is what the ledger of a size says in a second. Finding it walks all open obligations,
// and any number of strangers may ask for the status.
type judgement struct {
	ledger *ledger.Ledger
	size   uint64
	second int64
	bars   []ledger.Bar
}

// bars returns what bars the auditor in a second, by the entries that it has applied; nil also
// before the first.
func (a *Auditor) bars(t time.Time) []ledger.Bar {
	l, t := a.copy.ledger, t.Truncate(time.Second)
	if l.Charter() == nil {
		return nil
	}
	if j := &a.judged; j.ledger != l || j.size != l.Size() || j.second != t.Unix() {
		*j = judgement{l, l.Size(), t.Unix(), l.Barred(a.cfg.Name, t)}
	}
	return append(slices.Clip(a.judged.bars), a.suppresses(t)...)
}
