// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
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
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/tlog"
)

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

// newTransport limits every step, so that a silent peer costs a bounded wait. It does
// not decompress: readBody does, within its limit.
func newTransport() *http.Transport {
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
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("log URL %q: give http://, https:// or file:// and a path, without a query", c.URL)
	}
	r := &remote{base: strings.TrimSuffix(u.String(), "/"), http: c.HTTPClient, userAgent: c.UserAgent,
		timeout: c.Timeout, retries: c.Retries, backoff: c.Backoff}
	if r.http == nil {
		r.http = &http.Client{Transport: newTransport()}
	}
	return r, nil
}

func (r *remote) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return r.get(ctx, "checkpoint", tlog.MaxCheckpointSize)
}

func (r *remote) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	return readTile(t, func(path string, limit int) ([]byte, error) { return r.get(ctx, path, limit) })
}

func (r *remote) get(ctx context.Context, path string, limit int) (b []byte, err error) {
	err = r.retry(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/"+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := r.do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
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
		return nil, fmt.Errorf("the log answers %w", problem.Read(resp))
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
	switch enc := resp.Header.Get("Content-Encoding"); enc {
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
