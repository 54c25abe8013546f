// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// ErrSnapshot: the bytes are no snapshot, or one of another tree.
var ErrSnapshot = errors.New("not a snapshot of this tree; replay the log from its start")

// codec writes or reads a snapshot in one walk, so both directions agree. A snapshot is a sequence of
// blocks: 4 bytes of length, big-endian, and the block. Integers are varints in their shortest form.
type codec struct {
	b       []byte // the rest of the block being read, or the block being written
	reading bool
	err     error
	names   *names

	from     io.Reader // when reading
	left     int64     // how many bytes from still has
	sections []section // when writing: the sections before b
}

// section is a part of a snapshot: one block, or the blocks that write makes.
type section struct {
	block []byte
	write func(block func(...[]byte))
}

// next ends a block, and begins the next one.
func (c *codec) next() {
	if !c.reading {
		c.sections = append(c.sections, section{block: c.b})
		c.b = nil
		return
	}
	if len(c.b) > 0 {
		c.fail("bytes after the end of a block")
	}
	var length [4]byte
	c.read(length[:])
	if n := int64(binary.BigEndian.Uint32(length[:])); n > c.left {
		c.fail("it is cut off")
	} else if c.err == nil {
		c.b = make([]byte, n)
		c.read(c.b)
	}
}

// read fills b from the reader.
func (c *codec) read(b []byte) {
	if int64(len(b)) > c.left {
		c.fail("it is cut off")
		return
	}
	c.left -= int64(len(b))
	if _, err := io.ReadFull(c.from, b); err != nil && c.err == nil {
		c.err = fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
}

// later adds the blocks that write makes when writeTo calls it. By then the ledger may have changed, so write must
// not read it.
func (c *codec) later(write func(block func(...[]byte))) {
	c.sections = append(c.sections, section{write: write})
}

// writeTo writes the blocks.
func (c *codec) writeTo(w io.Writer) (err error) {
	var b []byte
	block := func(parts ...[]byte) {
		b = append(b[:0], 0, 0, 0, 0)
		for _, p := range parts {
			b = append(b, p...)
		}
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		if err == nil {
			_, err = w.Write(b)
		}
	}
	for _, s := range c.sections {
		if s.write != nil {
			s.write(block)
		} else {
			block(s.block)
		}
	}
	return err
}

func (c *codec) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrSnapshot, what)
	}
	c.b = nil
}

// int codes an integer. A reader refuses one above most.
func (c *codec) int(v, most uint64, what string) uint64 {
	if !c.reading {
		if v < 0x80 {
			c.b = append(c.b, byte(v))
		} else {
			c.b = binary.AppendUvarint(c.b, v)
		}
		return v
	}
	n := 1
	if len(c.b) > 0 && c.b[0] < 0x80 {
		v = uint64(c.b[0])
	} else if v, n = binary.Uvarint(c.b); n <= 0 || c.b[n-1] == 0 {
		c.fail("an integer")
		return 0
	}
	c.b = c.b[n:]
	if v > most {
		c.fail(what)
		return 0
	}
	return v
}

func (c *codec) uint(values ...*uint64) {
	for _, v := range values {
		*v = c.int(*v, math.MaxUint64, "")
	}
}

func (c *codec) u32(v *uint32)    { *v = uint32(c.int(uint64(*v), math.MaxUint32, "an integer")) }
func (c *codec) u8(v *uint8)      { *v = uint8(c.int(uint64(*v), math.MaxUint8, "an integer")) }
func (c *codec) u32s(v *[]uint32) { list(c, v, 1, c.u32) }

const endOfTime = 1 << 62

func (c *codec) time(values ...*int64) {
	for _, v := range values {
		*v = int64(c.int(uint64(*v), endOfTime, "a time"))
	}
}

// near codes a time as its distance from another time.
func (c *codec) near(v *int64, from int64) {
	d := *v - from
	d = int64(c.int(uint64(d<<1^d>>63), math.MaxUint64, ""))
	if d = int64(uint64(d)>>1) ^ -(d & 1); c.reading {
		if *v = from + d; *v < 0 || *v > endOfTime {
			c.fail("a time")
			*v = 0
		}
	}
}

func (c *codec) debt(v *debt) {
	v.state = dutyState(c.int(uint64(v.state), uint64(lapsed), "a state"))
	c.time(&v.late)
}

func (c *codec) bool(values ...*bool) {
	for _, v := range values {
		x := uint64(0)
		if *v {
			x = 1
		}
		*v = c.int(x, 1, "a flag") == 1
	}
}

func (c *codec) raw(v []byte) {
	if !c.reading {
		c.b = append(c.b, v...)
		return
	}
	if len(c.b) < len(v) {
		c.fail("it is cut off")
		return
	}
	copy(v, c.b)
	c.b = c.b[len(v):]
}

func (c *codec) bytes(v *[]byte) {
	n := c.length(len(*v), 1)
	if c.reading {
		*v = slices.Clone(c.b[:n])
		c.b = c.b[n:]
		return
	}
	c.b = append(c.b, *v...)
}

func (c *codec) string(v *string) {
	n := c.length(len(*v), 1)
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	*v, c.b = string(c.b[:n]), c.b[n:]
}

// names numbers the names and codes of charters, in the order in which the charters give them. Items have no others.
type names struct {
	list   []string
	number map[string]uint64
}

// add numbers the names and codes of a charter.
func (n *names) add(c *Charter) {
	add := func(list ...string) {
		for _, s := range list {
			if _, ok := n.number[s]; !ok {
				n.number[s] = uint64(len(n.list))
				n.list = append(n.list, s)
			}
		}
	}
	add("")
	for i := range c.Parties {
		add(c.Parties[i].Name)
	}
	for i := range c.Groups {
		add(c.Groups[i].ID)
	}
	for i := range c.Profile.Instruments {
		add(c.Profile.Instruments[i].Code)
	}
	add(c.Profile.Categories...)
	add(c.Profile.Reasons...)
}

// of returns 1 more than a name's number; 0 if the name has none.
func (n *names) of(s string) uint64 {
	if i, ok := n.number[s]; ok {
		return i + 1
	}
	return 0
}

// name codes a name by its number. A name without a number stands after a 0.
func (c *codec) name(v *string) {
	n := uint64(0)
	if !c.reading {
		n = c.names.of(*v)
	}
	if n = c.int(n, uint64(len(c.names.list)), "a name"); n > 0 {
		*v = c.names.list[n-1]
		return
	}
	if c.string(v); c.reading && c.names.of(*v) > 0 {
		c.fail("a name")
	}
}

// length codes how many elements follow, of at least size bytes each. A reader
// refuses a length that the snapshot has no bytes for, before it allocates.
func (c *codec) length(n, size int) int {
	x := c.int(uint64(n), math.MaxUint64, "")
	if c.reading && x > uint64(len(c.b)/size) {
		c.fail("a length")
		return 0
	}
	return int(x)
}

// count codes how many elements the next blocks have, of at least size bytes each.
func (c *codec) count(n, size int) int {
	return int(c.int(uint64(n), uint64(c.left)/uint64(size), "a length"))
}

// list codes a slice; an empty one is read as nil.
func list[T any](c *codec, v *[]T, size int, each func(*T)) {
	n := c.length(len(*v), size)
	if c.reading {
		*v = nil
		if n > 0 {
			*v = make([]T, n)
		}
	}
	for i := range *v {
		if c.err != nil {
			return
		}
		each(&(*v)[i])
	}
}
