// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestRenew checks that a case gets proofs under the audited head once it contains the
// access, and under the latest one if the log has no auditors.
func TestRenew(t *testing.T) {
	e := newEscrowed(t, event.KEMX25519)
	if err := e.c.Check(); err != nil {
		t.Fatal(err)
	}
	old := slices.Clone(e.c.Access)
	vouch := func() []byte {
		cp := e.w.Publish("w1", "w2", "w3")
		sig, err := e.w.Witness("a1").Sign(&cp.Head, uint64(e.w.Now))
		if err != nil {
			t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, sig)
		return cp.Bytes()
	}
	var audited atomic.Pointer[[]byte]
	var asked atomic.Int32
	files := http.FileServer(http.Dir(e.w.Dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch b := audited.Load(); {
		case r.URL.Path != "/audit/checkpoint":
			files.ServeHTTP(w, r)
		case b != nil:
			asked.Add(1)
			w.Write(*b)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer s.Close()
	cl, err := client.New(client.Config{URL: s.URL, Policy: e.w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	if err != nil {
		t.Fatal(err)
	}
	e.w.Now += 60
	e.w.Append([]byte("more"))
	later := vouch()
	if err := e.c.Renew(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	size := func(proof []byte) uint64 {
		p, err := tlog.ParseProof(proof)
		if err != nil {
			t.Fatal(err)
		}
		return p.Checkpoint.Size
	}
	if bytes.Equal(e.c.Access, old) || size(e.c.Access) != e.w.Size() || size(e.c.Warrant) != e.w.Size() {
		t.Errorf("without auditors: a proof under size %d of %d", size(e.c.Access), e.w.Size())
	}
	// The audited head is a later one, and is the one of the proofs.
	e.w.Append([]byte("still more"))
	e.w.Publish("w1", "w2", "w3")
	audited.Store(&later)
	if err := e.c.Renew(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	p, err := tlog.ParseProof(e.c.Access)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Checkpoint.Bytes(), later) || size(e.c.Warrant) != p.Checkpoint.Size {
		t.Errorf("the proof is not under the audited head, but under\n%s", p.Checkpoint.Bytes())
	}
	if err := e.c.Check(); err != nil {
		t.Fatal(err)
	}
	// A head without the access: Renew waits, and says why.
	early, err := e.w.People.Checkpoint(tlog.Head{Origin: e.w.Origin, Size: 1, Root: tlog.Hash(e.w.Charter.Leaf)}, uint64(e.w.Now), "w1", "w2", "w3")
	if err != nil {
		t.Fatal(err)
	}
	b := early.Bytes()
	audited.Store(&b)
	asked.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	before := slices.Clone(e.c.Access)
	go func() { done <- e.c.Renew(ctx, cl) }()
	for asked.Load() < 2 {
		select {
		case err := <-done:
			t.Fatalf("Renew does not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	want := fmt.Sprintf("its latest one has 1 entries, and the access is entry %d", p.Index)
	if err := <-done; err == nil || !strings.Contains(err.Error(), want) || !bytes.Equal(e.c.Access, before) {
		t.Errorf("under an early head: %v", err)
	}
}
