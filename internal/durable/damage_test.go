// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
)

// journalBytes returns a journal with one frame a record and no reserve, and where each frame
// starts; the last offset is the end.
func journalBytes(t testing.TB, recs ...string) (data []byte, offsets []int64) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "j")
	j := create(t, name)
	offsets = []int64{j.Size()}
	for _, r := range recs {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, j.Size())
	}
	j.Close()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data[:j.Size()], offsets
}

func replayed(data []byte) ([]string, error) {
	recs, _, _, err := durable.Replay(data, label)
	var s []string
	for _, r := range recs {
		s = append(s, string(r))
	}
	return s, err
}

// reserved are what may stand behind a journal's frames.
var reserved = [][]byte{nil, make([]byte, 1), make([]byte, 300)}

var four = []string{"first", "second record", strings.Repeat("third", 50), "the last one"}

// Every single byte: before the last frame a change is corruption, in it a torn tail.
func TestDamageEveryByte(t *testing.T) {
	data, offsets := journalBytes(t, four...)
	for i := range data {
		for _, x := range []byte{0x01, 0x80, 0xff, data[i]} { // the last one: to zero
			if x == 0 {
				continue
			}
			bad := append(bytes.Clone(data), reserved[i%len(reserved)]...)
			bad[i] ^= x
			got, err := replayed(bad)
			switch {
			case int64(i) < offsets[0]:
				if !errors.Is(err, durable.ErrCorrupt) {
					t.Fatalf("header byte %d: %q, %v", i, got, err)
				}
			case int64(i) < offsets[3]:
				var c *durable.CorruptError
				if !errors.Is(err, durable.ErrCorrupt) || !errors.As(err, &c) {
					t.Fatalf("byte %d: %q, %v", i, got, err)
				}
				if at := slices.Index(offsets, c.Offset); at < 0 || int64(i) < offsets[at] || int64(i) >= offsets[at+1] {
					t.Fatalf("byte %d: reported at %d", i, c.Offset)
				}
			default:
				if err != nil || !slices.Equal(got, four[:3]) {
					t.Fatalf("byte %d, in the last frame: %q, %v", i, got, err)
				}
			}
		}
	}
}

func TestTruncatedEverywhere(t *testing.T) {
	data, offsets := journalBytes(t, four...)
	for n := range data {
		got, err := replayed(append(bytes.Clone(data[:n]), reserved[n%len(reserved)]...))
		if int64(n) < offsets[0] {
			if !errors.Is(err, durable.ErrCorrupt) {
				t.Fatalf("cut at %d, in the header: %v", n, err)
			}
			continue
		}
		whole := 0
		for int64(n) >= offsets[whole+1] {
			whole++
		}
		if err != nil || !slices.Equal(got, four[:whole]) {
			t.Fatalf("cut at %d: %q, %v", n, got, err)
		}
	}
}

func TestFramesMoved(t *testing.T) {
	data, o := journalBytes(t, "aaaa", "bbbb", "cccc", "dddd")
	other, _ := journalBytes(t, "aaaa", "bbbb", "cccc", "dddd")
	branch := otherHistory(t, data, o[1])
	rotten := bytes.Clone(data[o[1]:o[2]])
	rotten[30] ^= 1
	f := func(d []byte, i int) []byte { return d[o[i]:o[i+1]] }
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{data[:o[0]]}, parts...), nil) }
	for name, bad := range map[string][]byte{
		"dropped":          join(f(data, 0), f(data, 2), f(data, 3)),
		"last but one":     join(f(data, 0), f(data, 1), f(data, 3)),
		"first dropped":    join(f(data, 1)),
		"swapped":          join(f(data, 0), f(data, 2), f(data, 1), f(data, 3)),
		"last two swapped": join(f(data, 0), f(data, 1), f(data, 3), f(data, 2)),
		"repeated":         join(f(data, 0), f(data, 1), f(data, 1)),
		"half dropped":     join(f(data, 0), f(data, 1)[:15], f(data, 2)),
		"zeroed":           join(f(data, 0), make([]byte, len(f(data, 1))), f(data, 2)),
		"zeros inside":     join(f(data, 0), make([]byte, 4096), f(data, 1)),
		"another's":        join(f(other, 0), f(other, 1)[:10], f(data, 2)),
		"too much rubbish": join(f(data, 0), make([]byte, durable.MaxPayload+28+durable.Reserve+1)),
		"half a frame":     join(f(data, 0), rotten, f(data, 2)[:10]), // the next write had begun
		"two histories":    join(f(data, 0), f(branch, 1), f(data, 2)),
		"misplaced":        durable.Misplaced(label),
		"no newline":       bytes.Replace(data, []byte("\n"), []byte(" "), 1),
		"CRLF":             bytes.Replace(data, []byte("\n"), []byte("\r\n"), 1),
		"empty":            {},
	} {
		for _, zeros := range reserved {
			if got, err := replayed(append(bytes.Clone(bad), zeros...)); !errors.Is(err, durable.ErrCorrupt) {
				t.Errorf("%s, and %d zeros: %q, %v; want ErrCorrupt", name, len(zeros), got, err)
			}
		}
	}
	for name, torn := range map[string][]byte{
		"zeros":         join(f(data, 0), make([]byte, 4096)),
		"rubbish":       join(f(data, 0), bytes.Repeat([]byte("\xF7vj1"), 1000)),
		"another's":     join(f(data, 0), f(other, 1)),
		"half a header": join(f(data, 0), f(data, 1)[:27]),
		"rotten":        join(f(data, 0), rotten),
	} {
		for _, zeros := range reserved {
			if got, err := replayed(append(bytes.Clone(torn), zeros...)); err != nil || !slices.Equal(got, []string{"aaaa"}) {
				t.Errorf("%s, and %d zeros: %q, %v; want a torn tail", name, len(zeros), got, err)
			}
		}
	}
}

// otherHistory takes a copy of the first n bytes of a journal and goes on differently.
func otherHistory(t *testing.T, data []byte, n int64) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(name, data[:n], 0o600); err != nil {
		t.Fatal(err)
	}
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []string{"BBBB", "CCCC"} {
		if err := j.Append([]byte(rec)); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	branch, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return branch
}

// Unexplained damage leaves the file unchanged for the operator.
func TestCorruptLeavesFile(t *testing.T) {
	data, offsets := journalBytes(t, four...)
	data[offsets[1]+30] ^= 1
	name := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := reopen(name); !errors.Is(err, durable.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprint(offsets[1])) {
		t.Fatalf("error %v", err)
	}
	wantFile(t, name, data)
}

// After a loss of power during the last commit, each of its sectors may be written, old
// (zero) or missing at the end. Earlier records are there, and it is never corruption,
// even if the record was chosen to look like frames.
func TestPowerLoss(t *testing.T) {
	recs := slices.Clone(four)
	foreign, at := journalBytes(t, recs...)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		if round%100 == 0 {
			var last []byte // of the frames of another journal
			for len(last) < 6000 {
				last = append(last, foreign[at[0]:min(at[4], at[3]+1000)]...)
				last = binary.BigEndian.AppendUint64(last, rng.Uint64())
			}
			recs[3] = string(last)
			foreign, at = journalBytes(t, recs...)
		}
		data := bytes.Clone(foreign)
		start := at[3]
		if cut := rng.IntN(3); cut == 0 {
			data = data[:start+rng.Int64N(int64(len(data))-start)]
		}
		for s := start / 512 * 512; s < int64(len(data)); s += 512 {
			if rng.IntN(4) == 0 {
				clear(data[max(s, start):min(s+512, int64(len(data)))])
			}
		}
		got, err := replayed(data)
		want := recs[:3]
		if bytes.Equal(data, foreign) {
			want = recs
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("round %d: %d records, %v", round, len(got), err)
		}
	}
}

// A crash may leave a large frame as zeros that are longer than a reserve, and the next crash tear a small frame in
// them.
func TestTornTwice(t *testing.T) {
	data, offsets := journalBytes(t, four...)
	name := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(name, append(bytes.Clone(data[:offsets[2]]), make([]byte, 3*durable.Reserve)...), 0o600); err != nil {
		t.Fatal(err)
	}
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte(four[2])); err != nil {
		t.Fatal(err)
	}
	end := j.Size()
	j.Close()
	torn, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	torn[end-1] = 0
	if got, err := replayed(torn); err != nil || !slices.Equal(got, four[:2]) {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzReplay(f *testing.F) {
	data, offsets := journalBytes(f, four...)
	f.Add(data)
	f.Add(data[:offsets[0]])
	f.Add(data[:offsets[2]+10])
	f.Add([]byte("vasistas-journal/1 0123456789abcdef " + label + " 01234567\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		recs, end, encoded, err := durable.Replay(data, label)
		if err != nil {
			return
		}
		if end > int64(len(data)) || !bytes.Equal(encoded, data[:end]) {
			t.Fatal("read other bytes than an encoder writes")
		}
		again, end2, _, err := durable.Replay(data[:end], label)
		if err != nil || end2 != end || !slices.EqualFunc(recs, again, bytes.Equal) {
			t.Fatalf("cutting off the torn tail changed what is read: %v", err)
		}
	})
}

// FuzzDamage overwrites a range of a good journal and cuts it. Opening returns a prefix
// of the records, and records lost without an error were damaged up to the end.
func FuzzDamage(f *testing.F) {
	recs := []string{"one", "two two", strings.Repeat("three", 30), "four", "five"}
	good, offsets := journalBytes(f, recs...)
	f.Add(uint16(3), []byte{1}, uint16(0))
	f.Add(uint16(60), []byte("\xF7vj1"), uint16(0))
	f.Add(uint16(90), make([]byte, 60), uint16(5))
	f.Add(uint16(400), []byte{7}, uint16(0))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, cut uint16) {
		data := bytes.Clone(good)
		copy(data[int(at)%len(data):], patch)
		data = data[:len(data)-int(cut)%len(data)]
		got, err := replayed(data)
		if err != nil {
			if bytes.Equal(data, good[:len(data)]) && int64(len(data)) >= offsets[0] {
				t.Fatalf("a journal that was only cut: %v", err)
			}
			return
		}
		if len(got) > len(recs) || !slices.Equal(got, recs[:len(got)]) {
			t.Fatalf("records %q", got)
		}
		for i := len(got) + 1; i < len(recs); i++ {
			if end := offsets[i+1]; end <= int64(len(data)) && bytes.Equal(data[offsets[i]:end], good[offsets[i]:end]) {
				t.Fatalf("frame %d is whole, and was cut off after %d records", i, len(got))
			}
		}
	})
}
