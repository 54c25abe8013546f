// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"os"
	"syscall"
)

// datasync is fdatasync(2), which writes the size of the inode, but not its times.
func datasync(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}
