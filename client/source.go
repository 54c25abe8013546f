// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/tlog"
)

// Source serves the resources of a log (C2SP tlog-tiles): the log itself, a mirror or
// a directory. It is not trusted: the client checks the hashes of all it returns.
type Source interface {
	tlog.TileReader
	// ReadCheckpoint returns the latest checkpoint as it is served.
	ReadCheckpoint(ctx context.Context) ([]byte, error)
}

// maxTile is the most bytes that a tile or bundle can have.
func maxTile(t tlog.Tile) int {
	if t.Level == tlog.Entries {
		return t.Width * (2 + tlog.MaxEntrySize)
	}
	return t.Width * len(tlog.Hash{})
}

// exactTile returns b if it is a tile with exactly t's width.
func exactTile(t tlog.Tile, b []byte) ([]byte, error) {
	cut, err := t.Cut(b)
	if err != nil {
		return nil, err
	}
	if len(cut) != len(b) {
		return nil, &tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("it has more than %d elements", t.Width)}
	}
	return b, nil
}

// readTile reads a tile of exactly t's width by its path. Where a partial tile is
// missing it cuts the full one, since a log may remove partial tiles then (C2SP
// tlog-tiles, "Partial tiles").
func readTile(t tlog.Tile, read func(path string, limit int) ([]byte, error)) ([]byte, error) {
	b, err := read(t.Path(), maxTile(t))
	if err == nil {
		return exactTile(t, b)
	}
	if t.Width == tlog.TileWidth || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	full := t
	full.Width = tlog.TileWidth
	b, fullErr := read(full.Path(), maxTile(full))
	switch {
	case errors.Is(fullErr, fs.ErrNotExist):
		return nil, err
	case fullErr != nil:
		return nil, fullErr
	}
	if b, err = exactTile(full, b); err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// localDir returns the directory of a log URL; ok if it is a file URL or has no scheme.
func localDir(raw string) (dir string, ok bool, err error) {
	if !strings.Contains(raw, "://") {
		return raw, raw != "", nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", false, fmt.Errorf("log URL: %w", err)
	}
	if u.Scheme != "file" {
		return "", false, nil
	}
	if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false, fmt.Errorf("log URL %q: a file URL is written file:///path", raw)
	}
	return filepath.FromSlash(u.Path), true, nil
}

type dirSource struct{ path string }

// Dir returns a source that reads a directory with the resources of a log, by their
// C2SP tlog-tiles paths. It follows no links out of the directory.
func Dir(path string) Source { return dirSource{path} }

func (d dirSource) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.read("checkpoint", tlog.MaxCheckpointSize)
}

func (d dirSource) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return readTile(t, d.read)
}

func (d dirSource) read(name string, limit int) ([]byte, error) {
	f, err := os.OpenInRoot(d.path, filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(d.path, name), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: not a regular file", f.Name())
	}
	var b bytes.Buffer
	b.Grow(int(min(info.Size(), int64(limit))) + bytes.MinRead) // a bundle takes a buffer once
	if _, err := b.ReadFrom(io.LimitReader(f, int64(limit)+1)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if b.Len() > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", f.Name(), limit)
	}
	return b.Bytes(), nil
}

// maxPause bounds the pause between two tries, whatever Retry-After says.
const maxPause = 30 * time.Second

type remote struct {
	base      string // without a trailing slash
	http      *http.Client
	userAgent string
	timeout   time.Duration // of one try
	retries   int
	backoff   time.Duration
}

// NewTransport limits every step, so that a silent peer costs a bounded wait. It does
// not decompress: readBody does, within its limit.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

func newRemote(c *Config) (*remote, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("log URL: %w", err)
	}
	if u.User != nil { // it would stand in errors, which monitors publish
		return nil, fmt.Errorf("log URL %s: give it without a user and a password", u.Redacted())
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("log URL %q: give http://, https:// or file:// and a path, without a query", c.URL)
	}
	r := &remote{base: strings.TrimSuffix(u.String(), "/"), http: c.HTTPClient, userAgent: c.UserAgent,
		timeout: c.Timeout, retries: c.Retries, backoff: c.Backoff}
	if r.http = (&http.Client{Transport: NewTransport()}); c.HTTPClient != nil {
		*r.http = *c.HTTPClient
	}
	r.http.CheckRedirect = redirect(r.http.CheckRedirect)
	return r, nil
}

const maxRedirects = 10

// redirect follows a redirect of a read within one origin, if further, where set, allows it. A
// log must not make its readers ask hosts that only they can reach.
func redirect(further func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(to *http.Request, via []*http.Request) error {
		from := via[0]
		if from.Method == http.MethodPost || len(via) > maxRedirects || to.URL.Scheme != from.URL.Scheme ||
			!strings.EqualFold(to.URL.Hostname(), from.URL.Hostname()) || port(to.URL) != port(from.URL) {
			return http.ErrUseLastResponse
		}
		if further != nil {
			return further(to, via)
		}
		return nil
	}
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

func (r *remote) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return r.get(ctx, "checkpoint", 0, tlog.MaxCheckpointSize)
}

func (r *remote) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	return readTile(t, func(path string, limit int) ([]byte, error) { return r.get(ctx, path, 0, limit) })
}

func (r *remote) readTail(ctx context.Context, t tlog.Tile, skip int) ([]byte, error) {
	return r.get(ctx, t.Path(), skip, maxTile(t))
}

// get reads a resource from byte skip on (RFC 9110, section 14). If the server sends the whole
// resource, get drops the first skip bytes.
func (r *remote) get(ctx context.Context, path string, skip, limit int) (b []byte, err error) {
	err = r.retry(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/"+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept-Encoding", "gzip")
		if skip > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", skip))
		}
		resp, err := r.do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusPartialContent {
			b, err = readBody(resp, limit)
			b = b[min(skip, len(b)):]
			return err
		}
		part, from := resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", skip)
		if !strings.HasPrefix(part, from) || resp.Header.Get("Content-Encoding") != "" { // a range of a compressed answer has other bytes
			return fmt.Errorf("%w: a part that was not asked for: Content-Range %q, Content-Encoding %q", errBody, part, resp.Header.Get("Content-Encoding"))
		}
		b, err = readBody(resp, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s/%s: %w", r.base, path, err)
	}
	return b, nil
}

// do sends a request. An answer other than success is a [Problem].
func (r *remote) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", r.userAgent)
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		p := problem.Read(resp)
		if to := resp.Header.Get("Location"); resp.StatusCode < 400 && to != "" {
			p.Detail = fmt.Sprintf("the redirect to %q is not followed: give the log's own URL", to)
		}
		return nil, fmt.Errorf("the log answers %w", p)
	}
	return resp, nil
}

var (
	errBody   = errors.New("unusable body")     // retrying is useless
	errBroken = errors.New("broken connection") // retrying may help
)

// readBody reads a body of at most limit bytes after decompression.
func readBody(resp *http.Response, limit int) ([]byte, error) {
	var body io.Reader = resp.Body
	switch enc := strings.ToLower(resp.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, bodyError(err)
		}
		body = z
	default:
		return nil, fmt.Errorf("%w: Content-Encoding %q was not asked for", errBody, enc)
	}
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", errBody, limit)
	}
	return b, nil
}

func bodyError(err error) error {
	if _, flated := errors.AsType[flate.CorruptInputError](err); flated || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// retry calls try until it succeeds, fails for good, or has used up r.retries.
func (r *remote) retry(ctx context.Context, try func(ctx context.Context) error) error {
	for n := 0; ; n++ {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, r.timeout)
			defer cancel()
			return try(ctx)
		}()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n >= r.retries || !temporary(err) {
			return err
		}
		if err := pause(ctx, r.wait(n, err)); err != nil {
			return err
		}
	}
}

// wait returns the pause after try n. It doubles with every try, and half of it is
// random, so that clients that failed together don't retry together.
func (r *remote) wait(n int, err error) time.Duration {
	d := min(r.backoff<<min(n, 16), maxPause)
	d = d/2 + rand.N(d/2+1)
	if p, ok := errors.AsType[*Problem](err); ok {
		d = max(d, min(p.RetryAfter, maxPause))
	}
	return d
}

// temporary returns whether the same try may succeed later.
func temporary(err error) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		// A sequenced event only lacks its proof; the caller decides how long to wait.
		return p.Temporary() && p.Code() != CodeNoQuorum
	}
	_, corrupt := errors.AsType[*tlog.CorruptError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	if errors.Is(err, errBody) || errors.Is(err, fs.ErrNotExist) || corrupt || cert {
		return false
	}
	_, transport := errors.AsType[*url.Error](err)
	return transport || errors.Is(err, errBroken) || errors.Is(err, context.DeadlineExceeded)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// maxPartial bounds the partial tiles in memory, in bytes.
const maxPartial = 32 << 20

// keeper is a source that keeps the accepted tiles and bundles of another source in a
// directory, in the layout of C2SP tlog-tiles, and reads them from there, so that the
// server does not learn what is read again. Callers check the hashes of kept files,
// too. Files and directory can be removed at any time.
//
// Only full tiles are kept as files; memory holds the partial tiles of a few heads.
type keeper struct {
	from Source
	kept dirSource

	mu      sync.Mutex
	partial map[tlog.Tile][]byte
	bytes   int // of partial
}

func (k *keeper) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return k.from.ReadCheckpoint(ctx)
}

func (k *keeper) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Width < tlog.TileWidth {
		k.mu.Lock()
		b, ok := k.partial[t]
		k.mu.Unlock()
		if ok {
			return b, nil
		}
	} else if b, err := k.kept.ReadTile(ctx, t); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	return k.from.ReadTile(ctx, t)
}

// keep keeps an accepted tile, unless it is kept already. A nil keeper keeps nothing.
func (k *keeper) keep(t tlog.Tile, bytes func() []byte) error {
	if k == nil {
		return nil
	}
	if t.Width == tlog.TileWidth {
		name := filepath.Join(k.kept.path, filepath.FromSlash(t.Path()))
		if _, err := os.Lstat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return write(name, bytes())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.partial[t]; ok {
		return nil
	}
	b := bytes()
	if k.bytes+len(b) > maxPartial {
		clear(k.partial)
		k.bytes = 0
	}
	k.bytes += len(b)
	k.partial[t] = b
	return nil
}

// write creates a file atomically. The file need not survive a crash of the machine.
func write(name string, b []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tile-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
