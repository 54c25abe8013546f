// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	childFrom   = "MIRROR_TEST_FROM"   // directory of the log
	childTo     = "MIRROR_TEST_TO"     // directory of the copy
	childPolicy = "MIRROR_TEST_POLICY" // text
)

func TestMain(m *testing.M) {
	if os.Getenv(childTo) == "" {
		os.Exit(m.Run())
	}
	if err := childUpdate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childUpdate makes a copy, and prints a line for each bundle.
func childUpdate() error {
	policy, err := tlog.ParsePolicy([]byte(os.Getenv(childPolicy)))
	if err != nil {
		return err
	}
	m, err := mirror.Open(mirror.Config{Dir: os.Getenv(childTo), Policy: policy,
		Sources:  []mirror.Source{{Name: "log", Source: client.Dir(os.Getenv(childFrom))}},
		Progress: func(done, _ uint64) { fmt.Println(done) }})
	if err != nil {
		return err
	}
	_, err = m.Update(context.Background())
	return err
}

// TestKill kills processes that make a copy. Each leaves a whole copy at the old head, and the
// next one, which does not wait, goes on.
func TestKill(t *testing.T) {
	l := newFileLog(t)
	dir := t.TempDir()
	var head uint64
	for run, size := range []uint64{300, 100_000} {
		l.grow(size)
		for lines := 1; lines < int((size-head)/tlog.TileWidth); lines += 61 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childFrom+"="+l.Dir, childTo+"="+dir, childPolicy+"="+string(l.policy().Bytes()))
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			check(t, err)
			check(t, cmd.Start())
			in := bufio.NewScanner(out)
			for n := 0; n < lines && in.Scan(); n++ {
			}
			check(t, cmd.Process.Kill())
			cmd.Wait() // reports the kill
			if n := l.whole(dir); n != head && n != size {
				t.Fatalf("run %d, after %d lines: the copy has size %d", run, lines, n)
			}
		}
		source := &counted{Source: client.Dir(l.Dir)}
		m, err := mirror.Open(mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: source}}, Policy: l.policy()})
		check(t, err)
		update(t, m, size)
		check(t, m.Close())
		if n := l.whole(dir); n != size {
			t.Fatalf("the copy has size %d, want %d", n, size)
		}
		if fetched := len(source.names()); run > 0 && fetched > 200 {
			t.Errorf("%d files were fetched again", fetched)
		}
		temps, err := filepath.Glob(filepath.Join(dir, ".durable-*"))
		check(t, err)
		if len(temps) > 0 {
			t.Errorf("temporary files were left: %q", temps)
		}
		head = size
	}
}
