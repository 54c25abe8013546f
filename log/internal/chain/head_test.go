// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

const origin = "log.example"

// store fails the next write of the head, before or after it is done.
type store struct {
	state.Store
	before, after error
}

func (s *store) SwapHead(ctx context.Context, old, next []byte) error {
	if err := s.before; err != nil {
		s.before = nil
		return err
	}
	err := errors.Join(s.Store.SwapHead(ctx, old, next), s.after)
	s.after = nil
	return err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKeys(t testing.TB) (keys []*tlog.Signer, named []string) {
	t.Helper()
	for _, a := range []tlog.Algorithm{tlog.Ed25519, tlog.CosignatureMLDSA44} {
		k, err := tlog.GenerateSigner(origin, a)
		check(t, err)
		keys, named = append(keys, k), append(named, k.Verifier().String())
	}
	return keys, named
}

// newStore creates the state of a log with a head of size 1.
func newStore(t testing.TB, keys []*tlog.Signer) *store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	first, err := chain.Sign(keys, tlog.Head{Origin: origin, Size: 1, Root: [32]byte{1}}, 1000)
	check(t, err)
	begun, err := state.NewDir(dir).Begin(t.Context())
	check(t, err)
	check(t, state.NewDir(dir).Create(t.Context(), state.Settings{Origin: origin, Charter: tlog.Hash{1}}, first.Bytes()))
	check(t, begun.Close())
	d, err := state.OpenDir(dir)
	check(t, err)
	t.Cleanup(func() { check(t, d.Close()) })
	return &store{Store: d}
}

// TestHead checks that heads only grow, that a write of unknown outcome is read again,
// and that a record which another process changed stops signing.
func TestHead(t *testing.T) {
	keys, named := newKeys(t)
	s := newStore(t, keys)
	r := chain.Record{Store: s}
	h, err := chain.LoadHead(t.Context(), r, keys, false)
	check(t, err)
	advance := func(size uint64, unix int64) error {
		return h.Advance(t.Context(), chain.Edge{Size: size, Root: [32]byte{byte(size)}}, named, time.Unix(unix, 0))
	}
	recorded := func(size, at uint64) {
		t.Helper()
		cp, got, err := r.Head(t.Context(), chain.Verifiers(keys))
		check(t, err)
		if cp.Size != size || got != at || cp.Root != [32]byte{byte(size)} {
			t.Fatalf("recorded: size %d, time %d; want %d, %d", cp.Size, got, size, at)
		}
	}
	check(t, advance(5, 2000))
	recorded(5, 2000)
	check(t, advance(4, 3000))
	recorded(5, 2000)
	check(t, advance(6, 1500)) // a clock that went back
	recorded(6, 2000)
	broken := errors.New("broken")
	for _, done := range []bool{false, true} {
		size := h.Signed().Size + 2
		if s.before = broken; done {
			s.before, s.after = nil, broken
		}
		if err := advance(size, 2000); !errors.Is(err, chain.ErrState) || !errors.Is(err, broken) {
			t.Fatalf("a failed write: %v", err)
		}
		check(t, advance(size+1, 2000))
		recorded(size+1, 2000)
	}
	if err := h.Advance(t.Context(), chain.Edge{Size: 100}, []string{"another key"}, time.Unix(2000, 0)); !errors.Is(err, chain.ErrState) {
		t.Fatalf("none of the keys is named: %v", err)
	}
	other, err := chain.Sign(keys, tlog.Head{Origin: origin, Size: 50, Root: [32]byte{50}}, 2000)
	check(t, err)
	s.before = broken
	if err := advance(20, 2000); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	check(t, s.RestoreHead(t.Context(), other.Bytes()))
	if err := advance(21, 2000); !errors.Is(err, state.ErrChanged) {
		t.Fatalf("a record that another process changed: %v", err)
	}
	recorded(50, 2000)
}

// TestResign checks that other keys sign the recorded head, and nothing else.
func TestResign(t *testing.T) {
	keys, _ := newKeys(t)
	fresh, named := newKeys(t)
	r := chain.Record{Store: newStore(t, keys)}
	if _, err := chain.LoadHead(t.Context(), r, fresh, false); !errors.Is(err, chain.ErrOtherKeys) {
		t.Fatalf("a head by other keys: %v", err)
	}
	h, err := chain.LoadHead(t.Context(), r, fresh, true)
	check(t, err)
	if err := h.SignedBy(t.Context(), named); !errors.Is(err, chain.ErrOtherKeys) {
		t.Fatalf("signed by the fresh keys: %v", err)
	}
	check(t, h.SignedBy(t.Context(), []string{named[0], keys[0].Verifier().String()}))
	was := h.Signed().Head
	check(t, h.Resign(t.Context(), fresh, time.Unix(2000, 0)))
	cp, _, err := r.Head(t.Context(), chain.Verifiers(fresh))
	check(t, err)
	if cp.Size != was.Size || cp.Root != was.Root {
		t.Errorf("another head was signed: %+v", cp.Head)
	}
}
