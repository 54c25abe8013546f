// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/event"
)

// world is the history of a vault and its acknowledgements.
type world struct {
	t       *testing.T
	cfg     Config // with faults
	v       *Vault
	a       []*Record
	kept    map[event.Digest]*Record // put and acknowledged; no removal asked since
	erased  map[event.Digest]bool    // acknowledged
	exports int                      // that reached the inspector
	to      string
}

func newWorld(t *testing.T, cfg Config, records []*Record, to string) *world {
	return &world{t: t, cfg: cfg, a: records, kept: make(map[event.Digest]*Record), erased: make(map[event.Digest]bool), to: to}
}

// live runs the whole life, going on after each error, and returns the first.
func (w *world) live() (first error) {
	ctx := context.Background()
	note := func(err error) bool {
		if err != nil && first == nil {
			first = err
		}
		return err == nil
	}
	var err error
	if w.v, err = Open(w.cfg); !note(err) {
		return first
	}
	defer w.v.Close()
	for i := 0; i+2 <= len(w.a); i += 2 {
		if note(w.v.PutBatch(ctx, w.a[i:i+2])) {
			for _, r := range w.a[i : i+2] {
				w.kept[r.hash] = r
			}
		}
	}
	w.holds(w.v)
	note(w.export())
	forget := func(r *Record) event.Digest { delete(w.kept, r.hash); return r.hash }
	w.v.Delete(forget(w.a[0]), forget(w.a[2]), forget(w.a[3]))
	note(w.v.Compact(ctx))
	w.holds(w.v)
	for _, r := range []*Record{w.a[2], w.a[4]} {
		if h := forget(r); note(w.v.Erase(ctx, h)) {
			w.erased[h] = true
		}
		w.holds(w.v)
	}
	drop := forget(w.a[6])
	if _, err := w.v.Retain(ctx, func(h event.Digest) bool { return h != drop }); note(err) {
		w.erased[drop] = true
	}
	w.holds(w.v)
	return first
}

func (w *world) export() error {
	var events []ExportEntry
	for h := range w.kept {
		events = append(events, ExportEntry{h, uint64(len(events))})
	}
	if len(events) == 0 {
		return nil
	}
	out := &counter{}
	_, err := w.v.Export(context.Background(), ExportRequest{Entries: events, To: w.to, By: "test", Time: time.Now()}, out)
	if (err == nil) != (out.n > 0) {
		w.t.Errorf("export: %d bytes, %v", out.n, err)
	}
	if err == nil {
		w.exports++
	}
	return err
}

type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// holds checks a vault and its disk against what is acknowledged.
func (w *world) holds(v *Vault) {
	w.t.Helper()
	mustHave(w.t, v, slices.Collect(maps.Values(w.kept))...)
	disk := onDisk(w.t, w.cfg)
	for h := range w.erased {
		if disk[h] > 0 || v.Has(h) {
			w.t.Errorf("%s is erased, and there", h)
		}
	}
	if d := v.Damage(); d != nil {
		w.t.Errorf("damage: %v", d)
	}
}

// TestFaults makes each durable step of a life fail, once or from then on. Then it
// checks everything, restarts, and checks again.
func TestFaults(t *testing.T) {
	records := someRecords(t, 10)
	id, err := age.GenerateX25519Identity() // the fastest, for there are many worlds
	check(t, err)
	key := []byte(id.String() + "\n")
	start := func(t *testing.T, in *durabletest.Injector) (w *world, remove func()) {
		dir := t.TempDir()
		cfg := Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "key")}
		check(t, os.WriteFile(cfg.Identity, key, 0o600))
		check(t, Create(cfg))
		cfg.MaxFileSize = 5 * len(records[0].text) // merges two files of two
		return newWorld(t, cfg, records, id.Recipient().String()), in.Inject(t, cfg.Dir)
	}
	var trace durabletest.Injector
	w, _ := start(t, &trace)
	check(t, w.live())
	points := trace.Points()
	kinds := make(map[durable.Step]bool)
	for _, p := range points {
		kinds[p.Op.Step] = true
	}
	for _, s := range []durable.Step{durable.Create, durable.Write, durable.Sync, durable.Link, durable.SyncDir, durable.Append, durable.AppendSync, durable.Remove} {
		if !kinds[s] {
			t.Errorf("the life takes no step %q", s)
		}
	}
	t.Logf("%d points", len(points))
	for n, p := range points {
		faults := []error{syscall.EIO}
		if p.Op == (durable.Op{Step: durable.Write}) || p.Op == (durable.Op{Step: durable.Append}) {
			faults = append(faults, &durable.Torn{Bytes: 100, Err: syscall.ENOSPC})
		}
		for _, fault := range faults {
			for _, sticky := range []bool{false, true} {
				t.Run(fmt.Sprint(n, p.Op.Step, p.Op.After, sticky), func(t *testing.T) {
					t.Parallel()
					var in durabletest.Injector
					w, remove := start(t, &in)
					in.FailAt(n, fault)
					if sticky {
						in.FailFrom(n, fault)
					}
					if err := w.live(); !errors.Is(err, fault) || !in.Hit() {
						t.Fatalf("%v", err)
					}
					remove()
					w.restart(w.cfg)
				})
			}
		}
	}
}

func (w *world) restart(cfg Config) {
	t, ctx := w.t, context.Background()
	v := mustOpen(t, cfg)
	w.holds(v)
	lines, err := v.Audit()
	if err != nil || len(lines) < w.exports {
		t.Fatalf("%d exports, %d of them in the audit file, %v", w.exports, len(lines), err)
	}
	// The ledger knows what is open.
	_, err = v.Retain(ctx, func(h event.Digest) bool { return w.kept[h] != nil })
	check(t, err)
	check(t, v.Compact(ctx))
	w.holds(v)
	for h, n := range onDisk(t, cfg) {
		if n != 1 || w.kept[h] == nil {
			t.Errorf("%s is there %d times", h, n)
		}
	}
	put(t, v, w.a...)
	mustHave(t, v, w.a...)
	_, err = v.Export(ctx, ExportRequest{Entries: []ExportEntry{{w.a[0].hash, 1}}, To: w.to, By: "test", Time: time.Now()}, io.Discard)
	check(t, err)
	after, err := v.Audit()
	if err != nil || len(after) != len(lines)+1 {
		t.Fatalf("%d lines, then %d, %v", len(lines), len(after), err)
	}
}

// TestFailedWriteLeavesNothing erases a record, which must also leave the file that a
// write of unknown outcome left.
func TestFailedWriteLeavesNothing(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	var in durabletest.Injector
	in.Inject(t, cfg.Dir)
	v := mustOpen(t, cfg)
	records := someRecords(t, 2)
	begin := len(in.Points())
	put(t, v, records[0])
	linked := slices.IndexFunc(in.Points()[begin:], func(p durabletest.Point) bool {
		return p.Op == durable.Op{Step: durable.Link, After: true}
	})
	in.FailAt(linked, syscall.EIO)
	if err := v.PutBatch(ctx, records[1:]); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	put(t, v, records[1])
	if n := onDisk(t, cfg)[records[1].hash]; n != 2 {
		t.Fatalf("on disk %d times: the fault was to leave one behind", n)
	}
	check(t, v.Erase(ctx, records[1].hash))
	if n := onDisk(t, cfg)[records[1].hash]; n != 0 {
		t.Fatalf("erased, and on disk %d times", n)
	}
	mustHave(t, v, records[0])
}
