// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fdatasync(2), which writes the size of the inode, but not its times.
func datasync(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}

// ofdSetLockWait is F_OFD_SETLKW of Linux's fcntl.h, which package syscall lacks.
const ofdSetLockWait = 38

// AwaitRecordLock waits until no process, not even this one, holds an exclusive record lock
// (fcntl(2)) on a file. A missing file has none.
func AwaitRecordLock(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	// A lock of the open file conflicts with the process's own record locks; they don't
	// conflict with each other.
	return control(f, "fcntl", func(fd int) error {
		return syscall.FcntlFlock(uintptr(fd), ofdSetLockWait, &syscall.Flock_t{Type: syscall.F_RDLCK})
	})
}
