// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
)

// childEnv names the part that this test binary plays as a child process.
const childEnv = "DURABLE_TEST_CHILD"

var children = map[string]func(dir string) error{
	"append": childAppend, "rewrite": childRewrite, "register": childRegister,
	"lock": childLock, "limit": childLimit,
}

func TestMain(m *testing.M) {
	part, ok := children[os.Getenv(childEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := part(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(part, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

const workers = 8

func childAppend(dir string) error {
	next := make([]int, workers)
	j, err := durable.OpenJournal(filepath.Join(dir, "j"), label, 100, func(rec []byte) error {
		var w, n int
		_, err := fmt.Sscan(string(rec), &w, &n)
		next[w] = n + 1
		return err
	})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w, n := range next {
		go func() {
			for ; ; n++ {
				line := fmt.Appendf(nil, "%d %d\n", w, n)
				if err := j.Append(line); err != nil {
					failed <- err
				}
				os.Stdout.Write(line) // one write, so whole or not at all
			}
		}()
	}
	return <-failed
}

func childRewrite(dir string) error {
	n := 0
	j, err := durable.OpenJournal(filepath.Join(dir, "j"), label, 100, func(rec []byte) (err error) {
		n, err = strconv.Atoi(string(rec))
		return err
	})
	if err != nil {
		return err
	}
	for {
		n++
		if err := j.Append(strconv.AppendInt(nil, int64(n), 10)); err != nil {
			return err
		}
		fmt.Println(0, n)
		if n%3 == 0 {
			if err := j.Rewrite(each(strconv.Itoa(n))); err != nil {
				return err
			}
		}
	}
}

func childRegister(dir string) error {
	r, err := durable.OpenRegister(filepath.Join(dir, "r"), 20)
	if err != nil {
		return err
	}
	for {
		old, err := r.Load()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(old))
		if err != nil {
			return err
		}
		if err := r.CompareAndSwap(old, strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
			return err
		}
		fmt.Println(0, n+1)
	}
}

func childLock(dir string) error {
	lock, err := durable.LockDir(dir)
	if err != nil {
		return err
	}
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
	return lock.Close()
}

// killed runs the child until it has acknowledged some number of lines "worker n" and
// then kills it. It returns the last n that each worker acknowledged, -1 for none.
func killed(t *testing.T, part, dir string, lines int) []int {
	t.Helper()
	cmd := child(part, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := slices.Repeat([]int{-1}, workers)
	seen := 0
	for in := bufio.NewScanner(out); in.Scan(); seen++ { // to the end: what was said before it died counts
		var w, n int
		if _, err := fmt.Sscan(in.Text(), &w, &n); err != nil {
			t.Fatalf("child said %q: %v", in.Text(), err)
		}
		acked[w] = max(acked[w], n)
		if seen == lines {
			cmd.Process.Kill()
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child ended by itself after %d lines: %v", seen, err)
	}
	return acked
}

func TestKillAppend(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "j")
	create(t, name).Close()
	for range 30 {
		acked := killed(t, "append", dir, rand.IntN(150))
		next := make([]int, workers)
		j, recs, err := reopen(name)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		for _, rec := range recs {
			var w, n int
			fmt.Sscan(rec, &w, &n)
			if n != next[w] {
				t.Fatalf("worker %d: record %d follows %d", w, n, next[w]-1)
			}
			next[w]++
		}
		for w, n := range acked {
			if next[w] <= n {
				t.Errorf("worker %d: record %d was acknowledged, the journal ends at %d", w, n, next[w]-1)
			}
			if n >= 0 && next[w] > n+3 { // one unsaid, one being appended
				t.Errorf("worker %d: acknowledged %d, but the journal has %d", w, n, next[w]-1)
			}
		}
	}
}

func TestKillRewrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "j")
	create(t, name, "0").Close()
	for range 15 {
		acked := killed(t, "rewrite", dir, rand.IntN(30))[0]
		j, recs, err := reopen(name)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		last, err := strconv.Atoi(recs[len(recs)-1])
		if err != nil || last < acked || last > acked+2 {
			t.Fatalf("acknowledged %d, the journal ends with %q", acked, recs[len(recs)-1])
		}
	}
	cleansUp(t, dir, "j")
}

func TestKillRegister(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "r")
	if _, err := durable.CreateRegister(name, 20, []byte("0")); err != nil {
		t.Fatal(err)
	}
	for range 15 {
		acked := killed(t, "register", dir, rand.IntN(30))[0]
		r, err := durable.OpenRegister(name, 20)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := strconv.Atoi(load(t, r)); err != nil || got < acked || got > acked+2 {
			t.Fatalf("acknowledged %d, the register holds %d (%v)", acked, got, err)
		}
	}
	cleansUp(t, dir, "r")
}

// cleansUp checks that locking dir removes what killed processes left in it.
func cleansUp(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ".durable-1.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	wantNames(t, dir, append(names, "lock")...)
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	lock, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.LockDir(dir); !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("this same process (%d)", os.Getpid())) {
		t.Fatalf("second lock in this process: %v", err)
	}
	second := child("lock", dir)
	second.Stderr = nil
	var failed *exec.ExitError
	if _, err := second.Output(); !errors.As(err, &failed) || !strings.Contains(string(failed.Stderr), fmt.Sprintf("process %d;", os.Getpid())) {
		t.Fatalf("second lock in another process: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("second close: %v", err)
	}

	cmd := child("lock", dir)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("child said %q: %v", line, err)
	}
	if _, err := durable.LockDir(dir); !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d;", cmd.Process.Pid)) {
		t.Fatalf("lock held by a child: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if lock, err = durable.LockDir(dir); err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	lock.Close()
	if _, err := durable.LockDir(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("lock of a missing directory: %v", err)
	}
}

// The kernel itself refuses to let files grow (RLIMIT_FSIZE), in the middle of a write.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	if out, err := child("limit", dir).Output(); err != nil || string(out) != "done\n" {
		t.Fatalf("%q, %v", out, err)
	}
}

func setLimit(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	l.Cur = min(n, l.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

func childLimit(dir string) error {
	file, reg, jnl := filepath.Join(dir, "f"), filepath.Join(dir, "r"), filepath.Join(dir, "j")
	big := bytes.Repeat([]byte("b"), 200_000)
	r, err1 := durable.CreateRegister(reg, 1<<20, []byte("small"))
	j, err2 := durable.CreateJournal(jnl, label, 1<<20)
	if err := errors.Join(err1, err2, durable.WriteFile(file, []byte("old"), 0o600), setLimit(100_000)); err != nil {
		return err
	}
	if err := durable.WriteFile(file, big, 0o600); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("WriteFile: %v", err)
	}
	if err := durable.CreateFile(file+"2", big, 0o600); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("CreateFile: %v", err)
	}
	if err := r.CompareAndSwap([]byte("small"), big); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("CompareAndSwap: %v", err)
	}
	if v, err := r.Load(); string(v) != "small" {
		return fmt.Errorf("register holds %d bytes: %v", len(v), err)
	}
	if err := j.Rewrite(each(string(big))); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("Rewrite: %v", err)
	}
	var acked int64
	for ; acked < 9; acked++ {
		if err := j.Append(big[:1000]); err != nil {
			return err
		}
	}
	if err := j.Append(big); !errors.Is(err, syscall.EFBIG) || !errors.Is(err, durable.ErrFailed) {
		return fmt.Errorf("Append: %v", err)
	}
	if err := setLimit(1 << 40); err != nil {
		return err
	}
	if err := j.Append([]byte("x")); !errors.Is(err, durable.ErrFailed) {
		return fmt.Errorf("Append with room again: %v", err)
	}
	j, recs, err := reopen(jnl)
	if err != nil || int64(len(recs)) != acked || j.Truncated() == 0 {
		return fmt.Errorf("reopened: %d records of %d: %v", len(recs), acked, err)
	}
	data, err := os.ReadFile(file)
	entries, err3 := os.ReadDir(dir)
	if string(data) != "old" || len(entries) != 3 {
		return fmt.Errorf("file %.10q, %d names: %v", data, len(entries), errors.Join(err, err3))
	}
	fmt.Println("done")
	return errors.Join(j.Append([]byte("x")), r.CompareAndSwap([]byte("small"), big))
}
