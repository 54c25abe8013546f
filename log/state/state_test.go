// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package state_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestWarnTruncated: a start logs once that it cut off an incomplete record of the head.
func TestWarnTruncated(t *testing.T) {
	d := state.NewDir(t.TempDir())
	if err := d.Create(t.Context(), state.Settings{Origin: "log.example", Charter: tlog.Hash{1}}, []byte("head")); err != nil {
		t.Fatal(err)
	}
	durabletest.Tear(t, d.Path("head"))
	for _, want := range []string{"file=" + d.Path("head") + " bytes=4", ""} {
		opened, err := state.OpenDir(d.Path(""))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		opened.WarnTruncated(slog.New(slog.NewTextHandler(&out, nil)))
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("logged %q, want %q", got, want)
		}
		if b, err := opened.LoadHead(t.Context()); err != nil || string(b) != "head" {
			t.Errorf("%q, %v", b, err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
