// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package written writes logs by hand, for tests of what reads logs: a directory in the
// layout of C2SP tlog-tiles, with a charter as entry 0, real signatures, and heads that
// real keys cosigned. The test chooses times, entries and cosignatures: a log keeps the
// rules, or breaks the one that the test is about.
//
// Methods return no errors. A Log keeps its first error, of a file or an event that is
// malformed; a test ends with Report(t.Error), or has proven nothing.
package written

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Origin of every log of this package.
const Origin = "log.example/2026"

// Start is the claimed time of the first charter.
const Start = 1_767_225_600 // 2026-01-01T00:00:00Z

// Log is a log and everyone who writes to it.
type Log struct {
	*people.People
	Dir     string  // "": it writes no files
	Now     int64   // POSIX seconds: the time of events and cosignatures
	Charter *Logged // the last
	// Appended, if set, is called after each entry.
	Appended func(at event.Reference, entry []byte)

	chains map[string]link // by custodian
	edge   tiles.Frontier
	bundle []byte
	head   event.Head // what releases rely on
	serial uint64
	err    *error // of a log and its forks
}

// link is the last release of a custodian's chain.
type link struct {
	seq  uint64
	hash event.Digest
}

// Logged is an event as its author knows it.
type Logged struct {
	event.Reference
	Envelope *event.Envelope
	Public   []event.Opening
	Notices  [][]byte
}

// New returns a log with the charter of people.Charter, which edit may change.
func New(dir string, edit func(*event.Charter)) *Log {
	l := Empty(dir, people.New(Origin, ""))
	l.Charter = l.LogEvent(l.Event(l.People.Charter(edit)), "f1", "f2")
	return l
}

// Empty returns a log without entries.
func Empty(dir string, p *people.People) *Log {
	return &Log{People: p, Dir: dir, Now: Start, chains: make(map[string]link), err: new(error)}
}

// Fork returns the same log, under the same keys, in another directory, so that it can go
// on with other entries. The two share Err.
func (l *Log) Fork(dir string) *Log {
	f := *l
	f.Dir = dir
	l.Fail(os.CopyFS(f.Dir, os.DirFS(l.Dir)))
	f.edge = *l.edge.Clone()
	f.bundle, f.chains = slices.Clone(l.bundle), maps.Clone(l.chains)
	return &f
}

// Err returns the first error.
func (l *Log) Err() error { return *l.err }

// Report calls report with the first error, if there is one.
func (l *Log) Report(report func(...any)) {
	if *l.err != nil {
		report("writing the log:", *l.err)
	}
}

// Fail keeps an error, unless it is nil or the log has one.
func (l *Log) Fail(err error) {
	if *l.err == nil {
		*l.err = err
	}
}

// Size returns the number of entries.
func (l *Log) Size() uint64 { return l.edge.Size() }

// Head returns the present head.
func (l *Log) Head() tlog.Head {
	return tlog.Head{Origin: l.Origin, Size: l.Size(), Root: l.edge.Root()}
}

// Append appends an entry, which need not be an event.
func (l *Log) Append(entry []byte) event.Reference {
	at := event.Reference{Index: l.Size(), Leaf: tiles.LeafHash(entry)}
	l.bundle = tlog.AppendEntry(l.bundle, entry)
	l.Fail(l.edge.Append(at.Leaf, l.tile))
	if l.Size()%tlog.TileWidth == 0 {
		l.Fail(l.tile(tlog.Tile{Level: tlog.Entries, Index: at.Index / tlog.TileWidth, Width: tlog.TileWidth}, l.bundle))
		l.bundle = l.bundle[:0]
	}
	if l.Appended != nil {
		l.Appended(at, entry)
	}
	return at
}

func (l *Log) tile(t tlog.Tile, b []byte) error { return l.write(t.Path(), b) }

func (l *Log) write(name string, b []byte) error {
	if l.Dir == "" {
		return nil
	}
	name = filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// Publish writes the right edge of the tree and the present head, which the witnesses
// cosign now. It returns the head.
func (l *Log) Publish(witnesses ...string) *tlog.Checkpoint {
	l.Fail(l.edge.Partial(l.tile))
	if size := l.Size(); size%tlog.TileWidth > 0 {
		l.Fail(l.tile(tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}, l.bundle))
	}
	cp := l.Checkpoint(witnesses...)
	l.Fail(l.write("checkpoint", cp.Bytes()))
	return cp
}

// Checkpoint returns the present head, cosigned now.
func (l *Log) Checkpoint(witnesses ...string) *tlog.Checkpoint {
	cp, err := l.People.Checkpoint(l.Head(), uint64(l.Now), witnesses...)
	if err != nil {
		l.Fail(err)
		cp = &tlog.Checkpoint{Head: l.Head()}
	}
	return cp
}

// Event makes an event that claims to be of now. Its id is the same in every run.
func (l *Log) Event(body event.Body) *event.Event {
	e, err := l.People.Event(At(l.Now), body)
	if err != nil {
		l.Fail(err)
		e = &event.Event{Type: body.Type(), Log: l.Origin, Body: body}
	}
	h := l.hash("id")
	copy(e.ID[:], h[:])
	return e
}

// hash returns a value that is new to this log and the same in every run.
func (l *Log) hash(what string) [32]byte {
	l.serial++
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, l.serial))
}

// At returns a time in POSIX seconds as events state it.
func At(t int64) time.Time { return time.Unix(t, 0).UTC() }

// Sign signs an event.
func (l *Log) Sign(e *event.Event, by ...string) *event.Envelope {
	env, err := l.People.Sign(e, by...)
	if err != nil {
		l.Fail(err)
		env = &event.Envelope{Event: e}
	}
	return env
}

// LogEvent signs and appends an event.
func (l *Log) LogEvent(e *event.Event, by ...string) *Logged { return l.LogEnvelope(l.Sign(e, by...)) }

// LogEnvelope appends an envelope.
func (l *Log) LogEnvelope(env *event.Envelope) *Logged {
	return &Logged{Reference: l.Append(env.Bytes()), Envelope: env}
}

// LogBadly appends an event whose signature does not verify.
func (l *Log) LogBadly(e *event.Event, by string) *Logged {
	env := l.Sign(e, by)
	for i := range env.Signatures {
		env.Signatures[i].Sig[0] ^= 1
	}
	return l.LogEnvelope(env)
}

// LogSealed seals an event with these openings, and logs it.
func (l *Log) LogSealed(e *event.Event, until int64, public, subject []event.Opening, by ...string) *Logged {
	l.Fail(e.Seal(At(until), public, subject))
	out := l.LogEvent(e, by...)
	out.Public = public
	return out
}
