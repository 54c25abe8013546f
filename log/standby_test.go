// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/linger/lingertest"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
	"github.com/vasistas/vasistas/log/vault"
)

// cluster is a log with several instances, each a process, over one database.
type cluster struct {
	*world
	db        *trilliantest.Postgres
	dsn       string
	lease     time.Duration
	instances []*instance
	mu        sync.Mutex // guards instances, and the world's url, which move while others ask

	trillian *trilliantest.Trillian // nil: the tree is Tessera's, in one directory
	options  []string               // of every instance

	fastest time.Duration // from a fault to the next publication; 0: there was none
}

// instance is one of the processes.
type instance struct {
	*daemon
	url atomic.Value // string
	dir string       // of its caches
}

func (e *instance) at() string { return e.url.Load().(string) }

// newCluster creates a log in a database of its own, with its tree in Trillian. No
// instance runs yet.
func newCluster(t testing.TB, k, n int) *cluster {
	t.Helper()
	c := &cluster{world: prepareWorld(t, k, n), db: trilliantest.StartPostgres(t), lease: 2 * time.Second}
	c.trillian = trilliantest.StartTrillian(t, c.db)
	tree, err := trillianx.NewTree(t.Context(), trillianx.Config{Addr: c.trillian.Addr(), Timeout: time.Minute})
	check(t, err)
	stored, err := trillianx.OpenDir(filepath.Join(c.dir, "tiles"))
	check(t, err)
	engine, err := trillianx.Open(t.Context(), trillianx.Config{Addr: c.trillian.Addr(), Tree: tree, Tiles: stored})
	check(t, err)
	c.options = []string{"-engine", "trillian", "-trillian", c.trillian.Addr(), "-tree", fmt.Sprint(tree)}
	c.createIn(engine)
	return c
}

// newFileCluster is newCluster with a tree of Tessera, which has one owner at a time.
func newFileCluster(t testing.TB, k, n int) *cluster {
	t.Helper()
	c := &cluster{world: prepareWorld(t, k, n), db: trilliantest.StartPostgres(t), lease: 2 * time.Second}
	check(t, tesserax.Create(t.Context(), c.tree()))
	engine, err := tesserax.Open(t.Context(), c.tree())
	check(t, err)
	c.createIn(engine)
	return c
}

// createIn creates the log in an empty tree.
func (c *cluster) createIn(engine log.Engine) {
	t := c.t
	t.Helper()
	c.dsn = c.db.CreateDatabase(t, "vasistas")
	db, err := pgstate.Create(t.Context(), c.dsn)
	check(t, err)
	defer db.Close()
	files := c.vaultConfig()
	files.Storage = db.Vault()
	check(t, vault.Create(files))
	c.founding = signedAt(t, c.now(), c.charter(), c.founder)
	check(t, recover.Init(t.Context(), recover.InitConfig{State: db.Creator(), Engine: engine, Keys: c.keys, Charter: c.founding.Bytes()}))
	check(t, engine.Close(t.Context()))
	c.seen.acknowledged(0, c.founding.Bytes())
}

// launch starts an instance whose database is at dsn, and waits until it answers.
func (c *cluster) launch(dsn string, options ...string) *instance {
	c.t.Helper()
	e := &instance{dir: c.t.TempDir()}
	c.relaunch(e, dsn, options...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances = append(c.instances, e)
	return e
}

// relaunch starts an instance again, or for the first time.
func (c *cluster) relaunch(e *instance, dsn string, options ...string) {
	c.t.Helper()
	e.daemon = c.command(append([]string{"-database", dsn, "-lease", c.lease.String(),
		"-state", e.dir, "-refresh", "500ms"}, slices.Concat(c.options, options)...)...)
	url := c.listens(e.daemon)
	c.mu.Lock()
	c.world.url = url
	c.mu.Unlock()
	e.url.Store(url)
}

// request sends a request, and returns the status and the body.
func (e *instance) request(path string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(e.at() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// active waits until one of the instances is the active one, and ready.
func (c *cluster) active(among ...*instance) *instance {
	c.t.Helper()
	var ready *instance
	eventually(c.t, func() error {
		err := errors.New("no instance is active")
		for _, e := range among {
			status, body := e.request("/readyz")
			if status == http.StatusOK {
				ready = e
				return nil
			}
			err = fmt.Errorf("%w\n%d: %s", err, status, body)
		}
		return err
	})
	return ready
}

// others returns the instances but one.
func (c *cluster) others(not *instance) (out []*instance) {
	for _, e := range c.instances {
		if e != not {
			out = append(out, e)
		}
	}
	return out
}

// at is the world as an instance shows it.
func (c *cluster) at(e *instance) *world {
	c.mu.Lock()
	w := *c.world
	c.mu.Unlock()
	w.url = e.at()
	return &w
}

// balancer is a load balancer as operators have it: it passes connections on to the
// instance whose /readyz says 200, and cuts them when /readyz says so no more.
type balancer struct {
	net.Listener
	c *cluster

	mu    sync.Mutex
	to    *instance // nil: none is ready
	conns []net.Conn
}

// balance starts a balancer over all instances, later ones too.
func (c *cluster) balance() *balancer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(c.t, err)
	b := &balancer{Listener: l, c: c}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	c.t.Cleanup(func() { l.Close(); cancel(); wg.Wait() })
	wg.Go(func() { b.look(ctx) })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			b.connect(in)
		}
	})
	return b
}

// look looks for the ready instance.
func (b *balancer) look(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ctx.Err() == nil; <-tick.C {
		b.c.mu.Lock()
		all := slices.Clone(b.c.instances)
		b.c.mu.Unlock()
		b.mu.Lock()
		is := b.to
		b.mu.Unlock()
		if is != nil {
			all = append([]*instance{is}, all...)
		}
		i := slices.IndexFunc(all, func(e *instance) bool {
			status, _ := e.request("/readyz")
			return status == http.StatusOK
		})
		var to *instance
		if i >= 0 {
			to = all[i]
		}
		if to != is {
			b.move(to)
		}
	}
	b.move(nil)
}

func (b *balancer) move(to *instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		conn.Close()
	}
	b.to, b.conns = to, nil
}

func (b *balancer) connect(in net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.to == nil {
		in.Close()
		return
	}
	out, err := net.Dial("tcp", strings.TrimPrefix(b.to.at(), "http://"))
	if err != nil {
		in.Close()
		return
	}
	b.conns = append(b.conns, in, out)
	pass := func(to, from net.Conn) {
		defer to.Close()
		io.Copy(to, from)
	}
	go pass(in, out)
	go pass(out, in)
}

// through is the world as the balancer shows it.
func (c *cluster) through(b *balancer) *world {
	w := *c.world
	w.url = "http://" + b.Addr().String()
	return &w
}

// load submits through a balancer, and again what failed, until stop is called, which
// returns what is not acknowledged. A refusal is an error of the test unless it says
// that the log can't at the moment.
func (c *cluster) load(b *balancer, clients int) (stop func() [][]byte) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed [][]byte
	w := c.through(b)
	for n := range clients {
		wg.Go(func() {
			entry := c.warrant()
			for i := n; ctx.Err() == nil; i++ {
				var err error
				if i%2 == 0 {
					_, err = w.sequence(entry)
				} else {
					_, err = w.submit(entry)
				}
				if err == nil {
					entry = c.warrant()
					continue
				}
				var p *problem
				if errors.As(err, &p) && (p.status < 500 || p.status == http.StatusInternalServerError) {
					c.t.Errorf("refused: %v", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, entry)
		})
	}
	return func() [][]byte {
		cancel()
		wg.Wait()
		return failed
	}
}

// streams submits one stream after the other through a balancer, as the client library
// does, until stop is called, which returns the events that were refused for the
// moment.
func (c *cluster) streams(b *balancer) (stop func() [][]byte) {
	ctx, cancel := context.WithCancel(c.t.Context())
	log, err := client.New(client.Config{URL: c.through(b).url, Policy: c.policy, Retries: 1000, Backoff: 20 * time.Millisecond})
	check(c.t, err)
	events := func(yield func([]byte, error) bool) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && yield(c.warrant(), nil) {
			<-tick.C
		}
	}
	var failed [][]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		answers := 0
		// stream returns whether it has reached the last event.
		stream := func() bool {
			for r, err := range log.SubmitStream(c.t.Context(), events, client.WaitCosigned) {
				var p *client.Problem
				if err != nil {
					// A log that can't store anything needs its operator: no client
					// tries again by itself.
					if !errors.As(err, &p) || p.Status != http.StatusInsufficientStorage {
						c.t.Errorf("a stream ended: %v", err)
						return true
					}
					return ctx.Err() != nil
				}
				if r.Err != nil {
					if !errors.As(r.Err, &p) || p.Status < 500 {
						c.t.Errorf("refused in a stream: %v", r.Err)
					}
					failed = append(failed, r.Submission)
					continue
				}
				answers++
				c.seen.acknowledged(r.Index, entryOf(r.Submission))
				if err := c.verify(r.Proof); err != nil {
					c.t.Error(err)
				}
			}
			return true
		}
		for !stream() {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		c.t.Logf("%d answers in streams, %d refused for the moment", answers, len(failed))
		if answers == 0 {
			c.t.Error("nothing was acknowledged in a stream")
		}
	})
	return func() [][]byte {
		cancel()
		wg.Wait()
		return failed
	}
}

// resubmit submits again, at an instance, what was not acknowledged, and checks the
// whole world.
func (c *cluster) resubmit(e *instance, failed [][]byte) {
	c.t.Helper()
	w := c.at(e)
	w.ready()
	if len(failed) > 0 {
		w.stream(failed, "sequenced")
	}
	entries := w.audit()
	seen := make(map[string]bool)
	for i, entry := range entries {
		if seen[string(entry)] {
			c.t.Errorf("entry %d is in the log twice", i)
		}
		seen[string(entry)] = true
	}
	for _, entry := range failed {
		if !seen[string(entryOf(entry))] {
			c.t.Error("an event is acknowledged and not in the log")
		}
	}
	if c.fastest > 3*c.lease {
		c.t.Errorf("publication never went on before %v, and a lease has %v", c.fastest, c.lease)
	}
	c.t.Logf("%d entries, %d of them submitted again; %d heads seen", len(entries), len(failed), len(c.seen.clone().heads))
}

// acknowledges waits until so many more events are acknowledged.
func (c *cluster) acknowledges(more int) {
	c.t.Helper()
	enough := c.seen.count() + more
	eventually(c.t, func() error {
		if n := c.seen.count(); n < enough {
			return fmt.Errorf("%d of %d are acknowledged", n, enough)
		}
		return nil
	})
}

// isStandby checks that an instance says that it is a standby, and when to ask again.
func (c *cluster) isStandby(e *instance) {
	c.t.Helper()
	ask := map[string]func() (*http.Response, error){
		"GET /readyz": func() (*http.Response, error) { return http.Get(e.at() + "/readyz") },
		"POST /events": func() (*http.Response, error) {
			return http.Post(e.at()+"/events", "application/json", bytes.NewReader(c.warrant()))
		},
		"POST /events stream": func() (*http.Response, error) {
			return http.Post(e.at()+"/events?wait=sequenced", "application/x-ndjson", bytes.NewReader(append(c.warrant(), '\n')))
		},
	}
	for name, f := range ask {
		resp, err := f()
		check(c.t, err)
		body, err := io.ReadAll(resp.Body)
		check(c.t, errors.Join(err, resp.Body.Close()))
		var p *problem
		if err := problemOf(resp, body); !errors.As(err, &p) || p.status != http.StatusServiceUnavailable || p.code != "standby" ||
			!strings.Contains(p.Detail, "is a standby") || p.retryAfter == "" {
			c.t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStandby checks that a standby refuses events and says so, serves what is
// published, and takes over when the active instance is told to end.
func TestStandby(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	first := c.active(c.instances...)
	c.at(first).stream(c.warrants(600), "cosigned")
	size := c.seen.size()
	for _, e := range c.others(first) {
		c.isStandby(e)
		w := c.at(e)
		w.published(size)
		w.read()
		if status, text := e.request("/charter"); status != http.StatusOK || text != string(c.founding.Bytes()) {
			t.Errorf("GET /charter: %d %s", status, text)
		}
		for path, want := range map[string]int{"/healthz": http.StatusOK, "/events": http.StatusMethodNotAllowed, "/tile/0/999": http.StatusNotFound, "/served": http.StatusNotFound} {
			if status, text := e.request(path); status != want {
				t.Errorf("GET %s: %d %s", path, status, text)
			}
		}
		e.follows(t, size)
	}
	// A client that sends its event for ever does not hold the others up.
	slow, err := net.Dial("tcp", strings.TrimPrefix(first.at(), "http://"))
	check(t, err)
	defer slow.Close()
	_, err = fmt.Fprintf(slow, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{")
	check(t, err)
	answers := bufio.NewReader(slow)
	resp, err := http.ReadResponse(answers, nil) // its body is being read
	check(t, err)
	if resp.StatusCode != http.StatusContinue {
		t.Fatal(resp.Status)
	}
	if err := first.end(t, os.Interrupt); err != nil {
		t.Errorf("it ended with %v\n%s", err, &first.stderr)
	}
	if resp, err = http.ReadResponse(answers, nil); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	if err := problemOf(resp, body); !isProblem(err, "shutting-down") {
		t.Errorf("half an event: %d %v", resp.StatusCode, err)
	}
	second := c.active(c.others(first)...)
	c.at(second).append(c.warrant())
	c.resubmit(second, nil)
}

// follows waits until the instance has read so much of the log.
func (e *instance) follows(t testing.TB, size uint64) {
	t.Helper()
	eventually(t, func() error {
		if _, text := e.request("/metrics"); !strings.Contains(text, fmt.Sprintf("vasistas_log_followed_size %d\n", size)) {
			return fmt.Errorf("it does not follow up to %d", size)
		}
		return nil
	})
}

// TestSharedDir checks that two instances can't have one directory.
func TestSharedDir(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 1, 1)
	first := c.launch(c.dsn)
	second := c.command("-database", c.dsn, "-state", first.dir)
	if err := <-second.exited; err == nil || !strings.Contains(second.stderr.String(), fmt.Sprintf("process %d", first.Process.Pid)) {
		t.Errorf("the second one: %v\n%s", err, &second.stderr)
	}
}

// firstBundle counts how often an engine is asked for the first entries.
type firstBundle struct {
	log.Engine
	reads atomic.Int64
}

func (e *firstBundle) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level == tlog.Entries && t.Index == 0 {
		e.reads.Add(1)
	}
	return e.Engine.ReadTile(ctx, t)
}

// TestWarm checks that a standby that has followed the log reads none of what it knows
// when it becomes active, and that another standby reads everything.
func TestWarm(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 1, 1)
	first := c.launch(c.dsn)
	c.at(c.active(first)).stream(c.warrants(600), "cosigned")
	db, err := pgstate.Open(t.Context(), c.dsn)
	check(t, err)
	defer db.Close()
	newStandby := func() *log.Standby {
		s, err := log.NewStandby(log.StandbyConfig{State: db.State(), Tiles: client.Dir(c.tree()), Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		return s
	}
	warm, cold := newStandby(), newStandby()
	ctx, unfollow := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { warm.Follow(ctx) })
	size := float64(c.seen.size())
	eventually(t, func() error {
		if got := metric(warm.Metrics(), "vasistas_log_followed_size"); got != size {
			return fmt.Errorf("it follows up to %v of %v", got, size)
		}
		return nil
	})
	check(t, first.end(t, os.Interrupt))
	if n := c.takesOver(db, warm); n != 0 {
		t.Errorf("the first entries were read %d times", n)
	}
	unfollow()
	following.Wait()
	if n := c.takesOver(db, cold); n == 0 {
		t.Error("the first entries were not read, and not known")
	}
	check(t, errors.Join(warm.Close(), cold.Close()))
}

// TestMoveOusted checks that a move fails if another instance may have been active
// meanwhile.
func TestMoveOusted(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 1, 1)
	db, err := pgstate.Open(t.Context(), c.dsn)
	check(t, err)
	defer db.Close()
	cfg := c.recovery()
	cfg.State = db.State()
	cfg.OpenTo = func(context.Context) (log.Engine, error) { return newTree(t, filepath.Join(t.TempDir(), "tree")), nil }
	if _, err := recover.Run(t.Context(), cfg); !errors.Is(err, state.ErrOusted) {
		t.Errorf("without a lease: %v", err)
	}
}

// counted is a tree that counts reads, as firstBundle does.
type counted struct {
	tlog.TileReader
	reads atomic.Int64
}

func (r *counted) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level == tlog.Entries && t.Index == 0 {
		r.reads.Add(1)
	}
	return r.TileReader.ReadTile(ctx, t)
}

// TestWarmAhead checks that an instance that was active and has more than is published,
// say because the database was lost, does not read the whole log when it is a standby
// again, nor when it is active again.
func TestWarmAhead(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 1, 1)
	first := c.launch(c.dsn)
	c.at(c.active(first)).stream(c.warrants(600), "cosigned")
	check(t, first.end(t, os.Interrupt))
	db, err := pgstate.Open(t.Context(), c.dsn)
	check(t, err)
	defer db.Close()
	tiles, said := &counted{TileReader: client.Dir(c.tree())}, new(notes)
	s, err := log.NewStandby(log.StandbyConfig{State: db.State(), Tiles: tiles, Dir: t.TempDir(), Shutdown: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(said, nil))})
	check(t, err)
	c.takesOver(db, s, func(w *world) {
		w.witnesses[0].answer(down)
		w.stream(c.warrants(300), "sequenced")
	})
	tiles.reads.Store(0)
	ctx, unfollow := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { s.Follow(ctx) })
	eventually(t, func() error {
		if metric(s.Metrics(), "vasistas_log_followed_size") == 0 && !strings.Contains(said.String(), "can't be followed") {
			return errors.New("it has not tried to follow")
		}
		return nil
	})
	c.witnesses[0].answer(nil)
	if n := c.takesOver(db, s) + tiles.reads.Load(); n != 0 {
		t.Errorf("the first entries were read %d times", n)
	}
	unfollow()
	following.Wait()
	check(t, s.Close())
}

// takesOver has a standby become active, submits an event, does more, and returns how
// often it then read the first entries.
func (c *cluster) takesOver(db *pgstate.DB, s *log.Standby, then ...func(w *world)) int64 {
	c.t.Helper()
	web := lingertest.NewServer(s.Handler())
	defer web.Close()
	w := *c.world
	w.url = web.URL
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	var engine firstBundle
	prepare := func(ctx context.Context, term *pgstate.Term) (cfg log.Config, _ io.Closer, err error) {
		files := c.vaultConfig()
		files.Storage = term.Vault()
		kept, err := vault.Open(files)
		if err != nil {
			return cfg, nil, err
		}
		if engine.Engine, err = tesserax.Open(ctx, c.tree()); err != nil {
			return cfg, nil, errors.Join(err, kept.Close())
		}
		return log.Config{State: term.State(), Engine: &engine, Vault: kept, Keys: c.keys, Policy: c.policy, Logger: slog.New(slog.DiscardHandler)}, kept, nil
	}
	var acting sync.WaitGroup
	acting.Go(func() {
		err := db.Run(ctx, pgstate.Candidate{Name: "test", Lease: c.lease, Act: func(term *pgstate.Term) time.Duration {
			if err := s.Act(ctx, term.Context(), func(ctx context.Context) (log.Config, io.Closer, error) { return prepare(ctx, term) }); err != nil {
				c.t.Error(err)
			}
			return 0
		}})
		if err != nil {
			c.t.Error(err)
		}
	})
	// Its /checkpoint is the one that Follow reads, so /readyz may say that nothing is
	// published.
	eventually(c.t, func() error { _, err := w.sequence(c.warrant()); return err })
	for _, f := range then {
		f(&w)
	}
	stop()
	acting.Wait()
	return engine.reads.Load()
}

// resumed records how long after a fault the log published again.
func (c *cluster) resumed(e *instance, size uint64, began time.Time) {
	c.t.Helper()
	c.at(e).published(size + 1)
	took := time.Since(began)
	c.t.Logf("publication went on after %v, %.1f lease times", took.Round(time.Millisecond), took.Seconds()/c.lease.Seconds())
	// The best time of a test counts: others share the machine.
	if c.fastest == 0 || took < c.fastest {
		c.fastest = took
	}
}

// TestKillLeader kills the active instance, again and again, under load. It checks that
// no acknowledged event is lost, and that no two heads conflict.
func TestKillLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	b := c.balance()
	stop := c.load(b, 4)
	last := c.active(c.instances...)
	for range 3 {
		c.acknowledges(20)
		began := time.Now()
		if err := last.end(t, os.Kill); err == nil {
			t.Fatal("it ended well")
		}
		size := c.seen.size()
		next := c.active(c.others(last)...)
		c.resumed(next, size, began)
		c.relaunch(last, c.dsn)
		last = next
	}
	failed := stop()
	c.resubmit(c.active(c.instances...), failed)
}
