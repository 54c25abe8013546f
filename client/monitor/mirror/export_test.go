// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"iter"

	"github.com/vasistas/vasistas/log/tlog"
)

// Files yields the files of a copy, but for its checkpoint.
func Files(size uint64) iter.Seq[tlog.Tile] {
	return func(yield func(tlog.Tile) bool) {
		for n := range files(size) {
			if !yield(nth(size, n)) {
				return
			}
		}
	}
}
