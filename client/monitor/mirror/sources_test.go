// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
)

// counted is a source that counts the full tiles and bundles that it is asked for.
type counted struct {
	client.Source
	mu    sync.Mutex
	asked []string
}

func (c *counted) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	c.mu.Lock()
	if t.Width == tlog.TileWidth {
		c.asked = append(c.asked, t.Path())
	}
	c.mu.Unlock()
	return c.Source.ReadTile(ctx, t)
}

func (c *counted) names() []string {
	slices.Sort(c.asked)
	return c.asked
}

// changed serves a file of a directory with a bit changed.
func changed(t testing.TB, dir string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(filepath.Join(dir, r.URL.Path))
		if err != nil {
			t.Error(err)
		}
		b[len(b)-1] ^= 1
		w.Write(b)
	}
}

// endless sends bytes until the reader goes away.
func endless(w http.ResponseWriter, _ *http.Request) {
	for b := make([]byte, 64<<10); ; {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	for b := make([]byte, 1<<20); ; {
		if _, err := z.Write(b); err != nil {
			return
		}
	}
}

// trickle sends a byte now and then, until the reader goes away.
func trickle(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			w.Write([]byte{0, 0})
			http.NewResponseController(w).Flush()
		}
	}
}

// TestHostile: what one source serves wrong, late or not at all comes from another, and the
// error names the source.
func TestHostile(t *testing.T) {
	l := newFileLog(t)
	l.grow(65_300)
	start := l.copied()
	l.grow(66_000)
	policy := l.policy()
	for name, hostile := range map[string]http.HandlerFunc{
		"changed": changed(t, l.Dir),
		"missing": http.NotFound,
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"endless": endless,
		"bomb":    bomb,
		"empty":   func(http.ResponseWriter, *http.Request) {},
		"short":   func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 32)) },
		"trickle": trickle,
	} {
		for _, path := range []string{"tile/entries/256", "tile/entries/257.p/208", "tile/0/255", "tile/1/000", "tile/0/257.p/208", "tile/1/001.p/1", "tile/2/000.p/1"} {
			t.Run(name+"/"+path, func(t *testing.T) {
				t.Parallel()
				url := serve(t, l.Dir, func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, path) {
						return false
					}
					hostile(w, r)
					return true
				})
				dir := link(t, start)
				var w warnings
				config := mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "hostile", url)}, Policy: policy, Timeout: 2 * time.Second, Warn: w.add}
				if name != "trickle" {
					config.Timeout = 0
				}
				m, err := mirror.Open(config)
				check(t, err)
				_, err = m.Update(t.Context())
				var s *mirror.SourceError
				if !errors.As(err, &s) || s.Source != "hostile" || !strings.Contains(err.Error(), path) && !strings.Contains(err.Error(), "the right edge") {
					t.Errorf("alone: %v", err)
				}
				if m.Head().Size != 65_300 {
					t.Errorf("alone: the copy has size %d", m.Head().Size)
				}
				check(t, m.Close())
				w = warnings{}
				config.Sources = append(config.Sources, source(t, "honest", serve(t, l.Dir, nil)))
				m = open(t, config)
				update(t, m, 66_000)
				if !w.about("hostile", nil) || w.about("honest", nil) {
					t.Errorf("warnings: %v", w.list)
				}
			})
		}
	}
}

// A source that fails is asked last, so that a slow one costs its time-out a few times and
// not once a file.
func TestDemoted(t *testing.T) {
	l := newFileLog(t)
	l.grow(20_000)
	var asked atomic.Int64
	url := serve(t, l.Dir, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/tile/entries/") {
			return false
		}
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	m := open(t, mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "failing", url), source(t, "honest", l.Dir)}, Policy: l.policy()})
	update(t, m, 20_000)
	if n := asked.Load(); n > 16 { // twice what a tree reads ahead
		t.Errorf("the failing source was asked %d times", n)
	}
}

// A checkpoint that is bad, late or of another log is no reason to wait.
func TestHostileCheckpoint(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	other := newFileLog(t)
	other.grow(500)
	unsigned := l.branch(l.entry)
	unsigned.grow(400)
	unsigned.Publish() // without a witness
	for name, hostile := range map[string]http.HandlerFunc{
		"missing": http.NotFound,
		"endless": endless,
		"bomb":    bomb,
		"empty":   func(http.ResponseWriter, *http.Request) {},
		"trickle": trickle,
		"other":   func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, other.Dir+"/checkpoint") },
		"no quorum": func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, unsigned.Dir+"/checkpoint")
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, l.Dir, func(w http.ResponseWriter, r *http.Request) bool {
				hostile(w, r)
				return true
			})
			var w warnings
			config := mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "hostile", url), source(t, "honest", serve(t, l.Dir, nil))}, Policy: l.policy(), Timeout: 2 * time.Second, Warn: w.add}
			if name != "trickle" {
				config.Timeout = 0
			}
			update(t, open(t, config), 300)
			if !w.about("hostile", nil) {
				t.Errorf("warnings: %v", w.list)
			}
		})
	}
}

// TestFork: a head that contradicts the copy's convicts the log, and the copy stays.
func TestFork(t *testing.T) {
	for _, c := range []struct{ small, large uint64 }{{300, 700}, {300, 300}, {700, 300}, {512, 700}} {
		good := newFileLog(t)
		evil := good.branch(func(i uint64) []byte {
			if i < 200 {
				return good.entry(i)
			}
			return []byte("lie")
		})
		good.grow(c.small)
		evil.grow(c.large)
		dir := t.TempDir()
		config := mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", serve(t, good.Dir, nil))}, Policy: good.policy()}
		m, err := mirror.Open(config)
		check(t, err)
		update(t, m, c.small)
		check(t, m.Close())
		convict := func(m *mirror.Mirror, name string) {
			t.Helper()
			_, err := m.Update(t.Context())
			var fork *client.ForkError
			var s *mirror.SourceError
			if !errors.As(err, &fork) || !errors.As(err, &s) || s.Source != name {
				t.Fatalf("sizes %v: %v", c, err)
			}
			check(t, verify.Fork(good.policy(), fork, ""))
			if m.Head().Size != c.small || good.whole(dir) != c.small {
				t.Errorf("sizes %v: the copy has size %d", c, m.Head().Size)
			}
		}
		forked := mirror.Source{Name: "evil", Source: client.Dir(evil.Dir)}
		config.Sources = []mirror.Source{forked}
		m, err = mirror.Open(config)
		check(t, err)
		convict(m, "evil")
		check(t, m.Close())
		// An honest source next to it does not hide the fork.
		good.grow(c.small + 5)
		config.Sources = []mirror.Source{source(t, "log", serve(t, good.Dir, nil)), forked}
		m, err = mirror.Open(config)
		check(t, err)
		convict(m, "evil")
		check(t, m.Close())
		// Without it the log goes on.
		config.Sources = config.Sources[:1]
		update(t, open(t, config), c.small+5)
	}
}

// TestBehind: a source may be behind another one, but not all behind the copy.
func TestBehind(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	old := l.copied()
	l.grow(700)
	var w warnings
	config := mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "log", l.Dir), source(t, "old", old)}, Policy: l.policy(), Warn: w.add}
	m, err := mirror.Open(config)
	check(t, err)
	for range 2 {
		update(t, m, 700)
	}
	check(t, m.Close())
	if len(w.list) > 0 {
		t.Errorf("warnings: %v", w.list)
	}
	var back *client.RollbackError
	config.Sources = []mirror.Source{source(t, "old", old)}
	m, err = mirror.Open(config)
	check(t, err)
	if _, err := m.Update(t.Context()); !errors.As(err, &back) || back.Known.Size != 700 || back.Offered.Size != 300 {
		t.Errorf("all are behind: %v", err)
	}
	check(t, m.Close())
	// A log that goes back while a mirror does not.
	config.Sources = []mirror.Source{source(t, "old", old), source(t, "mirror", l.Dir)}
	m = open(t, config)
	update(t, m, 700)
	if !w.about("old", nil) || !errors.As(w.list[0], &back) {
		t.Errorf("warnings: %v", w.list)
	}
}

// TestCheck: what rots on disk is found and repaired, from sources or from what is below.
func TestCheck(t *testing.T) {
	l := newFileLog(t)
	l.grow(66_000)
	dir := t.TempDir()
	config := mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", serve(t, l.Dir, nil))}, Policy: l.policy()}
	m, err := mirror.Open(config)
	check(t, err)
	if _, err := m.Check(t.Context(), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a head: %v", err)
	}
	update(t, m, 66_000)
	all := slices.Collect(mirror.Files(66_000))
	around := func() *mirror.Report {
		t.Helper()
		var sum mirror.Report
		for range 4 {
			r, err := m.Check(t.Context(), (len(all)+3)/4)
			check(t, err)
			sum.Checked += r.Checked
			sum.Repaired, sum.Upstream = append(sum.Repaired, r.Repaired...), append(sum.Upstream, r.Upstream...)
		}
		if sum.Checked < len(all) {
			t.Fatalf("%d files of %d were checked", sum.Checked, len(all))
		}
		return &sum
	}
	if r := around(); len(r.Repaired) > 0 || len(r.Upstream) > 0 {
		t.Errorf("an intact copy: %v, %v", r.Repaired, r.Upstream)
	}
	for name, damage := range map[string]func(name string){
		"changed": func(name string) {
			b, err := os.ReadFile(name)
			check(t, err)
			b[len(b)/2] ^= 1
			check(t, os.WriteFile(name, b, 0o644))
		},
		"cut":     func(name string) { check(t, os.Truncate(name, 7)) },
		"longer":  func(name string) { check(t, os.WriteFile(name, bytes.Repeat([]byte{1}, 1<<20), 0o644)) },
		"removed": func(name string) { check(t, os.Remove(name)) },
	} {
		paths := []string{"tile/0/007", "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/000", "tile/entries/257.p/208"}
		for _, path := range paths {
			damage(filepath.Join(dir, path))
		}
		r := around()
		var repaired []string
		for _, tile := range r.Repaired {
			repaired = append(repaired, tile.Path())
		}
		if slices.Sort(repaired); !slices.Equal(repaired, paths) || len(r.Upstream) > 0 {
			t.Errorf("%s: repaired %q, upstream %v", name, repaired, r.Upstream)
		}
		l.whole(dir)
	}
	// All hashes can be made out of the entries; entries only come from a source.
	check(t, m.Close())
	alone, err := mirror.Open(mirror.Config{Dir: dir, Policy: l.policy()})
	check(t, err)
	for level := range 3 {
		check(t, os.RemoveAll(filepath.Join(dir, "tile", strconv.Itoa(level))))
		_, err := alone.Check(t.Context(), len(all))
		check(t, err)
		l.whole(dir)
	}
	check(t, alone.Close())
	m = open(t, config)
	check(t, os.Remove(filepath.Join(dir, "tile/entries/009")))
	check(t, os.Rename(filepath.Join(l.Dir, "tile/entries/009"), filepath.Join(l.Dir, "gone")))
	if r, err := m.Check(t.Context(), len(all)); err == nil || !strings.Contains(err.Error(), "tile/entries/009") || r.Checked != len(all) {
		t.Errorf("an entry that is gone everywhere: %v", err)
	}
	check(t, os.Rename(filepath.Join(l.Dir, "gone"), filepath.Join(l.Dir, "tile/entries/009")))
	around()
	l.whole(dir)
}

// TestUpstream: a tile that changed or vanished at a source is reported, and not copied.
func TestUpstream(t *testing.T) {
	l := newFileLog(t)
	l.grow(2000)
	dir, up := t.TempDir(), l.copied()
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", serve(t, up, nil))}, Policy: l.policy()})
	update(t, m, 2000)
	check(t, os.Remove(filepath.Join(up, "tile/entries/001")))
	bad := filepath.Join(up, "tile/0/005")
	b, err := os.ReadFile(bad)
	check(t, err)
	b[17] ^= 1
	check(t, os.WriteFile(bad, b, 0o644))
	r, err := m.Check(t.Context(), 1000)
	check(t, err)
	var vanished, altered bool
	for _, e := range r.Upstream {
		var corrupt *tlog.CorruptError
		vanished = vanished || errors.Is(e, fs.ErrNotExist) && strings.Contains(e.Error(), "tile/entries/001")
		altered = altered || errors.As(e, &corrupt) && corrupt.Tile.Path() == "tile/0/005"
	}
	if len(r.Upstream) != 2 || !vanished || !altered || len(r.Repaired) > 0 {
		t.Errorf("upstream %v, repaired %v", r.Upstream, r.Repaired)
	}
	l.whole(dir)
}
