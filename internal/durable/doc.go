// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package durable keeps small state on a local POSIX file system so that it
// survives a crash of the process and a loss of power.
//
// It serves the log, the witness, the gate and the monitor, and promises them:
//
//   - A nil error means that the change is on stable storage. What says so to
//     others (an acknowledgement, a signature) may leave only after it.
//   - An error means that the old or the new state holds, whole, and never a
//     mixture. Which of the two is found by reading again: [Register] does that by
//     itself, a [Journal] is failed for good and must be opened again. A failed
//     fsync is never repeated on the same file, since the kernel may have dropped
//     the dirty pages and would then report a success that is none.
//   - What must exist is never created silently: opening a missing register or
//     journal is [ErrMissing], creating an existing one is [fs.ErrExist].
//   - What a crash can't leave behind is reported as damage ([ErrCorrupt]) and not
//     repaired; what was changed behind the owner's back is [ErrChanged].
//
// It trusts the kernel, the file system (rename, link and flock are atomic; fsync
// of a file and of its directory means what POSIX says) and whoever may write to
// the directory. Checksums are CRC-32C: they find accidents, not attackers. A
// directory restored as a whole from a backup is consistent, and therefore not
// noticed here; the callers' protocols notice it.
//
// One process at a time owns a directory and everything in it: take [LockDir]
// first. Registers and journals are safe for use by several goroutines of it.
//
// BUG(durable): damage that destroys the last frame of a journal alone, or
// everything from one frame's header to the end of the file, looks like a torn
// write and is cut off; [Journal.Truncated] tells how much. Only a copy elsewhere
// could tell the two apart.
//
// BUG(durable): a journal renamed into place by [Journal.Rewrite] whose directory
// fsync failed is opened again by an fsync of the same directory. File systems that
// abort on a failed metadata write (ext4, XFS, btrfs) make this safe; others may not.
package durable
