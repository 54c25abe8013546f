// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"bytes"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

// FuzzRecord: one encoding in, the same bytes out.
func FuzzRecord(f *testing.F) {
	log, err := tlog.GenerateSigner("log.example", tlog.Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	line, err := log.Sign(&cp.Head, 0)
	if err != nil {
		f.Fatal(err)
	}
	cp.Signatures = append(cp.Signatures, line)
	for _, r := range []record{{Auditor: "dog", Key: "dog.example"}, {Auditor: "dog", Key: "dog.example", Time: 9, Checkpoint: string(cp.Bytes())}} {
		f.Add(r.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && (!bytes.Equal(r.bytes(), b) || (r.head == nil) != (r.Checkpoint == "") || r.head != nil && string(r.head.Bytes()) != r.Checkpoint) {
			t.Errorf("parsed, and written again as %q", r.bytes())
		}
	})
}
