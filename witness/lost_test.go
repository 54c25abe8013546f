// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// publisher serves what a log publishes.
type publisher struct {
	url  string
	body atomic.Pointer[[]byte]
}

func publish(t *testing.T) *publisher {
	p := &publisher{}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if b := p.body.Load(); b != nil && r.URL.Path == "/prefix/checkpoint" {
			rw.Write(*b)
			return
		}
		http.NotFound(rw, r)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL + "/prefix/"
	return p
}

func (p *publisher) set(c *tlog.Checkpoint, lines ...[]byte) {
	b := c.Bytes()
	for _, l := range lines {
		b = append(b, l...)
	}
	p.body.Store(&b)
}

func withURL(logs []tlog.PolicyLog, url string) []tlog.PolicyLog {
	logs = slices.Clone(logs)
	for i := range logs {
		logs[i].URL = url
	}
	return logs
}

func copyState(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir() + "/copy"
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestLostState restores a backup, and puts an empty state in the place of one,
// while the log publishes our cosignature beyond it.
func TestLostState(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	p := publish(t)
	c := create(t, bothSigners(), l)
	c.Logs = withURL(c.Logs, p.url)
	c.RequireLogCheck = true
	p.set(l.checkpoint(3))
	w := open(t, c)
	if _, err := w.AddCheckpoint(t.Context(), l.request(0, 5)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	backup := c
	backup.Dir = copyState(t, c.Dir)
	w = open(t, c)
	lines, err := w.AddCheckpoint(t.Context(), l.request(5, 9))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	empty := create(t, c.Signers, l)
	empty.Logs = c.Logs

	p.set(l.checkpoint(9))
	open(t, backup).Close() // not ours yet, so it says nothing
	p.set(l.checkpoint(9), lines)
	open(t, c).Close()
	for name, config := range map[string]witness.Config{"a backup": backup, "an empty state": empty} {
		lost := (*witness.LostStateError)(nil)
		if _, err := witness.Open(t.Context(), config); !errors.As(err, &lost) || !strings.Contains(err.Error(), "resume-lost --name "+witnessName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One of our two lines is enough, and no line of the log's is needed.
	sigs, _ := tlog.ParseSignatureLines(lines)
	p.set(&tlog.Checkpoint{Head: l.head(9), Signatures: sigs[1:]})
	if _, err := witness.Open(t.Context(), backup); !errors.As(err, new(*witness.LostStateError)) {
		t.Errorf("our ML-DSA-44 line alone: %v", err)
	}
	// A line that is not ours to have made, is not.
	sigs[0].Bytes[20] ^= 1
	p.set(l.checkpoint(9), tlog.SignatureLines(sigs[:1]))
	open(t, backup).Close()

	// The same size with another root hash, which we cosigned.
	other := l.fork("b", 20)
	h := other.head(5)
	s, err := c.Signers[0].Sign(&h, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.set(other.checkpoint(5), tlog.SignatureLines([]tlog.Signature{s}))
	if _, err := witness.Open(t.Context(), backup); !errors.As(err, new(*witness.LostStateError)) {
		t.Errorf("another root hash: %v", err)
	}
	if files, _ := filepath.Glob(backup.Dir + "/evidence/*/fork-*.json"); len(files) != 1 {
		t.Errorf("a published fork left the evidence %v", files)
	}
	// The same head at a later time than the state knows.
	h = l.head(5)
	if s, err = c.Signers[0].Sign(&h, 1<<40); err != nil {
		t.Fatal(err)
	}
	p.set(l.checkpoint(5), tlog.SignatureLines([]tlog.Signature{s}))
	if _, err := witness.Open(t.Context(), backup); !errors.As(err, new(*witness.LostStateError)) {
		t.Errorf("a later time: %v", err)
	}
}

func TestLogUnreachable(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	stranger := newLog(t, "log.example/b", "b", 20)
	impostor := newLog(t, l.origin, "a", 20)
	p := publish(t)
	c := create(t, bothSigners()[:1], l)
	c.Logs = withURL(c.Logs, p.url)
	strict := c
	strict.RequireLogCheck = true
	check := func(what string) {
		t.Helper()
		open(t, c).Close()
		if w, err := witness.Open(t.Context(), strict); err == nil {
			w.Close()
			t.Errorf("%s: it opened with RequireLogCheck", what)
		}
	}
	check("404")
	p.set(stranger.checkpoint(5))
	check("another log")
	p.set(impostor.checkpoint(5))
	check("another key")
	huge := make([]byte, tlog.MaxCheckpointSize+1)
	p.body.Store(&huge)
	check("too large")
	p.set(l.checkpoint(5))
	open(t, strict).Close()
	moved := httptest.NewServer(http.RedirectHandler(p.url+"checkpoint", http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	strict.Logs = withURL(c.Logs, moved.URL)
	check("a redirection")
}

func TestReload(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 20), newLog(t, "log.example/b", "b", 20)
	c := create(t, bothSigners()[:1], a)
	w := open(t, c)
	try := func(l *testLog, old, size uint64, want error) []byte {
		t.Helper()
		lines, err := w.AddCheckpoint(t.Context(), l.request(old, size))
		if !errors.Is(err, want) {
			t.Fatalf("%s from %d to %d: %v, want %v", l.origin, old, size, err, want)
		}
		return lines
	}
	set := func(logs ...tlog.PolicyLog) {
		t.Helper()
		if err := w.SetLogs(t.Context(), logs); err != nil {
			t.Fatal(err)
		}
	}
	try(a, 0, 5, nil)
	try(b, 0, 5, witness.ErrUnknownLog)
	set(b.policy()[0])
	try(a, 5, 6, witness.ErrUnknownLog)
	lines := try(b, 0, 5, nil)
	if rec := handle(w, "GET", monitorURL("", a.origin), nil); rec.Code != 200 {
		t.Errorf("a log that was left out: %d", rec.Code)
	}
	// It goes on from where it was, with another key too.
	a.keys = []*tlog.Signer{signer(a.origin, tlog.Ed25519)}
	set(a.policy()[0], b.policy()[0])
	if _, err := w.AddCheckpoint(t.Context(), a.request(0, 6)); !errors.As(err, new(*witness.ConflictError)) {
		t.Fatal(err)
	}
	try(a, 5, 6, nil)

	bad := [][]tlog.PolicyLog{
		{a.policy()[0], a.policy()[0]},
		{{Key: c.Signers[0].Verifier()}},
	}
	for _, logs := range bad {
		if err := w.SetLogs(t.Context(), logs); err == nil {
			t.Error("SetLogs took logs that Open refuses")
		}
	}
	try(a, 6, 7, nil)

	// A log that comes new is asked first.
	p := publish(t)
	p.set(b.checkpoint(5), lines)
	fresh := create(t, c.Signers, a)
	w.Close()
	w = open(t, fresh)
	err := w.SetLogs(t.Context(), append(a.policy(), withURL(b.policy(), p.url)...))
	if !errors.As(err, new(*witness.LostStateError)) {
		t.Error(err)
	}
	try(b, 0, 5, witness.ErrUnknownLog)
}

func TestResumeLost(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 20), newLog(t, "log.example/b", "b", 20)
	pa, pb := publish(t), publish(t)
	c := create(t, bothSigners(), a, b)
	c.Logs = append(withURL(a.policy(), pa.url), withURL(b.policy(), pb.url)...)
	w := open(t, c)
	lines, err := w.AddCheckpoint(t.Context(), a.request(0, 9))
	if err != nil {
		t.Fatal(err)
	}
	made := verify(t, c.Signers, a.head(9), lines)
	w.Close()
	pa.set(a.checkpoint(9), lines)

	c.Dir = t.TempDir() + "/lost"
	resume := func(name string, skip ...string) ([]witness.Resumed, error) {
		return witness.ResumeLost(t.Context(), c, name, skip)
	}
	if _, err := resume("witness.example"); !errors.Is(err, witness.ErrWrongName) {
		t.Error(err)
	}
	if _, err := os.Stat(c.Dir); err == nil {
		t.Error("it made a state for a wrong name")
	}
	if _, err := resume(witnessName); err == nil || !strings.Contains(err.Error(), b.origin) {
		t.Errorf("a log that can't be asked: %v", err)
	}
	if _, err := witness.Open(t.Context(), c); !errors.As(err, new(*witness.LostStateError)) {
		t.Errorf("nothing was resumed, and Open says %v", err)
	}
	pb.set(b.checkpoint(4)) // cosigned by others alone
	done, err := resume(witnessName)
	want := []witness.Resumed{{Origin: a.origin, To: 9, Cosigned: true}, {Origin: b.origin, To: 4}}
	if err != nil || !slices.Equal(done, want) {
		t.Fatalf("%v, %v, want %v", done, err, want)
	}
	w = open(t, c)
	m := handle(w, "GET", monitorURL("", a.origin), nil).Body.Bytes()
	head := a.checkpoint(9).Bytes()
	if got := verify(t, c.Signers, a.head(9), m[len(head):]); got != made {
		t.Errorf("it claims the time %d, and the claim that was made says %d", got, made)
	}
	if rec := handle(w, "GET", monitorURL("", b.origin), nil); rec.Code != 404 {
		t.Errorf("a head that we never cosigned is served: %d", rec.Code)
	}
	for _, l := range []*testLog{a, b} {
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 10)); !errors.As(err, new(*witness.ConflictError)) {
			t.Errorf("%s: %v", l.origin, err)
		}
	}
	if _, err := w.AddCheckpoint(t.Context(), b.request(4, 10)); err != nil {
		t.Error(err)
	}
	w.Close()

	// It never goes back, and never takes a fork.
	pb.set(b.checkpoint(5))
	if done, err := resume(witnessName); err != nil || done[1].To != 10 || done[1].From != 10 {
		t.Errorf("%v, %v", done, err)
	}
	pb.set(b.fork("x", 20).checkpoint(10))
	if _, err := resume(witnessName); err == nil {
		t.Error("it resumed at a fork")
	}
	if _, err := resume(witnessName, b.origin); err != nil {
		t.Errorf("with the fork skipped: %v", err)
	}
	if _, err := resume(witnessName, "log.example/c"); !errors.Is(err, witness.ErrUnknownLog) {
		t.Error(err)
	}
	open(t, c)
	if _, err := resume(witnessName); err == nil {
		t.Error("it resumed a state that is in use")
	}
}
