// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package trilliantest

import "syscall"

func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
