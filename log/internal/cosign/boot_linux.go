// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how long the machine has been up, asleep or not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
