// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package audittest writes logs for tests of what reads whole logs: a directory
// in the layout of C2SP tlog-tiles, with a charter as entry 0, real signatures,
// and heads that real witness keys cosigned. It is both sides of every story: it
// keeps the rules, or breaks the one that a test is about.
package audittest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Origin of every log of this package.
const Origin = "log.example/2026"

// Start is the claimed time of the first charter.
const Start = 1_767_225_600 // 2026-01-01T00:00:00Z

// World is a log and everyone who writes to it.
type World struct {
	TB  testing.TB
	Dir string
	Now int64 // POSIX seconds: the time that everyone claims

	keys   map[string]*key
	notes  map[string]*tlog.Signer
	chains map[string]link // custodian -> its last release

	frontier tiles.Frontier
	bundle   []byte
	head     event.Head // what releases rely on
	serial   uint64
	founded  *Logged
	made     map[string]bool // directories
}

type link struct {
	seq  uint64
	hash event.Digest
}

// Logged is an event as its author knows it.
type Logged struct {
	event.Reference
	Envelope *event.Envelope
	public   []event.Opening
	notices  [][]byte
}

// New returns a log with its charter, which edit may change.
func New(t testing.TB, edit func(*event.Charter)) *World {
	t.Helper()
	w := Empty(t)
	c := w.charter()
	if edit != nil {
		edit(c)
	}
	w.founded = w.Log(w.Event(c), "f1", "f2")
	return w
}

// Founded returns the first charter.
func (w *World) Founded() *Logged { return w.founded }

// Empty returns a log without entries.
func Empty(t testing.TB) *World {
	return &World{TB: t, Dir: t.TempDir(), Now: Start, keys: make(map[string]*key), notes: make(map[string]*tlog.Signer),
		chains: make(map[string]link), made: make(map[string]bool)}
}

// Fork returns the same log, under the same keys, in a directory of its own, so
// that it can tell another story.
func (w *World) Fork() *World {
	f := *w
	f.Dir = w.TB.TempDir()
	if err := os.CopyFS(f.Dir, os.DirFS(w.Dir)); err != nil {
		w.TB.Fatal(err)
	}
	f.frontier = *w.frontier.Clone()
	f.bundle = slices.Clone(w.bundle)
	f.chains, f.made = maps.Clone(w.chains), make(map[string]bool)
	return &f
}

// Size returns the number of entries.
func (w *World) Size() uint64 { return w.frontier.Size() }

// Append appends an entry, whatever it is.
func (w *World) Append(entry []byte) event.Reference {
	w.TB.Helper()
	i, leaf := w.frontier.Size(), tiles.LeafHash(entry)
	w.bundle = tlog.AppendEntry(w.bundle, entry)
	if err := w.frontier.Append(leaf, w.tile); err != nil {
		w.TB.Fatal(err)
	}
	if (i+1)%tlog.TileWidth == 0 {
		w.write(tlog.Tile{Level: tlog.Entries, Index: i / tlog.TileWidth, Width: tlog.TileWidth}.Path(), w.bundle)
		w.bundle = w.bundle[:0]
	}
	return event.Reference{Index: i, Leaf: leaf}
}

func (w *World) tile(t tlog.Tile, b []byte) error {
	w.write(t.Path(), b)
	return nil
}

func (w *World) write(name string, b []byte) {
	w.TB.Helper()
	name = filepath.Join(w.Dir, name)
	if dir := filepath.Dir(name); !w.made[dir] {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.TB.Fatal(err)
		}
		w.made[dir] = true
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		w.TB.Fatal(err)
	}
}

// Publish writes the right edge of the tree and a head that the witnesses cosign
// now. It returns the head.
func (w *World) Publish(witnesses ...string) *tlog.Checkpoint {
	w.TB.Helper()
	if err := w.frontier.Partial(w.tile); err != nil {
		w.TB.Fatal(err)
	}
	if size := w.Size(); size%tlog.TileWidth > 0 {
		w.write(tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}.Path(), w.bundle)
	}
	cp := w.Checkpoint(witnesses...)
	w.write("checkpoint", cp.Bytes())
	return cp
}

// Checkpoint returns the present head, cosigned now.
func (w *World) Checkpoint(witnesses ...string) *tlog.Checkpoint {
	w.TB.Helper()
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: Origin, Size: w.Size(), Root: w.frontier.Root()}}
	for _, n := range append([]string{Origin}, witnesses...) {
		sig, err := w.note(n).Sign(&cp.Head, uint64(w.Now))
		if err != nil {
			w.TB.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, sig)
	}
	return cp
}

// Event makes an event that claims to be of now.
func (w *World) Event(body event.Body) *event.Event {
	w.TB.Helper()
	e, err := event.New(Origin, body)
	if err != nil {
		w.TB.Fatalf("%T: %v", body, err)
	}
	w.serial++
	h := sha256.Sum256(fmt.Append(nil, "id ", w.serial))
	copy(e.ID[:], h[:])
	e.Time = at(w.Now)
	return e
}

func at(t int64) time.Time { return time.Unix(t, 0).UTC() }

// PAE is what a signature of an event signs (DSSE pre-authentication encoding).
func PAE(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(event.PayloadType), event.PayloadType, len(payload), payload)
}

// Sign signs an event. It is event.Sign without the latter's care, which would
// take most of the time that a large log takes to make.
func (w *World) Sign(e *event.Event, by ...string) *event.Envelope {
	w.TB.Helper()
	payload, err := e.Bytes()
	if err != nil {
		w.TB.Fatalf("%T: %v", e.Body, err)
	}
	pae := PAE(payload)
	env := &event.Envelope{Event: e, Payload: payload}
	for _, n := range by {
		k := w.key(n)
		env.Signatures = append(env.Signatures, event.Signature{KeyID: k.public.KeyID(), Sig: ed25519.Sign(k.private, pae)})
	}
	slices.SortFunc(env.Signatures, func(a, b event.Signature) int { return strings.Compare(a.KeyID, b.KeyID) })
	return env
}

// Log signs and appends an event.
func (w *World) Log(e *event.Event, by ...string) *Logged {
	w.TB.Helper()
	env := w.Sign(e, by...)
	return &Logged{Reference: w.Append(env.Bytes()), Envelope: env}
}

// LogBadly appends an event whose signature does not verify.
func (w *World) LogBadly(e *event.Event, by string) *Logged {
	w.TB.Helper()
	env := w.Sign(e, by)
	env.Signatures[0].Sig[0] ^= 1
	return &Logged{Reference: w.Append(env.Bytes()), Envelope: env}
}
