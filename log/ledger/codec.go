// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrSnapshot: the bytes are no snapshot, or one of another tree.
var ErrSnapshot = errors.New("not a snapshot of this tree; replay the log from its start")

// codec writes or reads a snapshot in one walk, so both directions agree. Integers
// are varints in their shortest form.
type codec struct {
	b       []byte
	reading bool
	err     error

	names    map[string]string // when reading: the strings so far, each once
	borrowed bool              // names must not change

	sections []section // when writing: what comes before b
}

// section is a part of a snapshot: bytes, and then what rest writes.
type section struct {
	b    []byte
	rest func(*codec)
}

// later has append call write for the next section. By then the ledger may have changed, so write must
// not read it.
func (c *codec) later(write func(*codec)) {
	c.sections = append(c.sections, section{c.b, write})
	c.b = nil
}

// append appends the snapshot to b.
func (c *codec) append(b []byte) []byte {
	out := codec{b: b}
	for _, s := range c.sections {
		out.b = append(out.b, s.b...)
		s.rest(&out)
	}
	return append(out.b, c.b...)
}

func (c *codec) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrSnapshot, what)
	}
	c.b = nil
}

func (c *codec) uint(v *uint64) {
	if !c.reading {
		if *v < 0x80 {
			c.b = append(c.b, byte(*v))
		} else {
			c.b = binary.AppendUvarint(c.b, *v)
		}
		return
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 {
		c.fail("an integer")
		return
	}
	*v, c.b = x, c.b[n:]
}

// bounded codes a value that is never negative and at most most.
func bounded[T uint8 | uint32 | int64 | dutyState | dutyKind](c *codec, v *T, most uint64, what string) {
	x := uint64(*v)
	if c.uint(&x); x > most {
		c.fail(what)
	}
	*v = T(x)
}

func (c *codec) u32(v *uint32) { bounded(c, v, math.MaxUint32, "an integer") }
func (c *codec) u8(v *uint8)   { bounded(c, v, math.MaxUint8, "an integer") }
func (c *codec) time(v *int64) { bounded(c, v, 1<<62, "a time") }
func (c *codec) debt(v *debt) {
	bounded(c, &v.state, uint64(lapsed), "a state")
	c.time(&v.late)
}

func (c *codec) bool(v *bool) {
	x := uint8(0)
	if *v {
		x = 1
	}
	bounded(c, &x, 1, "a flag")
	*v = x == 1
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
	s, ok := c.names[string(c.b[:n])]
	if !ok {
		s = string(c.b[:n])
		if !c.borrowed {
			c.names[s] = s
		}
	}
	*v, c.b = s, c.b[n:]
}

// all codes values of the state's common types.
func (c *codec) all(values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case *uint64:
			c.uint(v)
		case *uint32:
			c.u32(v)
		case *[]uint32:
			list(c, v, 1, c.u32)
		case *int64:
			c.time(v)
		case *bool:
			c.bool(v)
		case *debt:
			c.debt(v)
		case *string:
			c.string(v)
		case *[32]byte:
			c.raw(v[:])
		case *digests:
			c.digests(v)
		default:
			panic(fmt.Sprintf("ledger: a snapshot has no %T", v))
		}
	}
}

// length codes how many elements follow, of at least size bytes each. A reader
// refuses a length that the snapshot has no bytes for, before it allocates.
func (c *codec) length(n, size int) int {
	x := uint64(n)
	c.uint(&x)
	if c.reading && x > uint64(len(c.b)/size) {
		c.fail("a length")
		return 0
	}
	return int(x)
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
