// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"os"
)

// InFlight returns the number of running calls of Append.
func (j *Journal) InFlight() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.inflight
}

// Replay reads a journal from memory. It returns its records, the offset at which its
// torn tail starts, and what an encoder makes of the frames that were read.
func Replay(data []byte, label string) (recs [][]byte, end int64, encoded []byte, err error) {
	r, err := replayJournal(bytes.NewReader(data), "journal", label, int64(len(data)), func(rec []byte) error {
		recs = append(recs, bytes.Clone(rec))
		return nil
	})
	if err != nil {
		return nil, 0, nil, err
	}
	line, _, _ := parseHeader(data)
	encoded = bytes.Clone(line)
	for c := newChain(line); c.offset < r.chain.offset; {
		h, _ := parseFrame(data[c.offset:], c.seed)
		frame := newFrame()
		splitRecords(data[c.offset+frameHeader:][:h.length], func(rec []byte) error {
			frame = addRecord(frame, rec)
			return nil
		})
		c = seal(frame, c)
		encoded = append(encoded, frame...)
	}
	return recs, r.chain.offset, encoded, nil
}

// Misplaced returns a journal whose only frame says that it stands elsewhere.
func Misplaced(label string) []byte {
	line, err := newHeader(label)
	if err != nil {
		panic(err)
	}
	c := newChain(line)
	c.offset++
	frame := addRecord(newFrame(), []byte("x"))
	seal(frame, c)
	return append(line, frame...)
}

const (
	MaxPayload = maxPayload
	Reserve    = reserve
)

// Blind makes reads of the journal's file fail until it is opened again.
func (j *Journal) Blind() error {
	file, err := os.OpenFile(j.name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	j.commit.Lock()
	defer j.commit.Unlock()
	j.file.Close()
	j.file = file
	return nil
}

// Blind is [Journal.Blind] for the register's open journal.
func (r *Register) Blind() error { return r.journal.Blind() }
