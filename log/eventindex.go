// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/tiles"
)

// eventIndex finds a logged event by its event hash, so that a re-submission
// gets the logged entry. What it finds is checked against the tree, so a damaged
// index can only miss: then an event is logged twice, which has no effect.
//
// The file is a cache of what can be computed from the tree: 16 random bytes, and
// a fingerprint of 8 bytes an entry. It is synced before a head is recorded, and
// is believed up to that head only.
type eventIndex struct {
	engine Engine
	file   *os.File

	seed [16]byte // nobody who chooses events can make their prints meet

	mu      sync.RWMutex
	prints  prints
	size    uint64 // entries in prints
	written uint64 // entries in file
	buf     []byte // fingerprints of the entries from written to size
}

const indexHeader = 16

func openEventIndex(name string, engine Engine) (*eventIndex, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the index of events: %w", err)
	}
	return &eventIndex{engine: engine, file: file}, nil
}

// load reads the fingerprints of the first trusted entries, as far as the file
// has them, and adds the rest of these from the tree.
func (x *eventIndex) load(ctx context.Context, trusted uint64) error {
	if err := x.loadFile(trusted); err != nil {
		return err
	}
	for x.size < trusted {
		entries, err := tiles.ReadBundle(ctx, x.engine, x.size/c2sp.TileWidth, trusted)
		if err != nil {
			return treeError(err)
		}
		for _, entry := range entries[x.size%c2sp.TileWidth:] {
			if err := x.addEntry(x.size, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *eventIndex) loadFile(trusted uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := io.ReadFull(x.file, x.seed[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		rand.Read(x.seed[:])
		if _, err := x.file.WriteAt(x.seed[:], 0); err != nil {
			return fmt.Errorf("writing the index of events: %w", err)
		}
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the index of events: %w", err)
	}
	r := io.NewSectionReader(x.file, indexHeader, int64(min(trusted, 1<<50))*8)
	block := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, block)
		for b := block[:n-n%8]; len(b) > 0; b = b[8:] {
			x.prints.add(binary.LittleEndian.Uint64(b), x.size)
			x.size++
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return fmt.Errorf("reading the index of events: %w", err)
		}
	}
	x.written = x.size
	return nil
}

func (x *eventIndex) fingerprint(hash [32]byte) uint64 {
	var b [48]byte
	copy(b[:], x.seed[:])
	copy(b[16:], hash[:])
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint64(sum[:])
}

// add notes the event of the entry at index, which must be the next one.
func (x *eventIndex) add(index uint64, hash [32]byte) {
	f := x.fingerprint(hash)
	x.mu.Lock()
	defer x.mu.Unlock()
	if index != x.size {
		panic(fmt.Sprintf("event index: entry %d after %d entries", index, x.size))
	}
	x.prints.add(f, index)
	x.buf = binary.LittleEndian.AppendUint64(x.buf, f)
	x.size++
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
	var found *logged
	x.mu.RLock()
	var at []uint64
	for index := range x.prints.find(f) {
		at = append(at, index)
	}
	size := x.size
	x.mu.RUnlock()
	for _, index := range at {
		if found != nil && found.index < index {
			continue
		}
		one, err := x.read(ctx, index, size, hash)
		if err != nil {
			return nil, fmt.Errorf("looking for the event in the log: %w", err)
		}
		if one != nil {
			found = one
		}
	}
	return found, nil
}

// read returns the entry at index if it holds the event.
func (x *eventIndex) read(ctx context.Context, index, size uint64, hash [32]byte) (*logged, error) {
	n, i := index/c2sp.TileWidth, index%c2sp.TileWidth
	entries, err := tiles.ReadBundle(ctx, x.engine, n, size)
	if err != nil {
		return nil, treeError(err)
	}
	entry := entries[i]
	leaf := tiles.LeafHash(entry)
	t := c2sp.Tile{Level: 0, Index: n, Width: len(entries)}
	hashes, err := tiles.ReadHashes(ctx, x.engine, t)
	if err != nil {
		return nil, treeError(err)
	}
	if hashes[i] != leaf {
		return nil, treeError(&tiles.CorruptError{Tile: t, Reason: fmt.Sprintf("or its entry bundle is: entry %d does not have the hash that the tile says", index)})
	}
	if h, err := eventHash(index, entry); err != nil || h != hash {
		return nil, err
	}
	return &logged{index, entry, leaf}, nil
}

// sync makes the file durable up to what was added.
func (x *eventIndex) sync() error {
	x.mu.Lock()
	buf, at := x.buf, x.written
	x.buf = nil
	x.written += uint64(len(buf) / 8)
	x.mu.Unlock()
	if len(buf) == 0 {
		return nil
	}
	_, err := x.file.WriteAt(buf, indexHeader+int64(at)*8)
	if err == nil {
		err = x.file.Sync()
	}
	if err != nil {
		x.mu.Lock()
		x.buf = append(buf, x.buf...)
		x.written = at
		x.mu.Unlock()
		return fmt.Errorf("writing the index of events: %w", err)
	}
	return nil
}

func (x *eventIndex) close() error { return x.file.Close() }
