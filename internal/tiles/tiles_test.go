// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tiles_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	. "github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// store is a tiled log in memory, written by a Frontier.
type store struct {
	files   map[tlog.Tile][]byte
	entries [][]byte
	f       Frontier
	roots   []Hash // by size
}

func (s *store) ReadTile(_ context.Context, t tlog.Tile) ([]byte, error) {
	if b, ok := s.files[t]; ok {
		return b, nil
	}
	full := t
	full.Width = tlog.TileWidth
	if b, ok := s.files[full]; ok {
		return t.Cut(b)
	}
	return nil, fs.ErrNotExist
}

// grow appends n entries, keeping the partial tiles of every size.
func (s *store) grow(t testing.TB, n int) {
	if s.files == nil {
		s.files = make(map[tlog.Tile][]byte)
		s.roots = []Hash{EmptyRoot()}
	}
	put := func(t tlog.Tile, b []byte) error { s.files[t] = b; return nil }
	for range n {
		i := uint64(len(s.entries))
		entry := fmt.Appendf(nil, "entry %d", i)
		s.entries = append(s.entries, entry)
		if err := s.f.Append(LeafHash(entry), put); err != nil {
			t.Fatal(err)
		}
		if err := s.f.Partial(put); err != nil {
			t.Fatal(err)
		}
		first := i / tlog.TileWidth * tlog.TileWidth
		var bundle []byte
		for _, e := range s.entries[first:] {
			bundle = tlog.AppendEntry(bundle, e)
		}
		s.files[tlog.Tile{Level: tlog.Entries, Index: i / tlog.TileWidth, Width: int(i%tlog.TileWidth) + 1}] = bundle
		s.roots = append(s.roots, s.f.Root())
	}
}

// oracle is golang.org/x/mod/sumdb/tlog over the same entries.
func oracle(t *testing.T, entries [][]byte) sumdb.HashReader {
	var hashes []sumdb.Hash
	r := sumdb.HashReaderFunc(func(indexes []int64) ([]sumdb.Hash, error) {
		var out []sumdb.Hash
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for i, e := range entries {
		h, err := sumdb.StoredHashes(int64(i), e, r)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, h...)
	}
	return r
}

func TestAgainstSumdbTlog(t *testing.T) {
	ctx := context.Background()
	s := &store{}
	s.grow(t, 700)
	r := oracle(t, s.entries)
	p := prover.New(s, 64)
	for size := uint64(0); size <= 700; size += 1 + size/40 {
		want, err := sumdb.TreeHash(int64(size), r)
		if err != nil {
			t.Fatal(err)
		}
		if Hash(want) != s.roots[size] {
			t.Fatalf("size %d: root %x, want %x", size, s.roots[size], want)
		}
		if got, err := p.Root(ctx, size, 700); err != nil || got != Hash(want) {
			t.Fatalf("Root(%d) = %x, %v, want %x", size, got, err, want)
		}
		for i := uint64(0); i < size; i += 1 + size/7 {
			want, err := sumdb.ProveRecord(int64(size), int64(i), r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Inclusion(ctx, i, LeafHash(s.entries[i]), size, s.roots[size])
			if err != nil || len(got) != len(want) {
				t.Fatalf("Inclusion(%d, %d): %v, %v", i, size, got, err)
			}
			for j := range got {
				if sumdb.Hash(got[j]) != want[j] {
					t.Fatalf("Inclusion(%d, %d): hash %d differs", i, size, j)
				}
			}
		}
		for old := uint64(0); old < size; old += 1 + size/7 {
			got, err := p.Consistency(ctx, old, s.roots[old], size, s.roots[size])
			if err != nil {
				t.Fatal(err)
			}
			var th sumdb.TreeProof
			for _, h := range got {
				th = append(th, sumdb.Hash(h))
			}
			if old > 0 {
				if err := sumdb.CheckTree(th, int64(size), sumdb.Hash(s.roots[size]), int64(old), sumdb.Hash(s.roots[old])); err != nil {
					t.Fatalf("Consistency(%d, %d): %v", old, size, err)
				}
			}
		}
	}
}

func TestAcrossTwoLevels(t *testing.T) {
	ctx := context.Background()
	const size = 256*256 + 300
	s := &store{files: make(map[tlog.Tile][]byte)}
	put := func(t tlog.Tile, b []byte) error { s.files[t] = b; return nil }
	mid := Hash{}
	for i := range size {
		if i == 65530 {
			mid = s.f.Root()
		}
		if err := s.f.Append(LeafHash(fmt.Append(nil, i)), put); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.f.Partial(put); err != nil {
		t.Fatal(err)
	}
	p := prover.New(s, 16)
	for _, i := range []uint64{0, 255, 256, 65535, 65536, size - 1} {
		if _, err := p.Inclusion(ctx, i, LeafHash(fmt.Append(nil, i)), size, s.f.Root()); err != nil {
			t.Errorf("Inclusion(%d): %v", i, err)
		}
	}
	if _, err := p.Consistency(ctx, 65530, mid, size, s.f.Root()); err != nil {
		t.Error(err)
	}
	if _, err := LoadFrontier(ctx, s, size, s.f.Root()); err != nil {
		t.Error(err)
	}
}

// TestExtendNoticesEveryFlippedBit flips each byte of each file that Extend has
// to read, and each byte of the right edge that LoadFrontier has to read.
func TestExtendNoticesEveryFlippedBit(t *testing.T) {
	ctx := context.Background()
	s := &store{}
	s.grow(t, 520)
	const from, to = 250, 520
	base, err := LoadFrontier(ctx, s, from, s.roots[from])
	if err != nil {
		t.Fatal(err)
	}
	next, err := base.Extend(ctx, s, to, nil)
	if err != nil || next.Root() != s.roots[to] || next.Size() != to || base.Root() != s.roots[from] {
		t.Fatalf("Extend: %v", err)
	}
	read := make(map[tlog.Tile]bool)
	if _, err := base.Extend(ctx, recorder{s, read}, to, nil); err != nil {
		t.Fatal(err)
	}
	if len(read) < 7 {
		t.Fatalf("Extend read %d files", len(read))
	}
	for tile := range read {
		good := s.files[tile]
		for i := 0; i < len(good); i += 1 + len(good)/97 {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			s.files[tile] = bad
			_, err := base.Extend(ctx, s, to, nil)
			var corrupt *tlog.CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("byte %d of %s flipped: %v", i, tile.Path(), err)
			}
		}
		s.files[tile] = good
	}
	for _, tile := range Edge(to) {
		good := s.files[tile]
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x80
			s.files[tile] = bad
			if _, err := LoadFrontier(ctx, s, to, s.roots[to]); err == nil {
				t.Errorf("byte %d of %s flipped, and LoadFrontier saw nothing", i, tile.Path())
			}
		}
		s.files[tile] = good
	}
}

type recorder struct {
	*store
	read map[tlog.Tile]bool
}

func (r recorder) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if _, ok := r.files[t]; ok {
		r.read[t] = true
	}
	return r.store.ReadTile(ctx, t)
}

// TestProverForgetsBadTiles: once the log is repaired, proofs work again.
func TestProverForgetsBadTiles(t *testing.T) {
	ctx := context.Background()
	s := &store{}
	s.grow(t, 300)
	good := maps.Clone(s.files)
	tile := tlog.Tile{Level: 0, Index: 0, Width: 256}
	bad := bytes.Clone(s.files[tile])
	bad[40] ^= 1
	s.files[tile] = bad
	p := prover.New(s, 16)
	if _, err := p.Inclusion(ctx, 7, LeafHash(s.entries[7]), 300, s.roots[300]); err == nil {
		t.Fatal("a proof over a corrupt tile was returned")
	}
	s.files = good
	if _, err := p.Inclusion(ctx, 7, LeafHash(s.entries[7]), 300, s.roots[300]); err != nil {
		t.Fatal(err)
	}
}

// TestFrontierIsTheSameHoweverItGrew splits one growth in two.
func TestFrontierIsTheSameHoweverItGrew(t *testing.T) {
	s := &store{}
	s.grow(t, 600)
	rapid.Check(t, func(rt *rapid.T) {
		a := rapid.Uint64Range(0, 600).Draw(rt, "a")
		b := rapid.Uint64Range(a, 600).Draw(rt, "b")
		f, err := LoadFrontier(t.Context(), s, a, s.roots[a])
		if err != nil {
			rt.Fatal(err)
		}
		var indexes []uint64
		g, err := f.Extend(t.Context(), s, b, func(i uint64, e []byte, leaf Hash) error {
			if !bytes.Equal(e, s.entries[i]) || leaf != LeafHash(e) {
				rt.Errorf("entry %d is another", i)
			}
			indexes = append(indexes, i)
			return nil
		})
		if err != nil || g.Root() != s.roots[b] {
			rt.Fatalf("Extend(%d, %d): %v", a, b, err)
		}
		if uint64(len(indexes)) != b-a || (b > a && indexes[0] != a) {
			rt.Errorf("Extend(%d, %d) showed %d entries", a, b, len(indexes))
		}
	})
}

// TestVectors runs the vectors of transparency-dev/merkle against the verifier
// that every proof of a Prover passes.
func TestVectors(t *testing.T) {
	type vector struct {
		LeafIdx, TreeSize, Size1, Size2 uint64
		Root, LeafHash, Root1, Root2    []byte
		Proof                           [][]byte
		Desc                            string
		WantErr                         bool
	}
	total, failing := 0, 0
	run := func(dir string, verify func(v vector) error) {
		err := filepath.WalkDir(filepath.Join("testdata", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var v vector
			if err := json.Unmarshal(b, &v); err != nil {
				return err
			}
			total++
			if v.WantErr {
				failing++
			}
			if err := verify(v); (err != nil) != v.WantErr {
				t.Errorf("%s (%s): %v", path, v.Desc, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run("inclusion", func(v vector) error {
		h := hashes(append(v.Proof, v.LeafHash, v.Root)...)
		n := len(v.Proof)
		return VerifyInclusion(v.LeafIdx, h[n], v.TreeSize, h[n+1], h[:n])
	})
	run("consistency", func(v vector) error {
		h := hashes(append(v.Proof, v.Root1, v.Root2)...)
		n := len(v.Proof)
		return VerifyConsistency(v.Size1, h[n], v.Size2, h[n+1], h[:n])
	})
	if total != 196 || failing != 184 {
		t.Errorf("%d vectors, %d of which must fail; want 196 and 184", total, failing)
	}
}

// hashes turns what is no SHA-256 hash (the vectors have roots like "don't
// care" that need only be equal) into one.
func hashes(list ...[]byte) []Hash {
	var out []Hash
	for i, b := range list {
		switch len(b) {
		case len(Hash{}):
			out = append(out, Hash(b))
		case 0: // a missing hash equals nothing
			out = append(out, sha256.Sum256(fmt.Append(nil, "missing", i)))
		default:
			out = append(out, sha256.Sum256(b))
		}
	}
	return out
}

func TestHashes(t *testing.T) {
	if got, want := LeafHash([]byte("x")), rfc6962.DefaultHasher.HashLeaf([]byte("x")); !bytes.Equal(got[:], want) {
		t.Errorf("LeafHash = %x, want %x", got, want)
	}
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	if got, want := HashChildren(a, b), rfc6962.DefaultHasher.HashChildren(a[:], b[:]); !bytes.Equal(got[:], want) {
		t.Errorf("HashChildren = %x, want %x", got, want)
	}
}

func BenchmarkInclusion(b *testing.B) {
	s := &store{}
	s.grow(b, 1000)
	p := prover.New(s, 64)
	leaf := LeafHash(s.entries[500])
	for b.Loop() {
		if _, err := p.Inclusion(b.Context(), 500, leaf, 1000, s.roots[1000]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var f Frontier
	leaf := LeafHash(nil)
	for b.Loop() {
		_ = f.Append(leaf, func(tlog.Tile, []byte) error { return nil })
	}
}
