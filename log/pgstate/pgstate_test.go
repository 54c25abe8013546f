// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

const origin = "log.example"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// head is a signed head of this size.
func head(t testing.TB, key *tlog.Signer, size uint64) []byte {
	t.Helper()
	h := tlog.Head{Origin: origin, Size: size, Root: [32]byte{byte(size)}}
	sig, err := key.Sign(&h, 0)
	check(t, err)
	return (&tlog.Checkpoint{Head: h, Signatures: []tlog.Signature{sig}}).Bytes()
}

// created makes a database with a log.
func created(t testing.TB, server *trilliantest.Postgres, name string) (db *pgstate.DB, dsn string, key *tlog.Signer) {
	t.Helper()
	dsn = server.CreateDatabase(t, name)
	db, err := pgstate.Create(t.Context(), dsn)
	check(t, err)
	t.Cleanup(db.Close)
	key, err = tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	check(t, db.Creator().Create(t.Context(), state.Settings{Origin: origin, Charter: [32]byte{1}}, head(t, key, 1)))
	return db, dsn, key
}

// lead gives the lease to a holder, for the next term.
func lead(t testing.TB, db *pgstate.DB, holder string) *pgstate.Term {
	t.Helper()
	l, err := db.Lease(t.Context())
	check(t, err)
	l.Holder, l.Name, l.Term, l.Seconds, l.Acquired, l.Renewed = holder, "http://"+holder, l.Term+1, 3, time.Now(), time.Now()
	_, err = db.SwapLease(t.Context(), holder, l)
	check(t, err)
	return db.Term(holder, l.Term)
}

// TestAll shares one server, which takes longest to start.
func TestAll(t *testing.T) {
	server := trilliantest.StartPostgres(t)
	for name, f := range map[string]func(*testing.T, *trilliantest.Postgres){
		"life": life, "fence": fence, "race": race, "lease": lease, "vault": inVault, "audit": audit, "unsafe": unsafe, "missing": missing,
	} {
		t.Run(name, func(t *testing.T) {
			if name != "unsafe" { // which changes the server
				t.Parallel()
			}
			f(t, server)
		})
	}
}

func life(t *testing.T, server *trilliantest.Postgres) {
	db, dsn, key := created(t, server, "life")
	ctx := t.Context()
	if _, err := pgstate.Create(ctx, dsn); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second creation: %v", err)
	}
	if _, err := db.Creator().Begin(ctx); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second founding: %v", err)
	}
	again, err := pgstate.Open(ctx, dsn)
	check(t, err)
	defer again.Close()
	s := lead(t, again, "a").State()
	if got := s.Settings(); got.Origin != origin || got.Charter != [32]byte{1} {
		t.Errorf("settings: %+v", got)
	}
	check(t, s.SwapHead(ctx, head(t, key, 1), head(t, key, 2)))
	if err := s.SwapHead(ctx, head(t, key, 1), head(t, key, 3)); !errors.Is(err, state.ErrChanged) {
		t.Errorf("a swap from another head: %v", err)
	}
	if b, err := s.LoadHead(ctx); err != nil || !bytes.Equal(b, head(t, key, 2)) {
		t.Errorf("the head: %q %v", b, err)
	}
	if p, err := s.Published(ctx); err != nil || p.Checkpoint != nil {
		t.Errorf("published before anything was: %+v %v", p, err)
	}
	check(t, s.Publish(ctx, state.Published{Checkpoint: head(t, key, 5), Charter: 4}))
	check(t, s.Publish(ctx, state.Published{Checkpoint: head(t, key, 5), Charter: 4}))
	if err := s.Publish(ctx, state.Published{Checkpoint: head(t, key, 4)}); err == nil || !strings.Contains(err.Error(), "must not go back") {
		t.Errorf("publishing an earlier checkpoint: %v", err)
	}
	if p, err := s.Published(ctx); err != nil || !bytes.Equal(p.Checkpoint, head(t, key, 5)) || p.Charter != 4 {
		t.Errorf("published: %+v %v", p, err)
	}
	check(t, s.PublishAudited(ctx, head(t, key, 4)))
	if err := s.PublishAudited(ctx, head(t, key, 3)); err == nil || !strings.Contains(err.Error(), "must not go back") {
		t.Errorf("an earlier audited checkpoint: %v", err)
	}
	if p, err := again.State().Published(ctx); err != nil || !bytes.Equal(p.Audited, head(t, key, 4)) || !bytes.Equal(p.Checkpoint, head(t, key, 5)) {
		t.Errorf("audited: %+v %v", p, err)
	}
	for range 2 {
		check(t, s.PublishAudited(ctx, nil))
	}
	if p, err := s.Published(ctx); err != nil || p.Audited != nil {
		t.Errorf("audited after it was forgotten: %+v %v", p, err)
	}
	for range 2 {
		where, err := s.KeepEvidence(ctx, "evidence-7", head(t, key, 7))
		check(t, err)
		if !strings.Contains(where, "vasistas.evidence") {
			t.Errorf("evidence is %q", where)
		}
	}
	if p, err := s.Published(ctx); err != nil || p.Shown != 7 {
		t.Errorf("with evidence of a later head: %+v %v", p, err)
	}
	server.PSQL(t, dsn, "UPDATE vasistas.log SET term = term + 1") // a later instance signs
	if p, err := s.Published(ctx); err != nil || p.Shown != 0 {
		t.Errorf("after a later signature: %+v %v", p, err)
	}
	check(t, s.RestoreHead(ctx, head(t, key, 9)))
	if b, err := s.LoadHead(ctx); err != nil || !bytes.Equal(b, head(t, key, 9)) {
		t.Errorf("the restored head: %q %v", b, err)
	}
}

// fence: an instance without the lease writes nothing.
func fence(t *testing.T, server *trilliantest.Postgres) {
	db, dsn, key := created(t, server, "fence")
	ctx := t.Context()
	old := lead(t, db, "a")
	lead(t, db, "b")
	check(t, vault.Create(vault.Config{Storage: db.Vault(), Identity: filepath.Join(t.TempDir(), "key")}))
	for name, s := range map[string]struct {
		state.Store
		vault.Storage
	}{
		"ousted":          {old.State(), old.Vault()},
		"reader":          {db.State(), db.Vault()},
		"another's term":  {db.Term("a", 2).State(), db.Term("a", 2).Vault()},
		"an earlier term": {db.Term("b", 1).State(), db.Term("b", 1).Vault()},
		"a term to come":  {db.Term("b", 3).State(), db.Term("b", 3).Vault()},
		"no holder":       {db.Term("", 2).State(), db.Term("", 2).Vault()},
	} {
		for what, write := range map[string]func() error{
			"swap":     func() error { return s.SwapHead(ctx, head(t, key, 1), head(t, key, 2)) },
			"restore":  func() error { return s.RestoreHead(ctx, head(t, key, 2)) },
			"publish":  func() error { return s.Publish(ctx, state.Published{Checkpoint: head(t, key, 2)}) },
			"audited":  func() error { return s.PublishAudited(ctx, head(t, key, 2)) },
			"forget":   func() error { return s.PublishAudited(ctx, nil) },
			"evidence": func() error { _, err := s.KeepEvidence(ctx, "x", []byte("x")); return err },
			"batch":    func() error { return s.Create(7, []byte("batch")) },
			"remove":   func() error { return s.Remove([]uint64{1}) },
		} {
			if err := write(); !errors.Is(err, state.ErrOusted) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
	if err := old.Held(); !errors.Is(err, state.ErrOusted) || old.Context().Err() == nil {
		t.Errorf("the term does not know that it is over: %v", err)
	}
	rows := server.PSQL(t, dsn, "SELECT (SELECT count(*) FROM vasistas.batch), (SELECT count(*) FROM vasistas.evidence), (SELECT count(*) FROM vasistas.published), (SELECT head = decode('"+
		fmt.Sprintf("%x", head(t, key, 1))+"', 'hex') FROM vasistas.log)")
	if strings.TrimSpace(rows) != "0|0|0|t" {
		t.Errorf("something was written: %s", rows)
	}
}

// race: while the lease moves between instances, only its holder records heads, and
// each successful swap is in the chain.
func race(t *testing.T, server *trilliantest.Postgres) {
	db, dsn, key := created(t, server, "race")
	ctx := t.Context() // a swap that is cut off may have happened
	var done atomic.Bool
	heads := make([][]byte, 400)
	for i := range heads {
		heads[i] = head(t, key, uint64(i+1))
	}
	const leaders = 3
	var wg sync.WaitGroup
	var mu sync.Mutex
	swapped := make(map[string]string) // from one head to the next, by whom
	for n := range leaders {
		wg.Go(func() {
			mine, err := pgstate.Open(ctx, dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer mine.Close()
			for round := 0; !done.Load(); round++ {
				name := fmt.Sprintf("%d-%d", n, round)
				l, err := mine.Lease(ctx)
				if err != nil {
					continue
				}
				l.Holder, l.Term, l.Seconds, l.Acquired, l.Renewed = name, l.Term+1, 1, time.Now(), time.Now()
				if _, err := mine.SwapLease(ctx, name, l); err != nil {
					continue
				}
				s := mine.Term(name, l.Term).State()
				at, err := s.LoadHead(ctx)
				for i := 0; err == nil; i++ {
					cp, perr := tlog.ParseCheckpoint(at)
					if perr != nil || cp.Size == uint64(len(heads)) {
						done.Store(true)
						return
					}
					next := heads[cp.Size]
					if err = s.SwapHead(ctx, at, next); err == nil {
						mu.Lock()
						if by, ok := swapped[string(at)]; ok {
							t.Errorf("the head of size %d was replaced by %s and by %s", cp.Size, by, name)
						}
						swapped[string(at)] = name
						mu.Unlock()
						at = next
					}
				}
				if !errors.Is(err, state.ErrOusted) && !errors.Is(err, state.ErrChanged) {
					t.Errorf("%s ended with %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	by := make(map[string]bool)
	for _, name := range swapped {
		by[name] = true
	}
	if len(swapped) != len(heads)-1 {
		t.Errorf("%d of %d heads were replaced", len(swapped), len(heads)-1)
	}
	t.Logf("%d heads in %d terms", len(swapped), len(by))
	if len(by) < 2 {
		t.Error("there was no race")
	}
	_ = db
}

func lease(t *testing.T, server *trilliantest.Postgres) {
	db, _, _ := created(t, server, "lease")
	ctx := t.Context()
	l, err := db.Lease(ctx)
	check(t, err)
	if l.Holder != "" || l.Term != 0 {
		t.Errorf("the first lease: %+v", l)
	}
	lead(t, db, "a")
	l.Holder, l.Term, l.Seconds = "b", 1, 3
	if _, err := db.SwapLease(ctx, "b", l); !errors.Is(err, pgstate.ErrLeaseMoved) {
		t.Errorf("taking a lease that has moved: %v", err)
	}
	l, err = db.Lease(ctx)
	check(t, err)
	if l.Holder != "a" || l.Name != "http://a" || l.Term != 1 || l.Seconds != 3 {
		t.Errorf("the lease: %+v", l)
	}
	given := l
	given.Holder = ""
	if _, err := db.SwapLease(ctx, "b", given); !errors.Is(err, pgstate.ErrLeaseMoved) {
		t.Errorf("giving back another's: %v", err)
	}
	back := given
	back.Term--
	if _, err := db.SwapLease(ctx, "a", back); err == nil {
		t.Error("a term went back")
	}
	_, err = db.SwapLease(ctx, "a", given)
	check(t, err)
}

func inVault(t *testing.T, server *trilliantest.Postgres) {
	db, dsn, _ := created(t, server, "vault")
	identity := filepath.Join(t.TempDir(), "key")
	cfg := vault.Config{Storage: db.Vault(), Identity: identity, MaxFileSize: pgstate.MaxVaultFile}
	if _, err := vault.OpenReadOnly(cfg); !errors.Is(err, vault.ErrMissing) {
		t.Errorf("opening none: %v", err)
	}
	check(t, vault.Create(cfg))
	if err := vault.Create(cfg); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	records, want := sealed(t, 40)
	term := lead(t, db, "a")
	cfg.Storage = term.Vault()
	v, err := vault.Open(cfg)
	check(t, err)
	for i := range records { // a file each, so that there is something to compact
		check(t, v.PutBatch(t.Context(), records[i:i+1]))
	}
	check(t, v.Compact(t.Context()))
	if s := v.Stats(); s.Records != 40 || s.Files > 12 {
		t.Errorf("after compaction: %+v", s)
	}
	gone := want[:10]
	check(t, v.Erase(t.Context(), gone...))
	// The next leader sees the same.
	term = lead(t, db, "b")
	cfg.Storage, cfg.Spare = term.Vault(), time.Hour
	next, err := vault.Open(cfg)
	check(t, err)
	if damage, err := next.Check(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("damage: %v %v", damage, err)
	}
	for i, h := range want {
		if next.Has(h) != (i >= 10) {
			t.Errorf("record %d of 40: there is one: %v", i, next.Has(h))
		}
	}
	got, err := next.Get(t.Context(), want[10:]...)
	check(t, err)
	if len(got) != 30 {
		t.Errorf("%d records", len(got))
	}
	if err := v.PutBatch(t.Context(), records[:1]); !errors.Is(err, state.ErrOusted) {
		t.Errorf("the ousted leader puts: %v", err)
	}
	// A new record is spared, but only for the time in Spare.
	if dropped, err := next.Retain(t.Context(), none); err != nil || len(dropped) > 0 {
		t.Errorf("dropped %d: %v", len(dropped), err)
	}
	server.PSQL(t, dsn, "UPDATE vasistas.batch SET made = made - interval '2 hours'")
	last, err := vault.Open(cfg)
	check(t, err)
	if dropped, err := last.Retain(t.Context(), none); err != nil || len(dropped) != 30 {
		t.Errorf("dropped %d: %v", len(dropped), err)
	}
	if n := strings.TrimSpace(server.PSQL(t, dsn, "SELECT count(*) FROM vasistas.batch")); n != "0" {
		t.Errorf("%s files are left", n)
	}
}

func audit(t *testing.T, server *trilliantest.Postgres) {
	db, dsn, _ := created(t, server, "audit")
	cfg := vault.Config{Storage: db.Vault(), Identity: filepath.Join(t.TempDir(), "key")}
	check(t, vault.Create(cfg))
	records, events := sealed(t, 3)
	cfg.Storage = lead(t, db, "a").Vault()
	v, err := vault.Open(cfg)
	check(t, err)
	check(t, v.PutBatch(t.Context(), records))
	inspector, err := age.GenerateHybridIdentity()
	check(t, err)
	cfg.Storage = db.Vault()
	for i, e := range events {
		reader, err := vault.OpenReadOnly(cfg)
		check(t, err)
		var out bytes.Buffer
		_, err = reader.Export(t.Context(), vault.ExportRequest{Entries: []vault.ExportEntry{{Index: uint64(i), Event: e}},
			To: inspector.Recipient().String(), By: "clerk", Time: time.Now()}, &out)
		check(t, err)
	}
	lines, err := v.Audit()
	check(t, err)
	if len(lines) != 3 || lines[2].Entries[0].Event != events[2] {
		t.Errorf("the audit trail: %v", lines)
	}
	// No ordinary statement removes a line.
	for _, sql := range []string{"DELETE FROM vasistas.audit", "UPDATE vasistas.audit SET line = 'x'", "TRUNCATE vasistas.audit", "DELETE FROM vasistas.log"} {
		if out := server.PSQL(t, dsn, "DO $$ BEGIN "+sql+"; EXCEPTION WHEN raise_exception THEN RETURN; END $$; SELECT count(*) FROM vasistas.audit"); strings.TrimSpace(out) != "3" {
			t.Errorf("%s: %s", sql, out)
		}
	}
	// A deliberate removal is detected.
	server.PSQL(t, dsn, "ALTER TABLE vasistas.audit DISABLE TRIGGER keep; DELETE FROM vasistas.audit WHERE start = 0")
	if _, err := v.Audit(); !errors.Is(err, vault.ErrMalformed) {
		t.Errorf("a line is gone, and the audit says %v", err)
	}
}

// unsafe: each connection refuses a server that may lose acknowledged writes.
func unsafe(t *testing.T, server *trilliantest.Postgres) {
	_, dsn, _ := created(t, server, "unsafe")
	for _, set := range []string{"synchronous_commit = off", "synchronous_commit = local", "full_page_writes = off"} {
		name, _, _ := strings.Cut(set, " ")
		server.PSQL(t, dsn, "ALTER SYSTEM SET "+set)
		server.PSQL(t, dsn, "SELECT pg_reload_conf()")
		refused := func() bool {
			db, err := pgstate.Open(t.Context(), dsn)
			if err == nil {
				db.Close()
				return false
			}
			if !errors.Is(err, pgstate.ErrUnsafe) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", set, err)
			}
			return true
		}
		for end := time.Now().Add(10 * time.Second); !refused(); {
			if time.Now().After(end) {
				t.Errorf("%s: it was opened", set)
				break
			}
		}
		server.PSQL(t, dsn, "ALTER SYSTEM RESET "+name)
		server.PSQL(t, dsn, "SELECT pg_reload_conf()")
	}
}

func missing(t *testing.T, server *trilliantest.Postgres) {
	dsn := server.CreateDatabase(t, "missing")
	if _, err := pgstate.Open(t.Context(), dsn); !errors.Is(err, pgstate.ErrMissing) || !strings.Contains(err.Error(), "init") {
		t.Errorf("without a schema: %v", err)
	}
	db, err := pgstate.Create(t.Context(), dsn)
	check(t, err)
	db.Close()
	if _, err := pgstate.Open(t.Context(), dsn); !errors.Is(err, pgstate.ErrMissing) {
		t.Errorf("before the founding: %v", err)
	}
	db, err = pgstate.Create(t.Context(), dsn) // an attempt that was cut off
	check(t, err)
	db.Close()
	server.PSQL(t, dsn, "UPDATE vasistas.meta SET version = version + 1")
	if _, err := pgstate.Open(t.Context(), dsn); !errors.Is(err, pgstate.ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	for _, dsn := range []string{"postgresql://u:secret@localhost/db", "postgresql://u@localhost/db?password=secret", "host=localhost password=secret", "password = secret"} {
		if _, err := pgstate.Open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "PGPASSFILE") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	for _, dsn := range []string{"postgresql://u:secret@localhost:x/db", "host"} {
		if _, err := pgstate.Open(t.Context(), dsn); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
