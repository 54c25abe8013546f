// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

// TestAuditedNeverOlder: an audited checkpoint gives way to none of the same size with an older time.
func TestAuditedNeverOlder(t *testing.T) {
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	r := &rounds{head: cp, after: 1000} // without a record: publish would write one
	for _, after := range []uint64{999, 1000} {
		older := *cp
		if err := r.publish(t.Context(), &older, after); err != nil || r.head != cp || r.after != 1000 {
			t.Errorf("at time %d: %v, and the time is now %d", after, err, r.after)
		}
	}
}
