// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/vasistas/vasistas/log/tlog"
)

// TestTessera lets a stranger's log, built with Tessera, collect cosignatures
// from two of our witnesses before it publishes.
func TestTessera(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := newLog(t, "log.example/tessera", "", 0)
	logSigner, err := note.NewSigner(l.keys[0].Secret())
	if err != nil {
		t.Fatal(err)
	}
	var keys []*tlog.Signer
	var group []tessera.Witness
	for _, name := range []string{"witness.example/w1", "witness.example/w2"} {
		k := signer(name, tlog.CosignatureEd25519)
		keys = append(keys, k)
		// The second line, of a type that Tessera does not know, must not hurt.
		c := create(t, []*tlog.Signer{signer(name, tlog.CosignatureMLDSA44), k}, l)
		u, err := url.Parse(serveWitness(t, open(t, c)))
		if err != nil {
			t.Fatal(err)
		}
		w, err := tessera.NewWitness(k.Verifier().String(), u)
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, w)
	}
	driver, err := posix.New(ctx, posix.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(logSigner).
		WithCheckpointInterval(100*time.Millisecond).
		WithBatching(8, 10*time.Millisecond).
		WithWitnesses(tessera.NewWitnessGroup(2, group[0], group[1]), &tessera.WitnessOptions{Timeout: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 20*time.Millisecond)
	var size uint64
	for range 5 { // each round is a head that extends the one before
		_, raw, err := await.Await(ctx, appender.Add(ctx, tessera.NewEntry(time.Now().AppendFormat(nil, time.RFC3339Nano))))
		if err != nil {
			t.Fatal(err)
		}
		cp, err := tlog.ParseCheckpoint(raw)
		if err != nil {
			t.Fatal(err)
		}
		if cp.Size <= size {
			t.Errorf("size %d after %d", cp.Size, size)
		}
		size = cp.Size
		for _, k := range keys {
			s := cp.Find(k.Verifier())
			if s == nil {
				t.Fatalf("%s did not cosign size %d: %s", k.Verifier().Name, size, raw)
			}
			if _, err := k.Verifier().Verify(&cp.Head, s); err != nil {
				t.Error(err)
			}
		}
	}
	if err := shutdown(ctx); err != nil {
		t.Error(err)
	}
}
