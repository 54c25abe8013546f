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
//     must be opened again. A failed fsync is never repeated on the same file, since
//     the kernel may have dropped the dirty pages and would report a false success.
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
// [Journal.Truncated] returns its length. Only a copy elsewhere could tell the two
// apart.
//
// BUG(durable): if the fsync of the directory failed after [Journal.Rewrite] renamed a
// journal into place, opening the journal repeats the fsync of the same directory. File
// systems that abort on a failed metadata write (ext4, XFS, btrfs) make this safe;
// others may not.
package durable
