// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/trillianx"
	"github.com/vasistas/vasistas/log/vault"
)

// cluster is a log with several front ends, each a process, over one database.
type cluster struct {
	*world
	db    *trilliantest.Postgres
	dsn   string
	lease time.Duration
	ends  []*end
	mu    sync.Mutex // guards the world's url, which moves while others ask

	trillian *trilliantest.Trillian // nil: the tree is Tessera's, in one directory
	options  []string               // of every front end
}

// end is a front end.
type end struct {
	*daemon
	url atomic.Value // string
	dir string       // of its caches
}

func (e *end) at() string { return e.url.Load().(string) }

// newCluster founds a log in a database of its own, with its tree in Trillian. No
// front end runs yet.
func newCluster(t testing.TB, k, n int) *cluster {
	t.Helper()
	c := &cluster{world: prepareWorld(t, k, n), db: trilliantest.StartPostgres(t), lease: 2 * time.Second}
	c.trillian = trilliantest.StartTrillian(t, c.db)
	tree := c.trillian.CreateTree(t)
	stored, err := trillianx.OpenDir(filepath.Join(c.dir, "tiles"), durable.FS{})
	check(t, err)
	engine, err := trillianx.Open(t.Context(), trillianx.Config{Addr: c.trillian.Addr(), Tree: tree, Tiles: stored})
	check(t, err)
	c.options = []string{"-engine", "trillian", "-trillian", c.trillian.Addr(), "-tree", fmt.Sprint(tree)}
	c.foundIn(engine)
	return c
}

// newFileCluster is newCluster with a tree of Tessera, which has one owner at a time.
func newFileCluster(t testing.TB, k, n int) *cluster {
	t.Helper()
	c := &cluster{world: prepareWorld(t, k, n), db: trilliantest.StartPostgres(t), lease: 2 * time.Second}
	check(t, tesserax.Create(t.Context(), c.tree()))
	engine, err := tesserax.Open(t.Context(), c.tree(), log.DefaultMaxBatch)
	check(t, err)
	c.foundIn(engine)
	return c
}

// foundIn founds the log in an empty tree.
func (c *cluster) foundIn(engine log.Engine) {
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
	check(t, log.Init(t.Context(), log.InitConfig{State: db.Founder(), Engine: engine, Keys: c.keys, Charter: c.founding.Bytes()}))
	check(t, engine.Close(t.Context()))
	c.seen.acknowledged(0, c.founding.Bytes())
}

// launch starts a front end whose database is at dsn, and waits until it answers.
func (c *cluster) launch(dsn string, options ...string) *end {
	c.t.Helper()
	e := &end{dir: c.t.TempDir()}
	c.relaunch(e, dsn, options...)
	c.ends = append(c.ends, e)
	return e
}

// relaunch starts a front end again, or for the first time.
func (c *cluster) relaunch(e *end, dsn string, options ...string) {
	c.t.Helper()
	e.daemon = c.command(append([]string{"-database", dsn, "-advertise", "http://127.0.0.1:0", "-lease", c.lease.String(),
		"-state", e.dir, "-refresh", "500ms"}, slices.Concat(c.options, options)...)...)
	url := c.listens(e.daemon)
	c.mu.Lock()
	c.world.url = url
	c.mu.Unlock()
	e.url.Store(url)
}

// request sends a request, and returns the status and the body.
func (e *end) request(path string) (int, string) {
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

// leads returns whether the front end says that it has the log open.
func (e *end) leads() bool {
	_, text := e.request("/metrics")
	return strings.Contains(text, "vasistas_frontend_leads 1\n")
}

// leader waits until one of the front ends is ready and leads.
func (c *cluster) leader(among ...*end) *end {
	c.t.Helper()
	var found *end
	eventually(c.t, func() error {
		for _, e := range among {
			// In this order: one that follows may be ready too.
			if e.leads() {
				if status, _ := e.request("/readyz"); status == http.StatusOK {
					found = e
					return nil
				}
			}
		}
		return errors.New("nobody leads")
	})
	return found
}

// others returns the front ends without one.
func (c *cluster) others(not *end) (out []*end) {
	for _, e := range c.ends {
		if e != not {
			out = append(out, e)
		}
	}
	return out
}

// at is the world as it is seen at a front end.
func (c *cluster) at(e *end) *world {
	c.mu.Lock()
	w := *c.world
	c.mu.Unlock()
	w.url = e.at()
	return &w
}

// load submits at all front ends in turn, what failed again at the next, until stop is
// called, which returns what is not acknowledged. It is wrong if something is refused
// for another reason than that the log can't at the moment.
func (c *cluster) load(clients int) (stop func() [][]byte) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed [][]byte
	for n := range clients {
		wg.Go(func() {
			entry := c.warrant()
			for i := n; ctx.Err() == nil; i++ {
				w := c.at(c.ends[i%len(c.ends)])
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

// stream submits in one stream after the other at a front end, as the client library
// does, until stop is called, which returns what was refused for the moment.
func (c *cluster) streams(e *end) (stop func() [][]byte) {
	ctx, cancel := context.WithCancel(c.t.Context())
	log, err := client.New(client.Config{URL: e.at(), Policy: c.policy, Retries: 1000, Backoff: 20 * time.Millisecond})
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
		// stream says whether the events are at their end.
		stream := func() bool {
			for r, err := range log.SubmitStream(c.t.Context(), events, client.WaitCosigned) {
				var p *client.Problem
				if err != nil {
					// A log that can't store anything is for its operator: no client asks again by itself.
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

// settle submits again, at a front end, what was not acknowledged, and checks the
// whole world.
func (c *cluster) settle(e *end, failed [][]byte) {
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

// TestFrontEnds: every front end takes in events, alone and in streams, and serves
// what is published; they hand over in order when one is told to end.
func TestFrontEnds(t *testing.T) {
	t.Parallel()
	c := newFileCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	first := c.leader(c.ends...)
	for _, e := range c.ends {
		w := c.at(e)
		w.ready()
		w.append(w.warrant())
		w.stream(w.warrants(50), "cosigned")
		if status, text := e.request("/charter"); status != http.StatusOK || text != string(c.founding.Bytes()) {
			t.Errorf("GET /charter: %d %s", status, text)
		}
	}
	// What one was told, all know soon.
	size := c.seen.size()
	for _, e := range c.ends {
		c.at(e).published(size)
		c.at(e).read()
	}
	if err := first.end(t, os.Interrupt); err != nil {
		t.Errorf("it ended with %v\n%s", err, &first.stderr)
	}
	second := c.leader(c.others(first)...)
	c.at(second).append(c.warrant())
	c.settle(second, nil)
}

// TestKillLeader kills the front end that leads, again and again, under load. Nothing
// that was acknowledged is lost, and no two heads conflict.
func TestKillLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	stop := c.load(4)
	last := c.leader(c.ends...)
	for range 3 {
		c.acknowledges(20)
		began := time.Now()
		if err := last.end(t, os.Kill); err == nil {
			t.Fatal("it ended well")
		}
		size := c.seen.size()
		next := c.leader(c.others(last)...)
		c.at(next).published(size + 1)
		took := time.Since(began)
		t.Logf("publication went on after %v, %.1f lease times", took.Round(time.Millisecond), took.Seconds()/c.lease.Seconds())
		c.relaunch(last, c.dsn)
		last = next
	}
	failed := stop()
	c.settle(c.leader(c.ends...), failed)
}
