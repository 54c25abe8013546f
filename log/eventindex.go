// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

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
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// eventIndex finds a logged event by its event hash, so that a re-submission
// gets the logged entry. What it finds is checked against the tree.
//
// The file is a cache of what can be computed from the tree: 16 random bytes, and
// for each full bundle a group of 256 fingerprints of 8 bytes with a checksum. It
// is written without sync, and believed as far as the checksums go.
type eventIndex struct {
	reader tlog.TileReader
	file   *os.File
	logger *slog.Logger

	seed [indexHeader]byte // nobody who chooses events can make their prints meet

	mu     sync.RWMutex
	prints prints
	size   uint64 // entries in prints; once it is loaded, that of a tree that was checked
	groups uint64 // groups in the file; owned by the sequencer, as is:
	buf    []byte // fingerprints of the entries after them
}

const (
	indexHeader = 16
	groupPrints = 8 * tlog.TileWidth
	groupSize   = groupPrints + 8
)

func openEventIndex(name string, reader tlog.TileReader, logger *slog.Logger) (*eventIndex, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the index of events: %w", err)
	}
	return &eventIndex{reader: reader, file: file, logger: logger}, nil
}

// load reads the fingerprints of the first trusted entries, as far as the file
// has them, and adds the rest of these from the tree.
func (x *eventIndex) load(ctx context.Context, trusted uint64) error {
	if err := x.loadFile(trusted); err != nil {
		return err
	}
	for x.size < trusted {
		entries, err := tiles.ReadBundle(ctx, x.reader, x.size/tlog.TileWidth, trusted)
		if err != nil {
			return treeError(err)
		}
		for _, entry := range entries[x.size%tlog.TileWidth:] {
			if err := x.addEntry(x.size, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *eventIndex) loadFile(trusted uint64) error {
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

// checksum returns the checksum of a group.
func (x *eventIndex) checksum(n uint64, prints []byte) []byte {
	h := sha256.New()
	h.Write(x.seed[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, n))
	h.Write(prints)
	return h.Sum(nil)[:8]
}

func (x *eventIndex) fingerprint(hash [32]byte) uint64 {
	var b [48]byte
	copy(b[:], x.seed[:])
	copy(b[16:], hash[:])
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint64(sum[:])
}

// add notes the events of the entries from first on, which must be the next ones.
// They are found all at once: in between, the tree would have a size that was never
// written, and that nothing can be read at.
func (x *eventIndex) add(first uint64, hashes ...[32]byte) {
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

// write writes the groups that are full. What can't be written is tried again
// with the next; it is a cache.
func (x *eventIndex) write() {
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

// addEntry is add for an entry as the tree has it.
func (x *eventIndex) addEntry(index uint64, entry []byte) error {
	hash, err := eventHash(index, entry)
	if err != nil {
		return err
	}
	x.add(index, hash)
	return nil
}

// logged is an event that is in the log.
type logged struct {
	index uint64
	entry []byte
	leaf  tiles.Hash
}

// find returns where the event with the given hash is logged first, nil if it
// isn't. The entry is compared with its hash in the tree.
func (x *eventIndex) find(ctx context.Context, hash [32]byte) (*logged, error) {
	f := x.fingerprint(hash)
	x.mu.RLock()
	at, size := slices.Sorted(x.prints.find(f)), x.size
	x.mu.RUnlock()
	for _, index := range at {
		found, err := x.read(ctx, index, size, hash)
		if err != nil {
			return nil, fmt.Errorf("looking for the event in the log: %w", err)
		} else if found != nil {
			return found, nil
		}
	}
	return nil, nil
}

// read returns the entry at index if it holds the event.
func (x *eventIndex) read(ctx context.Context, index, size uint64, hash [32]byte) (*logged, error) {
	n, i := index/tlog.TileWidth, index%tlog.TileWidth
	entries, err := tiles.ReadBundle(ctx, x.reader, n, size)
	if err != nil {
		return nil, treeError(err)
	}
	entry := entries[i]
	leaf := tiles.LeafHash(entry)
	t := tlog.Tile{Level: 0, Index: n, Width: len(entries)}
	hashes, err := tiles.ReadHashes(ctx, x.reader, t)
	if err != nil {
		return nil, treeError(err)
	}
	if hashes[i] != leaf {
		return nil, treeError(&tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("or its entry bundle is: entry %d does not have the hash that the tile says", index)})
	}
	if h, err := eventHash(index, entry); err != nil || h != hash {
		return nil, err
	}
	return &logged{index, entry, leaf}, nil
}

func (x *eventIndex) close() error { return x.file.Close() }
