// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestFork: a log that shows its auditor other entries than before gets no cosignature, even if its
// witnesses have signed both, and the auditor keeps evidence that convinces a third party.
func TestFork(t *testing.T) {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	w.Live(300)
	w.Publish("w1", "w2", "w3")
	var dir atomic.Pointer[string]
	var named atomic.Pointer[[]byte]
	log := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/audit/round":
			rw.Write(*named.Load())
		default:
			http.FileServer(http.Dir(*dir.Load())).ServeHTTP(rw, r)
		}
	}))
	defer log.Close()
	show := func(l *written.Log) *tlog.Checkpoint {
		cp := l.Checkpoint("w1", "w2", "w3")
		b := round.New(cp, time.Now(), []round.Answer{}).Bytes()
		named.Store(&b)
		dir.Store(&l.Dir)
		return cp
	}
	cp := show(w)
	first, err := os.ReadFile(filepath.Join(w.Dir, "tile/entries/000"))
	check(t, err)
	list, err := tlog.ParseBundle(first, tlog.TileWidth)
	check(t, err)
	key := w.Witness("a1")
	c := auditor.Config{Dir: filepath.Join(t.TempDir(), "state"), URL: log.URL, Origin: cp.Origin, LogKeys: []*tlog.VerifierKey{w.Log().Verifier()},
		Founded: tiles.LeafHash(list[0]), Name: "a1", Signers: []*tlog.Signer{key}, Poll: 20 * time.Millisecond}
	check(t, auditor.Create(c))
	a, err := auditor.Open(c)
	check(t, err)
	defer func() { check(t, a.Close()) }()
	a.Start()
	server := httptest.NewServer(auditor.Handler(a))
	defer server.Close()
	ask := func(cp *tlog.Checkpoint) (int, string) {
		body := (&tlog.AddCheckpoint{Checkpoint: cp}).Bytes()
		resp, err := http.Post(server.URL+"/add-checkpoint", "text/plain", bytes.NewReader(body))
		check(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		check(t, err)
		return resp.StatusCode, string(b)
	}
	eventually(t, func() error {
		if n := a.Status().Applied; n != cp.Size {
			return fmt.Errorf("%d of %d", n, cp.Size)
		}
		return nil
	})

	// The head is the log's, but its time is that of the written log: nothing else keeps the
	// auditor from cosigning.
	if status, text := ask(cp); status != http.StatusServiceUnavailable || !strings.Contains(text, ":stale") && !strings.Contains(text, ":clock") {
		t.Fatalf("%d %s", status, text)
	}
	other := w.Fork(t.TempDir())
	other.Append([]byte("another story"))
	other.Publish("w1", "w2", "w3")
	w.Append([]byte("the story"))
	w.Append([]byte("and more"))
	w.Publish("w1", "w2", "w3")
	longer := show(w)
	eventually(t, func() error {
		if n := a.Status().Applied; n != longer.Size {
			return fmt.Errorf("%d of %d", n, longer.Size)
		}
		return nil
	})
	for range 3 {
		other.Append([]byte("and so on"))
	}
	other.Publish("w1", "w2", "w3")
	forked := show(other)
	if status, text := ask(forked); status != http.StatusUnprocessableEntity || !strings.Contains(text, "forked") {
		t.Errorf("%d %s", status, text)
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "evidence", "fork-*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("evidence: %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	check(t, err)
	fork, err := tlog.ParseFork(b)
	check(t, err)
	check(t, verify.Fork(w.ParsePolicy(3, "w1", "w2", "w3", "w4"), fork, ""))
	// The branch that it has followed goes on.
	show(w)
	eventually(t, func() error {
		if s := a.Status(); strings.Contains(s.Declines, "forked") {
			return errors.New(s.Declines)
		}
		return nil
	})
}

// TestFullDisk: while nothing can be written the auditor says so and signs nothing; then it goes on
// without a restart.
func TestFullDisk(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	in := new(durabletest.Injector)
	in.Inject(t, a.Config.Dir)
	in.FailFrom(0, syscall.ENOSPC)
	for range 3 {
		if _, err := w.ask(a, cp).declined("storage"); err != nil {
			t.Error(err)
		}
	}
	if s := a.Running.Status(); s.Size != 0 || s.Cosigned != nil {
		t.Errorf("the status is %+v", s)
	}
	in.FailAt(1<<30, nil)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
}
