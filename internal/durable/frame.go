// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
)

// A journal is a header line and frames:
//
//	vasistas-journal/1 <16 hex digits, random> <label> <8 hex digits, CRC-32C of all up to the label>\n
//
//	frame:   magic (4)           F7 'v' 'j' '1'
//	         length (4)          of the payload, 5 to maxPayload
//	         offset (8)          of this frame in the file
//	         previous (4)        header checksum of the frame before; of the first: checksum of the header line
//	         payload sum (4)     CRC-32C of the payload
//	         header sum (4)      CRC-32C of the 24 bytes above
//	         payload             records
//	record:  length (4), bytes
//
// Integers are big-endian. Both CRCs continue from that of the header line instead of
// from zero, so that a frame belongs to this journal only: stale disk blocks, or a
// record chosen by an attacker, would have to match 32 random bits.
//
// One write(2) and one fdatasync(2) commit a frame, and only then is the next one
// written. So a crash can damage any part of the last frame, but nothing else;
// readFrame depends on that.
const (
	journalMagic = "vasistas-journal/1"
	frameMagic   = "\xF7vj1"
	frameHeader  = 28
	recordHeader = 4
	maxRecord    = 16 << 20 // greatest limit that a caller may set
	maxPayload   = recordHeader + maxRecord
	batchLimit   = 1 << 20 // a frame holds one record, or several up to this
	maxHeader    = len(journalMagic) + 1 + 16 + 1 + 255 + 1 + 8 + 1
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	headerLine = regexp.MustCompile(`^` + journalMagic + ` [0-9a-f]{16} ([!-~](?:[ -~]{0,253}[!-~])?) [0-9a-f]{8}\n$`)
)

// ErrCorrupt: a journal is damaged in a way that a crash can't explain. The error is a
// *[CorruptError]. Restore the journal from a copy: cutting it would lose acknowledged
// records.
var ErrCorrupt = errors.New("durable: journal is corrupt")

// CorruptError is a damaged place in a journal. It wraps [ErrCorrupt].
type CorruptError struct {
	Name   string // the file
	Offset int64  // in bytes, of the damaged header line or frame
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: %s at byte %d: %s; restore it from a copy", ErrCorrupt, e.Name, e.Offset, e.Reason)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

func newHeader(label string) ([]byte, error) {
	var nonce [8]byte
	rand.Read(nonce[:])
	line := fmt.Appendf(nil, "%s %x %s", journalMagic, nonce, label)
	line = fmt.Appendf(line, " %08x\n", crc32.Checksum(line, castagnoli))
	if !headerLine.Match(line) {
		return nil, fmt.Errorf("durable: journal label %q is not 1 to 255 printable ASCII characters without outer spaces", label)
	}
	return line, nil
}

// parseHeader returns the header line at the start of b, and its label.
func parseHeader(b []byte) (line []byte, label string, ok bool) {
	line = b[:bytes.IndexByte(b, '\n')+1]
	m := headerLine.FindSubmatch(line)
	if m == nil {
		return nil, "", false
	}
	// Without this check, a changed digit of the nonce would make all frames look torn.
	text, sum := line[:len(line)-len(" 01234567\n")], line[len(line)-len("01234567\n"):]
	if string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(text, castagnoli)) {
		return nil, "", false
	}
	return line, string(m[1]), true
}

// chain is the place of a frame in a journal.
type chain struct {
	seed     uint32 // CRC-32C of the header line
	previous uint32
	offset   int64
}

func newChain(line []byte) chain {
	sum := crc32.Checksum(line, castagnoli)
	return chain{seed: sum, previous: sum, offset: int64(len(line))}
}

// newFrame returns an empty frame, for addRecord and seal.
func newFrame() []byte { return make([]byte, frameHeader, 512) }

func addRecord(frame, rec []byte) []byte {
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(rec)))
	return append(frame, rec...)
}

// seal writes the frame's header for its place c and returns the next place.
func seal(frame []byte, c chain) chain {
	payload := frame[frameHeader:]
	copy(frame, frameMagic)
	binary.BigEndian.PutUint32(frame[4:], uint32(len(payload)))
	binary.BigEndian.PutUint64(frame[8:], uint64(c.offset))
	binary.BigEndian.PutUint32(frame[16:], c.previous)
	binary.BigEndian.PutUint32(frame[20:], crc32.Update(c.seed, castagnoli, payload))
	sum := crc32.Update(c.seed, castagnoli, frame[:24])
	binary.BigEndian.PutUint32(frame[24:], sum)
	return chain{seed: c.seed, previous: sum, offset: c.offset + int64(len(frame))}
}

type frameInfo struct {
	length     uint32
	offset     uint64
	previous   uint32
	payloadSum uint32
	sum        uint32
}

// parseFrame reads the header of a frame. ok reports that its checksum is right.
func parseFrame(b []byte, seed uint32) (h frameInfo, ok bool) {
	if len(b) < frameHeader || string(b[:4]) != frameMagic {
		return h, false
	}
	h = frameInfo{
		length:     binary.BigEndian.Uint32(b[4:]),
		offset:     binary.BigEndian.Uint64(b[8:]),
		previous:   binary.BigEndian.Uint32(b[16:]),
		payloadSum: binary.BigEndian.Uint32(b[20:]),
		sum:        binary.BigEndian.Uint32(b[24:]),
	}
	return h, crc32.Update(seed, castagnoli, b[:24]) == h.sum
}

// splitRecords calls do, if not nil, for each record of a verified payload.
func splitRecords(payload []byte, do func([]byte) error) (wellFormed bool, err error) {
	for rest := payload; len(rest) > 0; {
		if len(rest) < recordHeader {
			return false, nil
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[recordHeader:]
		if n == 0 || uint64(n) > uint64(len(rest)) {
			return false, nil
		}
		if do != nil {
			if err := do(rest[:n:n]); err != nil {
				return true, err
			}
		}
		rest = rest[n:]
	}
	return true, nil
}
