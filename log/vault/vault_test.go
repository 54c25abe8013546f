// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/event"
)

func TestLife(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	by := newSigner()
	a, b, c := prepared(t, warrant(t, by, 0)), prepared(t, release(t, by, 10, 20000)), prepared(t, warrant(t, by, 3))
	put(t, v, a, nil, b, a)
	put(t, v, b, c) // b again
	put(t, v, a, b, c)
	put(t, v)
	put(t, v, nil)
	if s := v.Stats(); s.Files != 2 || s.Records != 3 || v.Len() != 3 {
		t.Errorf("%+v", s)
	}
	for range 2 {
		mustHave(t, v, c, a, b)
		check(t, v.Close())
		v = mustOpen(t, cfg)
	}
	if got := onDisk(t, cfg); len(got) != 3 || got[a.hash] != 1 || got[b.hash] != 1 || got[c.hash] != 1 {
		t.Errorf("on disk: %v", got)
	}
	unknown := event.Digest{1}
	got, err := v.Get(ctx, unknown, a.hash)
	var missing *MissingError
	if len(got) != 1 || got[0].hash != a.hash || !errors.As(err, &missing) || !slices.Equal(missing.Events, []event.Digest{unknown}) {
		t.Errorf("got %v, %v", got, err)
	}
	if m := lacking(v, []event.Digest{a.hash, unknown}); !slices.Equal(m, []event.Digest{unknown}) {
		t.Errorf("missing: %v", m)
	}
	if n := v.Delete(a.hash, unknown); n != 1 {
		t.Errorf("%d deleted", n)
	}
	mustLack(t, v, a.hash)
	check(t, v.Erase(ctx, b.hash))
	mustLack(t, v, a.hash, b.hash)
	mustHave(t, v, c)
	if got := onDisk(t, cfg); len(got) != 1 || got[c.hash] != 1 {
		t.Errorf("on disk: %v", got)
	}
	put(t, v, a) // deleted, and there again
	mustHave(t, v, a, c)
	dropped, err := v.Retain(ctx, func(h event.Digest) bool { return h == a.hash })
	if err != nil || !slices.Equal(dropped, []event.Digest{c.hash}) {
		t.Errorf("dropped %v, %v", dropped, err)
	}
	if got := onDisk(t, cfg); len(got) != 1 || got[a.hash] != 1 {
		t.Errorf("on disk: %v", got)
	}
}

// TestCiphertextGoes looks at the bytes of the files: a deleted record's batch is
// rewritten under a new file key, and the old one is gone.
func TestCiphertextGoes(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 20)
	put(t, v, records...)
	old, err := os.ReadFile(batchFiles(t, cfg)[0])
	check(t, err)
	tail := old[len(old)-64:]
	v.Delete(hashes(records[:9])...)
	check(t, v.Compact(ctx))
	if !holdsBytes(t, cfg, tail) {
		t.Fatal("rewritten though it is more than half full")
	}
	v.Delete(hashes(records[9:11])...)
	check(t, v.Compact(ctx))
	if holdsBytes(t, cfg, tail) {
		t.Fatal("the ciphertext is still there")
	}
	if got := onDisk(t, cfg); len(got) != 9 || got[records[0].hash] != 0 {
		t.Fatalf("on disk: %d records", len(got))
	}
	mustHave(t, v, records[11:]...)
	v.Delete(hashes(records)...)
	check(t, v.Compact(ctx))
	if names := batchFiles(t, cfg); len(names) != 0 {
		t.Fatalf("files that hold nothing: %v", names)
	}
	// Erase also removes a record that was only deleted.
	put(t, v, records...)
	v.Delete(records[0].hash)
	check(t, v.Erase(ctx, records[0].hash))
	if got := onDisk(t, cfg); len(got) != 19 || got[records[0].hash] != 0 {
		t.Fatalf("on disk: %d records", len(got))
	}
	mustHave(t, v, records[1:]...)
}

func holdsBytes(t *testing.T, cfg Config, part []byte) bool {
	t.Helper()
	found := false
	check(t, filepath.WalkDir(cfg.Dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		found = found || bytes.Contains(b, part)
		return err
	}))
	return found
}

// TestIdleLog puts one record at a time, as an idle log does.
func TestIdleLog(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	cfg.MaxFileSize = 20000
	v := mustOpen(t, cfg)
	records := someRecords(t, 300)
	for i, r := range records {
		put(t, v, r)
		if i%5 == 0 {
			check(t, v.Compact(ctx))
		}
	}
	check(t, v.Compact(ctx))
	if s := v.Stats(); s.Files > 45 || s.Files != len(batchFiles(t, cfg)) || s.Records != 300 {
		t.Errorf("%+v, %d files", s, len(batchFiles(t, cfg)))
	}
	mustHave(t, v, records...)
	for h, n := range onDisk(t, cfg) {
		if n != 1 {
			t.Errorf("%s is there %d times", h, n)
		}
	}
	for _, name := range batchFiles(t, cfg) {
		if info, err := os.Stat(name); err != nil || info.Size() > 30000 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	cfg.MaxFileSize = 30000
	v := mustOpen(t, cfg)
	records := someRecords(t, 400)
	reader, err := OpenReadOnly(cfg)
	check(t, err)
	var work, upkeep sync.WaitGroup
	stop := make(chan struct{})
	upkeep.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := v.Compact(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		mine := records[w*100 : w*100+100]
		work.Go(func() {
			for i, r := range mine {
				if err := v.PutBatch(ctx, []*Record{r}); err != nil {
					t.Error(err)
					return
				}
				got, err := v.Get(ctx, hashes(mine[i-i%2:i+1])...)
				if err != nil || len(got) != 1+i%2 {
					t.Errorf("%d records, %v", len(got), err)
					return
				}
				if i%2 == 0 {
					continue
				}
				if err := v.Erase(ctx, r.hash); err != nil {
					t.Error(err)
					return
				}
				if got, err := reader.Get(ctx, mine[0].hash); i > 20 && (err != nil || len(got) != 1) && !knows(reader, mine[0].hash) {
					if err := reader.scan(); err != nil || !knows(reader, mine[0].hash) {
						t.Errorf("the reader: %d records, %v", len(got), err)
					}
				}
			}
		})
	}
	work.Wait()
	close(stop)
	upkeep.Wait()
	got := onDisk(t, cfg)
	for i, r := range records {
		if want := 1 - i%2; got[r.hash] != want || v.Has(r.hash) != (want == 1) {
			t.Errorf("record %d: on disk %d times, known %t", i, got[r.hash], v.Has(r.hash))
		}
	}
	if d := v.Damage(); d != nil {
		t.Errorf("%v", d)
	}
}

func knows(v *Vault, h event.Digest) bool {
	_, err := v.Get(context.Background(), h)
	return err == nil
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "key")}
	if _, err := Open(cfg); !errors.Is(err, ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no vault: %v", err)
	}
	recovery, err := age.GenerateHybridIdentity()
	check(t, err)
	classic, err := age.GenerateX25519Identity()
	check(t, err)
	if err := Create(cfg, classic.Recipient().String()); err == nil || !strings.Contains(err.Error(), "age-keygen -pq") {
		t.Errorf("a recovery key that can't be mixed: %v", err)
	}
	check(t, Create(cfg, recovery.Recipient().String())) // with the key that the failure left
	key, err := os.ReadFile(cfg.Identity)
	check(t, err)
	if info, err := os.Stat(cfg.Identity); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Create(cfg); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if again, err := os.ReadFile(cfg.Identity); err != nil || !bytes.Equal(again, key) {
		t.Error("the key was overwritten")
	}
	v := mustOpen(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	r := someRecords(t, 1)[0]
	put(t, v, r)
	check(t, v.Close())
	if got := decryptAll(t, batchFiles(t, cfg)[0], recovery); !got[r.hash] {
		t.Error("the recovery key doesn't open the batch")
	}

	other, err := age.GenerateHybridIdentity()
	check(t, err)
	check(t, os.WriteFile(cfg.Identity, []byte(other.String()+"\n"), 0o600))
	if _, err := Open(cfg); !errors.Is(err, ErrWrongKey) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("wrong key: %v", err)
	}
	check(t, os.WriteFile(cfg.Identity, []byte("AGE-SECRET-KEY-PQ-1NO\n"), 0o600))
	if _, err := Open(cfg); err == nil || strings.Contains(err.Error(), "PQ-1NO") {
		t.Errorf("no key: %v", err)
	}
	check(t, os.Remove(cfg.Identity))
	if _, err := Open(cfg); !errors.Is(err, ErrMissing) {
		t.Errorf("missing key: %v", err)
	}
	check(t, os.WriteFile(cfg.Identity, key, 0o600))
	check(t, os.Chmod(cfg.Identity, 0o604))
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that all can read: %v", err)
	}
	check(t, os.Chmod(cfg.Identity, 0o600))
	mustHave(t, mustOpen(t, cfg), r)
}

// TestNewKey replaces the key, and keeps the old one to read what is there.
func TestNewKey(t *testing.T) {
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 2)
	put(t, v, records[0])
	check(t, v.Close())
	fresh, err := age.GenerateHybridIdentity()
	check(t, err)
	old, err := os.ReadFile(cfg.Identity)
	check(t, err)
	check(t, os.WriteFile(cfg.Identity, []byte(fresh.String()+"\n"+string(old)), 0o600))
	check(t, os.WriteFile(filepath.Join(cfg.Dir, recipientsFile), []byte(fresh.Recipient().String()+"\n"), 0o600))
	v = mustOpen(t, cfg)
	put(t, v, records[1])
	mustHave(t, v, records...)
	check(t, v.Close())
	// Without the old key, only the record that it protected is lost, and Damage names it.
	check(t, os.WriteFile(cfg.Identity, []byte(fresh.String()+"\n"), 0o600))
	v = mustOpen(t, cfg)
	mustHave(t, v, records[1])
	d := v.Damage()
	if len(d) != 1 || !errors.Is(d[0], ErrWrongKey) || !slices.Equal(d[0].Events, []event.Digest{records[0].hash}) {
		t.Errorf("%v", d)
	}
}

func TestReadOnly(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 20)
	put(t, v, records...)
	r, err := OpenReadOnly(cfg)
	check(t, err)
	check(t, v.Erase(ctx, records[0].hash)) // moves all others
	mustHave(t, r, records[1:]...)
	mustLack(t, r, records[0].hash)
	_, retain := r.Retain(ctx, func(event.Digest) bool { return true })
	for _, err := range []error{r.PutBatch(ctx, records), r.Erase(ctx, records[1].hash), r.Compact(ctx), retain} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%v", err)
		}
	}
	check(t, r.Close())
	mustHave(t, v, records[1:]...)
}

// TestClosed: Close waits for the write under way, and a later write does not reach the directory,
// which another process may have.
func TestClosed(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 40)
	put(t, v, records[:20]...)
	var closed atomic.Bool
	writing, goOn := make(chan struct{}), make(chan struct{})
	durabletest.Inject(t, cfg.Dir, func(op durable.Op, path string) error {
		if closed.Load() {
			t.Errorf("after Close: %s of %s", op.Step, path)
		}
		if op == (durable.Op{Step: durable.Link}) {
			close(writing)
			<-goOn
		}
		return nil
	})
	under, later, done := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { under <- v.PutBatch(ctx, records[20:30]) }()
	<-writing
	go func() {
		err := v.Close()
		closed.Store(true)
		later <- v.PutBatch(ctx, records[30:])
		done <- err
	}()
	close(goOn)
	check(t, <-under)
	if err := <-later; !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	check(t, <-done)
	_, retain := v.Retain(ctx, func(event.Digest) bool { return false })
	for _, err := range []error{v.Erase(ctx, records[1].hash), v.Compact(ctx), retain} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%v", err)
		}
	}
	closed.Store(false)
	mustHave(t, mustOpen(t, cfg), records[:30]...)
}

// TestDeleteDuringRewrite deletes two records and puts one of them again, at the moment
// when a rewriting that read both has made its file.
func TestDeleteDuringRewrite(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	records := someRecords(t, 4)
	var v *Vault
	now := false
	durabletest.Inject(t, cfg.Dir, func(op durable.Op, _ string) error {
		if now && op == (durable.Op{Step: durable.Link, After: true}) {
			now = false
			v.Delete(records[2].hash, records[3].hash)
			return v.PutBatch(ctx, records[3:])
		}
		return nil
	})
	v = mustOpen(t, cfg)
	put(t, v, records...)
	v.Delete(hashes(records[:2])...)
	now = true
	check(t, v.Compact(ctx))
	if now {
		t.Fatal("nothing was rewritten")
	}
	mustLack(t, v, records[2].hash)
	mustHave(t, v, records[3])
	check(t, v.Erase(ctx, hashes(records[:3])...))
	if got := onDisk(t, cfg); len(got) != 1 {
		t.Errorf("on disk: %v", got)
	}
	if s := v.Stats(); s.Records != 1 || v.batches[v.records[records[3].hash].file].live != 1 {
		t.Errorf("%+v", s)
	}
}
