// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cosign

import "time"

// sinceBoot returns 0: only the runtime's monotonic clock counts here.
func sinceBoot() time.Duration { return 0 }
