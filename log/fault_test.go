// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestStateFaults fails before and after every durable step of the state, once and for
// good. It checks that no acknowledged event is lost, no two heads conflict, and the
// next start finds everything in order.
func TestStateFaults(t *testing.T) {
	t.Parallel()
	base := newWorld(t, 1, 1)
	base.start()
	base.append(base.warrant())
	base.stop()
	base.config.MaxWait, base.grace = 500*time.Millisecond, 100*time.Millisecond
	// play starts the log and submits, until something works again or the patience is
	// over.
	play := func(w *world, patience time.Duration) (worked int, opened bool) {
		if err := w.open(); err != nil {
			return 0, false
		}
		defer w.stop()
		end := time.Now().Add(patience)
		for range 2 {
			for entry := w.warrant(); ; {
				_, err := w.submit(entry)
				if err == nil {
					worked++
					break
				}
				var p *problem
				if !errors.As(err, &p) || !slices.Contains([]string{"storage", "not-ready", "no-quorum"}, p.code) {
					t.Errorf("a fault of the disk is answered with %v", err)
				}
				if time.Now().After(end) {
					return worked, true
				}
			}
		}
		return worked, true
	}
	var trace durabletest.Injector
	w := base.clone(t, 1)
	trace.Inject(t, w.state())
	if n, _ := play(w, 20*time.Second); n != 2 {
		t.Fatalf("without faults: %d of 2", n)
	}
	points := trace.Points()
	if len(points) < 30 {
		t.Fatalf("the story has %d durable steps", len(points))
	}
	for n, point := range points {
		for _, sticky := range []bool{false, true} {
			if sticky && point.Op.After {
				continue // is the next one, before
			}
			name := fmt.Sprintf("%d %s %s once=%v", n, point.Op.Step, filepath.Base(point.Path), !sticky)
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				w := base.clone(t, 1)
				var in durabletest.Injector
				remove := in.Inject(t, w.state())
				if sticky {
					in.FailFrom(n, syscall.ENOSPC)
					play(w, 100*time.Millisecond)
				} else {
					in.FailAt(n, syscall.EIO)
					if worked, opened := play(w, 20*time.Second); opened && worked != 2 {
						t.Errorf("it did not recover by itself: %d of 2 worked", worked)
					}
				}
				// Now it must work, on however slow a machine.
				remove()
				w.config.MaxWait, w.grace = 30*time.Second, 10*time.Second
				w.goesOn()
			})
		}
	}
}

// faulty is an engine that can be made to fail. The zero value works.
type faulty struct {
	log.Engine
	add   atomic.Pointer[func(ctx context.Context, entries [][]byte) (uint64, error)]
	tree  atomic.Pointer[error]
	wrong atomic.Pointer[string] // the path of a tile that has a wrong bit
}

func (f *faulty) wrap(e log.Engine) log.Engine {
	f.Engine = e
	return f
}

func (f *faulty) onAdd(do func(ctx context.Context, entries [][]byte) (uint64, error)) {
	f.add.Store(&do)
}

func (f *faulty) heal() {
	f.add.Store(nil)
	f.tree.Store(nil)
}

func (f *faulty) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	if do := f.add.Load(); do != nil {
		return (*do)(ctx, entries)
	}
	return f.Engine.Add(ctx, entries)
}

func (f *faulty) Tree(ctx context.Context) (uint64, [32]byte, error) {
	if err := f.tree.Load(); err != nil {
		return 0, [32]byte{}, *err
	}
	return f.Engine.Tree(ctx)
}

func (f *faulty) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := f.Engine.ReadTile(ctx, t)
	if path := f.wrong.Load(); err == nil && path != nil && *path == t.Path() {
		b = bytes.Clone(b)
		b[10] ^= 1
	}
	return b, err
}

// TestEngineFaults checks that whatever the engine does to a write, acknowledged events
// are in the tree, events that are said not to be logged are not, and the log goes on
// by itself when the engine does.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	broken := error(syscall.EIO)
	for _, c := range []struct {
		name string
		do   func(f *faulty, ctx context.Context, entries [][]byte) (uint64, error)
		code string // of the answer; "" if it is acknowledged
		says string
		size uint64 // of the log at last, with the event submitted again
	}{
		{"fails before", func(f *faulty, _ context.Context, _ [][]byte) (uint64, error) { return 0, syscall.ENOSPC },
			"storage", "was not logged: no space left on device", 3},
		{"fails after", func(f *faulty, ctx context.Context, e [][]byte) (uint64, error) {
			_, err := f.Engine.Add(ctx, e)
			return 0, errors.Join(err, syscall.EIO)
		}, "", "", 3},
		{"says another index", func(f *faulty, ctx context.Context, e [][]byte) (uint64, error) {
			first, err := f.Engine.Add(ctx, e)
			return first + 1, err
		}, "", "", 3},
		{"says it did, and did not", func(*faulty, context.Context, [][]byte) (uint64, error) { return 2, nil },
			"storage", "was not logged", 3},
		{"can't be read after a failed write", func(f *faulty, ctx context.Context, e [][]byte) (uint64, error) {
			_, err := f.Engine.Add(ctx, e)
			f.tree.Store(&broken)
			return 0, errors.Join(err, syscall.EIO)
		}, "storage", "may or may not", 3},
		{"can't be read, and wrote nothing", func(f *faulty, ctx context.Context, _ [][]byte) (uint64, error) {
			f.tree.Store(&broken)
			return 0, syscall.EIO
		}, "storage", "may or may not", 3},
		{"writes it twice", func(f *faulty, ctx context.Context, e [][]byte) (uint64, error) {
			return f.Engine.Add(ctx, slices.Concat(e, e))
		}, "", "", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 1)
			f := new(faulty)
			w.wrap, w.config.Refresh = f.wrap, time.Second
			w.start()
			w.append(w.warrant())
			f.onAdd(func(ctx context.Context, e [][]byte) (uint64, error) { return c.do(f, ctx, e) })
			entry := w.warrant()
			index, err := w.sequence(entry)
			var p *problem
			switch {
			case c.code == "":
				check(t, err)
			case !errors.As(err, &p) || p.code != c.code || p.status != 507 || !strings.Contains(p.Detail, c.says):
				t.Fatalf("answered: %v; want %s that says %q", err, c.code, c.says)
			}
			f.heal()
			w.ready()
			if again := w.mustSequence(entry); again != 2 || c.code == "" && index != again {
				t.Errorf("the event is at %d, and again at %d", index, again)
			}
			w.published(c.size)
			if n := uint64(len(w.audit())); n != c.size {
				t.Errorf("the log has %d entries; want %d", n, c.size)
			}
			w.stop()
			w.goesOn()
		})
	}
}

// TestEngineHalves checks that each event of a batch gets the right answer if the
// engine stores only some of them, in any order.
func TestEngineHalves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		part func([][]byte) [][]byte
	}{
		{"the first half", func(e [][]byte) [][]byte { return e[:len(e)/2] }},
		{"the second half", func(e [][]byte) [][]byte { return e[len(e)/2:] }},
		{"all in reverse", func(e [][]byte) [][]byte { e = slices.Clone(e); slices.Reverse(e); return e }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 1)
			f := new(faulty)
			w.wrap = f.wrap
			w.start()
			w.append(w.warrant())
			var mu sync.Mutex
			written := make(map[string]bool)
			f.onAdd(func(ctx context.Context, e [][]byte) (uint64, error) {
				part := c.part(e)
				mu.Lock()
				for _, one := range part {
					written[string(one)] = true
				}
				mu.Unlock()
				if len(part) == 0 {
					return 0, syscall.EIO
				}
				_, err := f.Engine.Add(ctx, part)
				return 0, errors.Join(err, syscall.EIO)
			})
			entries := w.warrants(100)
			results := w.lines(string(bytes.Join(entries, []byte("\n")))+"\n", "sequenced")
			for i, r := range results {
				if (r.Error == nil) != written[string(entryOf(entries[i]))] {
					t.Errorf("line %d: written %v, and the answer is %+v", i, written[string(entryOf(entries[i]))], r)
				}
				if r.Error == nil {
					w.seen.acknowledged(*r.Index, entryOf(entries[i]))
				}
			}
			f.heal()
			w.stream(entries, "cosigned")
			if n := len(w.audit()); n != 102 {
				t.Errorf("the log has %d entries", n)
			}
		})
	}
}

// TestDamage flips a bit of each kind of file of the tree, while the log runs. It
// checks that the log builds and signs nothing on a damaged right edge, names the
// damaged file, and goes on by itself when the file is put right.
func TestDamage(t *testing.T) {
	t.Parallel()
	base := newStory(t)
	const inSize = 8 // of the state: {"size":330
	for _, file := range []string{"tile/entries/001.p/74", "tile/0/001.p/74", "tile/1/000.p/1", ".state/treeState"} {
		t.Run("edge "+strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := base.clone(t, 2)
			w.config.Refresh = 50 * time.Millisecond // it looks when idle, too
			w.start()
			name := filepath.Join(w.tree(), file)
			flip(t, name, inSize)
			eventually(t, func() error {
				if w.log.Err() == nil {
					return errors.New("it does not notice")
				}
				return nil
			})
			if says := w.log.Err().Error(); !strings.Contains(says, strings.TrimPrefix(file, ".state/")) && !strings.Contains(says, "the tree") {
				t.Errorf("it does not say which: %s", says)
			}
			if _, err := w.sequence(w.warrant()); err == nil {
				t.Error("an event was built on damage")
			}
			if cp := w.checkpoint(); cp.Size != 330 {
				t.Errorf("a head of size %d was published", cp.Size)
			}
			flip(t, name, inSize)
			w.ready()
			if p := w.append(w.warrant()); p.Index != 330 {
				t.Errorf("the next event is at %d", p.Index)
			}
			w.audit()
		})
		t.Run("edge at start "+strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := base.clone(t, 2)
			name := filepath.Join(w.tree(), file)
			flip(t, name, inSize)
			err := w.open()
			if err == nil {
				w.stop()
				t.Fatal("the log opened")
			}
			if !strings.Contains(err.Error(), file) && !strings.Contains(err.Error(), "tree") {
				t.Errorf("it does not say which: %v", err)
			}
			flip(t, name, inSize)
			w.goesOn()
		})
	}
	// The engine builds on no full tiles and bundles, but proofs are made from them.
	for _, file := range []string{"tile/0/000", "tile/entries/000"} {
		t.Run("full "+strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := base.clone(t, 2)
			entry := mustBundle(t, filepath.Join(w.tree(), "tile/entries/000"))[0]
			flip(t, filepath.Join(w.tree(), file), 20)
			w.start()
			_, err := w.submit(entry) // which is logged
			var p *problem
			if !errors.As(err, &p) || p.status < 500 || !strings.Contains(p.Detail, "tile/0/000") && !strings.Contains(p.Detail, "tile/entries/000") {
				t.Errorf("proven with a damaged file: %v", err)
			}
			if p := w.append(w.warrant()); p.Index != 330 {
				t.Errorf("the next event is at %d", p.Index)
			}
			flip(t, filepath.Join(w.tree(), file), 20)
			if p := w.append(entry); p.Index != 0 {
				t.Errorf("the event is at %d", p.Index)
			}
			w.audit()
		})
	}
	// The engine has the wrong bytes, and answers as if they were right.
	for _, file := range []string{"tile/entries/001.p/75", "tile/0/001.p/75", "tile/entries/001", "tile/0/001", "tile/1/000.p/2"} {
		t.Run("as it is written "+strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := base.clone(t, 2)
			f := new(faulty)
			w.wrap = f.wrap
			w.start()
			f.wrong.Store(&file)
			entries := w.warrants(200)
			_, err := w.sequence(entries[0])
			failed := err != nil
			if !failed {
				for i, r := range w.lines(string(bytes.Join(entries, []byte("\n")))+"\n", "sequenced") {
					failed = failed || r.Error != nil
					if r.Error == nil {
						w.seen.acknowledged(*r.Index, entryOf(entries[i]))
					}
				}
			}
			if !failed {
				t.Fatal("the damage was not noticed")
			}
			if err := w.log.Err(); !errors.Is(err, log.ErrTreeConflict) || !strings.Contains(err.Error(), file) {
				t.Fatalf("the log says %v", err)
			}
			f.wrong.Store(nil)
			w.ready()
			w.stream(entries, "cosigned")
			if n := len(w.audit()); n != 530 {
				t.Errorf("the log has %d entries", n)
			}
		})
	}
}

// TestDamagedBeforeWrite checks that the log compares the right edge before each write,
// so that damage does not spread.
func TestDamagedBeforeWrite(t *testing.T) {
	t.Parallel()
	base := newStory(t)
	for _, file := range []string{"tile/entries/001.p/74", "tile/0/001.p/74", "tile/1/000.p/1"} {
		t.Run(strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := base.clone(t, 2)
			w.config.Refresh = time.Hour // it does not look when idle
			w.start()
			flip(t, filepath.Join(w.tree(), file), 20)
			entry := w.warrant()
			_, err := w.sequence(entry)
			var p *problem
			if !errors.As(err, &p) || p.code != "storage" || !strings.Contains(p.Detail, file) || !strings.Contains(p.Detail, "was not logged") {
				t.Errorf("answered: %v", err)
			}
			for _, next := range []string{"tile/entries/001.p/75", "tile/0/001.p/75"} {
				if _, err := os.Stat(filepath.Join(w.tree(), next)); err == nil {
					t.Errorf("%s was written", next)
				}
			}
			flip(t, filepath.Join(w.tree(), file), 20)
			w.ready()
			if i := w.mustSequence(entry); i != 330 {
				t.Errorf("the event is at %d", i)
			}
			w.audit()
		})
	}
}

func mustBundle(t testing.TB, name string) [][]byte {
	t.Helper()
	entries, err := tlog.ParseBundle(must(os.ReadFile(name)), tlog.TileWidth)
	check(t, err)
	return entries
}

// TestTornState: a start logs what it cut off the recorded head.
func TestTornState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	durabletest.Tear(t, filepath.Join(w.state(), "head"))
	var out bytes.Buffer
	w.config.Logger = slog.New(slog.NewTextHandler(&out, nil))
	w.mustOpen()
	w.stop()
	if want := "head bytes="; !strings.Contains(out.String(), want) {
		t.Errorf("the log lacks %q: %s", want, &out)
	}
}
