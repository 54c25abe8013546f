// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package entries

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// memTiles serves bundles and leaf tiles of entries in memory, which is all that
// the index reads.
type memTiles struct {
	entries [][]byte
	reads   int
}

func (m *memTiles) ReadTile(_ context.Context, t tlog.Tile) ([]byte, error) {
	m.reads++
	from := t.Index * tlog.TileWidth
	if from+uint64(t.Width) > uint64(len(m.entries)) {
		return nil, fs.ErrNotExist
	}
	var b []byte
	for _, e := range m.entries[from : from+uint64(t.Width)] {
		if t.Level == tlog.Entries {
			b = tlog.AppendEntry(b, e)
		} else {
			leaf := tiles.LeafHash(e)
			b = append(b, leaf[:]...)
		}
	}
	return b, nil
}

// unsigned returns an entry whose signature is noise: the index does not verify.
func unsigned(t testing.TB) ([]byte, [32]byte) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New("log.example", &event.Heartbeat{From: now.Add(-time.Hour), To: now})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := ev.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	rand.Read(sig)
	env := &event.Envelope{Event: ev, Payload: payload, Signatures: []event.Signature{{KeyID: fmt.Sprintf("%064x", 1), Sig: sig}}}
	return env.Bytes(), env.Hash()
}

// TestIndex checks that what was added is found after any restart, even if the file is
// damaged, and that a sound file is used.
func TestIndex(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events")
	tree := &memTiles{}
	var hashes [][32]byte
	open := func(trusted uint64) *Index {
		t.Helper()
		x, err := OpenIndex(name, tree, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		tree.reads = 0
		if err := x.Load(t.Context(), trusted); err != nil {
			t.Fatal(err)
		}
		return x
	}
	verify := func(x *Index) {
		t.Helper()
		for i, h := range hashes {
			if i%37 != 0 && i != len(hashes)-1 {
				continue
			}
			hit, err := x.Find(t.Context(), h, tiles.LeafHash(tree.entries[i]))
			if err != nil || hit == nil || hit.Index != uint64(i) {
				t.Fatalf("event %d: %+v, %v", i, hit, err)
			}
		}
		if hit, err := x.Find(t.Context(), [32]byte{1}, tiles.Hash{}); hit != nil || err != nil {
			t.Fatalf("an event that is not there: %+v, %v", hit, err)
		}
	}
	x := open(0)
	for range 700 {
		e, h := unsigned(t)
		tree.entries, hashes = append(tree.entries, e), append(hashes, h)
		x.Add(uint64(len(hashes)-1), h)
	}
	verify(x)
	x.Close()
	x = open(700)
	if tree.reads != 1 {
		t.Errorf("%d bundles were read; want the last one only", tree.reads)
	}
	verify(x)
	x.Close()
	// Believed up to the head only.
	x = open(300)
	if x.size != 300 || tree.reads != 1 {
		t.Errorf("with a head of 300: %d entries, %d bundles read", x.size, tree.reads)
	}
	for i := 300; i < 700; i++ {
		x.Add(uint64(i), hashes[i])
	}
	verify(x)
	x.Close()
	// An event that is there twice is hit at its first place.
	tree.entries = append(tree.entries, tree.entries[5])
	x = open(701)
	if hit, err := x.Find(t.Context(), hashes[5], tiles.LeafHash(tree.entries[5])); err != nil || hit.Index != 5 {
		t.Errorf("an event that is there twice: %+v, %v", hit, err)
	}
	if hit, err := x.Find(t.Context(), hashes[5], tiles.Hash{1}); err != nil || hit != nil {
		t.Errorf("another envelope of that event: %+v, %v", hit, err)
	}
	x.Close()
	tree.entries = tree.entries[:700]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string][]byte{
		"empty":             nil,
		"cut in the header": whole[:7],
		"cut in a group":    whole[:indexHeader+groupSize+100],
		"a flipped bit":     flipped(whole, indexHeader+groupSize+20),
		"another seed":      flipped(whole, 3),
		"groups swapped": append(append(append([]byte(nil), whole[:indexHeader]...), whole[indexHeader+groupSize:indexHeader+2*groupSize]...),
			whole[indexHeader:indexHeader+groupSize]...),
		"something behind": binary.LittleEndian.AppendUint64(whole[:len(whole):len(whole)], 7),
	} {
		if err := os.WriteFile(name, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		x = open(700)
		verify(x)
		x.Close()
		x = open(700)
		if tree.reads != 1 {
			t.Errorf("%s: the file was not mended: %d bundles read", what, tree.reads)
		}
		verify(x)
		x.Close()
	}
}

func flipped(b []byte, at int) []byte {
	b = append([]byte(nil), b...)
	b[at] ^= 1
	return b
}

// writtenTiles has the partial bundle only in the widths that the tree had after a
// batch, as an engine does.
type writtenTiles struct {
	memTiles
	mu      sync.Mutex
	written map[int]bool // widths of the first bundle
}

func (m *writtenTiles) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.written[t.Width] {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), fs.ErrNotExist)
	}
	return m.memTiles.ReadTile(ctx, t)
}

// TestIndexWhileAdding checks that Find, also while a batch is being added, reads the
// tree at a size that it had.
func TestIndexWhileAdding(t *testing.T) {
	tree := &writtenTiles{written: make(map[int]bool)}
	x, err := OpenIndex(filepath.Join(t.TempDir(), "events"), tree, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Load(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var hashes [][32]byte
	grow := func(n int) {
		batch := make([][32]byte, n)
		tree.mu.Lock()
		for i := range batch {
			var e []byte
			e, batch[i] = unsigned(t)
			tree.entries = append(tree.entries, e)
		}
		tree.written[len(tree.entries)] = true
		tree.mu.Unlock()
		x.Add(uint64(len(hashes)), batch...)
		hashes = append(hashes, batch...)
	}
	grow(2)
	first, leaf := hashes[0], tiles.LeafHash(tree.entries[0])
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if hit, err := x.Find(t.Context(), first, leaf); err != nil || hit == nil || hit.Index != 0 {
					t.Errorf("%+v, %v", hit, err)
					return
				}
			}
		})
	}
	for range 6 {
		grow(40)
	}
	close(done)
	wg.Wait()
}
