// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package durable keeps small state on a local POSIX file system so that it
// survives a crash of the process and a loss of power.
//
// It promises the log, the witness, the gate and the monitor:
//
//   - A nil error means that the change is on stable storage. The caller sends an
//     acknowledgement or a signature only after it.
//   - An error means that the old or the new state holds, never a mixture. Reading
//     again shows which: a [Register] rereads by itself, a [Journal] fails for good and
//     must be opened again. After a failed fsync the data is written again before the
//     next one, since the kernel may have dropped the dirty pages and would report a
//     false success.
//   - State that must exist is never created silently: opening a missing register or
//     journal is [ErrMissing], creating an existing one is [fs.ErrExist].
//   - Damage that no crash explains is reported ([ErrCorrupt]) and not repaired. A
//     change by another process is [ErrChanged].
//
// It trusts the kernel, the file system (rename, link and flock are atomic; fsync of a
// file and of its directory does what POSIX says) and every user who can write to the
// directory. Checksums are CRC-32C: they detect accidents, not attackers. A directory
// restored as a whole from a backup is consistent, so only the callers' protocols
// detect it.
//
// One process at a time owns a directory and everything in it: call [LockDir] first.
// Registers and journals are safe for concurrent use by that process.
//
// BUG(durable): damage to the last frame of a journal alone, or to everything from one
// frame's header to the end of the file, looks like a torn write and is cut off;
// [Journal.Truncated] and [Register.Truncated] return its length. A register then has an earlier
// value. Only a copy elsewhere could tell the two apart.
//
// BUG(durable): if the fsync of the directory failed after [Journal.Rewrite] renamed a
// journal into place, opening the journal repeats the fsync of the same directory. File
// systems that abort on a failed metadata write (ext4, XFS, btrfs) make this safe;
// others may not.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

var (
	// ErrMissing: a register or journal that must exist doesn't. It wraps
	// [fs.ErrNotExist]. The caller must not create an empty one instead: the operator
	// restores the state, or creates new state by an explicit command.
	ErrMissing = Like(fs.ErrNotExist, "state file is missing")
	// ErrTooLarge: a value or record is empty or exceeds the caller's limit.
	ErrTooLarge = errors.New("size is outside the allowed range")
	// ErrChanged: another process wrote to a file that this process owns.
	ErrChanged = errors.New("file was changed by another process while in use")
)

// Like returns an error with a text of its own that is kind, such as [fs.ErrExist]: the text
// of kind would only repeat it.
func Like(kind error, format string, args ...any) error {
	return &like{fmt.Sprintf(format, args...), kind}
}

type like struct {
	text string
	kind error
}

func (l *like) Error() string { return l.text }
func (l *like) Unwrap() error { return l.kind }

// Step is one kind of durable step.
type Step string

// The steps, in the order in which an operation takes them. The path that goes
// with each is the final name, not the temporary one; for [SyncDir] the directory.
const (
	Mkdir      Step = "mkdir"
	Create     Step = "create"      // make a temporary file
	Write      Step = "write"       // write to a temporary file, or rewrite the last frame of a journal on opening
	Sync       Step = "sync"        // fsync the file of Write
	Rename     Step = "rename"      // WriteFile, Rewrite
	Link       Step = "link"        // CreateFile
	SyncDir    Step = "sync dir"    // fsync a directory
	Append     Step = "append"      // write one frame to a journal
	AppendSync Step = "append sync" // fdatasync a journal
	Truncate   Step = "truncate"    // cut a torn tail off a journal
	Remove     Step = "remove"      // for callers that remove files
)

// Op is a moment before or after a step.
type Op struct {
	Step  Step
	After bool
}

// Fault is called before and after a step, and its error becomes the step's. An error
// before the step prevents it; after it, the step is done but its result is lost. Before
// a Write or Append the error may be a *[Torn].
type Fault func(op Op, path string) error

// injection is a fault in one directory.
type injection struct {
	dir   string // cleaned
	fault Fault
}

// injections is the list that [Inject] sets, guarded by injecting.
var (
	injecting  sync.RWMutex
	injections []*injection
)

// Inject makes each step on a path in dir or below call fault, from any goroutine,
// before and after, until remove is called. It is for tests of crash safety only, and
// package durabletest is its only caller. Since a fault belongs to a directory, tests in
// different directories don't see each other's faults.
func Inject(dir string, fault Fault) (remove func()) {
	in := &injection{filepath.Clean(dir), fault}
	injecting.Lock()
	defer injecting.Unlock()
	injections = append(injections, in)
	return func() {
		injecting.Lock()
		defer injecting.Unlock()
		injections = slices.DeleteFunc(injections, func(i *injection) bool { return i == in })
	}
}

// Torn is a fault that lets the first Bytes bytes of a write reach the file.
type Torn struct {
	Bytes int
	Err   error
}

func (t *Torn) Error() string { return fmt.Sprintf("after %d bytes: %v", t.Bytes, t.Err) }

// Unwrap returns t.Err.
func (t *Torn) Unwrap() error { return t.Err }

func fault(op Op, path string) error {
	injecting.RLock()
	list := slices.Clone(injections) // a fault may call Inject
	injecting.RUnlock()
	for _, in := range list {
		if rest, ok := strings.CutPrefix(filepath.Clean(path), in.dir); !ok || rest != "" && rest[0] != filepath.Separator {
			continue
		}
		if err := in.fault(op, path); err != nil {
			return fmt.Errorf("%s %s: %w", op.Step, path, err)
		}
	}
	return nil
}

// Do runs a step for which package durable has no function.
func (s Step) Do(path string, do func() error) error {
	if err := fault(Op{Step: s}, path); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return fault(Op{Step: s, After: true}, path)
}

// Write is [Step.Do] for a step that writes p, and may be [Torn].
func (s Step) Write(path string, p []byte, do func([]byte) (int, error)) error {
	err := fault(Op{Step: s}, path)
	if torn := (*Torn)(nil); errors.As(err, &torn) {
		_, werr := do(p[:min(max(torn.Bytes, 0), len(p))])
		return errors.Join(err, werr)
	}
	if err != nil {
		return err
	}
	if _, err := do(p); err != nil {
		return err
	}
	return fault(Op{Step: s, After: true}, path)
}

const tempPrefix, tempSuffix = ".durable-", ".tmp"

// WriteFile atomically replaces name by a file that holds data, with exactly the
// permissions perm (the umask doesn't apply). If name is a symbolic link, the link
// is replaced. On an error, name is either untouched or holds all of data, possibly
// not yet durably. Only a crash leaves a temporary file behind; see [RemoveTemps].
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	return WriteStream(name, perm, all(data))
}

// WriteStream is [WriteFile] for bytes that fill writes. They need not fit into memory.
func WriteStream(name string, perm fs.FileMode, fill func(io.Writer) error) error {
	if err := replaceFile(filepath.Dir(name), name, perm, fill); err != nil {
		return err
	}
	if err := FsyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%s is replaced, but perhaps not durably: %w", name, err)
	}
	return nil
}

// replaceFile is WriteStream without the fsync of the directory. Its temporary file is in the
// directory temps.
func replaceFile(temps, name string, perm fs.FileMode, fill func(io.Writer) error) error {
	tmp, err := temp(temps, name, perm, fill)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer tmp.Close()
	if err := Rename.Do(name, func() error { return os.Rename(tmp.Name(), name) }); err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

// NoRoom returns whether an operation failed because the file system takes no more data:
// it is full or read-only, or a quota is used up. That can end by itself.
func NoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// Probe finds out whether a file can be made durable in a directory. It leaves none.
func Probe(dir string) error {
	tmp, err := temp(dir, filepath.Join(dir, "probe"), 0o600, all(make([]byte, 4096)))
	if err != nil {
		return fmt.Errorf("%s can't be written to: %w", dir, err)
	}
	return errors.Join(os.Remove(tmp.Name()), tmp.Close())
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

// ReplaceFile is [WriteFile] for a name that either does not exist, or whose content mine
// accepts as the caller's. Else it fails with [fs.ErrExist].
func ReplaceFile(name string, data []byte, perm fs.FileMode, mine func(old []byte) bool) error {
	err := CreateFile(name, data, perm)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, serr := os.Stat(name); serr != nil || !info.Mode().IsRegular() {
		return errors.Join(err, serr)
	}
	if old, rerr := os.ReadFile(name); rerr != nil || !mine(old) {
		return errors.Join(err, rerr)
	}
	return WriteFile(name, data, perm)
}

// CreateFile is [WriteFile] for a name that must not exist yet: otherwise it fails
// with [fs.ErrExist] and changes nothing. It needs a file system with hard links.
func CreateFile(name string, data []byte, perm fs.FileMode) error {
	return CreateStream(name, perm, all(data))
}

// all writes data, for CreateStream and temp.
func all(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// CreateStream is [CreateFile] for the bytes that fill writes, of any size. The name
// exists only once fill has returned nil.
func CreateStream(name string, perm fs.FileMode, fill func(io.Writer) error) error {
	tmp, err := temp(filepath.Dir(name), name, perm, fill)
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	defer tmp.Close()
	err = Link.Do(name, func() error { return os.Link(tmp.Name(), name) })
	os.Remove(tmp.Name())
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		err = link.Err // without tmp's name
	}
	if errors.Is(err, fs.ErrExist) {
		return Like(fs.ErrExist, "%s exists; not overwritten", name)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	if err := FsyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%s is created, but perhaps not durably: %w", name, err)
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

// temp makes, fills and syncs a temporary file in dir, which is to become name. It removes
// the file on an error; otherwise the caller renames, links or removes the file, and then
// closes it: until then the file's flock(2) keeps [RemoveTemps] away.
func temp(dir, name string, perm fs.FileMode, fill func(io.Writer) error) (file *os.File, err error) {
	for file == nil || err == nil && !lockTemp(file) { // again if RemoveTemps came before the lock
		file.Close()
		err = Create.Do(name, func() (err error) {
			file, err = os.CreateTemp(dir, tempPrefix+"*"+tempSuffix)
			return err
		})
		if file == nil {
			return nil, err
		}
	}
	if err == nil {
		err = file.Chmod(perm.Perm())
	}
	if err == nil {
		err = fill(&stepWriter{name, file})
	}
	if err == nil {
		err = Sync.Do(name, file.Sync)
	}
	if err != nil {
		os.Remove(file.Name())
		file.Close()
		return nil, err
	}
	return file, nil
}

// lockTemp locks a temporary file, and reports whether the file still has its name. Where
// the file system has no locks, no LockDir succeeds, and so nothing removes the file.
func lockTemp(file *os.File) bool {
	_ = control(file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX) })
	ours, err := file.Stat()
	if err != nil {
		return true // the next step reports it
	}
	named, err := os.Lstat(file.Name())
	return err == nil && os.SameFile(ours, named)
}

// RemoveTemps removes the temporary files that crashed processes left in dir. A file that a
// living process writes, such as a command for a running daemon, is locked and stays, as does
// one of another user. [LockDir] calls RemoveTemps for the locked directory.
func RemoveTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix) || !strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		err := removeTemp(filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
	}
	return nil
}

func removeTemp(name string) error {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := control(file, "flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
		return err
	}
	return os.Remove(name)
}

// MkdirAll makes dir and all missing parents, with permissions perm before the umask,
// and syncs the parent of each before it makes the next. It also syncs the parent of an
// existing directory, since an earlier run may have crashed in between, unless the
// parent may not be read.
func MkdirAll(dir string, perm fs.FileMode) error {
	if err := mkdirAll(filepath.Clean(dir), perm); err != nil {
		return fmt.Errorf("making directory %s: %w", dir, err)
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
