// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// childEnv makes this test binary a process that uses a vault until it is killed.
const childEnv = "VAULT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := child(os.Args[1], os.Getenv(childEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func configIn(dir string) Config {
	return Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "key"), MaxFileSize: 8192}
}

// numbered makes a record from its name.
func numbered(name string) *Record {
	r := &Record{hash: sha256.Sum256([]byte(name)), openings: []event.Opening{{Salt: [16]byte{1}, Name: "agency", Value: event.Text("police")}}}
	if err := r.encode(); err != nil {
		panic(err)
	}
	return r
}

// child puts three records a round, erases the first and deletes the second, and
// compacts all the while. Each line that it writes is an acknowledgement.
func child(dir, run string) error {
	ctx := context.Background()
	v, err := Open(configIn(dir))
	if err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	go func() {
		for {
			if err := v.Compact(ctx); err != nil {
				failed.Store(&err)
				return
			}
		}
	}()
	for n := 0; failed.Load() == nil; n++ {
		var batch []*Record
		for i := range 3 {
			batch = append(batch, numbered(fmt.Sprintf("%s-%d-%d", run, n, i)))
		}
		if err := v.PutBatch(ctx, batch); err != nil {
			return err
		}
		os.Stdout.WriteString(fmt.Sprintf("put %s-%d\n", run, n)) // one write, so whole or not at all
		v.Delete(batch[1].hash)
		if err := v.Erase(ctx, batch[0].hash); err != nil {
			return err
		}
		os.Stdout.WriteString(fmt.Sprintf("erased %s-%d\n", run, n))
	}
	return *failed.Load()
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	cfg := configIn(dir)
	check(t, Create(cfg))
	var kept []*Record
	var erased []event.Digest
	for run := range 12 {
		put, gone := killed(t, dir, fmt.Sprint(run), 1+rand.IntN(60))
		for _, name := range put {
			kept = append(kept, numbered(name+"-2"))
		}
		for _, name := range gone {
			erased = append(erased, numbered(name+"-0").hash)
		}
		v := mustOpen(t, cfg)
		mustHave(t, v, kept...)
		mustLack(t, v, erased...)
		disk := onDisk(t, cfg)
		for _, h := range erased {
			if disk[h] != 0 {
				t.Fatalf("run %d: an erased record is on the disk", run)
			}
		}
		if d := v.Damage(); d != nil {
			t.Fatalf("run %d: %v", run, d)
		}
		if run%3 == 2 {
			want := make(map[event.Digest]bool)
			for _, r := range kept {
				want[r.hash] = true
			}
			_, err := v.Retain(context.Background(), func(h event.Digest) bool { return want[h] })
			check(t, err)
			if disk := onDisk(t, cfg); len(disk) != len(kept) {
				t.Fatalf("run %d: %d records on disk, want %d", run, len(disk), len(kept))
			}
		}
		check(t, v.Close())
	}
	if len(erased) == 0 {
		t.Fatal("no child lived long enough to erase")
	}
}

// killed runs the child until it has written some lines, kills it, and returns its
// output.
func killed(t *testing.T, dir, run string, lines int) (put, erased []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+run)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	n := 0
	for in := bufio.NewScanner(out); in.Scan(); n++ { // to the end: a line written before the kill counts
		what, name, _ := strings.Cut(in.Text(), " ")
		if what == "put" {
			put = append(put, name)
		} else {
			erased = append(erased, name)
		}
		if n == lines {
			cmd.Process.Kill()
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !errors.As(err, &exit) || !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child ended by itself after %d lines: %v", n, err)
	}
	return put, erased
}
