// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

const (
	hour   = 3600
	day    = 24 * hour
	hour12 = 12 * time.Hour
	me     = "ada@example.org"
)

// world is a log, and a subject of it.
type world struct {
	*cases.Log
	t    testing.TB
	seed *escrow.Seed
}

func newWorld(t testing.TB) *world {
	t.Helper()
	l := cases.New(t.TempDir())
	t.Cleanup(func() { l.Report(t.Error) })
	return &world{l, t, escrow.NewSeed(time.Unix(written.Start, 0))}
}

// key is a notice key of the subject's, for a month so far from the first.
func (w *world) key(month int, kem event.KEM) event.HPKEKey {
	w.t.Helper()
	k, err := w.seed.Key(written.Origin, w.seed.First+escrow.Period(month), kem)
	if err != nil {
		w.t.Fatal(err)
	}
	return k.Public()
}

// stranger is a key that no account has.
func (w *world) stranger(kem event.KEM) event.HPKEKey {
	w.t.Helper()
	k, err := escrow.GenerateKey(kem)
	if err != nil {
		w.t.Fatal(err)
	}
	return k.Public()
}

// a released case is sealed for 12 hours, and answered by c1 and c2.
type released struct {
	*cases.Case
	releases []*written.Logged
}

func (w *world) release(accounts []string, keys ...event.HPKEKey) *released {
	w.t.Helper()
	var packages []*escrow.Package
	for i, k := range keys {
		packages = append(packages, w.Wrap(k, accounts[i]))
	}
	c := &released{Case: w.NewCase(12*time.Hour, accounts, packages...)}
	for _, name := range []string{"c1", "c2"} {
		c.releases = append(c.releases, w.ReleaseCase(c.Case, name))
	}
	return c
}

// disclose opens cases once their time has come.
func (w *world) disclose(cases ...*released) {
	w.t.Helper()
	w.anchor()
	w.Now += 13 * hour
	w.anchor()
	for _, c := range cases {
		w.Disclose(c.Access, c.releases...)
		w.Disclose(c.Warrant)
		w.Return(c.Warrant)
	}
	w.anchor()
}

func (w *world) anchor() {
	w.t.Helper()
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
}

// scan scans what is published now.
func (w *world) scan(edit func(*scan.Config)) *scan.Report {
	w.t.Helper()
	w.Publish("w1", "w2", "w3")
	r, err := scan.Run(w.t.Context(), w.config(edit))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) config(edit func(*scan.Config)) scan.Config {
	w.t.Helper()
	c := scan.Config{Config: audit.Config{Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4"), Now: time.Unix(w.Now, 0)}, Seed: w.seed}
	c.Client = w.client(client.Config{URL: w.Dir})
	if edit != nil {
		edit(&c)
	}
	return c
}

func (w *world) client(c client.Config) *client.Client {
	w.t.Helper()
	c.Policy, c.Retries = w.ParsePolicy(3, "w1", "w2", "w3", "w4"), -1
	cl, err := client.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return cl
}

// serve serves the log, and tells of each request.
func (w *world) serve(asked func(path string)) string {
	files := http.FileServer(http.Dir(w.Dir))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked(r.URL.Path)
		files.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(s.Close)
	return s.URL
}

func nowOf(w *world) time.Time { return time.Unix(w.Now, 0) }
