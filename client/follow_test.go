// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/tlog"
)

// collect follows up to the head, checks every entry, and returns the first
// index after the last one.
func collect(t *testing.T, f *client.Follower, l *fileLog, from uint64) uint64 {
	t.Helper()
	next := from
	for e, err := range f.All(t.Context()) {
		if err != nil {
			t.Fatalf("at entry %d: %v", next, err)
		}
		want := l.entry(next)
		if e.Index != next || !bytes.Equal(e.Bytes, want) || e.Leaf != tiles.LeafHash(want) {
			t.Fatalf("entry %d %q, want %d %q", e.Index, e.Bytes, next, want)
		}
		if e.Head.Checkpoint.Size <= e.Index {
			t.Fatalf("entry %d came with a head of size %d", e.Index, e.Head.Checkpoint.Size)
		}
		next++
	}
	return next
}

func follower(t *testing.T, cl *client.Client, o client.FollowOptions) *client.Follower {
	t.Helper()
	o.UntilHead = true
	f, err := cl.Follower(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The sizes are those around which tiles begin, end, and get another level.
var sizes = []uint64{0, 1, 2, 255, 256, 257, 511, 512, 700, 65535, 65536, 65537, 66100}

func TestFollow(t *testing.T) {
	for _, name := range []string{"http", "dir", "file"} {
		l := newFileLog(t)
		url := l.sources()[name]
		t.Run(name, func(t *testing.T) {
			cl := newClient(t, client.Config{URL: url, Policy: l.policy()})
			f := follower(t, cl, client.FollowOptions{})
			var next uint64
			var state client.State
			for _, size := range sizes {
				cp := l.grow(size)
				if next = collect(t, f, l, next); next != size {
					t.Fatalf("stopped at %d of %d", next, size)
				}
				// One that starts from the saved state gets the same, and
				// stands at the same place.
				resumed := follower(t, cl, client.FollowOptions{From: state})
				collect(t, resumed, l, state.Size)
				if got, want := resumed.State().Bytes(), f.State().Bytes(); !bytes.Equal(got, want) {
					t.Errorf("size %d: the resumed follower stands at %s, the other at %s", size, got, want)
				}
				if state = f.State(); state.Root != cp.Root || state.Size != size {
					t.Errorf("size %d: state is %d, %x", size, state.Size, state.Root)
				}
			}
		})
	}
}

// A follower that was stopped after any entry goes on with the next one.
func TestFollowResumesAnywhere(t *testing.T) {
	l := newFileLog(t)
	l.grow(700)
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	for _, stop := range []uint64{1, 2, 200, 256, 257, 511, 512, 513, 699, 700} {
		f := follower(t, cl, client.FollowOptions{})
		for e, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Index+1 == stop {
				break
			}
		}
		state, err := client.ParseState(f.State().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if state.Size != stop {
			t.Fatalf("stopped after %d entries, state says %d", stop, state.Size)
		}
		if next := collect(t, f, l, stop); next != 700 {
			t.Errorf("the same follower went on to %d", next)
		}
		if next := collect(t, follower(t, cl, client.FollowOptions{From: state}), l, stop); next != 700 {
			t.Errorf("from the state at %d it went on to %d", stop, next)
		}
	}
}

func TestFollowStart(t *testing.T) {
	l := newFileLog(t)
	cp := l.grow(700)
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	for _, start := range []uint64{0, 1, 255, 256, 300, 699, 700} {
		f := follower(t, cl, client.FollowOptions{Start: start})
		if next := collect(t, f, l, start); next != 700 || f.State().Root != cp.Root {
			t.Errorf("from %d it went to %d with the root %x", start, next, f.State().Root)
		}
	}
	f := follower(t, cl, client.FollowOptions{Start: 701})
	if _, err := f.Update(t.Context()); !errors.Is(err, client.ErrNotLogged) {
		t.Errorf("start beyond the head: %v", err)
	}
}

// Whatever file of a log is damaged: no entry that differs from the log's is
// ever yielded, and only files that follow from others may go unnoticed.
func TestFollowDamage(t *testing.T) {
	l := newFileLog(t)
	l.grow(66100)
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	var files []string
	err := filepath.WalkDir(l.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name, _ := filepath.Rel(l.Dir, path)
		// Of the many bundles and tiles of the lowest level, some.
		if (strings.HasPrefix(name, "tile/entries/") || strings.HasPrefix(name, "tile/0/")) &&
			!strings.HasSuffix(name, "/007") && !strings.Contains(name, ".p") {
			continue
		}
		for _, at := range []int{0, 7} {
			t.Run(fmt.Sprint(name, at), func(t *testing.T) { followDamaged(t, cl, l, name, at) })
		}
	}
}

// followDamaged follows l with one bit of a file changed, in its middle + at.
func followDamaged(t *testing.T, cl *client.Client, l *fileLog, name string, at int) {
	good, err := os.ReadFile(filepath.Join(l.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[min(len(bad)/2+at, len(bad)-1)] ^= 1
	l.write(name, bad)
	defer l.write(name, good)
	var next uint64 = 65000
	if name == "tile/0/007" || name == "tile/entries/007" {
		next = 1700
	}
	f := follower(t, cl, client.FollowOptions{Start: next})
	for e, err := range f.All(t.Context()) {
		if err != nil {
			return
		}
		if !bytes.Equal(e.Bytes, l.entry(next)) {
			t.Fatalf("it yielded %q as entry %d", e.Bytes, next)
		}
		next++
	}
	if name != "tile/0/007" { // follows from the bundle
		t.Error("nothing was noticed")
	}
}

// A lie that fits the tile above it must still fit the root, before it is
// yielded.
func TestFollowLieOfTwoTiles(t *testing.T) {
	l := newFileLog(t)
	l.grow(66100)
	const n = 254
	var lie []byte
	var hashes []tlog.Hash
	for i := range uint64(tlog.TileWidth) {
		e := bytes.ToUpper(l.entry(n*tlog.TileWidth + i))
		lie = tlog.AppendEntry(lie, e)
		hashes = append(hashes, tiles.LeafHash(e))
	}
	for ; len(hashes) > 1; hashes = hashes[:len(hashes)/2] {
		for i := range len(hashes) / 2 {
			hashes[i] = tiles.HashChildren(hashes[2*i], hashes[2*i+1])
		}
	}
	above := tlog.Tile{Level: 1, Index: 0, Width: tlog.TileWidth}
	b, err := os.ReadFile(filepath.Join(l.Dir, above.Path()))
	if err != nil {
		t.Fatal(err)
	}
	copy(b[n*len(hashes[0]):], hashes[0][:])
	l.write(above.Path(), b)
	l.write(tlog.Tile{Level: tlog.Entries, Index: n, Width: tlog.TileWidth}.Path(), lie)
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	for e, err := range follower(t, cl, client.FollowOptions{Start: 65000}).All(t.Context()) {
		if err != nil {
			var corrupt *tlog.CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("got %v", err)
			}
			return
		}
		if !bytes.Equal(e.Bytes, l.entry(e.Index)) {
			t.Fatalf("it yielded %q", e.Bytes)
		}
	}
	t.Error("nothing was noticed")
}

func TestFollowFork(t *testing.T) {
	honest := newFileLog(t)
	for _, size := range []uint64{1, 5, 256, 300, 512} {
		for _, forked := range []uint64{1, 4, 5, 256, 290, 300, 301, 512, 1000} {
			t.Run(fmt.Sprintf("%d to %d", size, forked), func(t *testing.T) {
				good := honest.branch(honest.entry)
				evil := honest.branch(func(i uint64) []byte { return fmt.Appendf(nil, "lie %d", i) })
				f := follower(t, newClient(t, client.Config{URL: good.Dir, Policy: good.policy()}), client.FollowOptions{})
				good.grow(size)
				collect(t, f, good, 0)
				state := f.State()

				evil.grow(forked)
				f = follower(t, newClient(t, client.Config{URL: evil.Dir, Policy: good.policy()}), client.FollowOptions{From: state})
				_, err := f.Update(t.Context())
				var fork *client.ForkError
				if forked < size {
					// It serves no tree that the saved head could be held
					// against: a rollback, for all that can be known.
					var back *client.RollbackError
					if !errors.As(err, &back) {
						t.Fatalf("got %v, want a rollback", err)
					}
					return
				}
				if !errors.As(err, &fork) {
					t.Fatalf("got %v, want a fork", err)
				}
				if err := verify.Fork(good.policy(), fork, ""); err != nil {
					t.Errorf("the evidence does not convince: %v", err)
				}
				if got := f.State(); !bytes.Equal(got.Bytes(), state.Bytes()) {
					t.Errorf("the state moved to %s", got.Bytes())
				}
			})
		}
	}
}

// A head that comes from elsewhere and is smaller is held against the tree.
func TestOffer(t *testing.T) {
	l := newFileLog(t)
	old := l.grow(300)
	evil := l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "lie %d", i) })
	lie := evil.grow(300)
	sameSize := evil.grow(600)
	l.grow(600)
	f, err := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}).Tree(client.TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	var back *client.RollbackError
	if _, err := f.Offer(t.Context(), old.Bytes()); !errors.As(err, &back) {
		t.Errorf("an older head of the same log: %v", err)
	}
	for _, cp := range []*tlog.Checkpoint{lie, sameSize} {
		var fork *client.ForkError
		_, err := f.Offer(t.Context(), cp.Bytes())
		if !errors.As(err, &fork) {
			t.Fatalf("a lie of size %d: %v", cp.Size, err)
		}
		if err := verify.Fork(l.policy(), fork, ""); err != nil {
			t.Error(err)
		}
		// Evidence that was changed is refused.
		tampered := *fork
		tampered.Prefix = fork.Small.Root
		if err := verify.Fork(l.policy(), &tampered, ""); err == nil {
			t.Error("evidence without a contradiction was believed")
		}
		tampered = *fork
		tampered.Prefix[3] ^= 1
		if err := verify.Fork(l.policy(), &tampered, ""); err == nil {
			t.Error("evidence with another prefix was believed")
		}
		if err := verify.Fork(newFileLog(t).policy(), fork, ""); err == nil {
			t.Error("evidence against another log was believed")
		}
	}
	// The same tree with fresher cosignatures takes the head's place.
	fresh := l.publish(1_800_000_000)
	v, err := f.Offer(t.Context(), fresh.Bytes())
	if err != nil || v.LoggedAfter != 1_800_000_000 || f.Head() != v {
		t.Errorf("a fresher head: %v, %v", v, err)
	}
}

func TestFollowStateOfAnotherLog(t *testing.T) {
	a, b := newFileLog(t), newFileLog(t)
	b.entry = func(i uint64) []byte { return fmt.Appendf(nil, "other %d", i) }
	a.grow(300)
	b.grow(400)
	f := follower(t, newClient(t, client.Config{URL: a.Dir, Policy: a.policy()}), client.FollowOptions{})
	collect(t, f, a, 0)
	cl := newClient(t, client.Config{URL: b.Dir, Policy: b.policy()})
	var wrong *client.StateError
	if _, err := follower(t, cl, client.FollowOptions{From: f.State()}).Update(t.Context()); !errors.As(err, &wrong) {
		t.Errorf("a state of another log with this name: %v", err)
	}
	cl = newClient(t, client.Config{URL: b.Dir, Policy: written.Empty(t.TempDir(), people.New("log.example/other", "")).ParsePolicy(0)})
	if _, err := cl.Follower(client.FollowOptions{From: f.State()}); !errors.As(err, &wrong) {
		t.Errorf("a state of another log: %v", err)
	}
	// A position that is not one of the log, with a head that is.
	cl = newClient(t, client.Config{URL: a.Dir, Policy: a.policy()})
	state := f.State()
	state.Size = 299
	f, err := cl.Follower(client.FollowOptions{From: state})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Update(t.Context()); !errors.As(err, &wrong) {
		t.Errorf("a position with another root: %v", err)
	}
}

// At the tail it polls, waits longer while nothing happens, and ends with the
// context.
func TestFollowPolls(t *testing.T) {
	l := newFileLog(t)
	l.grow(3)
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var next uint64
		for e, err := range cl.Follow(ctx, client.FollowOptions{Poll: time.Second, MaxPoll: 4 * time.Second}) {
			if err != nil {
				if !errors.Is(err, context.Canceled) || next != 5 {
					t.Errorf("ended at %d with %v", next, err)
				}
				break
			}
			next = e.Index + 1
			switch next {
			case 3:
				time.AfterFunc(10*time.Second, func() { l.grow(5) })
				time.AfterFunc(time.Minute, cancel)
			case 5:
				// Polls at 1, 3, 7 and 11 s.
				if d := time.Since(start); d != 11*time.Second {
					t.Errorf("saw the new head after %v", d)
				}
			}
		}
		cancel()
	})
}

func TestState(t *testing.T) {
	l := newFileLog(t)
	l.grow(3)
	f := follower(t, newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}), client.FollowOptions{})
	collect(t, f, l, 0)
	good := f.State().Bytes()
	if _, err := client.ParseState(good); err != nil {
		t.Fatal(err)
	}
	if s, err := client.ParseState(client.State{}.Bytes()); err != nil || s.Size != 0 || s.Checkpoint != nil {
		t.Errorf("the start: %v, %v", s, err)
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"cut off":       string(good[:len(good)-1]),
		"trailing data": string(good) + "\n",
		"more entries":  strings.Replace(string(good), `"size":3`, `"size":4`, 1),
		"no checkpoint": `{"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":1}` + "\n",
		"short root":    `{"root":"47DEQpj8HBSa","size":0}` + "\n",
		"unknown key":   `{"a":1,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":0}` + "\n",
	} {
		if _, err := client.ParseState([]byte(bad)); err == nil || strings.Contains(err.Error(), "remove") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A file that was named by mistake is named by its kind, and none of it is shown.
	for start, kind := range map[string]string{"AGE-SECRET-KEY-1QQQ": "a key", "log log.example+QQQ": "a policy", `{"payload":"QQQ`: "an event",
		"": "empty", "dear QQQ": "some other text", "\xff QQQ": "some other file"} {
		if _, err := client.ParseState([]byte(start)); err == nil || !strings.Contains(err.Error(), "it is "+kind+", and no state") || strings.Contains(err.Error(), "QQQ") {
			t.Errorf("%q: %v", start, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add(client.State{}.Bytes())
	l := newFileLog(f)
	cp := l.grow(2)
	f.Add(client.State{Size: 1, Root: cp.Root, Checkpoint: cp.Bytes()}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := client.ParseState(b)
		if err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Errorf("%q was read, and written as %q", b, s.Bytes())
		}
	})
}

// BenchmarkFollow reads a log of 66,100 entries of 1 KiB over HTTP.
func BenchmarkFollow(b *testing.B) {
	l := newFileLog(b)
	pad := bytes.Repeat([]byte{'x'}, 1000)
	l.entry = func(i uint64) []byte { return append(fmt.Appendf(nil, "%020d", i), pad...) }
	size := l.grow(66100).Size
	cl := newClient(b, client.Config{URL: l.serve().URL, Policy: l.policy()})
	b.ReportAllocs()
	for b.Loop() {
		var n uint64
		for _, err := range cl.Follow(b.Context(), client.FollowOptions{UntilHead: true}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != size {
			b.Fatalf("%d entries", n)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
