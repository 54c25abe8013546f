// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/vault"
)

// BenchmarkAdmission measures what the rules and the vault add to admission. A stream
// of warrants goes over HTTP into a log with a witness. In turns, the same warrants go
// through what a log without rules would leave out: parsing and matching their
// openings, applying them, and keeping the openings. The result is the ratio of the
// second to the rest of the first, in processor time. (The log's background work during
// the second is not counted with it.)
func BenchmarkAdmission(b *testing.B) {
	const n = 2048
	ways := map[string]func(w *world, entries [][]byte){
		"stream": func(w *world, entries [][]byte) {
			resp, answer := w.post("?wait=sequenced", "application/x-ndjson", append(bytes.Join(entries, []byte("\n")), '\n'))
			if got := bytes.Count(answer, []byte(`"index":`)); resp.StatusCode != http.StatusOK || got != n {
				b.Fatalf("%s, and %d of %d events have an index", resp.Status, got, n)
			}
		},
		"single": func(w *world, entries [][]byte) {
			drive(b, w.url+"/events?wait=sequenced", "application/json", 256, entries)
		},
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, 1, 1)
			w.start()
			// One round says how long such batches are.
			ways[name](w, warrantsOf(b, w.authority, n))
			w.published(n + 1)
			text := w.log.Metrics()
			batches, entries := int(metric(text, "vasistas_log_batch_entries_count")), int(metric(text, "vasistas_log_batch_entries_sum"))
			alone := newAlone(b, w)
			alone.batch = max(1, entries/batches)
			var whole, added, without time.Duration
			for rounds := uint64(0); b.Loop(); rounds++ {
				entries := warrantsOf(b, w.authority, n)
				took(b, syscall.RUSAGE_THREAD, &added, func() { alone.take(entries[:n/2]) })
				took(b, syscall.RUSAGE_SELF, &whole, func() {
					ways[name](w, entries)
					w.published(n*(rounds+2) + 1) // so that nothing of it is still under way
				})
				took(b, syscall.RUSAGE_THREAD, &added, func() { alone.take(entries[n/2:]) })
				took(b, syscall.RUSAGE_THREAD, &without, alone.plain)
			}
			added -= without
			events := float64(n * b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(alone.batch), "entries/batch")
			b.ReportMetric(float64(whole.Microseconds())/events, "µs/event")
			b.ReportMetric(float64(added.Microseconds())/events, "added-µs/event")
			b.ReportMetric(added.Seconds()/(whole-added).Seconds(), "ratio")
		})
	}
}

// took adds the processor time that f takes: of this thread, or of the process.
func took(b *testing.B, who int, sum *time.Duration, f func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		check(b, syscall.Getrusage(who, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := used()
	f()
	*sum += used() - began
}

// alone is a ledger and a vault without a log.
type alone struct {
	b       *testing.B
	ledger  *ledger.Ledger
	vault   *vault.Vault
	batch   int      // how many records the vault gets at once
	entries [][]byte // that were taken
}

// noTree is the tree of a log in which nothing refers to another entry.
type noTree struct{}

var errNoTree = errors.New("no entry needs the tree")

func (noTree) Entry(uint64) ([]byte, error)  { return nil, errNoTree }
func (noTree) Root(uint64) ([32]byte, error) { return [32]byte{}, errNoTree }

func newAlone(b *testing.B, w *world) *alone {
	cfg := vault.Config{Dir: filepath.Join(b.TempDir(), "vault"), Identity: filepath.Join(b.TempDir(), "vault.key")}
	check(b, vault.Create(cfg))
	v, err := vault.Open(cfg)
	check(b, err)
	b.Cleanup(func() { check(b, v.Close()) })
	a := &alone{b: b, ledger: ledger.New(origin, noTree{}), vault: v}
	violations, _, err := a.ledger.Apply(ledger.Read(0, w.founding.Bytes()))
	check(b, err)
	if len(violations) > 0 {
		b.Fatal(violations[0])
	}
	return a
}

// take does to submissions what a log does to them because of its rules.
func (a *alone) take(submissions [][]byte) {
	var records []*vault.Record
	for i, b := range submissions {
		s, err := event.ParseSubmission(b)
		check(a.b, err)
		record, err := vault.Prepare(s)
		check(a.b, err)
		records = append(records, record)
		entry := bytes.Clone(s.Entry())
		a.entries = append(a.entries, entry)
		e := ledger.Entry{Index: a.ledger.Size(), Leaf: tiles.LeafHash(entry), Envelope: s.Envelope, Hash: s.Envelope.Hash(),
			Signatures: []ledger.SigState{ledger.Good}}
		check(a.b, a.ledger.Charter().Complete(s.Envelope.Event, s.Openings))
		v, violations, err := a.ledger.Add(e)
		check(a.b, err)
		if v != nil || len(violations) > 0 {
			a.b.Fatal(v, violations)
		}
		if len(records) == a.batch || i == len(submissions)-1 {
			check(a.b, a.vault.PutBatch(a.b.Context(), records))
			records = nil
		}
	}
}

// plain does to what was taken what a log without rules does too: it parses the entry
// alone, and hashes it.
func (a *alone) plain() {
	for _, e := range a.entries {
		env, err := event.ParseEnvelope(e)
		check(a.b, err)
		_, _ = env.Hash(), tiles.LeafHash(e)
	}
	a.entries = nil
}
