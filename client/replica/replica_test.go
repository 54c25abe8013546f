// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// source is a log that can be exchanged, and that may damage a tile.
type source struct {
	dir    atomic.Pointer[string]
	damage atomic.Pointer[string] // path of the tile
}

func (s *source) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return client.Dir(*s.dir.Load()).ReadCheckpoint(ctx)
}

func (s *source) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := client.Dir(*s.dir.Load()).ReadTile(ctx, t)
	if bad := s.damage.Load(); err == nil && bad != nil && *bad == t.Path() {
		b[len(b)/2] ^= 1
	}
	return b, err
}

func world(t *testing.T, size uint64) (*written.Log, *source, replica.Config) {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	w.Live(size)
	w.Publish("w1", "w2", "w3")
	s := new(source)
	s.dir.Store(&w.Dir)
	c, err := client.New(client.Config{Source: s, Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	check(t, err)
	return w, s, replica.Config{Client: c, Use: "test", Policy: []byte("mine")}
}

func open(t *testing.T, c replica.Config) *replica.Replica {
	t.Helper()
	r, err := replica.New(c)
	check(t, err)
	return r
}

// follow brings a replica up to the log's head.
func follow(t *testing.T, r *replica.Replica) {
	t.Helper()
	_, err := r.Update(t.Context())
	check(t, err)
	check(t, r.Replay(t.Context(), replica.Observer{}))
}

func snapshot(t *testing.T, r *replica.Replica) []byte {
	t.Helper()
	b, err := r.Snapshot()
	check(t, err)
	return b
}

var errTest = errors.New("not today")

// TestTry: whatever fails of a try, the replica is what it was before, and can go on.
func TestTry(t *testing.T) {
	w, src, c := world(t, 300)
	r := open(t, c)
	if r.Replay(t.Context(), replica.Observer{}) == nil || r.Try(t.Context(), replica.Observer{}, nil) == nil {
		t.Error("there is no head, and it succeeds")
	}
	follow(t, r)
	l, head, before := r.Ledger(), r.Tree().Head(), snapshot(t, r)
	w.Live(1000)
	w.Publish("w1", "w3", "w4")
	accept := func(*ledger.Ledger) error { return nil }
	at := func(index uint64) func(e *ledger.Entry) error {
		return func(e *ledger.Entry) error {
			if e.Index == index {
				return errTest
			}
			return nil
		}
	}
	middle, last := at(700), at(w.Size()-1)
	damaged := tlog.Tile{Level: tlog.Entries, Index: 2, Width: tlog.TileWidth}.Path()
	for name, try := range map[string]func(ctx context.Context, cancel func()) error{
		"refused": func(ctx context.Context, _ func()) error {
			return r.Try(ctx, replica.Observer{}, func(l *ledger.Ledger) error {
				if l.Size() != w.Size() {
					t.Errorf("it is asked at size %d of %d", l.Size(), w.Size())
				}
				return errTest
			})
		},
		"before an entry": func(ctx context.Context, _ func()) error {
			return r.Try(ctx, replica.Observer{Before: func(e *ledger.Entry, _ any) error { return middle(e) }}, accept)
		},
		"after the last entry": func(ctx context.Context, _ func()) error {
			return r.Try(ctx, replica.Observer{After: func(e *ledger.Entry, _ []*ledger.Violation, _ []ledger.Change) error { return last(e) }}, accept)
		},
		"at a bundle": func(ctx context.Context, _ func()) error {
			return r.Try(ctx, replica.Observer{Bundle: func(client.Bundle) error { return errTest }}, accept)
		},
		"after a bundle": func(ctx context.Context, _ func()) error {
			return r.Try(ctx, replica.Observer{Applied: func() error { return errTest }}, accept)
		},
		"a bundle is damaged": func(ctx context.Context, _ func()) error {
			src.damage.Store(&damaged)
			defer src.damage.Store(nil)
			return r.Try(ctx, replica.Observer{}, accept)
		},
		"it is interrupted": func(ctx context.Context, cancel func()) error {
			return r.Try(ctx, replica.Observer{Applied: func() error { cancel(); return nil }}, accept)
		},
		"nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			v, err := r.Update(t.Context())
			check(t, err)
			if v.Checkpoint.Size != w.Size() {
				t.Fatalf("a head of size %d", v.Checkpoint.Size)
			}
			if try != nil {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if err := try(ctx, cancel); err == nil {
					t.Fatal("it did not fail")
				}
			}
			if r.Ledger() != l || l.Size() != head.Checkpoint.Size || r.Tree().Head() != head || !bytes.Equal(snapshot(t, r), before) {
				t.Error("it is not what it was")
			}
			if _, err := r.Tree().Entry(t.Context(), head.Checkpoint.Size); !errors.Is(err, client.ErrNotLogged) {
				t.Errorf("the tree has grown: %v", err)
			}
		})
	}
	_, err := r.Update(t.Context())
	check(t, err)
	check(t, r.Try(t.Context(), replica.Observer{}, accept))
	if r.Ledger() == l || l.Size() != head.Checkpoint.Size || r.Tree().Head().Checkpoint.Size != w.Size() {
		t.Error("it was not accepted, or the copy is none")
	}
	straight := open(t, c)
	follow(t, straight)
	if !bytes.Equal(snapshot(t, r), snapshot(t, straight)) {
		t.Error("a try leaves something else than a replay")
	}
	w.Live(w.Size() + 50)
	w.Publish("w1", "w2", "w3")
	follow(t, r)
	if r.Ledger().Size() != w.Size() {
		t.Errorf("it ends at %d", r.Ledger().Size())
	}
}

// TestForget: a head that was tried and refused is forgotten, and one that counts never.
func TestForget(t *testing.T) {
	w, src, c := world(t, 300)
	r := open(t, c)
	follow(t, r)
	other := w.Fork(t.TempDir())
	other.Append([]byte("another story"))
	other.Publish("w1", "w2", "w3")
	w.Append([]byte("the story"))
	w.Publish("w1", "w2", "w3")
	src.dir.Store(&other.Dir)
	_, err := r.Update(t.Context())
	check(t, err)
	if err := r.Try(t.Context(), replica.Observer{}, func(*ledger.Ledger) error { return errTest }); !errors.Is(err, errTest) {
		t.Fatal(err)
	}
	src.dir.Store(&w.Dir)
	follow(t, r)
	var fork *client.ForkError
	if _, err := r.Offer(t.Context(), other.Checkpoint("w1", "w2", "w3").Bytes()); !errors.As(err, &fork) {
		t.Errorf("a head that contradicts the one that counts: %v", err)
	}
	src.dir.Store(&other.Dir)
	if _, err := r.Update(t.Context()); !errors.As(err, &fork) {
		t.Errorf("a log that contradicts it: %v", err)
	}
	check(t, verify.Fork(w.ParsePolicy(3, "w1", "w2", "w3", "w4"), fork, ""))
}

// TestObserver: every entry is shown once, in order, before and after it is applied,
// also if each bundle needs a new start.
func TestObserver(t *testing.T) {
	w, _, c := world(t, 900)
	w.Append([]byte("no event"))
	w.Publish("w1", "w2", "w3")
	r := open(t, c)
	_, err := r.Update(t.Context())
	check(t, err)
	l := r.Ledger()
	var raw [][]byte
	var read atomic.Uint64
	var before, after, violations uint64
	roots := [][32]byte{tiles.EmptyRoot()}
	type note struct{ index uint64 }
	o := replica.Observer{
		Read: func(e *ledger.Entry) any { read.Add(1); return note{e.Index} },
		Bundle: func(b client.Bundle) error {
			if b.First != l.Size() || b.First != uint64(len(raw)) || len(b.Leaves) != len(b.Entries) {
				return fmt.Errorf("a bundle from %d on at size %d", b.First, l.Size())
			}
			raw = append(raw, b.Entries...)
			return nil
		},
		Before: func(e *ledger.Entry, n any) error {
			if e.Index != l.Size() || e.Index != before || e.Leaf != tiles.LeafHash(raw[e.Index]) {
				return fmt.Errorf("entry %d at size %d", e.Index, l.Size())
			}
			if (e.Envelope != nil) != (n == any(note{e.Index})) {
				return fmt.Errorf("the note of entry %d is %v", e.Index, n)
			}
			before++
			return nil
		},
		After: func(e *ledger.Entry, found []*ledger.Violation, _ []ledger.Change) error {
			if e.Index+1 != l.Size() || e.Index != after {
				return fmt.Errorf("entry %d after size %d", e.Index, l.Size())
			}
			for _, s := range e.Signatures {
				if s != ledger.Good {
					return fmt.Errorf("a signature of entry %d is %v", e.Index, s)
				}
			}
			after++
			violations += uint64(len(found))
			roots = append(roots, l.Root())
			return nil
		},
		Applied: func() error {
			if l.Size() < w.Size() {
				return errTest
			}
			return nil
		},
	}
	starts := 0
	for err = errTest; errors.Is(err, errTest); starts++ {
		err = r.Replay(t.Context(), o)
	}
	check(t, err)
	if n := w.Size(); starts != int(n/tlog.TileWidth)+1 || before != n || after != n || uint64(len(raw)) != n || violations != 1 || read.Load() < n-1 {
		t.Errorf("%d starts, %d and %d of %d entries, %d read, %d violations", starts, before, after, n, read.Load(), violations)
	}
	questions(t, r.Tree(), raw, roots)
}

// questions asks for all that the tree has been seen to have.
func questions(t *testing.T, tree *client.Tree, raw [][]byte, roots [][32]byte) {
	t.Helper()
	size, root := uint64(len(raw)), roots[len(raw)]
	for i, want := range roots {
		got, err := tree.Root(t.Context(), uint64(i))
		if err != nil || got != want {
			t.Fatalf("root at size %d: %v", i, err)
		}
		proof, err := tree.Consistency(t.Context(), uint64(i))
		if err != nil || i > 0 && tiles.VerifyConsistency(uint64(i), got, size, root, proof) != nil {
			t.Fatalf("consistency from size %d: %v", i, err)
		}
	}
	for i, want := range raw {
		if got, err := tree.Entry(t.Context(), uint64(i)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if _, err := tree.Root(t.Context(), size+1); err == nil {
		t.Error("a root beyond the head")
	}
	if _, err := tree.Entry(t.Context(), size); !errors.Is(err, client.ErrNotLogged) {
		t.Errorf("an entry beyond the head: %v", err)
	}
}

// TestOld: what is not kept any more is read again, and proven.
func TestOld(t *testing.T) {
	w, src, c := world(t, 10)
	for w.Size() < 70*tlog.TileWidth {
		w.Append([]byte("no event"))
	}
	w.Publish("w1", "w2", "w3")
	r := open(t, c)
	follow(t, r)
	tile := tlog.Tile{Level: tlog.Entries, Index: 0, Width: tlog.TileWidth}.Path()
	src.damage.Store(&tile)
	var corrupt *tlog.CorruptError
	if _, err := r.Tree().Entry(t.Context(), 1); !errors.As(err, &corrupt) {
		t.Errorf("an old entry in a damaged bundle: %v", err)
	}
	if _, err := r.Tree().Entry(t.Context(), w.Size()-1); err != nil {
		t.Error(err)
	}
	src.damage.Store(nil)
	b, err := r.Tree().Entry(t.Context(), 0)
	check(t, err)
	if tiles.LeafHash(b) != r.Ledger().CharterAt(1).Leaf {
		t.Error("entry 0 is not the charter")
	}
}

// TestUse: a replica goes on under another client's policy, and answers meanwhile.
func TestUse(t *testing.T) {
	w, src, c := world(t, 300)
	r := open(t, c)
	follow(t, r)
	strict, err := client.New(client.Config{Source: src, Policy: w.ParsePolicy(4, "w1", "w2", "w3", "w4")})
	check(t, err)
	_, err = r.Update(t.Context())
	check(t, err)
	r.Use(strict)
	if _, err := r.Tree().Root(t.Context(), 17); err != nil {
		t.Error(err)
	}
	w.Live(400)
	w.Publish("w1", "w2", "w3")
	if _, err := r.Update(t.Context()); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Fatalf("three of four: %v", err)
	}
	w.Publish("w1", "w2", "w3", "w4")
	follow(t, r)
	if r.Ledger().Size() != w.Size() {
		t.Errorf("size %d", r.Ledger().Size())
	}
}

// TestSnapshot: what goes on from a snapshot is what was replayed from the start, and a
// snapshot that does not fit is refused, and says so.
func TestSnapshot(t *testing.T) {
	w, _, c := world(t, 300)
	type own struct{ Count int }
	with := func(edit func(*replica.Config)) replica.Config {
		c := c
		c.Own = new(own)
		edit(&c)
		return c
	}
	mine := &own{7}
	r := open(t, with(func(c *replica.Config) { c.Own = mine }))
	follow(t, r)
	small := r.Tree().Head().Checkpoint
	first := snapshot(t, r)
	w.Live(700)
	w.Publish("w1", "w2", "w3")
	follow(t, r)
	mine.Count++
	last := snapshot(t, r)
	for _, known := range []*tlog.Checkpoint{nil, small, r.Tree().Largest()} {
		got := new(own)
		resumed := open(t, with(func(c *replica.Config) { c.Snapshot, c.Own, c.Known = first, got, known }))
		if got.Count != 7 || resumed.Ledger().Size() != small.Size {
			t.Errorf("resumed with %d at %d", got.Count, resumed.Ledger().Size())
		}
		got.Count++
		follow(t, resumed)
		if !bytes.Equal(snapshot(t, resumed), last) {
			t.Error("the snapshots of a resumed and a full replay differ")
		}
	}
	_, _, o := world(t, 300)
	earlier := func(magic string) []byte {
		_, rest, _ := bytes.Cut(last[:len(last)-sha256.Size], []byte("\n"))
		return checksum.Append(append([]byte(magic+"\n"), rest...), 0)
	}
	for want, bad := range map[string]replica.Config{
		"another policy":             with(func(c *replica.Config) { c.Snapshot, c.Policy = last, []byte("yours") }),
		"and no other snapshot":      with(func(c *replica.Config) { c.Snapshot, c.Use = last, "other" }),
		"another encoding":           with(func(c *replica.Config) { c.Snapshot, c.Own = last, nil }),
		"the largest verified head":  with(func(c *replica.Config) { c.Snapshot, c.Known = last, small }),
		"of the log":                 with(func(c *replica.Config) { c.Snapshot, c.Origin = last, "log.example/other" }),
		"is damaged":                 with(func(c *replica.Config) { c.Snapshot = append(bytes.Clone(last), 0) }),
		"name another file":          with(func(c *replica.Config) { c.Snapshot = earlier("vasistas audit snapshot 1") }),
		"wrote it; name another":     with(func(c *replica.Config) { c.Snapshot = earlier("vasistas gate ledger 1") }),
		"wrote it; name":             with(func(c *replica.Config) { c.Snapshot = earlier("vasistas replica snapshot 1 test") }),
		"it is a key or":             with(func(c *replica.Config) { c.Snapshot = []byte("-----BEGIN PRIVATE KEY-----\n") }),
		"another command or version": with(func(c *replica.Config) { c.Snapshot = earlier("vasistas replica snapshot 3 test") }),
	} {
		var refused *replica.SnapshotError
		if _, err := replica.New(bad); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "remove") {
			t.Errorf("want %q: %v", want, err)
		}
	}
	// Another log's, with the same name, and one whose ledger is not of the log's tree show at the
	// first head.
	stranger := open(t, with(func(c *replica.Config) { c.Snapshot, c.Client = last, o.Client }))
	if _, err := stranger.Update(t.Context()); !errors.As(err, new(*client.StateError)) && !errors.As(err, new(*client.RollbackError)) {
		t.Errorf("a snapshot of another log: %v", err)
	}
	f := w.Fork(t.TempDir())
	f.Append([]byte("another story"))
	f.Publish("w1", "w2", "w3")
	w.Append([]byte("the story"))
	w.Append([]byte("goes on"))
	w.Publish("w1", "w2", "w3")
	story := open(t, c)
	cl, err := client.New(client.Config{URL: f.Dir, Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	check(t, err)
	story.Use(cl)
	follow(t, story)
	r = open(t, with(func(c *replica.Config) { c.Own = nil }))
	follow(t, r)
	wrong := open(t, with(func(c *replica.Config) { c.Own, c.Snapshot, c.Known = nil, snapshot(t, story), r.Tree().Largest() }))
	var refused *replica.SnapshotError
	if _, err := wrong.Update(t.Context()); !errors.As(err, &refused) {
		t.Errorf("a ledger of another tree: %v", err)
	}
}
