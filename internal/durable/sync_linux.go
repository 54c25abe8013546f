// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// datasync is fdatasync(2), which writes the size of the inode, but not its times.
func datasync(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}

// startSync makes the disk begin to write a part of f, before a datasync. It does not wait for the disk.
func startSync(f *os.File, offset int64, n int) error {
	err := control(f, "sync_file_range", func(fd int) error {
		return unix.SyncFileRange(fd, offset, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	})
	// A sandbox or file system may lack the call. Each other error may be the disk's, and counts.
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// statInode returns the inode at a name. It asks for no times: since Linux 6.13, the first write after
// they are read changes them, and the sync then writes a second block.
func statInode(name string) (inode, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_INO|unix.STATX_SIZE, &s); err != nil {
		return statAll(name) // a sandbox may lack the call
	}
	return inode{unix.Mkdev(s.Dev_major, s.Dev_minor), s.Ino, int64(s.Size)}, nil
}
