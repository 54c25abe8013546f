// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// other is another log, written by hand, that names its head.
type other struct {
	*written.Log
	t       testing.TB
	url     string
	founded tlog.Hash
	named   atomic.Pointer[[]byte] // its round
	front   atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
	asked   atomic.Int32
}

// newOther serves a log of an origin, with a charter whose auditor a1 has the key Witness("a1").
func newOther(t testing.TB, origin string, now int64) *other {
	l := &other{t: t, Log: written.Empty(t.TempDir(), people.New(origin, ""))}
	t.Cleanup(func() { l.Report(t.Error) })
	l.Now = now
	l.Charter = l.LogEvent(l.Event(l.People.Charter(nil)), "f1", "f2")
	l.founded = l.Charter.Leaf
	l.publish()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		if f := l.front.Load(); f != nil {
			(*f)(w, r, http.HandlerFunc(l.honest))
			return
		}
		l.honest(w, r)
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *other) honest(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/audit/round" {
		w.Write(*l.named.Load())
		return
	}
	http.FileServer(http.Dir(l.Dir)).ServeHTTP(w, r)
}

func named(cp *tlog.Checkpoint) []byte { return round.New(cp, time.Now(), []round.Answer{}).Bytes() }

func (l *other) publish() *tlog.Checkpoint {
	cp := l.Publish("w1", "w2", "w3")
	b := named(cp)
	l.named.Store(&b)
	return cp
}

func (l *other) policy() *tlog.Policy { return l.ParsePolicy(3, "w1", "w2", "w3", "w4") }

// patience is how long a monitor waits for an answer: more than an honest one takes on a busy machine.
const patience = 3 * time.Second

func (l *other) sources() []mirror.Source {
	c, err := client.New(client.Config{URL: l.url, Timeout: patience, Retries: -1, UserAgent: "vasistas-monitor"})
	check(l.t, err)
	return []mirror.Source{{Name: l.Origin, Source: c.Source()}}
}

func (l *other) mirrored() mirror.Config {
	return mirror.Config{Dir: filepath.Join(l.t.TempDir(), "copy"), Sources: l.sources(), Policy: l.policy(), Origin: l.Origin, Timeout: patience}
}

func (l *other) audited() auditor.Config {
	c := auditor.Config{Dir: filepath.Join(l.t.TempDir(), "state"), URL: l.url, Origin: l.Origin, LogKeys: []*tlog.VerifierKey{l.People.Log().Verifier()},
		Founded: l.founded, Name: "a1", Signers: []*tlog.Signer{l.Witness("a1")}, Policy: l.policy(), Sources: l.sources(), Poll: 20 * time.Millisecond, Timeout: patience}
	check(l.t, auditor.Create(c))
	return c
}

// floods are answers that a reader must not wait for, nor keep.
var floods = map[string]http.HandlerFunc{
	"500":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"short": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 32)) },
	"trickle": func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			w.Write([]byte("x"))
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-tick.C:
			}
		}
	},
	"endless": func(w http.ResponseWriter, _ *http.Request) { pour(w) },
	"bomb": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		pour(gzip.NewWriter(w))
	},
}

func pour(w io.Writer) {
	for b := make([]byte, 1<<18); ; {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// hostility is what a log does in place of an honest answer, by name.
func (l *other) hostility(old *tlog.Checkpoint) map[string]func(http.ResponseWriter, *http.Request, http.Handler) {
	list := make(map[string]func(http.ResponseWriter, *http.Request, http.Handler))
	for name, f := range floods {
		list[name] = func(w http.ResponseWriter, r *http.Request, _ http.Handler) { f(w, r) }
		if name == "500" || name == "hangs" { // each request ends like one of the others
			continue
		}
		list[name+", tiles only"] = func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			if strings.HasPrefix(r.URL.Path, "/tile/") {
				f(w, r)
				return
			}
			h.ServeHTTP(w, r)
		}
	}
	// Its witnesses have signed a head of a size without end.
	huge, err := l.People.Checkpoint(tlog.Head{Origin: l.Origin, Size: 1 << 40, Root: tiles.EmptyRoot()}, uint64(l.Now), "w1", "w2", "w3")
	check(l.t, err)
	for name, cp := range map[string]*tlog.Checkpoint{"goes back": old, "huge": huge} {
		list[name] = func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			switch r.URL.Path {
			case "/checkpoint":
				w.Write(cp.Bytes())
			case "/audit/round":
				w.Write(named(cp))
			default:
				h.ServeHTTP(w, r)
			}
		}
	}
	return list
}

// TestHostileLogDelaysNoOther: a log that answers slowly, without end, wrongly or not at all, which
// is audited or only copied, holds up no other log, and takes little memory. Its copy stays, and goes on
// by itself once the log is honest.
func TestHostileLogDelaysNoOther(t *testing.T) {
	w := newTestbed(t)
	bad := []*other{newOther(t, "bad.example/audited", written.Start), newOther(t, "bad.example/copied", written.Start)}
	w.start(func(c *monitor.Config) {
		c.Auditors = append(c.Auditors, bad[0].audited())
		c.Mirrors = append(c.Mirrors, bad[1].mirrored())
	})
	copied := func(l int) error {
		if s := w.running.Status()[1+l]; s.Copied != bad[l].Size() || s.CopyFails != "" {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	}
	var old [2]*tlog.Checkpoint
	var had [2]uint64
	for i, l := range bad {
		old[i] = l.publish()
		l.Live(300)
		had[i] = l.publish().Size
		eventually(t, func() error { return copied(i) })
	}
	for name := range bad[0].hostility(old[0]) {
		var asked [2]int32
		for i, l := range bad {
			f := l.hostility(old[i])[name]
			l.front.Store(&f)
			l.Live(l.Size() + 1)
			l.publish()
			asked[i] = l.asked.Load()
		}
		begun := time.Now()
		v, err := w.client.Checkpoint(t.Context())
		check(t, err)
		w.grow(3)
		w.awaitServed(v.Checkpoint.Size + 2)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s: the other log took %v", name, took)
		}
		for i, l := range bad {
			eventually(t, func() error {
				if s := w.running.Status()[1+i]; s.Copied != had[i] || s.CopyFails == "" || l.asked.Load() == asked[i] {
					return fmt.Errorf("%s: the copy had %d of %d; the status is %+v", name, had[i], l.Size(), s)
				}
				return nil
			})
		}
		status, text := get(t, w.auditor.URL+"/readyz")
		for _, l := range bad {
			if status != http.StatusOK || !strings.Contains(text, "\n"+l.Origin+": ") || strings.Contains(text, l.Origin+": ready") {
				t.Errorf("%s: /readyz is %d %s", name, status, text)
			}
		}
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		if mem.HeapInuse > 256<<20 {
			t.Errorf("%s: %d MiB in use", name, mem.HeapInuse>>20)
		}
		for i, l := range bad {
			l.front.Store(nil)
			eventually(t, func() error { return copied(i) })
			had[i] = l.Size()
		}
	}
	begun := time.Now()
	w.stop()
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("closing took %v", took)
	}
}

// TestTwoFaces: a log that shows its auditor other entries than the public, both with the lines of its
// witnesses, has no audited head for the public. The auditor's copy next to the public head is
// evidence that convicts the log.
func TestTwoFaces(t *testing.T) {
	l := newOther(t, "two.example/log", time.Now().Unix())
	public := l.Fork(t.TempDir())
	l.Warrant(l.Now + people.Day)
	cp := l.publish()
	public.Warrant(l.Now + 2*people.Day)
	shown := public.Publish("w1", "w2", "w3")
	front := func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		if !strings.HasPrefix(r.UserAgent(), "vasistas-monitor") {
			h = http.FileServer(http.Dir(public.Dir))
		}
		h.ServeHTTP(w, r)
	}
	l.front.Store(&front)
	m, err := monitor.Open(monitor.Config{Auditors: []auditor.Config{l.audited()}})
	check(t, err)
	defer func() { check(t, m.Close()) }()
	m.Start()
	server := httptest.NewServer(m)
	defer server.Close()
	ask := func(cp *tlog.Checkpoint) (int, string) {
		own := &tlog.Checkpoint{Head: cp.Head, Signatures: []tlog.Signature{*cp.Find(l.People.Log().Verifier())}}
		resp, err := http.Post(server.URL+"/add-checkpoint", "", strings.NewReader(string((&tlog.AddCheckpoint{Checkpoint: own}).Bytes())))
		check(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		check(t, err)
		return resp.StatusCode, string(b)
	}
	if status, text := ask(shown); status != http.StatusServiceUnavailable || !strings.Contains(text, ":head") {
		t.Errorf("the head that the public sees: %d %s", status, text)
	}
	var lines []tlog.Signature
	eventually(t, func() error {
		status, text := ask(cp)
		if status != http.StatusOK {
			return fmt.Errorf("%d %s", status, text)
		}
		lines, err = tlog.ParseSignatureLines([]byte(text))
		return err
	})
	// The auditor's line says nothing about the public head.
	if _, err := l.Witness("a1").Verifier().Verify(&shown.Head, &lines[0]); err == nil {
		t.Error("one line is of both heads")
	}
	c, err := client.New(client.Config{URL: l.url, Policy: l.policy()})
	check(t, err)
	tree, err := c.Tree(client.TreeOptions{})
	check(t, err)
	_, err = tree.Update(t.Context())
	check(t, err)
	resp, err := http.Get(server.URL + "/" + cosigning.OriginHash(l.Origin) + "/checkpoint")
	check(t, err)
	defer resp.Body.Close()
	audited, err := io.ReadAll(resp.Body)
	check(t, err)
	_, err = tree.Offer(t.Context(), audited)
	var fork *client.ForkError
	if !errors.As(err, &fork) {
		t.Fatalf("the auditor's copy next to the public head: %v", err)
	}
	check(t, verify.Fork(l.policy(), fork, l.Origin))
}

// TestAuditedFork: an audited head that contradicts a copy is evidence that is still there after a
// restart.
func TestAuditedFork(t *testing.T) {
	l := newOther(t, "fork.example/log", time.Now().Unix())
	lie := l.Fork(t.TempDir())
	lie.Append([]byte("another story"))
	l.Warrant(l.Now + people.Day)
	l.Warrant(l.Now + people.Day)
	l.publish()
	audited := lie.Checkpoint("w1", "w2", "w3", "a1", "a2").Bytes()
	front := func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.URL.Path == "/audit/checkpoint" {
			w.Write(audited)
			return
		}
		h.ServeHTTP(w, r)
	}
	c := monitor.Config{Mirrors: []mirror.Config{l.mirrored()}, URLs: map[string]string{l.Origin: l.url}, Run: mirror.RunOptions{Poll: 20 * time.Millisecond}}
	for _, f := range []func(http.ResponseWriter, *http.Request, http.Handler){front, nil} {
		l.front.Store(nil)
		if f != nil {
			l.front.Store(&f)
		}
		m, err := monitor.Open(c)
		check(t, err)
		m.Start()
		eventually(t, func() error {
			if s := m.Status()[0]; !s.Facts.Forked || s.Line.Verdict != facts.Wrong || s.Facts.Applied < 3 {
				return fmt.Errorf("%+v", s.Line)
			}
			return nil
		})
		check(t, m.Close())
	}
	b, err := os.ReadFile(filepath.Join(c.Mirrors[0].Dir, "fork.json"))
	check(t, err)
	fork, err := tlog.ParseFork(b)
	check(t, err)
	check(t, verify.Fork(l.policy(), fork, l.Origin))
}
