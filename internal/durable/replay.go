// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// errTorn: the rest of the file is a write that a crash interrupted.
var errTorn = errors.New("torn")

type replayer struct {
	file io.ReaderAt
	name string
	size int64
	in   *bufio.Reader // at chain.offset
	buf  []byte

	chain chain
	last  int64 // offset of the last good frame; of the header line, if there is none
}

// replayJournal reads a journal of size bytes and calls do with each record, in order.
// On success, everything from r.chain.offset on is a torn tail.
func replayJournal(file io.ReaderAt, name, label string, size int64, do func([]byte) error) (*replayer, error) {
	r := &replayer{file: file, name: name, size: size}
	head := make([]byte, min(size, int64(maxHeader)))
	if err := r.readAt(head, 0); err != nil {
		return nil, err
	}
	line, got, ok := parseHeader(head)
	if !ok { // not a torn write: CreateJournal makes the file with its header line
		return nil, r.corrupt("not the header line of a journal")
	}
	if got != label {
		return nil, fmt.Errorf("%w: %s is labelled %q, wanted %q", ErrLabel, name, got, label)
	}
	r.chain = newChain(line)
	r.in = bufio.NewReaderSize(io.NewSectionReader(file, r.chain.offset, size-r.chain.offset), 256<<10)
	for r.chain.offset < size {
		h, payload, err := r.readFrame()
		if err == errTorn {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err := splitRecords(payload, do); err != nil {
			return nil, fmt.Errorf("durable: replaying %s, frame at byte %d: %w", name, r.chain.offset, err)
		}
		r.last = r.chain.offset
		r.chain.previous = h.sum
		r.chain.offset += int64(frameHeader + len(payload))
	}
	return r, nil
}

// readFrame returns the frame at r.chain, errTorn, or a *CorruptError.
//
// A bad frame is a torn write only if it can be the last frame ever written. It can't be
// if its own header is good and the file continues after its end, if a good header of
// another frame follows its start, or if more is left than one frame can hold. A good
// header in the wrong place is not torn either: a frame was lost, repeated or swapped.
func (r *replayer) readFrame() (frameInfo, []byte, error) {
	rest := r.size - r.chain.offset
	if rest < frameHeader {
		return frameInfo{}, nil, errTorn
	}
	var header [frameHeader]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		return frameInfo{}, nil, r.readError(err)
	}
	h, ok := parseFrame(header[:], r.chain.seed)
	if !ok {
		return h, nil, r.tornOrCorrupt("bad frame header")
	}
	if h.offset != uint64(r.chain.offset) || h.previous != r.chain.previous {
		return h, nil, r.corrupt("a frame is missing, repeated or out of place here")
	}
	if h.length <= recordHeader || h.length > maxPayload {
		return h, nil, r.corrupt("frame of an impossible length")
	}
	end := int64(frameHeader) + int64(h.length)
	if end > rest {
		return h, nil, r.tornOrCorrupt("incomplete frame")
	}
	if cap(r.buf) < int(h.length) {
		r.buf = make([]byte, h.length)
	}
	payload := r.buf[:h.length]
	if _, err := io.ReadFull(r.in, payload); err != nil {
		return h, nil, r.readError(err)
	}
	if crc32.Update(r.chain.seed, castagnoli, payload) != h.payloadSum {
		if end < rest {
			return h, nil, r.corrupt("bad frame payload, with later data behind it")
		}
		return h, nil, r.tornOrCorrupt("bad frame payload")
	}
	if ok, _ := splitRecords(payload, nil); !ok {
		return h, nil, r.corrupt("frame payload is not a list of records")
	}
	return h, payload, nil
}

// tornOrCorrupt searches the file after the bad frame at r.chain for a later frame.
func (r *replayer) tornOrCorrupt(reason string) error {
	if r.size-r.chain.offset > frameHeader+maxPayload {
		return r.corrupt(reason + ", with more data behind it than one write leaves")
	}
	rest := make([]byte, r.size-r.chain.offset-1)
	if err := r.readAt(rest, r.chain.offset+1); err != nil {
		return err
	}
	for {
		i := bytes.Index(rest, []byte(frameMagic))
		if i < 0 {
			return errTorn
		}
		if _, ok := parseFrame(rest[i:], r.chain.seed); ok {
			return r.corrupt(reason + ", with a later frame behind it")
		}
		rest = rest[i+1:]
	}
}

func (r *replayer) corrupt(reason string) error {
	return &CorruptError{Name: r.name, Offset: r.chain.offset, Reason: reason}
}

func (r *replayer) readAt(p []byte, off int64) error {
	n, err := r.file.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return r.readError(err)
}

func (r *replayer) readError(err error) error {
	return fmt.Errorf("durable: reading %s near byte %d: %w", r.name, r.chain.offset, err)
}
