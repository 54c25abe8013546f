// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/world/written"
)

type fuzzOwn struct {
	Count uint64   `json:"count"`
	Names []string `json:"names,omitempty"`
}

// FuzzSnapshot: one encoding in, the same bytes out. The hash at the end is made to
// fit, or nothing would get past it.
func FuzzSnapshot(f *testing.F) {
	w := written.New(f.TempDir(), nil)
	w.Append([]byte("no event"))
	w.Publish("w1", "w2", "w3")
	w.Report(f.Fatal)
	cl, err := client.New(client.Config{URL: w.Dir, Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	if err != nil {
		f.Fatal(err)
	}
	config := func() Config {
		return Config{Client: cl, Use: "test", Policy: []byte("mine"), Own: new(fuzzOwn)}
	}
	c := config()
	*c.Own.(*fuzzOwn) = fuzzOwn{7, []string{"<a>"}}
	r, err := New(c)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := r.Update(f.Context()); err != nil {
		f.Fatal(err)
	}
	if err := r.Replay(f.Context(), Observer{}); err != nil {
		f.Fatal(err)
	}
	b, err := r.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-sha256.Size])
	f.Add([]byte(magic + "test\n{}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := checksum.Append(bytes.Clone(body), 0)
		c := config()
		c.Snapshot = b
		r, err := New(c)
		if err != nil {
			return
		}
		again, err := r.Snapshot()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("parsed, and written again as %q, %v", again, err)
		}
	})
}
