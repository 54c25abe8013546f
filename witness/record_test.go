// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

// FuzzRecord: one encoding in, the same bytes out.
func FuzzRecord(f *testing.F) {
	s, err := tlog.GenerateSigner("log.example/a", tlog.Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	h := tlog.Head{Origin: "log.example/a", Size: 7, Extension: []string{"more"}}
	sig, err := s.Sign(&h, 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, t := range []uint64{0, 1, 1_800_000_000, 1<<63 - 1} {
		f.Add((&accepted{head: h, time: t, lines: []tlog.Signature{sig}}).record())
		f.Add(clockRecord(t))
	}
	f.Add([]byte("time 01\n"))
	f.Add([]byte("clock 01"))
	f.Fuzz(func(t *testing.T, rec []byte) {
		if n, ok := parseClockRecord(rec); ok && !bytes.Equal(clockRecord(n), rec) {
			t.Errorf("%q is read as %d", rec, n)
		}
		if a, err := parseRecord(rec); err == nil && !bytes.Equal(a.record(), rec) {
			t.Errorf("%q is read as %q", rec, a.record())
		}
	})
}
