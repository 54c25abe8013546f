// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

const testLog = "log.example/warrants"

func newSigner() event.Signer { return people.New(testLog, "").Signer("court") }

func sign(t testing.TB, ev *event.Event, by event.Signer) *event.Envelope {
	t.Helper()
	env, err := event.Sign(ev, by)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// warrant makes a submission of a warrant with that many decoys.
func warrant(t testing.TB, by event.Signer, decoys int) *event.Submission {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New(testLog, &event.Warrant{
		Decision: event.Granted, Provider: "mail", Instrument: "stpo-100a", Offence: "terrorism",
		Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.AddDate(0, 1, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	public := []event.Opening{
		event.NewOpening("agency", event.Text("lka-berlin")), event.NewOpening("agencyKey", event.Bytes(by.Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation")),
	}
	for range decoys {
		public = append(public, event.Decoy())
	}
	if err := ev.Seal(now.AddDate(1, 0, 0), public, []event.Opening{event.NewOpening("case", event.Text("1 Js 2/26"))}); err != nil {
		t.Fatal(err)
	}
	return &event.Submission{Envelope: sign(t, ev, by), Openings: public}
}

// release makes a submission of a release with notices of these sizes.
func release(t testing.TB, by event.Signer, sizes ...int) *event.Submission {
	t.Helper()
	body := &event.Release{Seq: 1, Access: event.Reference{Index: 1}, Head: event.Head{Size: 2}}
	s := &event.Submission{}
	for _, n := range sizes {
		notice := make([]byte, n)
		rand.Read(notice)
		s.Notices = append(s.Notices, notice)
		body.Notices = append(body.Notices, sha256.Sum256(notice))
	}
	ev, err := event.New(testLog, body)
	if err != nil {
		t.Fatal(err)
	}
	s.Envelope = sign(t, ev, by)
	return s
}

func prepared(t testing.TB, s *event.Submission) *Record {
	t.Helper()
	r, err := Prepare(s)
	if err != nil || r == nil {
		t.Fatalf("%v, %v", r, err)
	}
	return r
}

// encode sorts the record's lists and sets its text.
func (r *Record) encode() (err error) {
	o := event.Openings{Event: r.hash, Public: r.openings}
	if r.text, err = o.Bytes(); err != nil {
		return err
	}
	return r.addNotices()
}

// someRecords makes n records of a warrant's size without signing n warrants.
func someRecords(t testing.TB, n int) []*Record {
	t.Helper()
	signer := newSigner()
	out := make([]*Record, n)
	for i := range out {
		r := &Record{openings: []event.Opening{
			event.NewOpening("agency", event.Text("lka-berlin")), event.NewOpening("agencyKey", event.Bytes(signer.Public().SPKI())),
			event.NewOpening("grounds", event.Codes("investigation")), event.Decoy(),
		}}
		rand.Read(r.hash[:])
		if err := r.encode(); err != nil {
			t.Fatal(err)
		}
		out[i] = r
	}
	return out
}

func hashes(records []*Record) []event.Digest {
	var out []event.Digest
	for _, r := range records {
		out = append(out, r.hash)
	}
	return out
}

func newConfig(t testing.TB) Config {
	t.Helper()
	dir := t.TempDir()
	cfg := Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "keys", "vault.key")}
	if err := Create(cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func mustOpen(t testing.TB, cfg Config) *Vault {
	t.Helper()
	v, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func put(t testing.TB, v *Vault, records ...*Record) {
	t.Helper()
	if err := v.PutBatch(context.Background(), records); err != nil {
		t.Fatal(err)
	}
}

// mustHave checks that the vault gives these records, in this order.
func mustHave(t testing.TB, v *Vault, records ...*Record) {
	t.Helper()
	got, err := v.Get(context.Background(), hashes(records)...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if !bytes.Equal(got[i].text, r.text) || !v.Has(r.hash) {
			t.Fatalf("record %d: got %s, want %s", i, got[i].text, r.text)
		}
	}
}

func mustLack(t testing.TB, v *Vault, events ...event.Digest) {
	t.Helper()
	got, err := v.Get(context.Background(), events...)
	var missing *MissingError
	if len(got) != 0 || !errors.As(err, &missing) || len(missing.Events) != len(events) {
		t.Fatalf("got %d records, %v", len(got), err)
	}
	if len(lacking(v, events)) != len(events) {
		t.Fatal("not all are missing")
	}
}

// lacking returns those of the events of which the vault has no record.
func lacking(v *Vault, events []event.Digest) []event.Digest {
	return slices.DeleteFunc(slices.Clone(events), v.Has)
}

// onDisk decrypts all files with age and counts each event's copies.
func onDisk(t testing.TB, cfg Config) map[event.Digest]int {
	t.Helper()
	ids, err := readIdentities(cfg.Identity)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[event.Digest]int)
	for _, name := range batchFiles(t, cfg) {
		for h := range decryptAll(t, name, ids...) {
			out[h]++
		}
	}
	return out
}

func batchFiles(t testing.TB, cfg Config) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(cfg.Dir, "*"+batchSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func decryptAll(t testing.TB, name string, ids ...age.Identity) map[event.Digest]bool {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, ids...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[event.Digest]bool)
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		o, err := event.ParseOpenings([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[o.Event] = true
	}
	return out
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
