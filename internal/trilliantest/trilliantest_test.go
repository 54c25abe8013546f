// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"google.golang.org/grpc"

	"github.com/vasistas/vasistas/log/trillianx"
)

// TestAll: leaves are integrated in the order of their indices, and all is there
// after each process was killed, and as it was after a backup was restored.
func TestAll(t *testing.T) {
	db := StartPostgres(t)
	tr := StartTrillian(t, db)
	tree, err := trillianx.NewTree(t.Context(), trillianx.Config{Addr: tr.Addr(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	add := func(from, n int) error {
		var leaves []*trillian.LogLeaf
		for i := range n {
			leaf := fmt.Sprintf("leaf %d", from+i)
			leaves = append(leaves, &trillian.LogLeaf{LeafValue: []byte(leaf), LeafIndex: int64(from + i)})
		}
		return tr.call(func(ctx context.Context, conn *grpc.ClientConn) error {
			resp, err := trillian.NewTrillianLogClient(conn).AddSequencedLeaves(ctx, &trillian.AddSequencedLeavesRequest{LogId: tree, Leaves: leaves})
			if err != nil {
				return err
			}
			for _, r := range resp.Results {
				if r.Status.GetCode() != 0 {
					return fmt.Errorf("%v", r.Status)
				}
			}
			return nil
		})
	}
	size := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("size %d", want), func() error {
			return tr.call(func(ctx context.Context, conn *grpc.ClientConn) error {
				resp, err := trillian.NewTrillianLogClient(conn).GetLatestSignedLogRoot(ctx, &trillian.GetLatestSignedLogRootRequest{LogId: tree})
				if err != nil {
					return err
				}
				var root types.LogRootV1
				if err := root.UnmarshalBinary(resp.SignedLogRoot.LogRoot); err != nil {
					return fatalError{err}
				}
				if root.TreeSize != uint64(want) {
					return fmt.Errorf("the tree has %d leaves", root.TreeSize)
				}
				return nil
			})
		})
	}
	grow := func(from, n int) {
		t.Helper()
		eventually(t, "adding leaves", func() error { return add(from, n) })
		size(from + n)
	}
	grow(0, 10)
	tr.KillSigner(t)
	eventually(t, "adding leaves", func() error { return add(10, 10) })
	tr.StartSigner(t)
	size(20)
	tr.KillServer(t)
	if err := add(20, 1); err == nil {
		t.Error("a killed server answers")
	}
	tr.StartServer(t)
	backup := db.Backup(t)
	grow(20, 10)
	db.Kill(t)
	db.Start(t)
	grow(30, 10)
	db.Restore(t, backup)
	size(20)
	if out := db.PSQL(t, tr.DSN(), "SHOW fsync"); strings.TrimSpace(out) != "on" {
		t.Errorf("fsync is %s", out)
	}
}
