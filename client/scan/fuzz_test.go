// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// FuzzState: what is taken up is of the seed, fit for use, and written again as it was
// read: the replica refuses a snapshot that is not.
func FuzzState(f *testing.F) {
	s := &state{Seed: "00", Notices: 3, Breaches: []Breach{{1, "role", "text", true}}, BreachCount: 1,
		Tried: []tried{{3, "2026-01"}, {7, "2026-02"}},
		Hits:  []*hit{{Stated: []stated{{Release: event.Reference{Index: 1}, Own: true}}, Disclosure: 7, After: time.Unix(1_800_000_000, 0).UTC(), Period: "2026-01", Error: "none"}}}
	good, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	back := &state{Seed: "00"}
	if err := json.Unmarshal(good, back); err != nil || !back.Hits[0].Stated[0].Own || back.Tried[1].Entries != 7 {
		f.Fatal(err, back)
	}
	for _, bad := range []string{`"seed":"01"`, `"found":[null]`, `"disclosure":-1`, `"error":""`} {
		name, _, _ := bytes.Cut([]byte(bad), []byte(":"))
		i := bytes.Index(good, name)
		f.Add(append(append(bytes.Clone(good[:i]), bad...), good[bytes.IndexAny(good[i:], ",}")+i:]...))
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &state{Seed: "00"}
		if json.Unmarshal(b, s) != nil {
			return
		}
		if s.Seed != "00" {
			t.Fatalf("it is of the seed %q", s.Seed)
		}
		for _, x := range s.Hits {
			if (x.Notice == nil) != (x.Error != "") || len(x.Stated) == 0 {
				t.Errorf("%+v", x)
			}
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		next := &state{Seed: "00"}
		if err := json.Unmarshal(again, next); err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		if last, err := json.Marshal(next); err != nil || !bytes.Equal(again, last) {
			t.Errorf("%q, then %q, %v", again, last, err)
		}
	})
}
