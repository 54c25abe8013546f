// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"syscall"
	"testing"
)

// TestLockWithCopy: a copy of the descriptor, as in a child that is being started, does
// not keep the directory locked.
func TestLockWithCopy(t *testing.T) {
	dir := t.TempDir()
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
