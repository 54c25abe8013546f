// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	tesseraclient "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/tlog"
)

// under serves a mirror under a prefix, and returns the URL of the copy.
func under(t testing.TB, m *mirror.Mirror) string {
	mux := http.NewServeMux()
	mux.Handle("/mirrors/one/", http.StripPrefix("/mirrors/one", m.Handler()))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/mirrors/one"
}

// get makes a request with headers, which are pairs.
func get(t testing.TB, method, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	check(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp, b
}

func TestHandler(t *testing.T) {
	l := newFileLog(t)
	operator := people.New(written.Origin, "").Witness("operator")
	declines := false
	var w warnings
	m := open(t, mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "log", l.Dir)}, Policy: l.policy(), Warn: w.add,
		Cosign: func(cp *tlog.Checkpoint) (*tlog.Checkpoint, error) {
			if declines {
				return nil, errors.New("the rules are broken")
			}
			line, err := operator.Sign(&cp.Head, uint64(l.Now))
			return &tlog.Checkpoint{Head: cp.Head, Signatures: append(slices.Clip(cp.Signatures), line)}, err
		}})
	base := under(t, m)
	if resp, _ := get(t, "GET", base+"/checkpoint"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("without a head: %s", resp.Status)
	}
	if resp, _ := get(t, "GET", base+"/tile/0/000"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("without a head: %s", resp.Status)
	}
	l.grow(600)
	update(t, m, 600)
	l.grow(700)
	update(t, m, 700)
	for path, cache := range map[string]string{
		"checkpoint":           "no-cache",
		"tile/0/001":           "public, max-age=31536000, immutable",
		"tile/0/002.p/188":     "public, max-age=31536000, immutable",
		"tile/entries/000":     "public, max-age=31536000, immutable",
		"tile/entries/000.p/3": "public, max-age=31536000, immutable", // only the full one is on disk
		"tile/entries/002.p/3": "public, max-age=31536000, immutable", // only a wider one is
	} {
		resp, b := get(t, "GET", base+"/"+path)
		etag := resp.Header.Get("ETag")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != cache || resp.Header.Get("Access-Control-Allow-Origin") != "*" || etag == "" {
			t.Errorf("%s: %s, %v", path, resp.Status, resp.Header)
		}
		if want, err := os.ReadFile(filepath.Join(l.Dir, path)); err == nil && path != "checkpoint" && !bytes.Equal(b, want) {
			t.Errorf("%s has other bytes", path)
		}
		head, none := get(t, "HEAD", base+"/"+path)
		if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(b)) || len(none) > 0 || head.Header.Get("ETag") != etag {
			t.Errorf("HEAD %s: %s, %v", path, head.Status, head.Header)
		}
		if resp, b := get(t, "GET", base+"/"+path, "If-None-Match", etag); resp.StatusCode != http.StatusNotModified || len(b) > 0 {
			t.Errorf("%s again: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"", "/", "/lock", "/tile/0/003", "/tile/0/002", "/tile/0/002.p/189", "/tile/3/000.p/1", "/tile/0/2", "/tile/0/..%2f..%2flock", "/tile/entries/000/../000", "/checkpoint/"} {
		if resp, _ := get(t, "GET", base+path); resp.StatusCode != http.StatusNotFound && path != "/tile/entries/000/../000" && path != "" {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, _ := get(t, "POST", base+"/checkpoint"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
		t.Errorf("POST: %s", resp.Status)
	}

	// The checkpoint has the log's lines, the witness's and the operator's.
	served := func() *tlog.Checkpoint {
		_, b := get(t, "GET", base+"/checkpoint")
		cp, err := tlog.ParseCheckpoint(b)
		check(t, err)
		_, err = l.policy().Verify(cp, "")
		check(t, err)
		return cp
	}
	if line := served().Find(operator.Verifier()); line == nil {
		t.Error("the operator's line is missing")
	} else if _, err := operator.Verifier().Verify(&served().Head, line); err != nil {
		t.Error(err)
	}
	b, err := m.Source().ReadCheckpoint(t.Context())
	check(t, err)
	if want, err := os.ReadFile(filepath.Join(l.Dir, "checkpoint")); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the source's checkpoint is\n%s", b)
	}
	declines = true
	l.grow(701)
	update(t, m, 701)
	if cp := served(); cp.Size != 701 || cp.Find(operator.Verifier()) != nil || len(w.list) != 1 {
		t.Errorf("an operator who declines: size %d, %v", cp.Size, w.list)
	}
	// A client reads the mirror like the log, and its own copy through Source.
	for _, from := range []client.Config{{URL: base}, {Source: m.Source()}} {
		from.Policy = l.policy()
		c, err := client.New(from)
		check(t, err)
		var n uint64
		for _, err := range c.Follow(t.Context(), client.FollowOptions{UntilHead: true}) {
			check(t, err)
			n++
		}
		if _, err := c.Prove(t.Context(), 555); n != 701 || err != nil {
			t.Errorf("%d entries, %v", n, err)
		}
	}
}

// hashBundle is the bundle hasher that Tessera's tools want.
func hashBundle(b []byte) (out [][]byte, err error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(b); err != nil {
		return nil, err
	}
	for _, e := range bundle.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}

// TestTesseraReads checks that Tessera's client and its fsck read the mirror over HTTP and
// its directory, at sizes with and without partial tiles.
func TestTesseraReads(t *testing.T) {
	l := newFileLog(t)
	dir := t.TempDir()
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", l.Dir)}, Policy: l.policy()})
	base := under(t, m)
	verifier, err := note.NewVerifier(l.People.Log().Verifier().String())
	check(t, err)
	for _, size := range []uint64{1, 255, 256, 258, 65_536, 66_000} {
		l.grow(size)
		update(t, m, size)
		root, err := url.Parse(base + "/")
		check(t, err)
		fetcher, err := tesseraclient.NewHTTPFetcher(root, nil)
		check(t, err)
		check(t, fsck.New(written.Origin, verifier, fetcher, hashBundle, fsck.Opts{N: 2}).Check(t.Context()))
		check(t, fsck.New(written.Origin, verifier, tesseraclient.FileFetcher{Root: dir}, hashBundle, fsck.Opts{N: 2}).Check(t.Context()))
		cp, _, _, err := tesseraclient.FetchCheckpoint(t.Context(), fetcher.ReadCheckpoint, verifier, written.Origin)
		check(t, err)
		pb, err := tesseraclient.NewProofBuilder(t.Context(), cp.Size, fetcher.ReadTile)
		check(t, err)
		for _, i := range []uint64{0, cp.Size / 2, cp.Size - 1} {
			p, err := pb.InclusionProof(t.Context(), i)
			check(t, err)
			check(t, proof.VerifyInclusion(rfc6962.DefaultHasher, i, cp.Size, rfc6962.DefaultHasher.HashLeaf(l.entry(i)), p, cp.Hash))
		}
	}
}
