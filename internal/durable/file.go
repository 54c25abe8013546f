// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const tempPrefix, tempSuffix = ".durable-", ".tmp"

// WriteFile atomically replaces name by a file that holds data, with exactly the
// permissions perm (the umask doesn't apply). If name is a symbolic link, the link
// is replaced. On an error, name is either untouched or holds all of data, possibly
// not yet durably. Only a crash leaves a temporary file behind; see [RemoveTemps].
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	tmp, err := closedTemp(name, perm, all(data))
	if err != nil {
		return fmt.Errorf("durable: writing %s: %w", name, err)
	}
	if err := Rename.Do(name, func() error { return os.Rename(tmp, name) }); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("durable: replacing %s: %w", name, err)
	}
	if err := FsyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("durable: %s is replaced, but perhaps not durably: %w", name, err)
	}
	return nil
}

// ReadFile reads a file of at most limit bytes. A longer one is [ErrTooLarge].
func ReadFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrTooLarge, name, limit)
	}
	return b, err
}

// CreateFile is [WriteFile] for a name that must not exist yet: otherwise it fails
// with [fs.ErrExist] and changes nothing. It needs a file system with hard links.
func CreateFile(name string, data []byte, perm fs.FileMode) error {
	return CreateStream(name, perm, all(data))
}

// all writes data, for CreateStream.
func all(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// CreateStream is [CreateFile] for the bytes that fill writes, of any size. The name
// exists only once fill has returned nil.
func CreateStream(name string, perm fs.FileMode, fill func(io.Writer) error) error {
	tmp, err := closedTemp(name, perm, fill)
	if err != nil {
		return fmt.Errorf("durable: creating %s: %w", name, err)
	}
	err = Link.Do(name, func() error { return os.Link(tmp, name) })
	os.Remove(tmp)
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		err = link.Err // without tmp's name
	}
	if err != nil {
		return fmt.Errorf("durable: creating %s: %w", name, err)
	}
	if err := FsyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("durable: %s is created, but perhaps not durably: %w", name, err)
	}
	return nil
}

// stepWriter makes each write to a file a step.
type stepWriter struct {
	name string
	file *os.File
}

func (w *stepWriter) Write(p []byte) (int, error) {
	if err := Write.Write(w.name, p, w.file.Write); err != nil {
		return 0, err
	}
	return len(p), nil
}

// closedTemp makes a synced temporary file next to name with the bytes that fill
// writes.
func closedTemp(name string, perm fs.FileMode, fill func(io.Writer) error) (tmp string, err error) {
	file, err := temp(name, perm, func(file *os.File) error {
		return fill(&stepWriter{name, file})
	})
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil { // some network file systems report a failed write only here
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// temp makes, fills and syncs a temporary file next to name. It removes the file on an
// error; otherwise the caller closes it and renames or removes it.
func temp(name string, perm fs.FileMode, fill func(*os.File) error) (file *os.File, err error) {
	defer func() {
		if err != nil && file != nil {
			file.Close()
			os.Remove(file.Name())
			file = nil
		}
	}()
	err = Create.Do(name, func() (err error) {
		file, err = os.CreateTemp(filepath.Dir(name), tempPrefix+"*"+tempSuffix)
		return err
	})
	if err != nil {
		return file, err
	}
	if err := file.Chmod(perm.Perm()); err != nil {
		return file, err
	}
	if err := fill(file); err != nil {
		return file, err
	}
	return file, Sync.Do(name, file.Sync)
}

// RemoveTemps removes the temporary files that crashed processes left in dir. Only
// the owner of dir may call it; [LockDir] does so for the locked directory itself.
func RemoveTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix) || !strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("durable: %w", err)
		}
	}
	return nil
}

// MkdirAll makes dir and all missing parents, with permissions perm before the umask,
// and syncs the parent of each before it makes the next. It also syncs the parent of an
// existing directory, since an earlier run may have crashed in between, unless the
// parent may not be read.
func MkdirAll(dir string, perm fs.FileMode) error {
	if err := mkdirAll(filepath.Clean(dir), perm); err != nil {
		return fmt.Errorf("durable: making directory %s: %w", dir, err)
	}
	return nil
}

func mkdirAll(dir string, perm fs.FileMode) error {
	parent := filepath.Dir(dir)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err == nil {
		if err := FsyncDir(parent); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := mkdirAll(parent, perm); err != nil {
		return err
	}
	err = Mkdir.Do(dir, func() error { return os.Mkdir(dir, perm) })
	if err != nil && !isDir(dir, err) {
		return err
	}
	return FsyncDir(parent)
}

// isDir reports whether mkdir failed with err because the directory exists by now.
func isDir(dir string, err error) bool {
	info, serr := os.Stat(dir)
	return errors.Is(err, fs.ErrExist) && serr == nil && info.IsDir()
}

// FsyncDir makes the names in a directory durable.
func FsyncDir(dir string) error {
	return SyncDir.Do(dir, func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}
