// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// TestDamageAnywhere flips a bit in each part of a file, and cuts the file there. All
// records must be either readable or reported as lost, and a resubmission must heal
// the vault.
func TestDamageAnywhere(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	by := newSigner()
	records := []*Record{prepared(t, release(t, by, 24000, 24000, 24000)), prepared(t, release(t, by, 24000, 24000, 24000)), prepared(t, warrant(t, by, 0))}
	slices.SortFunc(records, func(a, b *Record) int { return slices.Compare(a.hash[:], b.hash[:]) })
	other := someRecords(t, 1)[0]
	put(t, v, records...)
	put(t, v, other)
	check(t, v.Close())
	file := batchFiles(t, cfg)[0]
	good, err := os.ReadFile(file)
	check(t, err)
	header := strings.Index(string(good), "\n--- ")
	damage := map[string][]byte{"empty": {}, "no header": good[10:], "longer": append(slices.Clone(good), 0)}
	for _, at := range []int{0, 30, 200, header - 30, header + 10, header + 60, header + 30000, header + 100000, len(good) - 20, len(good) - 1} {
		b := slices.Clone(good)
		b[at] ^= 1
		damage["bit at "+string(rune('a'+len(damage)))] = b
		damage["cut at "+string(rune('a'+len(damage)))] = good[:at]
	}
	readable := 0
	for name, b := range damage {
		check(t, os.WriteFile(file, b, 0o600))
		v := mustOpen(t, cfg)
		found, err := v.Check(ctx)
		check(t, err)
		if len(found) != 1 || found[0].File != file {
			t.Fatalf("%s: %v", name, found)
		}
		var lost []event.Digest
		for _, r := range records {
			got, err := v.Get(ctx, r.hash)
			if err != nil {
				lost = append(lost, r.hash)
			} else if string(got[0].text) == string(r.text) {
				readable++
			} else {
				t.Fatalf("%s: wrong bytes", name)
			}
		}
		if d := found[0]; !slices.Equal(d.Events, lost) && !d.Unsure || len(lost) == 0 || d.Unsure && len(lost) != 3 {
			t.Errorf("%s: %v lost, reported: %v", name, lost, d)
		}
		for _, h := range lost {
			if d := found[0]; !d.Unsure && !strings.Contains(d.Error(), h.String()) {
				t.Errorf("%s: the error doesn't name %s: %v", name, h, d)
			}
		}
		if m := lacking(v, hashes(records)); !slices.Equal(m, lost) {
			t.Errorf("%s: missing %v, lost %v", name, m, lost)
		}
		mustHave(t, v, other)
		check(t, v.Compact(ctx))
		var damaged *DamagedError
		if err := v.Erase(ctx, records[0].hash); !errors.As(err, &damaged) && slices.Contains(lost, records[0].hash) {
			t.Errorf("%s: erased: %v", name, err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%s: a damaged file was removed: %v", name, err)
		}
		put(t, v, records...)
		mustHave(t, v, records...)
		if d := v.Damage(); len(d) != 1 || len(d[0].Events) != 0 && !d[0].Unsure {
			t.Errorf("%s: still lost: %v", name, d)
		}
		check(t, v.Close())
		for _, f := range batchFiles(t, cfg)[2:] {
			check(t, os.Remove(f))
		}
	}
	if readable == 0 {
		t.Error("damage at the end of a file cost its beginning")
	}
}

func TestFileRemoved(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 3)
	put(t, v, records...)
	check(t, os.Remove(batchFiles(t, cfg)[0]))
	got, err := v.Get(ctx, records[0].hash, records[1].hash)
	var damaged *DamagedError
	if len(got) != 0 || !errors.As(err, &damaged) || !errors.Is(err, fs.ErrNotExist) || len(damaged.Events) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	put(t, v, records...)
	mustHave(t, v, records...)
	check(t, v.Compact(ctx))
	mustHave(t, v, records...)
}

// TestVaultLost creates an empty vault in place of a lost one.
func TestVaultLost(t *testing.T) {
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 3)
	put(t, v, records...)
	check(t, v.Close())
	check(t, os.RemoveAll(cfg.Dir))
	if _, err := Open(cfg); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "the log loses no entry") {
		t.Errorf("%v", err)
	}
	check(t, Create(cfg))
	v = mustOpen(t, cfg)
	if m := lacking(v, hashes(records)); !slices.Equal(m, hashes(records)) {
		t.Errorf("missing: %v", m)
	}
	put(t, v, records...)
	mustHave(t, v, records...)
}

// twice acts as recipients and writes the stanza of the index n times.
type twice struct {
	indexed
	n int
}

func (r *twice) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	s, err := r.indexed.Wrap(fileKey)
	return append(s[:len(s)-1], slices.Repeat(s[len(s)-1:], r.n)...), err
}

// TestWrongBatch opens age files, encrypted to the vault, that are no batches.
func TestWrongBatch(t *testing.T) {
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	check(t, v.Close())
	r := someRecords(t, 2)
	index := func(h event.Digest, n int) []byte { return encodeIndex([]place{{h, 0, n}}) }
	for name, c := range map[string]struct {
		index []byte
		times int
		ok    bool
	}{
		"good":                     {index(r[0].hash, len(r[0].text)), 1, true},
		"no index":                 {index(r[0].hash, len(r[0].text)), 0, false},
		"two":                      {index(r[0].hash, len(r[0].text)), 2, false},
		"an empty one":             {nil, 1, false},
		"another event's record":   {index(r[1].hash, len(r[0].text)), 1, false},
		"a record of less than is": {index(r[0].hash, len(r[0].text)-1), 1, false},
	} {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, &twice{indexed{v.recipients, c.index}, c.times})
		check(t, err)
		_, err = w.Write(r[0].text)
		check(t, errors.Join(err, w.Close()))
		check(t, os.WriteFile(v.files.Path(1), out.Bytes(), 0o600))
		v := mustOpen(t, cfg)
		damage, err := v.Check(context.Background())
		if check(t, err); (len(damage) == 0) != c.ok || (v.Len() == 1) != c.ok {
			t.Errorf("%s: %d records, %v", name, v.Len(), damage)
		}
		check(t, v.Close())
	}
}
