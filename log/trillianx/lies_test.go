// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/trillianx"
)

// liar is a proxy for a real log server that may change its answers.
type liar struct {
	trillian.UnimplementedTrillianLogServer
	trillian.UnimplementedTrillianAdminServer
	client trillian.TrillianLogClient
	admin  trillian.TrillianAdminClient
	addr   string
	lie    atomic.Pointer[lie]
	reads  atomic.Int64 // calls of GetLeavesByRange
}

// lie changes an answer, or makes it an error.
type lie func(answer proto.Message) error

func (l *liar) tell(f lie) { l.lie.Store(&f) }
func (l *liar) honest()    { l.lie.Store(nil) }

func newLiar(t testing.TB, tr *trilliantest.Trillian) *liar {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+tr.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	check(t, err)
	l := &liar{client: trillian.NewTrillianLogClient(conn), admin: trillian.NewTrillianAdminClient(conn)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	l.addr = listener.Addr().String()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	trillian.RegisterTrillianLogServer(server, l)
	trillian.RegisterTrillianAdminServer(server, l)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		check(t, errors.Join(<-done, conn.Close()))
	})
	return l
}

// pass passes a call on, and its answer through the lie.
func pass[Q any, A proto.Message](l *liar, ctx context.Context, q Q, call func(context.Context, Q, ...grpc.CallOption) (A, error)) (A, error) {
	a, err := call(ctx, q)
	if f := l.lie.Load(); f != nil && err == nil {
		err = (*f)(a)
	}
	return a, err
}

func (l *liar) GetTree(ctx context.Context, q *trillian.GetTreeRequest) (*trillian.Tree, error) {
	return pass(l, ctx, q, l.admin.GetTree)
}

func (l *liar) AddSequencedLeaves(ctx context.Context, q *trillian.AddSequencedLeavesRequest) (*trillian.AddSequencedLeavesResponse, error) {
	return pass(l, ctx, q, l.client.AddSequencedLeaves)
}

func (l *liar) GetLatestSignedLogRoot(ctx context.Context, q *trillian.GetLatestSignedLogRootRequest) (*trillian.GetLatestSignedLogRootResponse, error) {
	return pass(l, ctx, q, l.client.GetLatestSignedLogRoot)
}

func (l *liar) GetLeavesByRange(ctx context.Context, q *trillian.GetLeavesByRangeRequest) (*trillian.GetLeavesByRangeResponse, error) {
	l.reads.Add(1)
	return pass(l, ctx, q, l.client.GetLeavesByRange)
}

func (l *liar) GetConsistencyProof(ctx context.Context, q *trillian.GetConsistencyProofRequest) (*trillian.GetConsistencyProofResponse, error) {
	return pass(l, ctx, q, l.client.GetConsistencyProof)
}

// root is a lie about the latest root.
func rootLie(change func(*types.LogRootV1)) lie {
	return func(answer proto.Message) error {
		a, ok := answer.(*trillian.GetLatestSignedLogRootResponse)
		if !ok {
			return nil
		}
		var root types.LogRootV1
		if err := root.UnmarshalBinary(a.SignedLogRoot.LogRoot); err != nil {
			return err
		}
		change(&root)
		b, err := root.MarshalBinary()
		a.SignedLogRoot = &trillian.SignedLogRoot{LogRoot: b}
		return err
	}
}

// leafLie is a lie about leaves.
func leafLie(change func([]*trillian.LogLeaf) []*trillian.LogLeaf) lie {
	return func(answer proto.Message) error {
		if a, ok := answer.(*trillian.GetLeavesByRangeResponse); ok && len(a.Leaves) > 0 {
			a.Leaves = change(a.Leaves)
		}
		return nil
	}
}

// lies are changes of answers that the engine must detect after a tree has grown, with
// its errors: lies about the root before it writes a tile, lies about leaves when it reads
// them back.
var lies = []struct {
	name string
	lie  lie
	want error
	says string
}{
	{"another root", rootLie(func(r *types.LogRootV1) { r.RootHash[0] ^= 1 }), log.ErrTreeConflict, "the root"},
	{"no root", rootLie(func(r *types.LogRootV1) { r.RootHash, r.TreeSize = nil, 0 }), log.ErrTreeUnreadable, "0 bytes"},
	{"a smaller tree", rootLie(func(r *types.LogRootV1) { r.TreeSize = 200 }), log.ErrTreeBehind, "restored from a backup"},
	{"an empty tree", rootLie(func(r *types.LogRootV1) { e := tiles.EmptyRoot(); r.TreeSize, r.RootHash = 0, e[:] }), log.ErrTreeBehind, "Trillian's tree has 0 leaves"},
	// Larger than it can get meanwhile.
	{"a larger tree", rootLie(func(r *types.LogRootV1) { r.TreeSize += 1000 }), log.ErrTreeConflict, "lacks the leaf"},
	{"a changed leaf", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		l[len(l)-1].LeafValue[0] ^= 1
		return l
	}), log.ErrTreeConflict, "was changed"},
	{"a changed leaf and its hash", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		last := l[len(l)-1]
		last.LeafValue = []byte("another")
		h := tiles.LeafHash(last.LeafValue)
		last.MerkleLeafHash = h[:]
		return l
	}), log.ErrTreeConflict, "the leaves in Trillian"},
	{"a missing leaf", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf { return l[:len(l)-1] }), log.ErrTreeConflict, "lacks the leaf"},
	{"no leaves", leafLie(func([]*trillian.LogLeaf) []*trillian.LogLeaf { return nil }), log.ErrTreeConflict, "lacks the leaf"},
	{"another order", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		slices.Reverse(l)
		return l
	}), log.ErrTreeConflict, "returned the leaf"},
	{"another order, renumbered", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		first := l[0].LeafIndex
		slices.Reverse(l)
		for i := range l {
			l[i].LeafIndex = first + int64(i)
		}
		return l
	}), log.ErrTreeConflict, "the leaves in Trillian"},
	{"an empty leaf", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		l[0] = &trillian.LogLeaf{LeafIndex: l[0].LeafIndex}
		return l
	}), log.ErrTreeConflict, "0 bytes"},
	{"a leaf that is null", leafLie(func(l []*trillian.LogLeaf) []*trillian.LogLeaf {
		l[0] = nil
		return l
	}), nil, ""},
}

// files returns what is below a directory.
func files(t testing.TB, dir string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path] = true
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		check(t, err)
	}
	return all
}

// testLies: each lie stops the engine with a matching error, and nothing false is written.
// Without the lie, each entry is there once, in order.
func testLies(t *testing.T, tr *trilliantest.Trillian) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr, p.Patience = l.addr, 10*time.Second
	e := p.open(t)
	all := engines.Batch(0, 300)
	_, err := add(t.Context(), e, all)
	check(t, err)
	for _, c := range lies {
		t.Run(c.name, func(t *testing.T) {
			before := files(t, p.dir)
			var sent atomic.Bool // it lies once the leaves are stored
			l.tell(func(answer proto.Message) error {
				if _, ok := answer.(*trillian.AddSequencedLeavesResponse); ok || !sent.Load() {
					sent.Store(sent.Load() || ok)
					return nil
				}
				return c.lie(answer)
			})
			batch := engines.Batch(len(all), 20)
			_, err := add(t.Context(), e, batch)
			aboutRoot := strings.Contains(c.name, "root") || strings.Contains(c.name, "tree")
			if !aboutRoot {
				check(t, err) // the tiles are those of the batch
				eventually(t, func() error {
					if _, _, err = e.Tree(t.Context()); err == nil {
						return errors.New("it is believed")
					}
					return nil
				})
				if _, err := add(t.Context(), e, engines.Batch(0, 1)); err == nil {
					t.Error("an entry was added upon wrong leaves")
				}
			}
			_, _, terr := e.Tree(t.Context())
			for _, err := range []error{err, terr} {
				switch {
				case err == nil:
					t.Error("it was believed")
				case c.want != nil && (!errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says)):
					t.Errorf("it says %q; want %q and %q", err, c.want, c.says)
				}
			}
			for name := range files(t, p.dir) {
				if aboutRoot && !before[name] {
					t.Errorf("%s was written", name)
				}
			}
			l.honest()
			all = append(all, batch...)
			engines.Holds(t, e, all)
			if aboutRoot {
				l.tell(c.lie)
				if _, err := add(t.Context(), e, engines.Batch(0, 1)); !errors.Is(err, c.want) {
					t.Errorf("adding: %v", err)
				}
				l.honest()
				engines.Holds(t, e, all) // the engine did not try to store it
			}
		})
	}
	// Tiles that are lost are made of true leaves only.
	check(t, e.Close(t.Context()))
	check(t, os.RemoveAll(p.dir))
	for _, c := range lies {
		t.Run(c.name+", at the start", func(t *testing.T) {
			if c.want == log.ErrTreeBehind {
				return // which the log notices, by its recorded head
			}
			l.tell(c.lie)
			defer l.honest()
			e, err := trillianx.Open(t.Context(), p.Config)
			if err == nil {
				e.Close(t.Context())
				t.Fatal("it was believed")
			}
			if c.want != nil && (!errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("it says %q; want %q and %q", err, c.want, c.says)
			}
			if n := len(files(t, p.dir)); n != 0 {
				t.Errorf("%d files were written", n)
			}
		})
	}
	engines.Holds(t, p.open(t), all)
}

// testLongLies: a lie among many leaves stops the engine before it writes the part with
// the lie.
func testLongLies(t *testing.T, tr *trilliantest.Trillian) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	e := p.open(t)
	all := engines.Batch(0, 3000)
	for from := 0; from < len(all); from += 1000 {
		_, err := add(t.Context(), e, all[from:from+1000])
		check(t, err)
	}
	check(t, e.Close(t.Context()))
	p.Addr, p.dir = l.addr, filepath.Join(t.TempDir(), "tiles")
	p.Tiles = tileDir(t, p.dir)
	l.tell(leafLie(func(leaves []*trillian.LogLeaf) []*trillian.LogLeaf {
		for _, leaf := range leaves {
			if leaf.LeafIndex == 1500 {
				leaf.LeafValue = []byte("another")
				h := tiles.LeafHash(leaf.LeafValue)
				leaf.MerkleLeafHash = h[:]
			}
		}
		return leaves
	}))
	e, err := trillianx.Open(t.Context(), p.Config)
	if err == nil {
		e.Close(t.Context())
		t.Fatal("it was believed")
	}
	if !errors.Is(err, log.ErrTreeConflict) || !strings.Contains(err.Error(), "not those of its root") {
		t.Errorf("it says %q", err)
	}
	if n := len(files(t, p.dir)); n != 10 { // five bundles and their tiles
		t.Errorf("%d files were written; want 10", n)
	}
	l.honest()
	engines.Holds(t, p.open(t), all)
}

// testLostAnswers: answers are lost after Trillian has stored the leaves, and
// requests arrive long after they were given up. Each entry is there once.
func testLostAnswers(t *testing.T, tr *trilliantest.Trillian) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr = l.addr
	e := p.open(t)
	var all [][]byte
	var mu sync.Mutex
	lost := 0
	l.tell(func(answer proto.Message) error {
		if _, ok := answer.(*trillian.AddSequencedLeavesResponse); ok {
			mu.Lock()
			defer mu.Unlock()
			if lost++; lost%3 != 0 {
				return status.Error(codes.Unavailable, "the answer is lost")
			}
		}
		return nil
	})
	for range 5 {
		batch := engines.Batch(len(all), 30)
		first, err := add(t.Context(), e, batch)
		check(t, err)
		if first != uint64(len(all)) {
			t.Errorf("a batch is at %d; want %d", first, len(all))
		}
		all = append(all, batch...)
	}
	engines.Holds(t, e, all)
	// No answer at all: the outcome is unknown, until there is one.
	q := *p
	q.Patience = 2 * time.Second
	e = q.open(t)
	l.tell(func(answer proto.Message) error {
		if _, ok := answer.(*trillian.AddSequencedLeavesResponse); ok {
			return status.Error(codes.DeadlineExceeded, "the answer is lost")
		}
		return nil
	})
	batch := engines.Batch(len(all), 30)
	if _, err := add(t.Context(), e, batch); err == nil || !strings.Contains(err.Error(), "unknown whether") {
		t.Fatalf("without an answer: %v", err)
	}
	if _, _, err := e.Tree(t.Context()); err == nil {
		t.Error("the tree is known while the outcome is not")
	}
	l.honest()
	all = append(all, batch...)
	// The engine resolves the outcome after some calls, each with little patience.
	eventually(t, func() error {
		size, _, err := e.Tree(t.Context())
		if err == nil && size != uint64(len(all)) {
			err = fmt.Errorf("the tree has %d entries; want %d", size, len(all))
		}
		return err
	})
	engines.Holds(t, p.open(t), all)
}

// testWriters: of two writers, one gets each index, and the other gets an error.
func testWriters(t *testing.T, tr *trilliantest.Trillian) {
	p := newPlace(t, tr)
	first := p.open(t)
	second := p.open(t)
	all := engines.Batch(0, 10)
	_, err := add(t.Context(), first, all)
	check(t, err)
	for _, n := range []int{3, 10, 30} { // shorter than what is there, as long, longer
		if _, err := add(t.Context(), second, engines.Batch(1000*n, n)); !errors.Is(err, trillianx.ErrContested) {
			t.Errorf("a second writer, with %d entries: %v", n, err)
		}
		batch := engines.Batch(len(all), 10)
		_, err = add(t.Context(), first, batch)
		check(t, err)
		all = append(all, batch...)
	}
	engines.Holds(t, first, all)
	// Side by side.
	q := newPlace(t, tr)
	mine := make(map[string]uint64)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 2 {
		e := q.open(t)
		wg.Go(func() {
			for i := range 30 {
				batch := engines.Batch(100_000*w+100*i, 1+i%7)
				at, err := add(t.Context(), e, batch)
				if errors.Is(err, trillianx.ErrContested) {
					continue
				} else if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				for n, b := range batch {
					mine[string(b)] = at + uint64(n)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	e := q.open(t)
	size, _, err := e.Tree(t.Context())
	check(t, err)
	var f tiles.Frontier
	_, err = f.Extend(t.Context(), e, size, func(i uint64, entry []byte, _ tiles.Hash) error {
		if at, ok := mine[string(entry)]; ok && at == i {
			delete(mine, string(entry))
		}
		return nil
	})
	check(t, err)
	if len(mine) > 0 {
		t.Errorf("%d entries that a writer was told are its own are not where it was told, of %d in the tree", len(mine), size)
	}
}
