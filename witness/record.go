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

// accepted is a head that the witness took for the latest of its log. It is
// immutable once it was given to another goroutine.
type accepted struct {
	head tlog.Head
	// time is what our cosignatures of head state, in POSIX seconds. 0: we
	// never cosigned it, the operator resumed there (see [ResumeLost]).
	time  uint64
	lines []tlog.Signature // of the log, verified; one or more
	// ours are our cosignatures at time; nil if they weren't made since the
	// start. They state nothing that the record in the journal doesn't.
	ours []tlog.Signature
}

// record is how the journal holds a: a line "time N", and the checkpoint with
// the log's verified lines.
func (a *accepted) record() []byte {
	b := fmt.Appendf(nil, "time %d\n", a.time)
	return append(b, (&tlog.Checkpoint{Head: a.head, Signatures: a.lines}).Bytes()...)
}

// clockRecord is how a compacted journal holds the latest timestamp, since the
// head that it was given to may not be its log's last.
func clockRecord(t uint64) []byte { return fmt.Appendf(nil, "clock %d", t) }

func parseClockRecord(rec []byte) (t uint64, ok bool) {
	digits, ok := strings.CutPrefix(string(rec), "clock ")
	if !ok {
		return 0, false
	}
	t, err := strconv.ParseUint(digits, 10, 63)
	return t, err == nil && bytes.Equal(clockRecord(t), rec)
}

// parseRecord is strict: what it accepts, record writes again.
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

// note is the head as a monitor gets it: the log's lines, then ours.
func (a *accepted) note() []byte {
	c := tlog.Checkpoint{Head: a.head}
	c.Signatures = append(append(c.Signatures, a.lines...), a.ours...)
	return c.Bytes()
}

// cloneHead copies what would otherwise keep the whole request in memory.
func cloneHead(h *tlog.Head, origin string) tlog.Head {
	out := tlog.Head{Origin: origin, Size: h.Size, Root: h.Root}
	for _, e := range h.Extension {
		out.Extension = append(out.Extension, strings.Clone(e))
	}
	return out
}
