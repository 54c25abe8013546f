// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

// SetMaxHits sets the bound of hits, and returns the one before.
func SetMaxHits(n int) (was int) {
	was, maxHits = maxHits, n
	return was
}
