// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

func TestMain(m *testing.M) {
	world.LogTessera(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const origin = "log.example/warrants"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	check(t, world.Await(ctx, 20*time.Millisecond, f))
}

// testbed is a log that asks one auditor, which runs in a monitor.
type testbed struct {
	*world.World
	*people.People
	t       testing.TB
	auditor *world.Auditor
	policy  *tlog.Policy
	client  *client.Client
	running *monitor.Monitor
}

func newTestbed(t testing.TB) *testbed {
	t.Helper()
	w := &testbed{t: t, People: people.New(origin, "")}
	var err error
	w.World, err = world.New(world.Config{Dir: t.TempDir(), People: w.People, Witnesses: []string{"w1", "w2", "w3"}, PostQuantum: true})
	check(t, err)
	t.Cleanup(func() {
		w.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("closing the world: %v", err)
		}
	})
	w.LogConfig.Interval, w.LogConfig.Refresh = 10*time.Millisecond, time.Second
	w.auditor, err = w.NewAuditor("a1")
	check(t, err)
	w.auditor.Config.Poll, w.auditor.Config.Timeout = 20*time.Millisecond, 5*time.Second
	first, err := w.Signed(time.Now(), w.People.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = people.LongProfile(), world.WitnessPolicy(2, false, w.Witnesses...)
		c.LogKeys = nil
		for _, k := range w.LogKeys {
			c.LogKeys = append(c.LogKeys, k.Verifier().String())
		}
		w.Cast(c, event.RoleCharter, "founder")
		w.Cast(c, event.RoleAuditor)
		c.Parties = append(c.Parties, w.auditor.Party())
		c.AuditPolicy = world.AuditPolicy(1, true, w.auditor)
	}), "founder")
	check(t, err)
	check(t, w.Create(t.Context(), first))
	check(t, w.Start(t.Context()))
	w.policy, err = w.World.Policy(2)
	check(t, err)
	w.client, err = client.New(client.Config{URL: w.LogServer.URL, Policy: w.policy})
	check(t, err)
	check(t, w.auditor.Create())
	return w
}

// start runs the monitor of the auditor and of other logs.
func (w *testbed) start(edit func(*monitor.Config)) {
	w.t.Helper()
	c := monitor.Config{Auditors: []auditor.Config{w.auditor.Config}, Metrics: w.auditor.Config.Metrics,
		Run: mirror.RunOptions{Poll: 20 * time.Millisecond, CheckEvery: 20 * time.Millisecond}}
	if edit != nil {
		edit(&c)
	}
	var err error
	w.running, err = monitor.Open(c)
	check(w.t, err)
	w.running.Start()
	w.auditor.Serve(w.running)
}

func (w *testbed) stop() {
	if w.running == nil {
		return
	}
	w.auditor.Serve(nil)
	if err := w.running.Close(); err != nil {
		w.t.Errorf("closing the monitor: %v", err)
	}
	w.running = nil
}

// grow logs n warrants, and waits until they are published.
func (w *testbed) grow(n int) {
	w.t.Helper()
	submissions := func(yield func([]byte, error) bool) {
		for range n {
			if b, err := w.warrant(); !yield(b, err) {
				return
			}
		}
	}
	last := uint64(0)
	for r, err := range w.client.SubmitStream(w.t.Context(), submissions, client.WaitSequenced) {
		check(w.t, err)
		check(w.t, r.Err)
		last = max(last, r.Index)
	}
	eventually(w.t, func() error {
		v, err := w.client.Checkpoint(w.t.Context())
		if err == nil && v.Checkpoint.Size <= last {
			err = fmt.Errorf("the head has the size %d", v.Checkpoint.Size)
		}
		return err
	})
}

func (w *testbed) warrant() ([]byte, error) {
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := w.Event(now, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 8, Accesses: 8, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	open := []event.Opening{event.NewOpening("agency", event.Text("police")), event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation")), event.Decoy()}
	hidden := []event.Opening{event.NewOpening("case", event.Text("12/26")), event.NewOpening("identifier", event.Text("alice")), event.Decoy()}
	if err := ev.Seal(now.Add(24*time.Hour), open, hidden); err != nil {
		return nil, err
	}
	env, err := w.Sign(ev, "court")
	if err != nil {
		return nil, err
	}
	return (&event.Submission{Envelope: env, Openings: open}).Bytes()
}

// copyURL is where the monitor serves the copy of a log.
func (w *testbed) copyURL(origin string) string {
	return w.auditor.URL + "/" + cosigning.OriginHash(origin)
}

// reader is a new client of the served copy.
func (w *testbed) reader() *client.Client {
	c, err := client.New(client.Config{URL: w.copyURL(origin), Policy: w.policy, Retries: -1})
	check(w.t, err)
	return c
}

// served returns the copy's checkpoint, and the time of the auditor's line, 0 without one.
func (w *testbed) served() (*tlog.Checkpoint, uint64, error) {
	v, err := w.reader().Checkpoint(w.t.Context())
	if err != nil {
		return nil, 0, err
	}
	at := cosigning.Cosigned(w.auditor.Keys, v.Checkpoint)
	if at == 0 && v.Checkpoint.Find(w.auditor.Keys[0].Verifier()) != nil {
		w.t.Errorf("a line of the auditor that is not of the head of size %d", v.Checkpoint.Size)
	}
	return v.Checkpoint, at, nil
}

// awaitServed waits until the copy's checkpoint has more entries than above, and the auditor's line.
func (w *testbed) awaitServed(above uint64) (cp *tlog.Checkpoint) {
	w.t.Helper()
	eventually(w.t, func() error {
		var at uint64
		var err error
		if cp, at, err = w.served(); err == nil && (cp.Size <= above || at == 0) {
			err = fmt.Errorf("size %d, cosigned at %d; %s", cp.Size, at, w.status().Declines)
		}
		return err
	})
	return cp
}

func (w *testbed) status() *monitor.Status { return w.running.Status()[0] }

// follow reads the served copy as a follower does, and returns the number of entries.
func (w *testbed) follow() (n uint64) {
	w.t.Helper()
	for e, err := range w.reader().Follow(w.t.Context(), client.FollowOptions{UntilHead: true}) {
		check(w.t, err)
		if e.Index != n {
			w.t.Fatalf("entry %d follows %d", e.Index, n)
		}
		n++
	}
	return n
}

func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(b)
}
