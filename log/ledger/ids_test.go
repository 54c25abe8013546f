// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// TestIDs compares the table with a map, for uses by two keys, some of the same id.
func TestIDs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type place struct {
		key uint32
		id  event.ID
	}
	want := make(map[place]usedID)
	table := newIDs(slices.Values([]usedID(nil)))
	for i := range 20_000 {
		u := usedID{index: uint64(i) + 1, key: r.Uint32N(2), time: r.Int64N(10)}
		binary.LittleEndian.PutUint64(u.id[:], r.Uint64N(15_000))
		table.put(u)
		want[place{u.key, u.id}] = u
		if i%5000 == 4999 {
			least := int64(i / 5000)
			table = newIDs(table.all(least))
			for p, u := range want {
				if u.time < least {
					delete(want, p)
				}
			}
		}
	}
	if table.n != len(want) {
		t.Errorf("%d uses; want %d", table.n, len(want))
	}
	for key := range uint32(2) {
		for i := range uint64(15_000) {
			var id event.ID
			binary.LittleEndian.PutUint64(id[:], i)
			got, _, _ := table.find(key, id)
			u, ok := want[place{key, id}]
			if (got != nil) != ok || ok && *got != u {
				t.Fatalf("key %d, id %d: %v; want %v", key, i, got, u)
			}
		}
	}
}
