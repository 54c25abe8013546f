// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package entries

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/tlog"
)

// Index finds a logged entry by the hash of its event, so that a re-submission gets the
// logged entry. It checks every hit against the tree.
//
// The file is a cache of what can be computed from the tree: 16 random bytes, and
// for each full bundle a group of 256 fingerprints of 8 bytes with a checksum. It
// is written without sync, and believed as far as the checksums go.
//
// Find is safe for concurrent use; all other methods are the tree owner's.
type Index struct {
	reader tlog.TileReader
	file   *os.File
	logger *slog.Logger

	seed [indexHeader]byte // secret, so that chosen events can't have chosen fingerprints

	mu     sync.RWMutex
	prints prints
	size   uint64 // entries in prints; after Load, that of a checked tree
	// mu does not guard what follows.
	groups uint64 // in the file
	buf    []byte // fingerprints of the entries after the groups
}

const (
	indexHeader = 16
	groupPrints = 8 * tlog.TileWidth
	groupSize   = groupPrints + 8
)

// OpenIndex opens the file, which Load reads.
func OpenIndex(name string, reader tlog.TileReader, logger *slog.Logger) (*Index, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the index of events: %w", err)
	}
	return &Index{reader: reader, file: file, logger: logger}, nil
}

// Use has the index check its hits against r from now on.
func (x *Index) Use(r tlog.TileReader) { x.reader = r }

// Load reads the fingerprints of the first trusted entries from the file, and those
// that the file lacks from the tree.
func (x *Index) Load(ctx context.Context, trusted uint64) error {
	if err := x.loadFile(trusted); err != nil {
		return err
	}
	for x.size < trusted {
		entries, err := tiles.ReadBundle(ctx, x.reader, x.size/tlog.TileWidth, trusted)
		if err != nil {
			return chain.TreeError(err)
		}
		for _, entry := range entries[x.size%tlog.TileWidth:] {
			if err := x.AddEntry(x.size, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Index) loadFile(trusted uint64) error {
	if _, err := io.ReadFull(x.file, x.seed[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		rand.Read(x.seed[:])
		if _, err := x.file.WriteAt(x.seed[:], 0); err != nil {
			return fmt.Errorf("writing the index of events: %w", err)
		}
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the index of events: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	r := bufio.NewReaderSize(x.file, 64<<10)
	group := make([]byte, groupSize)
	for (x.groups+1)*tlog.TileWidth <= trusted {
		if _, err := io.ReadFull(r, group); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return fmt.Errorf("reading the index of events: %w", err)
		}
		if !bytes.Equal(group[groupPrints:], x.checksum(x.groups, group[:groupPrints])) {
			break
		}
		for b := group[:groupPrints]; len(b) > 0; b = b[8:] {
			x.prints.add(binary.LittleEndian.Uint64(b), x.size)
			x.size++
		}
		x.groups++
	}
	return nil
}

func (x *Index) checksum(n uint64, prints []byte) []byte {
	h := sha256.New()
	h.Write(x.seed[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, n))
	h.Write(prints)
	return h.Sum(nil)[:8]
}

func (x *Index) fingerprint(hash [32]byte) uint64 {
	var b [48]byte
	copy(b[:], x.seed[:])
	copy(b[16:], hash[:])
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint64(sum[:])
}

// Add adds the events of the entries from first on, which must be the next ones. Find
// sees all of them at once: at a size in between, the tree was never written and
// can't be read.
func (x *Index) Add(first uint64, hashes ...[32]byte) {
	fingerprints := make([]uint64, len(hashes))
	for i, h := range hashes {
		fingerprints[i] = x.fingerprint(h)
	}
	x.mu.Lock()
	if first != x.size {
		panic(fmt.Sprintf("event index: entry %d after %d entries", first, x.size))
	}
	for _, f := range fingerprints {
		x.prints.add(f, x.size)
		x.size++
	}
	x.mu.Unlock()
	for _, f := range fingerprints {
		x.buf = binary.LittleEndian.AppendUint64(x.buf, f)
	}
	if len(x.buf) >= groupPrints {
		x.write()
	}
}

// write writes the full groups. After an error the next call tries again; the file is
// a cache.
func (x *Index) write() {
	var out []byte
	n := x.groups
	for b := x.buf; len(b) >= groupPrints; b = b[groupPrints:] {
		out = append(append(out, b[:groupPrints]...), x.checksum(n, b[:groupPrints])...)
		n++
	}
	if _, err := x.file.WriteAt(out, indexHeader+int64(x.groups)*groupSize); err != nil {
		x.logger.Warn("the index of events can't be written; the next start will take longer", "err", err)
		return
	}
	x.buf = append(x.buf[:0], x.buf[int(n-x.groups)*groupPrints:]...)
	x.groups = n
}

// AddEntry is Add for an entry as the tree has it.
func (x *Index) AddEntry(index uint64, entry []byte) error {
	hash, err := EventHash(index, entry)
	if err != nil {
		return err
	}
	x.Add(index, hash)
	return nil
}

// Logged is an event that is in the log.
type Logged struct {
	Index uint64
	Entry []byte
	Leaf  tiles.Hash
}

// May returns whether Find would read the tree: an entry of this event is there or,
// rarely, one with the same fingerprint.
func (x *Index) May(hash [32]byte) bool {
	f := x.fingerprint(hash)
	x.mu.RLock()
	defer x.mu.RUnlock()
	for range x.prints.find(f) {
		return true
	}
	return false
}

// Find returns where the entry with this leaf hash, of the event with this hash, is
// logged first, nil if it isn't. It compares the entry with its hash in the tree. Other
// envelopes of the same event don't count: their signatures are by other keys, or bad.
func (x *Index) Find(ctx context.Context, hash [32]byte, leaf tiles.Hash) (*Logged, error) {
	f := x.fingerprint(hash)
	x.mu.RLock()
	at, size := slices.Sorted(x.prints.find(f)), x.size
	x.mu.RUnlock()
	for _, index := range at {
		known, err := x.read(ctx, index, size)
		if err != nil {
			return nil, fmt.Errorf("looking for the event in the log: %w", err)
		} else if known.Leaf == leaf {
			return known, nil
		}
	}
	return nil, nil
}

// read returns the entry at index.
func (x *Index) read(ctx context.Context, index, size uint64) (*Logged, error) {
	n, i := index/tlog.TileWidth, index%tlog.TileWidth
	entries, err := tiles.ReadBundle(ctx, x.reader, n, size)
	if err != nil {
		return nil, chain.TreeError(err)
	}
	entry := entries[i]
	leaf := tiles.LeafHash(entry)
	t := tlog.Tile{Level: 0, Index: n, Width: len(entries)}
	hashes, err := tiles.ReadHashes(ctx, x.reader, t)
	if err != nil {
		return nil, chain.TreeError(err)
	}
	if hashes[i] != leaf {
		return nil, chain.TreeError(&tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("or its entry bundle is: entry %d does not have the hash that the tile says", index)})
	}
	return &Logged{index, entry, leaf}, nil
}

// Close closes the file.
func (x *Index) Close() error { return x.file.Close() }

// prints is a multimap from fingerprints to entry indices, in about 11 bytes an
// entry and without pointers: of a fingerprint it keeps 42 bits, 12 as the number
// of a shard and 30 in the slot. find yields the indices
// of all events of one print; the caller compares them with the tree.
type prints struct {
	shards [1 << shardBits]shard
}

// shard is a hash table with linear probing. A slot is 0, or holds the 30 bits
// above the index plus one.
type shard struct {
	slots []uint64
	used  int
}

const (
	shardBits = 12
	restBits  = 30
	indexBits = 64 - restBits // 17 billion entries
	maxIndex  = 1<<indexBits - 2
)

func split(print uint64) (shard int, rest uint64) {
	return int(print >> (64 - shardBits)), print << shardBits >> (64 - restBits)
}

func (p *prints) add(print, index uint64) {
	if index > maxIndex {
		panic(fmt.Sprintf("event index: it can't hold entry %d", index))
	}
	n, rest := split(print)
	p.shards[n].add(rest<<indexBits | (index + 1))
}

// find yields the indices that were added with this print, or rarely with
// another, in no order.
func (p *prints) find(print uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		n, rest := split(print)
		s := p.shards[n].slots
		if len(s) == 0 {
			return
		}
		for i := home(rest, len(s)); s[i] != 0; i = after(i, len(s)) {
			if s[i]>>indexBits == rest && !yield(s[i]&(1<<indexBits-1)-1) {
				return
			}
		}
	}
}

func home(rest uint64, slots int) int { return int(rest * uint64(slots) >> restBits) }

func after(i, slots int) int {
	if i++; i == slots {
		return 0
	}
	return i
}

func (s *shard) add(slot uint64) {
	if s.used >= len(s.slots)*13/16 { // at least one stays free, which ends every search
		old := s.slots
		s.slots = make([]uint64, len(old)+len(old)/4+8)
		for _, o := range old {
			if o != 0 {
				s.put(o)
			}
		}
	}
	s.put(slot)
	s.used++
}

func (s *shard) put(slot uint64) {
	i := home(slot>>indexBits, len(s.slots))
	for s.slots[i] != 0 {
		i = after(i, len(s.slots))
	}
	s.slots[i] = slot
}
