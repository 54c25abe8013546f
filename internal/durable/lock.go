// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked: another process, or another part of this one, owns the directory.
var ErrLocked = errors.New("durable: directory is in use")

// Lock is the exclusive ownership of a directory.
type Lock struct{ file *os.File }

// LockDir takes dir for this process, by an exclusive flock(2) on the file dir/lock,
// and removes temporary files that its last owner left. It doesn't wait: if the
// directory is taken, by another process or by an earlier LockDir of this one, the
// error is [ErrLocked] and names the process. The kernel gives the lock back when
// the process ends, however it ends, so that a stale lock file is harmless. Nobody
// may remove the file while a process runs, for a second one would lock a new file.
func LockDir(dir string) (*Lock, error) {
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("durable: locking %s: %w", dir, err)
	}
	if err := lock(file, dir); err != nil {
		file.Close()
		return nil, err
	}
	return &Lock{file}, nil
}

func lock(file *os.File, dir string) error {
	err := control(file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s is held by %s; stop it first", ErrLocked, dir, holder(file))
	}
	if err != nil {
		return fmt.Errorf("durable: locking %s: %w", dir, err)
	}
	ours, err1 := file.Stat()
	named, err2 := os.Stat(file.Name())
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("durable: locking %s: %w", dir, err)
	}
	if !os.SameFile(ours, named) {
		return fmt.Errorf("%w: the lock file of %s was replaced while it was being locked; try again", ErrLocked, dir)
	}
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("durable: locking %s: %w", dir, err)
	}
	// The number is a help for the operator, not the lock, so it isn't synced.
	if _, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return fmt.Errorf("durable: locking %s: %w", dir, err)
	}
	return RemoveTemps(dir)
}

// holder says who wrote its process number into the lock file.
func holder(file *os.File) string {
	var buf [32]byte
	n, _ := file.ReadAt(buf[:], 0)
	text, ok := strings.CutSuffix(string(buf[:n]), "\n")
	pid, err := strconv.Atoi(text)
	switch {
	case !ok || err != nil || pid <= 0:
		return "a process that has not yet written its number into it"
	case pid == os.Getpid():
		return fmt.Sprintf("this same process (%d)", pid)
	}
	return fmt.Sprintf("process %d", pid)
}

// Close gives the directory back. The lock file stays. The lock is released by
// name, for a child process that is just being started may still hold a copy of the
// descriptor, and the lock would live as long as that.
func (l *Lock) Close() error {
	err := control(l.file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_UN) })
	return errors.Join(err, l.file.Close())
}

// control calls a system call on the descriptor of f, again if it was interrupted.
func control(f *os.File, name string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var cerr error
	err = conn.Control(func(fd uintptr) {
		for {
			if cerr = call(int(fd)); cerr != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if cerr != nil {
		return &os.PathError{Op: name, Path: f.Name(), Err: cerr}
	}
	return nil
}
