// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package durable

import "os"

func datasync(f *os.File) error { return f.Sync() }

// AwaitRecordLock doesn't wait: only on Linux a process can see its own record locks.
func AwaitRecordLock(string) error { return nil }
