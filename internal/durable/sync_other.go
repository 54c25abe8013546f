// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package durable

import "os"

func datasync(f *os.File) error { return f.Sync() }

func startSync(*os.File, int64, int) error { return nil }

func statInode(name string) (inode, error) { return statAll(name) }
