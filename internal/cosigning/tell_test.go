// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosigning_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestTeller: one line a minute, and each answer is counted in one line.
func TestTeller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, nil))
		var teller cosigning.Teller
		for i := range 121 {
			teller.Cosigned(logger, &tlog.Head{Origin: "log.example/a", Size: uint64(i)}, 7)
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 || teller.Count() != 121 {
			t.Fatalf("%d answers in %d lines: %s", teller.Count(), len(lines), out.String())
		}
		for i, want := range []string{"size=0 time=1970-01-01T00:00:07.000Z answers=1", "size=60 time=1970-01-01T00:00:07.000Z answers=60", "size=120 time=1970-01-01T00:00:07.000Z answers=60"} {
			if !strings.HasSuffix(lines[i], "msg=cosigned origin=log.example/a "+want) {
				t.Errorf("line %d is %s", i, lines[i])
			}
		}
	})
}
