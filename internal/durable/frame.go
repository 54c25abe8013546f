// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
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
//
// A frame that makes the file longer is written with zeros after it. The next frames overwrite
// these zeros, so that syncing them changes neither the size nor the extents of the file.
const (
	journalMagic = "vasistas-journal/1"
	frameMagic   = "\xF7vj1"
	frameHeader  = 28
	recordHeader = 4
	maxRecord    = 16 << 20 // greatest limit that a caller may set
	maxPayload   = recordHeader + maxRecord
	batchLimit   = 1 << 20  // a frame holds one record, or several up to this
	reserve      = 64 << 10 // zeros behind a frame that makes the file longer
	maxHeader    = len(journalMagic) + 1 + 16 + 1 + 255 + 1 + 8 + 1
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	headerLine = regexp.MustCompile(`^` + journalMagic + ` [0-9a-f]{16} ([!-~](?:[ -~]{0,253}[!-~])?) [0-9a-f]{8}\n$`)
)

// ErrCorrupt: a journal is damaged in a way that a crash can't explain. The error is a
// *[CorruptError]. Restore the journal from a copy: cutting it would lose acknowledged
// records.
var ErrCorrupt = errors.New("the journal is damaged")

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
		return nil, fmt.Errorf("journal label %q is not 1 to 255 printable ASCII characters without outer spaces", label)
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
	last     int64 // offset of the frame before; 0 before the first frame
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
	return chain{seed: c.seed, previous: sum, last: c.offset, offset: c.offset + int64(len(frame))}
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

// errTorn: the rest of the file is a write that a crash interrupted.
var errTorn = errors.New("torn")

type replayer struct {
	file io.ReaderAt
	name string
	size int64
	in   *bufio.Reader // at chain.offset
	buf  []byte

	chain chain // behind the last good frame
	torn  bool  // more than zeros follow the last good frame
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
			r.torn, err = r.written(r.chain.offset)
			return r, err
		}
		if err != nil {
			return nil, err
		}
		if _, err := splitRecords(payload, do); err != nil {
			return nil, fmt.Errorf("replaying %s, frame at byte %d: %w", name, r.chain.offset, err)
		}
		r.chain.previous, r.chain.last = h.sum, r.chain.offset
		r.chain.offset += int64(frameHeader + len(payload))
	}
	return r, nil
}

// readFrame returns the frame at r.chain, errTorn, or a *CorruptError.
//
// A bad frame is a torn write only if it can be the last frame ever written. It can't be
// if its own header is good and anything was written after its end, if a good header of
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
		later, err := rest-end > reserve, error(nil)
		if !later {
			later, err = r.written(r.chain.offset + end)
		}
		if later {
			err = r.corrupt("bad frame payload, with later data behind it")
		}
		if err != nil {
			return h, nil, err
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
	if r.size-r.chain.offset > frameHeader+maxPayload+reserve {
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

// written reports whether a byte from an offset on is not zero. At most one frame and the reserve
// follow the offset.
func (r *replayer) written(from int64) (bool, error) {
	rest := make([]byte, r.size-from)
	err := r.readAt(rest, from)
	return len(bytes.Trim(rest, "\x00")) > 0, err
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
	return fmt.Errorf("reading %s near byte %d: %w", r.name, r.chain.offset, err)
}
