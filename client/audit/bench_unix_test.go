// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package audit_test

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns how much processor time this process has used: on a machine
// that does other work too, it says more than a clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
