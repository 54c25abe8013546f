// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

const witnessName = "witness.example/w1"

// signer returns a new key.
func signer(name string, a tlog.Algorithm) *tlog.Signer { return people.New(name, "").Note(name, a) }

func bothSigners() []*tlog.Signer {
	return []*tlog.Signer{signer(witnessName, tlog.CosignatureEd25519), signer(witnessName, tlog.CosignatureMLDSA44)}
}

// testLog is a log with a real tree.
type testLog struct {
	t      testing.TB
	origin string
	keys   []*tlog.Signer
	tree   *testonly.Tree
	ext    []string
}

// newLog makes a log of n entries. Two logs with different seeds share no head.
func newLog(t testing.TB, origin, seed string, n int) *testLog {
	l := &testLog{t: t, origin: origin, tree: testonly.New(rfc6962.DefaultHasher)}
	l.keys = []*tlog.Signer{signer(origin, tlog.Ed25519)}
	for i := range n {
		l.tree.AppendData(fmt.Appendf(nil, "%s %d", seed, i))
	}
	return l
}

// fork returns a log with the same keys and other entries.
func (l *testLog) fork(seed string, n int) *testLog {
	f := newLog(l.t, l.origin, seed, n)
	f.keys = l.keys
	return f
}

func (l *testLog) head(size uint64) tlog.Head {
	return tlog.Head{Origin: l.origin, Size: size, Root: tlog.Hash(l.tree.HashAt(size)), Extension: l.ext}
}

func (l *testLog) sign(h tlog.Head) *tlog.Checkpoint {
	l.t.Helper()
	c, err := people.Cosign(h, 1, l.keys...)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *testLog) checkpoint(size uint64) *tlog.Checkpoint { return l.sign(l.head(size)) }

func (l *testLog) proof(old, size uint64) []tlog.Hash {
	l.t.Helper()
	if old == 0 {
		return nil
	}
	p, err := l.tree.ConsistencyProof(old, size)
	if err != nil {
		l.t.Fatal(err)
	}
	var hashes []tlog.Hash
	for _, h := range p {
		hashes = append(hashes, tlog.Hash(h))
	}
	return hashes
}

func (l *testLog) request(old, size uint64) []byte {
	return (&tlog.AddCheckpoint{Old: old, Proof: l.proof(old, size), Checkpoint: l.checkpoint(size)}).Bytes()
}

func (l *testLog) policy() []tlog.PolicyLog {
	var logs []tlog.PolicyLog
	for _, k := range l.keys {
		logs = append(logs, tlog.PolicyLog{Key: k.Verifier()})
	}
	return logs
}

// create makes a state and returns its configuration.
func create(t testing.TB, signers []*tlog.Signer, logs ...*testLog) witness.Config {
	t.Helper()
	c := witness.Config{Dir: t.TempDir() + "/state", Signers: signers}
	for _, l := range logs {
		c.Logs = append(c.Logs, l.policy()...)
	}
	if err := witness.Create(c.Dir, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, c witness.Config) *witness.Witness {
	t.Helper()
	w, err := witness.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// serveWitness serves w on a free port with its own server.
func serveWitness(t testing.TB, w *witness.Witness) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, l, w.Handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

func post(t testing.TB, url string, body []byte) answer {
	t.Helper()
	req, err := http.NewRequest("POST", url+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func get(t testing.TB, url string) answer {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

// verify checks that lines are exactly one valid cosignature a key on h, all of
// one time, and returns it.
func verify(t testing.TB, keys []*tlog.Signer, h tlog.Head, lines []byte) uint64 {
	t.Helper()
	sigs, err := tlog.ParseSignatureLines(lines)
	if err != nil {
		t.Fatalf("%v in %q", err, lines)
	}
	if len(sigs) != len(keys) {
		t.Fatalf("%d lines, want %d", len(sigs), len(keys))
	}
	var time uint64
	for i, k := range keys {
		got, err := k.Verifier().Verify(&h, &sigs[i])
		if err != nil {
			t.Fatal(err)
		}
		if time != 0 && got != time {
			t.Fatalf("two times, %d and %d", time, got)
		}
		time = got
	}
	return time
}
