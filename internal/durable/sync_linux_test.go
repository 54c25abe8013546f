// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
)

// TestAwaitRecordLock: it waits for a lock that this same process holds.
func TestAwaitRecordLock(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "lock")
	check(durable.AwaitRecordLock(name)) // missing
	f, err := os.Create(name)
	check(err)
	defer f.Close()
	var stat syscall.Stat_t
	check(syscall.Fstat(int(f.Fd()), &stat))
	waiting := regexp.MustCompile(fmt.Sprintf(`-> OFDLCK .*:%d `, stat.Ino))
	check(syscall.FcntlFlock(f.Fd(), syscall.F_SETLKW, &syscall.Flock_t{Type: syscall.F_WRLCK}))
	done := make(chan error, 1)
	go func() { done <- durable.AwaitRecordLock(name) }()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			t.Fatal("it didn't wait:", err)
		default:
		}
		locks, err := os.ReadFile("/proc/locks")
		check(err)
		waits = waiting.Match(locks)
	}
	check(syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_UNLCK}))
	check(<-done)
}
