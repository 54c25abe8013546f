// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
)

// testPipe stores batches one after the other while the signer is down, so none is in the tree. Whatever
// then happens to one batch, the batches stored before it get into the tree in their order, and nothing
// follows a gap.
func testPipe(t *testing.T, tr *trilliantest.Trillian) {
	all := engines.Batch(0, 100)
	one, two := engines.Batch(100, 70), engines.Batch(170, 50)
	for _, c := range []struct {
		name string
		do   func(t *testing.T, p *place, e *trillianx.Engine, g *bare, l *liar) [][]byte // returns the entries that the tree will have
	}{
		{"both are stored, and their writer dies", func(t *testing.T, p *place, e *trillianx.Engine, _ *bare, _ *liar) [][]byte {
			first, err := e.Add(t.Context(), two)
			check(t, err)
			if first != 170 {
				t.Errorf("the second batch is at %d", first)
			}
			if err := e.Wait(t.Context(), 170); err == nil || !strings.Contains(err.Error(), "stored, but not integrated") {
				t.Errorf("waiting without a signer: %v", err)
			}
			check(t, e.Close(t.Context())) // Close writes nothing
			return append(append(all, one...), two...)
		}},
		{"the first is stored, and its writer dies", func(t *testing.T, _ *place, e *trillianx.Engine, _ *bare, _ *liar) [][]byte {
			check(t, e.Close(t.Context()))
			return append(all, one...)
		}},
		{"another writer comes second", func(t *testing.T, _ *place, e *trillianx.Engine, g *bare, _ *liar) [][]byte {
			g.next = 170
			g.add(t.Context(), t, [][]byte{[]byte("foreign")})
			if _, err := e.Add(t.Context(), two); err == nil {
				t.Error("the second batch was stored")
			}
			return append(append(append(all, one...), []byte("foreign")), two[1:]...) // a batch is not all or nothing
		}},
		{"another writer knows nothing of both", func(t *testing.T, p *place, e *trillianx.Engine, _ *bare, _ *liar) [][]byte {
			q := *p
			q.dir = filepath.Join(t.TempDir(), "tiles")
			q.Tiles = tileDir(t, q.dir)
			other := q.open(t)
			_, err := e.Add(t.Context(), two)
			check(t, err)
			if _, err := other.Add(t.Context(), engines.Batch(9000, 60)); err == nil {
				t.Error("another writer's batch was stored")
			}
			return append(append(all, one...), two...)
		}},
		{"the answer for the second is lost", func(t *testing.T, _ *place, e *trillianx.Engine, _ *bare, l *liar) [][]byte {
			l.tell(func(answer proto.Message) error {
				if _, ok := answer.(*trillian.AddSequencedLeavesResponse); ok {
					return status.Error(codes.Unavailable, "lost")
				}
				return nil
			})
			if _, err := e.Add(t.Context(), two); err == nil || !strings.Contains(err.Error(), "unknown whether") {
				t.Errorf("without an answer: %v", err)
			}
			l.honest()
			return append(append(all, one...), two...)
		}},
		{"the second is refused", func(t *testing.T, _ *place, e *trillianx.Engine, _ *bare, l *liar) [][]byte {
			l.tell(func(answer proto.Message) error {
				if _, ok := answer.(*trillian.AddSequencedLeavesResponse); ok {
					return status.Error(codes.InvalidArgument, "no")
				}
				return nil
			})
			if _, err := e.Add(t.Context(), two); err == nil {
				t.Error("it was believed to be stored")
			}
			l.honest()
			return append(append(all, one...), two...) // the liar has stored it
		}},
		{"the database is an older one", func(t *testing.T, _ *place, e *trillianx.Engine, _ *bare, l *liar) [][]byte {
			l.tell(func(answer proto.Message) error {
				if a, ok := answer.(*trillian.GetLatestSignedLogRootResponse); ok {
					var root types.LogRootV1
					if err := root.UnmarshalBinary(a.SignedLogRoot.LogRoot); err != nil {
						return err
					}
					var err error
					root.TreeSize--
					a.SignedLogRoot.LogRoot, err = root.MarshalBinary()
					return err
				}
				return nil
			})
			if _, err := e.Add(t.Context(), two); !errors.Is(err, log.ErrTreeBehind) {
				t.Errorf("adding to an older tree: %v", err)
			}
			l.honest()
			return append(all, one...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, p := newLiar(t, tr), newPlace(t, tr)
			p.Addr, p.Patience = l.addr, 500*time.Millisecond
			slow := *p
			slow.Patience = time.Minute
			founder := slow.open(t)
			_, err := add(t.Context(), founder, all)
			check(t, err)
			check(t, founder.Close(t.Context()))
			e := p.open(t)
			tr.KillSigner(t)
			running := false
			defer func() {
				if !running {
					tr.StartSigner(t)
				}
			}()
			first, err := e.Add(t.Context(), one)
			check(t, err)
			if first != 100 {
				t.Errorf("the first batch is at %d", first)
			}
			if _, err := os.Stat(filepath.Join(p.dir, "tile/0/000.p/170")); err == nil {
				t.Error("it has a tile before it is in the tree")
			}
			g := newBare(t, tr)
			g.tree = p.Tree
			want := c.do(t, p, e, g, l)
			tr.StartSigner(t)
			running = true
			next := slow.open(t)
			eventually(t, func() error {
				size, _, err := next.Tree(t.Context())
				if err == nil && size < uint64(len(want)) {
					err = errors.New("it is not integrated yet")
				}
				return err
			})
			engines.Holds(t, next, want)
			// Unless it was closed, the engine goes on once it knows the tree.
			if strings.Contains(c.name, "dies") {
				return
			}
			eventually(t, func() error { _, _, err := e.Tree(t.Context()); return err })
			engines.Holds(t, e, want)
			more := engines.Batch(5000, 10)
			_, err = e.Add(t.Context(), more)
			check(t, err)
			eventually(t, func() error { _, _, err := e.Tree(t.Context()); return err })
			engines.Holds(t, e, append(want, more...))
		})
	}
}

// testShow checks a tile of a size between two batches that Trillian integrated at once: it can be read,
// and is stored once the tree is shown at that size.
func testShow(t *testing.T, tr *trilliantest.Trillian) {
	p := newPlace(t, tr)
	p.Patience = time.Minute
	e := p.open(t)
	tr.KillSigner(t)
	var all [][]byte
	var ends []uint64
	for _, n := range []int{10, 100, 250, 1000, 7} {
		batch := engines.Batch(len(all), n)
		_, err := e.Add(t.Context(), batch)
		check(t, err)
		all = append(all, batch...)
		ends = append(ends, uint64(len(all)))
	}
	tr.StartSigner(t)
	check(t, e.Wait(t.Context(), ends[len(ends)-1]))
	for _, size := range ends {
		var f tiles.Frontier
		_, err := f.Extend(t.Context(), e, size, nil)
		check(t, err)
		check(t, e.Show(t.Context(), size))
		check(t, e.Show(t.Context(), size))
		for _, tile := range append(tiles.Edge(size), tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}) {
			if tiles.Width(max(tile.Level, 0), tile.Index, uint64(len(all))) == tlog.TileWidth {
				tile.Width = tlog.TileWidth
			}
			want, err := e.ReadTile(t.Context(), tile)
			check(t, err)
			if got, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(tile.Path()))); err != nil || string(got) != string(want) {
				t.Errorf("%s at size %d: %v", tile.Path(), size, err)
			}
		}
	}
	engines.Holds(t, e, all)
}
