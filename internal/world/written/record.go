// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package written

import (
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
)

// Record is the tree of a log's entries in memory, for a ledger.
type Record struct {
	Entries [][]byte
	roots   [][32]byte // by size
}

// Record keeps all entries of a log that has only its charter. It sets Appended.
func (l *Log) Record() *Record {
	r := &Record{[][]byte{l.Charter.Envelope.Bytes()}, [][32]byte{tiles.EmptyRoot(), l.Head().Root}}
	l.Appended = func(_ event.Reference, entry []byte) {
		r.Entries, r.roots = append(r.Entries, entry), append(r.roots, l.Head().Root)
	}
	return r
}

func (r *Record) Entry(index uint64) ([]byte, error) { return r.Entries[index], nil }
func (r *Record) Root(size uint64) ([32]byte, error) { return r.roots[size], nil }
