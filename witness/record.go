// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// accepted is the latest head of a log. It is immutable once another goroutine has it.
type accepted struct {
	head tlog.Head
	// time of this witness's cosignatures of head, in POSIX seconds. 0: the operator
	// resumed there, and the witness has not cosigned head (see [ResumeLost]).
	time  uint64
	lines []tlog.Signature // of the log, verified; one or more
	// ours are this witness's cosignatures at time; nil if none were made since the
	// start. They follow from the record in the journal.
	ours []tlog.Signature
}

// record returns a as the journal has it: a line "time N", and the checkpoint with the
// log's verified lines.
func (a *accepted) record() []byte {
	b := fmt.Appendf(nil, "time %d\n", a.time)
	return append(b, (&tlog.Checkpoint{Head: a.head, Signatures: a.lines}).Bytes()...)
}

// clockRecord returns the latest timestamp as a compacted journal has it, since the
// journal may no longer have the head of that timestamp.
func clockRecord(t uint64) []byte { return fmt.Appendf(nil, "clock %d", t) }

func parseClockRecord(rec []byte) (t uint64, ok bool) {
	digits, ok := strings.CutPrefix(string(rec), "clock ")
	if !ok {
		return 0, false
	}
	t, err := strconv.ParseUint(digits, 10, 63)
	return t, err == nil && bytes.Equal(clockRecord(t), rec)
}

// parseRecord parses exactly what record returns.
func parseRecord(rec []byte) (*accepted, error) {
	line, note, ok := strings.Cut(string(rec), "\n")
	digits, isTime := strings.CutPrefix(line, "time ")
	if !ok || !isTime {
		return nil, fmt.Errorf("witness: a record of the journal does not begin with a time")
	}
	t, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("witness: a record of the journal has a bad time: %w", err)
	}
	c, err := tlog.ParseCheckpoint([]byte(note))
	if err != nil {
		return nil, fmt.Errorf("witness: a record of the journal: %w", err)
	}
	a := &accepted{head: c.Head, time: t, lines: c.Signatures}
	if !bytes.Equal(a.record(), rec) {
		return nil, fmt.Errorf("witness: a record of the journal is not in its one encoding")
	}
	// Keep no pointers into the record.
	origin := strings.Clone(a.head.Origin)
	a.head = cloneHead(&a.head, origin)
	for i := range a.lines {
		if a.lines[i].Name != origin {
			return nil, fmt.Errorf("witness: a record of the journal: a line of %q on a head of %q", a.lines[i].Name, origin)
		}
		a.lines[i].Name = origin
	}
	return a, nil
}

// note returns the head for monitors: the log's lines, then this witness's.
func (a *accepted) note() []byte {
	c := tlog.Checkpoint{Head: a.head}
	c.Signatures = append(append(c.Signatures, a.lines...), a.ours...)
	return c.Bytes()
}

// cloneHead copies a head, so that it does not keep the whole request in memory.
func cloneHead(h *tlog.Head, origin string) tlog.Head {
	out := tlog.Head{Origin: origin, Size: h.Size, Root: h.Root}
	for _, e := range h.Extension {
		out.Extension = append(out.Extension, strings.Clone(e))
	}
	return out
}
