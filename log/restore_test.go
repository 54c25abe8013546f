// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
)

// mirror copies what the running log publishes into a directory, tile by tile, as a
// stranger would.
func (w *world) mirror() string {
	w.t.Helper()
	dir := w.t.TempDir()
	cp := w.checkpoint()
	save := func(path string, b []byte) {
		name := filepath.Join(dir, path)
		check(w.t, os.MkdirAll(filepath.Dir(name), 0o755))
		check(w.t, os.WriteFile(name, b, 0o644))
	}
	fetch := func(t tlog.Tile) {
		b, err := overHTTP(w.url).ReadTile(w.t.Context(), t)
		check(w.t, err)
		save(t.Path(), b)
	}
	for level := -1; level < 8; level++ {
		for i := uint64(0); tiles.Width(max(level, 0), i, cp.Size) > 0; i++ {
			fetch(tlog.Tile{Level: level, Index: i, Width: tiles.Width(max(level, 0), i, cp.Size)})
		}
	}
	save("checkpoint", cp.Bytes())
	return dir
}

// recovery is how the world's log is recovered.
func (w *world) recovery() recover.Config {
	return recover.Config{
		StateDir: w.state(), Keys: w.keys, Policy: w.policy, TreeDir: w.tree(),
		OpenTree: func(ctx context.Context, dir string) (log.Engine, error) {
			return tesserax.Open(ctx, dir)
		},
		CreateTree: tesserax.Create, Salvage: tesserax.Salvage,
	}
}

// recover runs recover.Run from a copy.
func (w *world) recover(from recover.Source) (*recover.Result, error) {
	cfg := w.recovery()
	cfg.Source = from
	return recover.Run(w.t.Context(), cfg)
}

// newTree makes an empty tree, or opens the present one.
func newTree(t testing.TB, dir string) log.Engine {
	t.Helper()
	if err := tesserax.Create(t.Context(), dir); !errors.Is(err, fs.ErrExist) {
		check(t, err)
	}
	to, err := tesserax.Open(t.Context(), dir)
	check(t, err)
	return to
}

// move moves the log's tree to another directory; from may be nil.
func (w *world) move(from recover.Source, dir string) (rec *recover.Result, err error) {
	cfg := w.recovery()
	cfg.Source = from
	cfg.OpenTo = func(context.Context) (log.Engine, error) { return newTree(w.t, dir), nil }
	return recover.Run(w.t.Context(), cfg)
}

// story is a log of 330 published entries, stopped, with a backup from when it had
// 280, and mirrors of both.
type story struct {
	*world
	backup, early, late string
}

func newStory(t *testing.T) *story {
	t.Helper()
	w := newWorld(t, 2, 3)
	w.start()
	s := &story{world: w, backup: filepath.Join(t.TempDir(), "backup")}
	w.stream(w.warrants(279), "cosigned")
	s.early = w.mirror()
	w.stop()
	copyDir(t, w.dir, s.backup)
	w.start()
	w.stream(w.warrants(50), "cosigned")
	s.late = w.mirror()
	w.stop()
	return s
}

// goesOn checks that everything is there, and that the log admits more.
func (w *world) goesOn() {
	w.t.Helper()
	w.start()
	n := uint64(len(w.audit()))
	// Entries that were not acknowledged may be in the tree, and not published yet.
	p := w.append(w.warrant())
	if p.Index < n {
		w.t.Errorf("the next event is at %d, and %d are published", p.Index, n)
	}
	w.stop()
	w.start()
	if n := uint64(len(w.audit())); n != p.Index+1 {
		w.t.Errorf("after a restart, the log has %d entries; want %d", n, p.Index+1)
	}
	w.stop()
}

// TestRestore checks that whatever is lost or restored from a backup, the log refuses
// to start and says what happened and what to do, and that doing so brings everything
// back.
func TestRestore(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	tree := func(dir string) string { return filepath.Join(dir, "tree") }
	for _, c := range []struct {
		name    string
		harm    func(t *testing.T, w *world)
		want    error
		says    string
		rebuilt bool
	}{
		{"tree restored from a backup", func(t *testing.T, w *world) { copyDir(t, tree(s.backup), w.tree()) },
			log.ErrTreeBehind, "the tree has 280 entries, the head 330", false},
		{"tree state deleted", func(t *testing.T, w *world) { check(t, os.RemoveAll(filepath.Join(w.tree(), ".state"))) },
			log.ErrTreeBehind, "state is missing", true},
		{"tree state rolled back, with newer tiles", func(t *testing.T, w *world) {
			copyDir(t, filepath.Join(tree(s.backup), ".state"), filepath.Join(w.tree(), ".state"))
		}, log.ErrTreeBehind, "the tree has 280 entries, the head 330", true},
		{"tree gone", func(t *testing.T, w *world) { check(t, os.RemoveAll(w.tree())) },
			log.ErrTreeBehind, "state is missing", true},
		{"tree state damaged", func(t *testing.T, w *world) {
			check(t, os.WriteFile(filepath.Join(w.tree(), ".state", "treeState"), []byte("{"), 0o644))
		}, nil, "", true},
		{"a tile of the right edge damaged", func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/0/001.p/74"), 100) },
			log.ErrTreeConflict, "tile/0/001.p/74", true},
		{"another log's tree", func(t *testing.T, w *world) {
			other := newWorld(t, 0, 0)
			other.start()
			other.stream(other.warrants(329), "cosigned")
			other.stop()
			copyDir(t, other.tree(), w.tree())
		}, log.ErrTreeConflict, "recover", true},
		{"head missing", func(t *testing.T, w *world) { check(t, os.Remove(filepath.Join(w.state(), "head"))) },
			durable.ErrMissing, "recover", false},
		{"head damaged", func(t *testing.T, w *world) { flip(t, filepath.Join(w.state(), "head"), 30) }, nil, "", false},
		{"head empty", func(t *testing.T, w *world) { check(t, os.Truncate(filepath.Join(w.state(), "head"), 0)) },
			durable.ErrTooLarge, "recover", false},
		{"head restored, with the later published checkpoint", func(t *testing.T, w *world) {
			b, err := os.ReadFile(filepath.Join(s.backup, "state", "head"))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(w.state(), "head"), b, 0o600))
		}, log.ErrLogBehind, "the published checkpoint has 330 entries, the recorded head 280", false},
		{"index of events gone", func(t *testing.T, w *world) { check(t, os.Remove(filepath.Join(w.state(), "events"))) }, nil, "none", false},
		{"published checkpoint gone", func(t *testing.T, w *world) { check(t, os.Remove(filepath.Join(w.state(), "checkpoint"))) }, nil, "none", false},
		{"published checkpoint damaged", func(t *testing.T, w *world) { flip(t, filepath.Join(w.state(), "checkpoint"), 30) }, nil, "none", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := s.clone(t, 2)
			c.harm(t, w)
			if c.says == "none" {
				w.goesOn() // nothing that it needs
				return
			}
			if c.want != nil {
				w.refuses(c.want, c.says)
				w.refuses(c.want, "recover")
			} else if err := w.open(); err == nil || !strings.Contains(err.Error(), "damaged") && !strings.Contains(err.Error(), "Unmarshal") {
				t.Fatalf("the log opened: %v", err)
			}
			rec, err := w.recover(client.Dir(s.late))
			check(t, err)
			if rec.Size != 330 || rec.Rebuilt != c.rebuilt || rec.Salvaged != 0 {
				t.Errorf("recovered: %+v", rec)
			}
			if rec.Old != "" {
				if _, err := os.Stat(rec.Old); err != nil {
					t.Errorf("the old tree is not where it is said to be: %v", err)
				}
			}
			w.goesOn()
		})
	}
}

// TestRestoreAll checks that the log refuses a tree and a state that were restored
// together, which look sound: the witnesses know better, and can prove it.
func TestRestoreAll(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	w := s.clone(t, 2)
	copyDir(t, s.backup, w.dir)
	w.mustOpen()
	eventually(t, func() error {
		if err := w.log.Err(); !errors.Is(err, log.ErrLogBehind) {
			return fmt.Errorf("the log says %w", err)
		}
		return nil
	})
	says := w.log.Err().Error()
	for _, part := range []string{"recover", "330", "280", "evidence-330-"} {
		if !strings.Contains(says, part) {
			t.Errorf("it does not say %q: %s", part, says)
		}
	}
	status, body := w.get("/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(string(body), "recover") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if _, err := w.sequence(w.warrant()); !isProblem(err, "not-ready") {
		t.Errorf("a log that is behind admits events: %v", err)
	}
	evidence, err := filepath.Glob(filepath.Join(w.state(), "evidence-330-*"))
	check(t, err)
	if len(evidence) != 1 {
		t.Fatalf("the evidence: %v", evidence)
	}
	cp, err := tlog.ParseCheckpoint(must(os.ReadFile(evidence[0])))
	check(t, err)
	if _, err := w.keys[0].Verifier().Verify(&cp.Head, cp.Find(w.keys[0].Verifier())); err != nil || cp.Size != 330 {
		t.Errorf("the evidence is of size %d: %v", cp.Size, err)
	}
	// The log was shown a later checkpoint, so its own would be one that goes back.
	if status, body := w.get("/checkpoint"); status != http.StatusServiceUnavailable {
		t.Errorf("an old checkpoint is served: %d %s", status, body)
	}
	w.stop()

	// From the log itself, under another address.
	rest := s.clone(t, 2)
	rest.start()
	rec, err := w.recover(overHTTP(rest.url))
	check(t, err)
	if rec.Size != 330 || rec.Added != 50 || rec.Rebuilt {
		t.Errorf("recovered: %+v", rec)
	}
	rest.stop()
	w.goesOn()
}

// TestSalvage checks that acknowledged entries that no copy has yet survive the loss of
// the tree's state, and damage elsewhere in the tree.
func TestSalvage(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	w := s.clone(t, 2)
	w.start()
	w.witnesses[0].answer(down)
	w.witnesses[1].answer(down)
	w.stream(w.warrants(300), "sequenced")
	w.stop()
	for _, c := range []struct {
		name    string
		harm    func(t *testing.T, w *world)
		rebuilt bool
	}{
		{"state deleted", func(t *testing.T, w *world) { check(t, os.RemoveAll(filepath.Join(w.tree(), ".state"))) }, true},
		{"state rolled back", func(t *testing.T, w *world) {
			copyDir(t, filepath.Join(s.backup, "tree", ".state"), filepath.Join(w.tree(), ".state"))
		}, true},
		{"a bundle damaged that the copy has", func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/entries/000"), 1000) }, true},
		{"a tile damaged", func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/0/001"), 1000) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := w.clone(t, 2)
			c.harm(t, w)
			if err := w.open(); err == nil {
				w.stop() // a damaged tile that is not at the right edge
			}
			rec, err := w.recover(client.Dir(s.late))
			check(t, err)
			if rec.Size != 630 || rec.Salvaged != 300 || rec.Rebuilt != c.rebuilt {
				t.Errorf("recovered: %+v", rec)
			}
			w.goesOn()
		})
	}
	t.Run("what was not signed for is damaged", func(t *testing.T) {
		t.Parallel()
		// The entries up to the first that is not as it was signed are salvaged.
		w := w.clone(t, 2)
		copyDir(t, filepath.Join(s.backup, "state"), w.state())
		check(t, os.RemoveAll(filepath.Join(w.tree(), ".state")))
		flip(t, filepath.Join(w.tree(), "tile/entries/001"), 150000)
		rec, err := w.recover(client.Dir(s.early))
		check(t, err)
		if rec.Size <= 280 || rec.Size >= 630 || rec.Salvaged != rec.Size-280 {
			t.Errorf("recovered: %+v", rec)
		}
		entries := slices.Collect(tesserax.Salvage(w.tree(), 0))
		if uint64(len(entries)) != rec.Size {
			t.Errorf("the tree has %d entries", len(entries))
		}
		for i, e := range entries {
			if tiles.LeafHash(e) != w.seen.acked[uint64(i)] {
				t.Errorf("entry %d is another", i)
			}
		}
	})
	t.Run("what is beyond the copy is damaged", func(t *testing.T) {
		t.Parallel()
		w := w.clone(t, 2)
		// The head was recorded at 630 already.
		flip(t, filepath.Join(w.tree(), "tile/entries/001"), 150000)
		before := snapshot(t, w.dir)
		_, err := w.recover(client.Dir(s.late))
		if err == nil || !strings.Contains(err.Error(), "find a later copy") {
			t.Fatalf("recovered: %v", err)
		}
		if after := snapshot(t, w.dir); !maps.Equal(before, after) {
			t.Error("something was changed")
		}
	})
}

// TestLaterHead checks that a log whose state is older than its tree goes on from the later
// heads that witnesses show, after any fault on the way, and that no such head is lost. Only
// the witnesses have these heads: no copy and no backup does.
func TestLaterHead(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	whole := s.clone(t, 2)
	whole.start()
	whole.witnesses[0].answer(down) // so it knows only the head of size 330
	whole.witnesses[1].answer(down)
	whole.stream(whole.warrants(300), "sequenced")
	whole.stop()
	old := func(t *testing.T) *world {
		w := whole.clone(t, 2)
		w.config.MaxWait, w.grace = 500*time.Millisecond, 100*time.Millisecond
		copyDir(t, filepath.Join(s.backup, "state"), w.state())
		return w
	}
	t.Run("the state restored", func(t *testing.T) {
		t.Parallel()
		old(t).goesOn()
	})
	t.Run("the tree salvaged too", func(t *testing.T) {
		t.Parallel()
		w := old(t)
		check(t, os.RemoveAll(filepath.Join(w.tree(), ".state")))
		rec, err := w.recover(client.Dir(s.early))
		check(t, err)
		if rec.Size != 630 || rec.Salvaged != 350 || rec.Seen < 330 || rec.Seen > 630 {
			t.Errorf("recovered: %+v", rec)
		}
		w.goesOn()
	})
	t.Run("the head lost, a later one published", func(t *testing.T) {
		t.Parallel()
		w := whole.clone(t, 2)
		check(t, os.Remove(filepath.Join(w.state(), "head")))
		_, err := w.recover(client.Dir(s.early))
		check(t, err)
		w.goesOn()
	})
	t.Run("the head lost, and the entries of the published one", func(t *testing.T) {
		t.Parallel()
		w := s.clone(t, 2)
		check(t, os.Remove(filepath.Join(w.state(), "head")))
		check(t, os.RemoveAll(w.tree()))
		rec, err := w.recover(client.Dir(s.early))
		check(t, err)
		if rec.Size != 280 || rec.Seen != 330 {
			t.Errorf("recovered: %+v", rec)
		}
		w.refuses(log.ErrLogBehind, "the published checkpoint has 330 entries, the recorded head 280")
		_, err = w.recover(client.Dir(s.late))
		check(t, err)
		w.goesOn()
	})
	t.Run("an amendment between", func(t *testing.T) {
		t.Parallel()
		w := whole.clone(t, 2)
		w.start()
		w.append(w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes())
		w.append(w.warrant())
		copy := w.mirror()
		w.stop()
		copyDir(t, filepath.Join(s.backup, "state"), w.state())
		w.mustOpen()
		eventually(t, func() error {
			if err := w.log.Err(); !errors.Is(err, log.ErrLogBehind) {
				return fmt.Errorf("the log says %w", err)
			}
			return nil
		})
		w.stop()
		_, err := w.recover(client.Dir(copy))
		check(t, err)
		w.goesOn()
	})
	t.Run("another tree", func(t *testing.T) {
		t.Parallel()
		// A copy of the log as it was at 280 went its own way.
		fork := old(t)
		check(t, os.RemoveAll(fork.tree()))
		copyDir(t, filepath.Join(s.backup, "tree"), fork.tree())
		engine := newTree(t, fork.tree())
		var entries [][]byte
		for _, e := range fork.warrants(400) {
			entries = append(entries, entryOf(e))
		}
		_, err := engine.Add(t.Context(), entries)
		check(t, errors.Join(err, engine.Close(t.Context())))
		fork.mustOpen()
		eventually(t, func() error {
			if err := fork.log.Err(); !errors.Is(err, log.ErrLogBehind) {
				return fmt.Errorf("the log says %w", err)
			}
			return nil
		})
		if kept := must(filepath.Glob(filepath.Join(fork.state(), "evidence-*"))); len(kept) != 1 {
			t.Errorf("the evidence: %v", kept)
		}
	})
	// reach starts the log, and returns whether the log is ready within the patience.
	reach := func(t *testing.T, w *world, patience time.Duration) (ready, opened bool) {
		if err := w.open(); err != nil {
			return false, false
		}
		defer w.stop()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(patience); w.log.Err() != nil; <-tick.C {
			if time.Now().After(end) {
				return false, true
			}
		}
		return true, true
	}
	var trace durabletest.Injector
	w := old(t)
	trace.Inject(t, w.state())
	if ready, _ := reach(t, w, 20*time.Second); !ready {
		t.Fatal("without faults: not ready")
	}
	points := trace.Points()
	if len(points) < 10 {
		t.Fatalf("the story has %d durable steps", len(points))
	}
	for n, point := range points {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%d %s %s", n, point.Op.Step, filepath.Base(point.Path)), " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := old(t)
			var in durabletest.Injector
			remove := in.Inject(t, w.state())
			if !point.Op.After { // after a step is before the next one
				in.FailFrom(n, syscall.ENOSPC)
				reach(t, w, 100*time.Millisecond)
			}
			in.FailAt(n, syscall.EIO)
			if ready, opened := reach(t, w, 20*time.Second); opened && !ready {
				t.Error("it did not go on by itself")
			}
			remove()
			w.config.MaxWait, w.grace = 30*time.Second, 10*time.Second
			w.goesOn()
		})
	}
}

// TestRecoverRefuses checks that a copy that is bad, of another log or too old is
// refused, and that nothing is changed.
func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	damaged := func(name string, at int64) string {
		dir := filepath.Join(t.TempDir(), "copy")
		copyDir(t, s.late, dir)
		flip(t, filepath.Join(dir, name), at)
		return dir
	}
	without := func(name string) string {
		dir := filepath.Join(t.TempDir(), "copy")
		copyDir(t, s.late, dir)
		check(t, os.Remove(filepath.Join(dir, name)))
		return dir
	}
	other := newWorld(t, 0, 0)
	other.start()
	other.append(other.warrant())
	otherCopy := other.mirror()
	other.stop()
	unwitnessed := filepath.Join(t.TempDir(), "copy")
	copyDir(t, s.late, unwitnessed)
	cp, err := tlog.ParseCheckpoint(must(os.ReadFile(filepath.Join(unwitnessed, "checkpoint"))))
	check(t, err)
	cp.Signatures = cp.Signatures[:3] // two of the log, one of a witness
	check(t, os.WriteFile(filepath.Join(unwitnessed, "checkpoint"), cp.Bytes(), 0o644))
	for _, c := range []struct {
		name, copy string
		old        bool // the log restored from a backup instead of one without a tree
		says       string
	}{
		{"no copy", t.TempDir(), false, "checkpoint of the copy"},
		{"a bad checkpoint", damaged("checkpoint", 30), false, "checkpoint of the copy"},
		{"another log's copy", otherCopy, false, "checkpoint of the copy"},
		{"a copy without a quorum", unwitnessed, false, "quorum"},
		{"a copy that is too old", s.early, false, "find a later copy"},
		{"a damaged entry", damaged("tile/entries/000", 4000), false, "copy"},
		{"a damaged entry at the edge", damaged("tile/entries/001.p/74", 4000), false, "copy"},
		{"a damaged entry among the missing ones", damaged("tile/entries/001.p/74", 60000), true, "copy"},
		{"a damaged tile", damaged("tile/0/000", 4000), false, "copy"},
		{"a damaged tile at the edge", damaged("tile/0/001.p/74", 1000), true, "copy"},
		{"a damaged tile at the top", damaged("tile/1/000.p/1", 3), false, "copy"},
		{"a bundle is missing", without("tile/entries/000"), false, "copy"},
		{"a tile is missing", without("tile/0/001.p/74"), true, "copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := s.clone(t, 2)
			if c.old {
				copyDir(t, s.backup, w.dir)
			} else {
				check(t, os.RemoveAll(w.tree()))
			}
			before := snapshot(t, w.dir)
			_, err := w.recover(client.Dir(c.copy))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("recovered: %v; want an error that says %q", err, c.says)
			}
			if after := snapshot(t, w.dir); !maps.Equal(before, after) {
				t.Errorf("something was changed:\n%v\n%v", before, after)
			}
			_, err = w.recover(client.Dir(s.late))
			check(t, err)
			w.goesOn()
		})
	}
	t.Run("a fork", func(t *testing.T) {
		t.Parallel()
		// Another log with this one's keys, which the same witnesses do not know: a
		// policy without witnesses would accept it.
		fork := prepareWorld(t, 0, 0)
		fork.keys, fork.People, fork.parties = s.keys, s.People, s.parties
		fork.setPolicy(0)
		fork.create()
		fork.start()
		fork.stream(fork.warrants(339), "cosigned")
		w := s.clone(t, 2)
		w.policy = fork.policy
		before := snapshot(t, w.dir)
		if _, err := w.recover(overHTTP(fork.url)); !errors.Is(err, log.ErrForked) {
			t.Fatalf("recovered from a fork: %v", err)
		}
		if after := snapshot(t, w.dir); !maps.Equal(before, after) {
			t.Error("something was changed")
		}
	})
	t.Run("a running log", func(t *testing.T) {
		t.Parallel()
		w := s.clone(t, 2)
		w.start()
		if _, err := w.recover(client.Dir(s.late)); !errors.Is(err, durable.ErrLocked) {
			t.Fatalf("recovered under a running log: %v", err)
		}
		w.audit()
	})
}

// TestRecoverOtherTree checks that the entries of a copy are compared with its
// checkpoint, also when nothing else is left to compare with.
func TestRecoverOtherTree(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	other := newWorld(t, 0, 0)
	other.start()
	other.stream(other.warrants(329), "cosigned")
	mixed := other.mirror()
	other.stop()
	check(t, os.WriteFile(filepath.Join(mixed, "checkpoint"), must(os.ReadFile(filepath.Join(s.late, "checkpoint"))), 0o644))
	w := s.clone(t, 2)
	check(t, os.RemoveAll(w.tree()))
	check(t, os.Remove(filepath.Join(w.state(), "head")))
	before := snapshot(t, w.dir)
	if _, err := w.recover(client.Dir(mixed)); err == nil || !strings.Contains(err.Error(), "do not have the root of its checkpoint") {
		t.Errorf("recovered: %v", err)
	}
	if after := snapshot(t, w.dir); !maps.Equal(before, after) {
		t.Error("something was changed")
	}
	_, err := w.recover(client.Dir(s.late))
	check(t, err)
	w.goesOn()
}

// TestRecoverInterrupted checks that a recovery that fails at any durable step can be
// run again, and that the log never starts with half of it.
func TestRecoverInterrupted(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	ctx, cancel := context.WithCancel(t.Context())
	w := s.clone(t, 2)
	check(t, os.RemoveAll(w.tree()))
	calls := 0
	_, err := recover.Run(ctx, recover.Config{
		StateDir: w.state(), Keys: w.keys, Policy: w.policy, Source: client.Dir(s.late), TreeDir: w.tree(),
		OpenTree: func(ctx context.Context, dir string) (log.Engine, error) {
			e, err := tesserax.Open(ctx, dir)
			if err != nil {
				return nil, err
			}
			return failing{e, func() error { calls++; cancel(); return errors.New("power cut") }, true}, nil
		},
		CreateTree: tesserax.Create,
	})
	if err == nil || calls == 0 {
		t.Fatalf("after %d failures: %v", calls, err)
	}
	w.refuses(log.ErrTreeBehind, "recover")
	rec, err := w.recover(client.Dir(s.late))
	check(t, err)
	if rec.Size != 330 {
		t.Errorf("recovered: %+v", rec)
	}
	w.goesOn()
}

// TestMove checks that a log goes on with a tree that was built in another place: from
// the present tree if that is whole, else from a copy and what is left. Every
// acknowledged event is there, and the old tree stays as it was.
func TestMove(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	whole := s.clone(t, 2)
	whole.start()
	whole.witnesses[0].answer(down)
	whole.witnesses[1].answer(down)
	whole.stream(whole.warrants(300), "sequenced") // none of these is published
	whole.stop()
	for _, c := range []struct {
		name     string
		from     recover.Source
		harm     func(t *testing.T, w *world)
		salvaged uint64
	}{
		{"whole", nil, func(*testing.T, *world) {}, 0},
		{"whole, with a copy", client.Dir(s.early), func(*testing.T, *world) {}, 0},
		{"the head rolled back", nil, func(t *testing.T, w *world) { copyDir(t, filepath.Join(s.backup, "state"), w.state()) }, 0},
		{"its state deleted", client.Dir(s.late), func(t *testing.T, w *world) { check(t, os.RemoveAll(filepath.Join(w.tree(), ".state"))) }, 300},
		{"a bundle damaged", client.Dir(s.late), func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/entries/000"), 1000) }, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := whole.clone(t, 2)
			c.harm(t, w)
			dir := filepath.Join(t.TempDir(), "tree")
			// A first attempt fails after its first batch.
			cfg := w.recovery()
			cfg.Source = c.from
			cfg.OpenTo = func(context.Context) (log.Engine, error) {
				return failing{newTree(t, dir), func() error { return errors.New("power cut") }, true}, nil
			}
			if _, err := recover.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "power cut") {
				t.Fatalf("the first attempt: %v", err)
			}
			rec, err := w.move(c.from, dir)
			check(t, err)
			if rec.Size != 630 || rec.Salvaged != c.salvaged || rec.Rebuilt || rec.Old != "" {
				t.Errorf("moved: %+v", rec)
			}
			check(t, os.Rename(w.tree(), w.tree()+".old"))
			check(t, os.Rename(dir, w.tree()))
			w.goesOn()
		})
	}
}

// TestMoveRefuses checks that a tree that is not whole does not move without a copy,
// and that no tree moves to a place with other entries.
func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	other := newWorld(t, 2, 3)
	for _, c := range []struct {
		name string
		harm func(t *testing.T, w *world)
		dir  func(t *testing.T) string
		says string
	}{
		{"a tree that is behind", func(t *testing.T, w *world) { copyDir(t, filepath.Join(s.backup, "tree"), w.tree()) }, nil, "the tree has 280 entries, the head 330"},
		{"a damaged bundle", func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/entries/000"), 1000) }, nil, "not an extension"},
		{"a damaged tile", func(t *testing.T, w *world) { flip(t, filepath.Join(w.tree(), "tile/0/000"), 1000) }, nil, "not an extension"},
		{"another log's tree", func(t *testing.T, w *world) { copyDir(t, other.tree(), w.tree()) }, nil, "the head 330"},
		{"no tree", func(t *testing.T, w *world) { check(t, os.RemoveAll(w.tree())) }, nil, ""},
		{"another's place", func(*testing.T, *world) {}, func(t *testing.T) string {
			dir := filepath.Join(t.TempDir(), "tree")
			copyDir(t, other.tree(), dir)
			return dir
		}, "they are not the first of this log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := s.clone(t, 2)
			c.harm(t, w)
			dir := filepath.Join(t.TempDir(), "tree")
			if c.dir != nil {
				dir = c.dir(t)
			}
			before := snapshot(t, w.state())
			to := newTree(t, dir)
			size, _, err := to.Tree(t.Context())
			check(t, errors.Join(err, to.Close(t.Context())))
			if _, err := w.move(nil, dir); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("moved: %v", err)
			}
			if after := snapshot(t, w.state()); !maps.Equal(before, after) {
				t.Error("the state was changed")
			}
			to = newTree(t, dir)
			after, _, err := to.Tree(t.Context())
			check(t, errors.Join(err, to.Close(t.Context())))
			if after != size {
				t.Errorf("the new place has %d entries, and had %d", after, size)
			}
		})
	}
}

// TestSecondInstance checks that two logs can't have one directory.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.append(w.warrant())
	second := *w
	second.log = nil
	second.refuses(durable.ErrLocked, "stop it first")
	// Not even with a tree of its own.
	other := newWorld(t, 0, 0)
	engine, err := tesserax.Open(t.Context(), other.tree())
	check(t, err)
	defer engine.Close(t.Context())
	_, err = log.Open(t.Context(), log.Config{StateDir: w.state(), Engine: engine, Keys: w.keys, Vault: w.vault, Policy: w.policy})
	if !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second log over one state: %v", err)
	}
	w.append(w.warrant())
	w.audit()
}

// TestTwoCopies checks that two copies of one log never publish two conflicting heads:
// one of them goes on, or none.
func TestTwoCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.config.MaxWait = 2e9
	w.start()
	w.append(w.warrant())
	w.stop()
	copies := []*world{w.copy(t), w.copy(t)}
	for _, c := range copies {
		c.seen = newSightings() // of its own clients only
		c.start()
	}
	published := make(map[uint64]map[[32]byte]bool)
	note := func(cp *tlog.Checkpoint) {
		if published[cp.Size] == nil {
			published[cp.Size] = make(map[[32]byte]bool)
		}
		published[cp.Size][cp.Root] = true
	}
	halted := 0
	for range 20 {
		halted = 0
		for _, c := range copies {
			if p, err := c.submit(c.warrant()); err == nil {
				note(p.Checkpoint)
			}
			note(c.checkpoint())
			if errors.Is(c.log.Err(), log.ErrForked) || errors.Is(c.log.Err(), log.ErrLogBehind) {
				halted++
			}
		}
		if halted > 0 {
			break
		}
	}
	if halted == 0 {
		t.Error("neither copy has noticed the other")
	}
	for size, roots := range published {
		if len(roots) != 1 {
			t.Errorf("%d conflicting heads of size %d were published", len(roots), size)
		}
	}
}

// flip flips a bit of a file.
func flip(t testing.TB, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	check(t, err)
}

// snapshot returns the hash of each file that matters. Partial tiles may go, and
// Tessera may tidy up.
func snapshot(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	files := make(map[string][32]byte)
	check(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		if err != nil || e.IsDir() || e.Name() == "lock" || strings.Contains(rel, ".p/") ||
			strings.Contains(rel, ".state/") && e.Name() != "treeState" {
			return err
		}
		b, err := os.ReadFile(name)
		files[rel] = sha256.Sum256(b)
		return err
	}))
	return files
}

// failing is an engine whose writes fail, before or after they are done.
type failing struct {
	log.Engine
	fail  func() error // nil: not this time
	after bool
}

func (f failing) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	if !f.after {
		if err := f.fail(); err != nil {
			return 0, err
		}
	}
	first, err := f.Engine.Add(ctx, entries)
	if err == nil && f.after {
		err = f.fail()
	}
	return first, err
}
