// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit/audittest"
)

// FuzzParseSnapshot: one encoding in, the same bytes out. The hash at the end is
// made to fit, or nothing would get past it.
func FuzzParseSnapshot(f *testing.F) {
	w := audittest.New(f, nil)
	w.Append([]byte("no event"))
	w.Publish("w1", "w2")
	policy := w.Policy(2, "w1", "w2", "w3")
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		f.Fatal(err)
	}
	Run(f.Context(), Config{Client: cl, Policy: policy, Save: func(b []byte) error {
		f.Add(b[:len(b)-sha256.Size])
		return nil
	}})
	f.Add([]byte(magic + "{}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		b := append(bytes.Clone(body), sum[:]...)
		s, err := parseSnapshot(b)
		if err != nil {
			return
		}
		again, err := s.bytes()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("parsed, and written again as %q, %v", again, err)
		}
	})
}
