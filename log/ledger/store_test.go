// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/log/event"
)

// TestStore compares the store with a map of encoded items, while items are added, changed and
// removed and snapshots are encoded.
func TestStore(t *testing.T) {
	encode := func(it *item) []byte {
		c := &codec{names: new(names)}
		c.item(it)
		return c.b
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := New(testLog, nil)
		s := &l.open
		s.late = func(it *item) int64 { return it.time }
		s.most = rapid.IntRange(0, 300).Draw(rt, "most")
		model := make(map[uint64][]byte)
		next := uint64(0)
		var got, want []func() []byte // snapshots under way, and their bytes
		snapshot := func() {
			text := func(c *codec) []byte {
				var b bytes.Buffer
				if err := c.writeTo(&b); err != nil {
					rt.Fatal(err)
				}
				return b.Bytes()
			}
			c := &codec{names: new(names)}
			s.code(c, nil)
			done := make(chan []byte, 1)
			go func() { done <- text(c) }()
			got = append(got, func() []byte { return <-done })
			out := codec{}
			out.count(len(model), 1)
			out.next()
			for part := range slices.Chunk(slices.Sorted(maps.Keys(model)), partSize) {
				for _, i := range part {
					out.raw(model[i])
				}
				out.next()
			}
			want = append(want, func() []byte { return text(&out) })
		}
		pick := func() *item {
			keys := slices.Sorted(maps.Keys(model))
			if len(keys) == 0 {
				return nil
			}
			return s.get(keys[rapid.IntRange(0, len(keys)-1).Draw(rt, "item")])
		}
		for range rapid.IntRange(0, 12).Draw(rt, "rounds") {
			switch rapid.SampledFrom([]string{"add", "add", "remove", "remove", "change", "snapshot"}).Draw(rt, "what") {
			case "add":
				for range rapid.IntRange(1, 700).Draw(rt, "n") {
					next += uint64(rapid.IntRange(1, 2).Draw(rt, "step"))
					it := &item{index: next, kind: event.TypeDeferral, time: int64(next % 7), authority: "court", keys: []uint32{1}}
					s.add(it)
					model[next] = encode(it)
				}
			case "remove":
				for range rapid.IntRange(1, 500).Draw(rt, "n") {
					if it := pick(); it != nil {
						s.remove(it)
						delete(model, it.index)
					}
				}
			case "change":
				for range rapid.IntRange(1, 300).Draw(rt, "n") {
					if it := pick(); it != nil {
						it.keys = append(it.keys, rapid.Uint32().Draw(rt, "key"))
						it.base++
						model[it.index] = encode(it)
					}
				}
			case "snapshot":
				snapshot()
			}
			s.cool()
			least := int64(rapid.IntRange(0, 7).Draw(rt, "least"))
			seen := make(map[uint64]bool)
			last := uint64(0)
			s.walk(least, func(it *item) {
				if it.index <= last || !bytes.Equal(encode(it), model[it.index]) {
					rt.Fatalf("item %d after %d", it.index, last)
				}
				seen[it.index], last = true, it.index
			})
			for i := range model {
				if !seen[i] && int64(i%7) <= least {
					rt.Fatalf("item %d is not seen", i)
				}
				if it := s.peek(i); it == nil || !bytes.Equal(encode(it), model[i]) {
					rt.Fatalf("item %d is lost", i)
				}
			}
			if s.n != len(model) || s.peek(next+1) != nil {
				rt.Fatalf("%d items; want %d", s.n, len(model))
			}
		}
		snapshot()
		for i := range got {
			if !bytes.Equal(got[i](), want[i]()) {
				rt.Fatalf("snapshot %d", i)
			}
		}
	})
}

// TestStoreDamage checks that the store panics if it can't read its own bytes: an item of zeros would have
// no duties.
func TestStoreDamage(t *testing.T) {
	s := &New(testLog, nil).open
	s.late = func(*item) int64 { return 0 }
	s.add(&item{index: 1, kind: event.TypeWarrant, warrant: new(warrant)})
	s.freeze()
	s.parts[0].records[0].size--
	for name, read := range map[string]func(){
		"get":  func() { s.get(1) },
		"peek": func() { s.peek(1) },
		"all":  func() { s.all(func(*item) {}) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "ledger: the store's own bytes of entry 1 can't be read: ") {
					t.Errorf("%s panics with %q", name, text)
				}
			}()
			read()
		}()
	}
}
