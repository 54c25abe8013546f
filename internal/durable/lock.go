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
var ErrLocked = errors.New("directory is in use")

// Lock is the exclusive ownership of a directory.
type Lock struct{ file *os.File }

// LockDir locks dir for this process, by an exclusive flock(2) on the file dir/lock, and
// removes temporary files that the last owner left. It doesn't wait: if another process,
// or an earlier LockDir of this one, has the lock, the error is [ErrLocked] and names
// that process. The kernel releases the lock when the process ends, so a stale lock file
// is harmless. Don't remove the file while the process runs: a second process would lock
// a new file.
func LockDir(dir string) (*Lock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := lock(file, dir); err != nil {
		file.Close()
		if errors.Is(err, ErrLocked) {
			return nil, err
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return &Lock{file}, nil
}

func lock(file *os.File, dir string) error {
	err := control(file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s is held by %s; stop it first", ErrLocked, dir, holder(file))
	}
	if err != nil {
		return err
	}
	ours, err1 := file.Stat()
	named, err2 := os.Stat(file.Name())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !os.SameFile(ours, named) {
		return fmt.Errorf("%w: the lock file of %s was replaced while it was being locked; try again", ErrLocked, dir)
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	// The number only informs the operator, so it isn't synced.
	if _, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return err
	}
	return RemoveTemps(dir)
}

// holder names the process whose number is in the lock file.
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

// Close unlocks the directory. The lock file stays. Close unlocks explicitly, since a
// child process that is being started may have a copy of the descriptor, which would
// keep the lock.
func (l *Lock) Close() error {
	err := control(l.file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_UN) })
	return errors.Join(err, l.file.Close())
}

// control calls a system call on the descriptor of f, and repeats it on EINTR.
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
