// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vaultcmd_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

const origin = "log.example/warrants"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(args ...string) (stdout string, err error) {
	var out bytes.Buffer
	err = vaultcmd.Run(context.Background(), args, &out, io.Discard, nil)
	return out.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out
}

func warrants(t *testing.T, n int) []*event.Submission {
	t.Helper()
	by := people.New(origin, "").Signer("court")
	now := time.Now().UTC().Truncate(time.Second)
	var out []*event.Submission
	for range n {
		ev, err := event.New(origin, &event.Warrant{
			Decision: event.Granted, Provider: "mail", Instrument: "stpo-100a", Offence: "terrorism",
			Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.AddDate(0, 1, 0),
		})
		check(t, err)
		public := []event.Opening{
			event.NewOpening("agency", event.Text("lka-berlin")), event.NewOpening("agencyKey", event.Bytes(by.Public().SPKI())),
			event.NewOpening("grounds", event.Codes("investigation")),
		}
		check(t, ev.Seal(now.AddDate(1, 0, 0), public, []event.Opening{event.NewOpening("case", event.Text("1 Js 2/26"))}))
		env, err := event.Sign(ev, by)
		check(t, err)
		out = append(out, &event.Submission{Envelope: env, Openings: public})
	}
	return out
}

// makeLog makes a log's directory with a real tree of warrants and a published
// checkpoint, and puts the openings into its vault.
func makeLog(t *testing.T, subs []*event.Submission) string {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	mustRun(t, "init", "-dir", dir)
	check(t, tesserax.Create(ctx, filepath.Join(dir, "tree")))
	engine, err := tesserax.Open(ctx, filepath.Join(dir, "tree"))
	check(t, err)
	var entries [][]byte
	var records []*vault.Record
	for _, s := range subs {
		r, err := vault.Prepare(s)
		check(t, err)
		entries, records = append(entries, s.Envelope.Bytes()), append(records, r)
	}
	_, err = engine.Add(ctx, entries)
	check(t, err)
	size, root, err := engine.Tree(ctx)
	check(t, err)
	check(t, engine.Show(ctx, size))
	check(t, engine.Close(ctx))
	cp, err := people.New(origin, "").Checkpoint(tlog.Head{Origin: origin, Size: size, Root: root}, 0)
	check(t, err)
	check(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "state", "checkpoint"), cp.Bytes(), 0o600))
	v, err := vault.Open(vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "keys", "vault.key")})
	check(t, err)
	check(t, v.PutBatch(ctx, records))
	t.Cleanup(func() { v.Close() }) // as if the log were running
	return dir
}

func TestExport(t *testing.T) {
	subs := warrants(t, 300)
	dir := makeLog(t, subs)
	id, err := age.GenerateX25519Identity()
	check(t, err)
	out := filepath.Join(t.TempDir(), "export.age")
	args := []string{"export", "-dir", dir, "-entry", "0,257", "-entry", "299", "-to", id.Recipient().String(), "-by", "clerk", "-out", out}
	said := mustRun(t, args...)
	b, err := os.ReadFile(out)
	check(t, err)
	if !strings.Contains(said, "3 entries") || !strings.Contains(said, fmt.Sprintf("SHA-256 %x.", sha256.Sum256(b))) {
		t.Errorf("%s", said)
	}
	f, err := os.Open(out)
	check(t, err)
	defer f.Close()
	plain, err := age.Decrypt(f, id)
	check(t, err)
	found := 0
	for archive := tar.NewReader(plain); ; found++ {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		check(t, err)
		b, err := io.ReadAll(archive)
		check(t, err)
		o, err := event.ParseOpenings(b)
		check(t, err)
		i := map[string]int{"0.openings": 0, "257.openings": 257, "299.openings": 299}[h.Name]
		check(t, subs[i].Envelope.Event.MatchAll(event.ClassPublic, o.Public))
	}
	if found != 3 {
		t.Errorf("%d files", found)
	}
	if said := mustRun(t, "audit", "-dir", dir); strings.Count(said, "\n") != 1 || !strings.Contains(said, `"by":"clerk"`) || !strings.Contains(said, `"index":257`) {
		t.Errorf("audit: %s", said)
	}
	if _, err := run(args...); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwrites: %v", err)
	}
	args[4], args[len(args)-1] = "300", out+"2"
	if _, err := run(args...); err == nil || !strings.Contains(err.Error(), "the published log has 300") {
		t.Errorf("%v", err)
	}
	if said := mustRun(t, "audit", "-dir", dir); strings.Count(said, "\n") != 1 {
		t.Errorf("what failed is in the audit file: %s", said)
	}
	var raw, told bytes.Buffer // a text writer over standard output, as programs have it
	args[4], args[len(args)-1] = "298", "-"
	check(t, vaultcmd.Run(t.Context(), args, command.Clean(&raw), &told, nil))
	size := raw.Len()
	if plain, err = age.Decrypt(&raw, id); err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if err != nil || !strings.Contains(told.String(), fmt.Sprintf("Wrote -: the openings of 2 entries, %d bytes", size)) {
		t.Errorf("%v, %s", err, &told)
	}
}

func TestListAndCheck(t *testing.T) {
	subs := warrants(t, 3)
	dir := makeLog(t, subs)
	said := mustRun(t, "ls", "-dir", dir)
	for i, s := range subs {
		if want := event.Digest(s.Envelope.Hash()).String() + " entry " + string(rune('0'+i)) + "\n"; !strings.Contains(said, want) {
			t.Errorf("ls says %s, and not %s", said, want)
		}
	}
	if said := mustRun(t, "check", "-dir", dir); said != "3 records, all readable\n" {
		t.Errorf("%s", said)
	}
	files, err := filepath.Glob(filepath.Join(dir, "vault", "*.age"))
	check(t, err)
	b, err := os.ReadFile(files[0])
	check(t, err)
	b[len(b)-1] ^= 1
	check(t, os.WriteFile(files[0], b, 0o600))
	said, err = run("check", "-dir", dir)
	var damaged *vault.DamagedError
	if !errors.As(err, &damaged) || strings.Count(said, "lost: ") != 3 || !strings.Contains(said, " entry 2\n") {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{}, {"open"}, {"ls"}, {"ls", "-dir", dir, "more"}, {"ls", "-no"}, {"ls", "-dir", dir, "-to", "age1"},
		{"export", "-dir", dir}, {"export", "-dir", dir, "-entry", "-1", "-to", "x", "-by", "y", "-out", "z"},
	} {
		if _, err := run(args...); !command.IsWrongUse(err) {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"-h"}, {"help"}, {"ls", "-h"}} {
		if _, err := run(args...); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := run("ls", "-dir", dir); !errors.Is(err, vault.ErrMissing) {
		t.Errorf("no vault: %v", err)
	}
	mustRun(t, "init", "-dir", dir)
	if _, err := run("init", "-dir", dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
}
