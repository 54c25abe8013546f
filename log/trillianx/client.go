// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxMessage bounds an answer. A bundle of the longest entries that a log admits has
// 12 MiB.
const maxMessage = 16 << 20

// dial prepares connections to the log servers without connecting.
func dial(cfg Config) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS)
	}
	var state resolver.State
	for _, addr := range strings.Split(cfg.Addr, ",") {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: strings.TrimSpace(addr)}}})
	}
	r := manual.NewBuilderWithScheme("trillian")
	r.InitialState(state)
	slow := backoff.DefaultConfig
	slow.BaseDelay, slow.MaxDelay = 50*time.Millisecond, time.Second
	host, _, _ := strings.Cut(strings.TrimSpace(strings.Split(cfg.Addr, ",")[0]), ":")
	return grpc.NewClient("trillian:///"+host, grpc.WithResolvers(r), grpc.WithTransportCredentials(creds),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: slow, MinConnectTimeout: cfg.Timeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
}

// serviceConfig retries reads: after a restart of its database, Trillian answers
// UNKNOWN once for each of its old connections. It doesn't retry writes, whose outcome
// resolve determines.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [
			{"service": "trillian.TrillianLog", "method": "GetLatestSignedLogRoot"},
			{"service": "trillian.TrillianLog", "method": "GetConsistencyProof"},
			{"service": "trillian.TrillianLog", "method": "GetLeavesByRange"},
			{"service": "trillian.TrillianAdmin", "method": "GetTree"}
		],
		"retryPolicy": {
			"maxAttempts": 5, "initialBackoff": "0.02s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE", "UNKNOWN"]
		}
	}]
}`

// newTree makes and initializes a tree.
func newTree(ctx context.Context, cfg Config, conn *grpc.ClientConn) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	tree, err := trillian.NewTrillianAdminClient(conn).CreateTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState:       trillian.TreeState_ACTIVE,
		TreeType:        trillian.TreeType_PREORDERED_LOG,
		DisplayName:     "vasistas",
		MaxRootDuration: durationpb.New(0), // no new root without new leaves
	}})
	if err != nil {
		return 0, err
	}
	if _, err := trillian.NewTrillianLogClient(conn).InitLog(ctx, &trillian.InitLogRequest{LogId: tree.TreeId}); err != nil {
		return 0, fmt.Errorf("initializing the tree %d: %w", tree.TreeId, err)
	}
	return tree.TreeId, nil
}

// checkTree refuses a tree that this engine can't use.
func (e *Engine) checkTree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	tree, err := trillian.NewTrillianAdminClient(e.conn).GetTree(ctx, &trillian.GetTreeRequest{TreeId: e.cfg.Tree})
	switch {
	case status.Code(err) == codes.NotFound:
		return fmt.Errorf("%w (%w)", ErrMissing, err)
	case err != nil:
		return unreadable(err)
	case tree.TreeId != e.cfg.Tree:
		return fmt.Errorf("%w (Trillian returned the tree %d)", log.ErrTreeConflict, tree.TreeId)
	case tree.TreeType != trillian.TreeType_PREORDERED_LOG:
		return fmt.Errorf("the tree is of type %v, and a log needs %v", tree.TreeType, trillian.TreeType_PREORDERED_LOG)
	case tree.Deleted:
		return fmt.Errorf("%w (the tree is marked as deleted)", ErrMissing)
	case tree.TreeState != trillian.TreeState_ACTIVE:
		e.cfg.Logger.Warn("the tree in Trillian takes no new leaves", "tree", e.cfg.Tree, "state", tree.TreeState.String())
	}
	return nil
}

// unreadable wraps an error of Trillian in log.ErrTreeUnreadable.
func unreadable(err error) error {
	return fmt.Errorf("%w; check that Trillian's log server and its database run (%w)", log.ErrTreeUnreadable, err)
}

// head is the tree head that Trillian states.
type head struct {
	size uint64
	root tiles.Hash
}

// head asks for the latest root.
func (e *Engine) head(ctx context.Context) (head, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	resp, err := e.client.GetLatestSignedLogRoot(ctx, &trillian.GetLatestSignedLogRootRequest{LogId: e.cfg.Tree})
	if status.Code(err) == codes.NotFound {
		return head{}, fmt.Errorf("%w (%w)", ErrMissing, err)
	} else if err != nil {
		return head{}, unreadable(err)
	}
	var root types.LogRootV1
	if err := root.UnmarshalBinary(resp.GetSignedLogRoot().GetLogRoot()); err != nil {
		return head{}, unreadable(fmt.Errorf("the root of the tree: %w", err))
	}
	// After an error of its database, Trillian returns a root without a hash.
	if len(root.RootHash) != sha256.Size {
		return head{}, unreadable(fmt.Errorf("the root of the tree has %d bytes", len(root.RootHash)))
	}
	return head{root.TreeSize, tiles.Hash(root.RootHash)}, nil
}

// consistent checks that the tree of h extends the computed tree of size and root.
func (e *Engine) consistent(ctx context.Context, size uint64, root tiles.Hash, h head) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	resp, err := e.client.GetConsistencyProof(ctx, &trillian.GetConsistencyProofRequest{
		LogId: e.cfg.Tree, FirstTreeSize: int64(size), SecondTreeSize: int64(h.size),
	})
	if err != nil {
		return unreadable(err)
	}
	var hashes []tiles.Hash
	for _, b := range resp.GetProof().GetHashes() {
		if len(b) != sha256.Size {
			return fmt.Errorf("%w (a consistency proof of Trillian's has a hash of %d bytes)", log.ErrTreeConflict, len(b))
		}
		hashes = append(hashes, tiles.Hash(b))
	}
	if err := tiles.VerifyConsistency(size, root, h.size, h.root, hashes); err != nil {
		return fmt.Errorf("%w (the leaves in Trillian's tree are not those of its root: %w)", log.ErrTreeConflict, err)
	}
	return nil
}

// leaf is a leaf of Trillian's tree, with the mark of its writer.
type leaf struct {
	value    []byte
	hash     tiles.Hash
	identity [sha256.Size]byte
}

// leaves reads and hashes exactly n leaves from an index on.
func (e *Engine) leaves(ctx context.Context, from uint64, n int) ([]leaf, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	resp, err := e.client.GetLeavesByRange(ctx, &trillian.GetLeavesByRangeRequest{LogId: e.cfg.Tree, StartIndex: int64(from), Count: int64(n)})
	if err != nil {
		return nil, unreadable(fmt.Errorf("reading the leaves from %d on: %w", from, err))
	}
	if len(resp.Leaves) < n {
		return nil, fmt.Errorf("%w (Trillian's tree lacks the leaf %d)", log.ErrTreeConflict, from+uint64(len(resp.Leaves)))
	}
	out := make([]leaf, n)
	for i, l := range resp.Leaves[:n] {
		at := from + uint64(i)
		out[i] = leaf{value: l.GetLeafValue(), hash: tiles.LeafHash(l.GetLeafValue())}
		copy(out[i].identity[:], l.GetLeafIdentityHash())
		switch {
		case l.GetLeafIndex() != int64(at):
			return nil, fmt.Errorf("%w (Trillian returned the leaf %d for the leaf %d)", log.ErrTreeConflict, l.GetLeafIndex(), at)
		case len(l.GetLeafValue()) == 0 || len(l.GetLeafValue()) > tlog.MaxEntrySize:
			return nil, fmt.Errorf("%w (the leaf %d in Trillian has %d bytes)", log.ErrTreeConflict, at, len(l.GetLeafValue()))
		case !bytes.Equal(l.GetMerkleLeafHash(), out[i].hash[:]):
			return nil, fmt.Errorf("%w (the leaf %d in Trillian was changed: its hash is not the one that Trillian states)", log.ErrTreeConflict, at)
		}
	}
	return out, nil
}

// refusal is an answer by which Trillian has stored none of the leaves.
type refusal struct{ err error }

func (r *refusal) Error() string { return "Trillian refuses: " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// send sends one request to add leaves from an index on. taken reports whether
// Trillian stored all of them; if not, one of the indices already had a leaf. After an
// error other than a refusal the outcome is unknown.
func (e *Engine) send(ctx context.Context, first uint64, leaves []leaf) (taken bool, err error) {
	req := &trillian.AddSequencedLeavesRequest{LogId: e.cfg.Tree}
	for i, l := range leaves {
		req.Leaves = append(req.Leaves, &trillian.LogLeaf{LeafValue: l.value, LeafIndex: int64(first) + int64(i), LeafIdentityHash: l.identity[:]})
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	resp, err := e.client.AddSequencedLeaves(ctx, req)
	switch status.Code(err) {
	case codes.OK:
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.FailedPrecondition:
		return false, &refusal{err}
	default:
		return false, err
	}
	if len(resp.Results) != len(leaves) {
		return false, fmt.Errorf("the answer of Trillian is about %d leaves of %d", len(resp.Results), len(leaves))
	}
	for _, r := range resp.Results {
		switch codes.Code(r.GetStatus().GetCode()) {
		case codes.OK:
		case codes.FailedPrecondition:
			return false, nil
		default:
			return false, errors.New(r.GetStatus().GetMessage())
		}
	}
	return true, nil
}
