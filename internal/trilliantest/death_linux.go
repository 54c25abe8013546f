// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import "syscall"

func setDeathSignal(a *syscall.SysProcAttr, s syscall.Signal) { a.Pdeathsig = s }
