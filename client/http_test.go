// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// server serves one handler, and returns a client of it that is quick to try
// again.
func server(t *testing.T, h http.HandlerFunc, policy *tlog.Policy) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newClient(t, client.Config{URL: s.URL, Policy: policy, Backoff: time.Millisecond, Timeout: 10 * time.Second})
}

func bundle(n int) []byte {
	var b []byte
	for i := range n {
		b = tlog.AppendEntry(b, fmt.Appendf(nil, "entry %d", i))
	}
	return b
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func TestReadTile(t *testing.T) {
	hashes := bytes.Repeat([]byte{7}, 256*32)
	entries := tlog.Tile{Level: tlog.Entries, Index: 1, Width: 3}
	tile := tlog.Tile{Level: 0, Index: 1, Width: 3}
	full := func(t tlog.Tile) tlog.Tile { t.Width = 256; return t }
	type answer struct {
		body []byte
		gzip bool
	}
	corrupt := new(*tlog.CorruptError)
	for name, c := range map[string]struct {
		ask    tlog.Tile
		served map[string]answer
		want   []byte
		is     error
		as     any
	}{
		"hashes":            {ask: tile, served: map[string]answer{tile.Path(): {hashes[:96], false}}, want: hashes[:96]},
		"full hashes":       {ask: full(tile), served: map[string]answer{full(tile).Path(): {hashes, false}}, want: hashes},
		"zipped hashes":     {ask: tile, served: map[string]answer{tile.Path(): {zipped(hashes[:96]), true}}, want: hashes[:96]},
		"bundle":            {ask: entries, served: map[string]answer{entries.Path(): {bundle(3), false}}, want: bundle(3)},
		"zipped bundle":     {ask: entries, served: map[string]answer{entries.Path(): {zipped(bundle(3)), true}}, want: bundle(3)},
		"partial gone":      {ask: tile, served: map[string]answer{full(tile).Path(): {hashes, false}}, want: hashes[:96]},
		"part bundle gone":  {ask: entries, served: map[string]answer{full(entries).Path(): {zipped(bundle(256)), true}}, want: bundle(3)},
		"missing":           {ask: tile, is: fs.ErrNotExist},
		"full missing":      {ask: full(tile), is: fs.ErrNotExist},
		"a hash too few":    {ask: tile, served: map[string]answer{tile.Path(): {hashes[:64], false}}, as: corrupt},
		"a byte too few":    {ask: tile, served: map[string]answer{tile.Path(): {hashes[:95], false}}, as: corrupt},
		"a byte too many":   {ask: tile, served: map[string]answer{tile.Path(): {hashes[:97], false}}},
		"an entry too many": {ask: entries, served: map[string]answer{entries.Path(): {bundle(4), false}}, as: corrupt},
		"an entry too few":  {ask: entries, served: map[string]answer{entries.Path(): {bundle(2), false}}, as: corrupt},
		"full is short":     {ask: tile, served: map[string]answer{full(tile).Path(): {hashes[:255*32], false}}, as: corrupt},
		"bomb":              {ask: entries, served: map[string]answer{entries.Path(): {zipped(make([]byte, 64<<20)), true}}},
		"no gzip":           {ask: entries, served: map[string]answer{entries.Path(): {bundle(3), true}}},
		"damaged gzip":      {ask: entries, served: map[string]answer{entries.Path(): {append(zipped(bundle(3))[:20], 1, 2, 3, 4, 5, 6, 7, 8, 9), true}}},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			cl := server(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				a, ok := c.served[r.URL.Path[1:]]
				if !ok {
					http.NotFound(w, r)
					return
				}
				if a.gzip {
					w.Header().Set("Content-Encoding", "GZip") // RFC 9110, section 8.4.1: in any case
				}
				w.Write(a.body)
			}, nil)
			got, err := cl.Source().ReadTile(t.Context(), c.ask)
			if c.want != nil {
				if err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %v", err, c.is)
			}
			if c.as != nil && !errors.As(err, c.as) {
				t.Errorf("got %v, want %T", err, c.as)
			}
			if n := requests.Load(); n > 2 && name != "damaged gzip" {
				t.Errorf("%d requests for what can't be mended", n)
			}
		})
	}
}

func TestDirMatchesHTTP(t *testing.T) {
	l := newFileLog(t)
	l.grow(700)
	over, local := newClient(t, client.Config{URL: l.serve().URL}), newClient(t, client.Config{URL: l.Dir})
	for _, id := range []tlog.Tile{
		{Level: 0, Index: 1, Width: 256}, {Level: 0, Index: 1, Width: 17}, {Level: 0, Index: 2, Width: 188}, {Level: 1, Index: 0, Width: 2},
		{Level: tlog.Entries, Index: 0, Width: 256}, {Level: tlog.Entries, Index: 0, Width: 1}, {Level: tlog.Entries, Index: 2, Width: 188},
		{Level: 0, Index: 3, Width: 256}, {Level: 3, Index: 0, Width: 1},
	} {
		a, errA := over.Source().ReadTile(t.Context(), id)
		b, errB := local.Source().ReadTile(t.Context(), id)
		if !bytes.Equal(a, b) || errors.Is(errA, fs.ErrNotExist) != errors.Is(errB, fs.ErrNotExist) || (errA == nil) != (errB == nil) {
			t.Errorf("%s: %d bytes %v over HTTP, %d bytes %v in the directory", id.Path(), len(a), errA, len(b), errB)
		}
	}
}

func TestDirStaysInside(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	secret := filepath.Join(out, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if b, err := client.Dir(dir).ReadCheckpoint(t.Context()); err == nil {
		t.Errorf("it read %q", b)
	}
	if err := os.Remove(filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "checkpoint"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dir(dir).ReadCheckpoint(t.Context()); err == nil {
		t.Error("it read a directory")
	}
}

func TestRetry(t *testing.T) {
	l := newFileLog(t)
	cp := l.grow(3).Bytes()
	for name, c := range map[string]struct {
		fail  http.HandlerFunc // what the first tries get
		fails int32
		tries int32
		ok    bool
	}{
		"503 twice":      {status(503), 2, 3, true},
		"429":            {status(429), 1, 2, true},
		"500":            {status(500), 1, 2, true},
		"for ever":       {status(502), 100, 5, false},
		"404":            {status(404), 1, 1, false},
		"403":            {status(403), 1, 1, false},
		"cut off":        {cutOff, 2, 3, true},
		"no answer":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, 3, true},
		"too large":      {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) }, 1, 1, false},
		"other encoding": {encoded, 1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			cl := server(t, func(w http.ResponseWriter, r *http.Request) {
				if tries.Add(1) <= c.fails {
					c.fail(w, r)
					return
				}
				w.Write(cp)
			}, l.policy())
			v, err := cl.Checkpoint(t.Context())
			if (err == nil) != c.ok || tries.Load() != c.tries {
				t.Errorf("after %d tries, want %d: %v", tries.Load(), c.tries, err)
			}
			if c.ok && v.Checkpoint.Size != 3 {
				t.Errorf("size %d", v.Checkpoint.Size)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	io.WriteString(w, "half")
}

func encoded(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "br")
	io.WriteString(w, "?")
}

func TestRetryAfter(t *testing.T) {
	l := newFileLog(t)
	cp := l.grow(1).Bytes()
	var first time.Time
	var waited time.Duration
	cl := server(t, func(w http.ResponseWriter, _ *http.Request) {
		if first.IsZero() {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		waited = time.Since(first)
		w.Write(cp)
	}, l.policy())
	if _, err := cl.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waited < time.Second {
		t.Errorf("it came again after %v", waited)
	}
}

// A server that says nothing costs the time of a try.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	cl := newClient(t, client.Config{URL: s.URL, Policy: newFileLog(t).policy(), Timeout: 20 * time.Millisecond, Retries: -1})
	if _, err := cl.Checkpoint(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := cl.Checkpoint(ctx); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}

func TestCheckpoint(t *testing.T) {
	l := newFileLog(t)
	small := l.grow(3)
	other := l.branch(func(i uint64) []byte { return []byte("other") }).grow(5)
	large := l.grow(5)
	unsigned := *large
	unsigned.Signatures = unsigned.Signatures[:1] // the witness's is missing
	stranger := newFileLog(t).grow(9)

	var serve *tlog.Checkpoint
	handler := func(w http.ResponseWriter, _ *http.Request) { w.Write(serve.Bytes()) }
	cl := server(t, handler, l.policy())
	get := func(c *tlog.Checkpoint) error {
		serve = c
		_, err := cl.Checkpoint(t.Context())
		return err
	}
	for _, c := range []*tlog.Checkpoint{small, small, large, large} {
		if err := get(c); err != nil {
			t.Fatal(err)
		}
	}
	var back *client.RollbackError
	if err := get(small); !errors.As(err, &back) || back.Known.Size != 5 || back.Offered.Size != 3 {
		t.Errorf("a smaller one: %v", err)
	}
	var fork *client.ForkError
	if err := get(other); !errors.As(err, &fork) {
		t.Errorf("another of the same size: %v", err)
	} else if err := verify.Fork(l.policy(), fork, ""); err != nil {
		t.Error(err)
	}
	if err := get(&unsigned); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Errorf("without the witness: %v", err)
	}
	if err := get(stranger); !errors.Is(err, tlog.ErrUnknownLog) {
		t.Errorf("of another log: %v", err)
	}
	if err := get(large); err != nil {
		t.Errorf("after all that: %v", err)
	}

	s := httptest.NewServer(http.HandlerFunc(handler))
	defer s.Close()
	cl = newClient(t, client.Config{URL: s.URL})
	if err := get(large); !errors.Is(err, client.ErrNoPolicy) {
		t.Errorf("without a policy: %v", err)
	}
}

func TestProve(t *testing.T) {
	l := newFileLog(t)
	l.grow(700)
	for name, url := range l.sources() {
		t.Run(name, func(t *testing.T) {
			cl := newClient(t, client.Config{URL: url, Policy: l.policy()})
			for _, i := range []uint64{0, 1, 255, 256, 511, 512, 699} {
				p, err := cl.Prove(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				in, err := verify.Entry(l.policy(), p.Bytes(), verify.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if in.Index() != i || !bytes.Equal(in.Entry(), l.entry(i)) {
					t.Errorf("entry %d: proven is %d %q", i, in.Index(), in.Entry())
				}
			}
			if _, err := cl.Prove(t.Context(), 700); !errors.Is(err, client.ErrNotLogged) {
				t.Errorf("beyond the head: %v", err)
			}
		})
	}
	// A bundle with another entry proves nothing.
	path := tlog.Tile{Level: tlog.Entries, Index: 2, Width: 188}.Path()
	b, err := os.ReadFile(filepath.Join(l.Dir, path))
	if err != nil {
		t.Fatal(err)
	}
	l.write(path, bytes.Replace(b, []byte("entry 600"), []byte("entry 6oo"), 1))
	cl := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	if _, err := cl.Prove(t.Context(), 600); err == nil {
		t.Error("a changed entry was proven")
	}
}

func TestNew(t *testing.T) {
	for _, url := range []string{"", "ftp://example.com", "http://", "http://example.com/?a=b", "https://example.com/#a", "file://host/path", "file://", "://"} {
		if _, err := client.New(client.Config{URL: url}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
	cl := newClient(t, client.Config{URL: t.TempDir()})
	if _, err := cl.Submit(t.Context(), new(event.Submission), client.WaitSequenced); !errors.Is(err, client.ErrReadOnly) {
		t.Errorf("submitting to a directory: %v", err)
	}
}

// What a log says of itself must not steer a terminal.
func TestProblemText(t *testing.T) {
	cl := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"type":"urn:vasistas:error:rule","detail":"\u001b[2Jgone","status":200}`)
	}, newFileLog(t).policy())
	_, err := cl.Checkpoint(t.Context())
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != 403 || p.Code() != client.CodeRule {
		t.Fatalf("got %v", err)
	}
}

// TestRedirects: a log may move its readers within its origin, and no submission anywhere.
func TestRedirects(t *testing.T) {
	l := newFileLog(t)
	l.grow(3)
	files := http.FileServer(http.Dir(l.Dir))
	var stolen atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
		files.ServeHTTP(w, r)
	}))
	defer other.Close()
	var posts atomic.Int64
	var own *httptest.Server
	own = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		switch dir, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); dir {
		case "real":
			http.StripPrefix("/real", files).ServeHTTP(w, r)
		case "within":
			http.Redirect(w, r, "/real/"+path, http.StatusTemporaryRedirect)
		case "loop":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case "away":
			http.Redirect(w, r, other.URL+"/"+path, http.StatusPermanentRedirect)
		case "name": // the same machine under another name
			http.Redirect(w, r, strings.Replace(own.URL, "127.0.0.1", "localhost", 1)+"/real/"+path, http.StatusFound)
		case "scheme":
			http.Redirect(w, r, strings.Replace(own.URL, "http:", "https:", 1)+"/real/"+path, http.StatusFound)
		}
	}))
	defer own.Close()
	envelope := sign(t, heartbeat(t, origin), people.New(origin, "").Signer("c1"))
	for dir, ok := range map[string]bool{"real": true, "within": true, "loop": false, "away": false, "name": false, "scheme": false} {
		for _, hc := range []*http.Client{nil, {}} {
			cl := newClient(t, client.Config{URL: own.URL + "/" + dir, Policy: l.policy(), HTTPClient: hc})
			_, err := cl.Checkpoint(t.Context())
			var p *client.Problem
			if (err == nil) != ok || err != nil && (!errors.As(err, &p) || p.Status/100 != 3) {
				t.Errorf("%s: %v", dir, err)
			}
			if dir == "real" {
				continue
			}
			posts.Store(0)
			if _, err := cl.Submit(t.Context(), bare(envelope), client.WaitCosigned); !errors.As(err, &p) || p.Status/100 != 3 || posts.Load() != 1 {
				t.Errorf("%s: a submission is sent %d times: %v", dir, posts.Load(), err)
			}
			if hc != nil && hc.CheckRedirect != nil {
				t.Error("the caller's client was changed")
			}
		}
	}
	if n := stolen.Load(); n > 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

// TestURLWithPassword: a client takes no URL whose password its errors, which a monitor publishes, would show.
func TestURLWithPassword(t *testing.T) {
	for _, url := range []string{"http://user:secret@log.example", "https://user:secret@log.example/log"} {
		_, err := client.New(client.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
