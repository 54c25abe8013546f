// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// buildAge builds the ordinary age program, of the version in go.mod.
func buildAge(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "age")
	if out, err := exec.Command("go", "build", "-o", bin, "filippo.io/age/cmd/age").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestOrdinaryAge reads exports and batches with the age program, and an export's
// archive with this language's tar.
func TestOrdinaryAge(t *testing.T) {
	bin := buildAge(t)
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	by := newSigner()
	w, rel := warrant(t, by, 1), release(t, by, 10, 20)
	records := []*Record{prepared(t, w), prepared(t, rel)}
	put(t, v, records...)
	decrypt := func(key, file string) []byte {
		out, err := exec.Command(bin, "-d", "-i", key, file).Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		check(t, err)
		return out
	}
	if got := decrypt(cfg.Identity, batchFiles(t, cfg)[0]); len(got) != len(records[0].text)+len(records[1].text) ||
		!bytes.Contains(got, records[0].text) || !bytes.Contains(got, records[1].text) {
		t.Errorf("a batch holds %q", got)
	}
	classic, err := age.GenerateX25519Identity()
	check(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	check(t, err)
	for to, secret := range map[string]string{classic.Recipient().String(): classic.String(), hybrid.Recipient().String(): hybrid.String()} {
		dir := t.TempDir()
		key, file := filepath.Join(dir, "key"), filepath.Join(dir, "export.age")
		check(t, os.WriteFile(key, []byte(secret+"\n"), 0o600))
		out, err := os.Create(file)
		check(t, err)
		_, err = v.Export(context.Background(), ExportRequest{
			Entries: []ExportEntry{{records[0].hash, 7}, {records[1].hash, 9}}, To: to, By: "the clerk", Time: time.Now(),
		}, out)
		check(t, err)
		check(t, out.Close())
		files := untar(t, decrypt(key, file))
		o, err := event.ParseOpenings([]byte(files["7.openings"]))
		check(t, err)
		check(t, w.Envelope.Event.MatchAll(event.ClassPublic, o.Public))
		if len(files) != 4 || len(files["9-1.notice"])+len(files["9-2.notice"]) != 30 || files["9.openings"] == "" {
			t.Errorf("the export holds %q", files)
		}
	}
}

func untar(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		check(t, err)
		b, err := io.ReadAll(r)
		check(t, err)
		out[h.Name] = string(b)
	}
}

func TestAudit(t *testing.T) {
	ctx := context.Background()
	cfg := newConfig(t)
	v := mustOpen(t, cfg)
	records := someRecords(t, 3)
	put(t, v, records...)
	id, err := age.GenerateX25519Identity()
	check(t, err)
	good := ExportRequest{Entries: []ExportEntry{{records[0].hash, 1}}, To: id.Recipient().String(), By: "clerk 7", Time: time.Now()}
	with := func(f func(*ExportRequest)) ExportRequest { r := good; f(&r); return r }
	file := filepath.Join(cfg.Dir, auditDir, auditFile)
	for name, req := range map[string]ExportRequest{
		"nothing":        with(func(r *ExportRequest) { r.Entries = nil }),
		"no exporter":    with(func(r *ExportRequest) { r.By = "" }),
		"a line break":   with(func(r *ExportRequest) { r.By = "a\nb" }),
		"two recipients": with(func(r *ExportRequest) { r.To += "\n" + r.To }),
		"a secret key":   with(func(r *ExportRequest) { r.To = id.String() }),
		"no recipient":   with(func(r *ExportRequest) { r.To = "" }),
		"twice":          with(func(r *ExportRequest) { r.Entries = append(r.Entries, r.Entries...) }),
		"unknown":        with(func(r *ExportRequest) { r.Entries = append(r.Entries, ExportEntry{event.Digest{1}, 2}) }),
		"no time":        with(func(r *ExportRequest) { r.Time = time.Time{} }),
	} {
		var out bytes.Buffer
		if _, err := v.Export(ctx, req, &out); err == nil || out.Len() > 0 || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %d bytes, %v", name, out.Len(), err)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("what was refused is in the audit file: %v", err)
	}
	var out bytes.Buffer
	a, err := v.Export(ctx, good, &checks{t, &out, file})
	check(t, err)
	if a.SHA256 != sha256.Sum256(out.Bytes()) || a.Size != int64(out.Len()) || a.By != good.By || a.Prev != (event.Digest{}) {
		t.Errorf("%+v", a)
	}
	_, err = v.Export(ctx, good, &out)
	check(t, err)
	// A line that a crash cut off is no export. The next line takes its place.
	appendTo(t, file, `{"by":"x","entr`)
	if lines, err := v.Audit(); err != nil || len(lines) != 2 {
		t.Errorf("%v, %v", lines, err)
	}
	reader, err := OpenReadOnly(cfg)
	check(t, err)
	_, err = reader.Export(ctx, good, &out)
	check(t, err)
	lines, err := v.Audit()
	if err != nil || len(lines) != 3 || lines[0].Entries[0] != good.Entries[0] {
		t.Errorf("%v, %v", lines, err)
	}
	whole, err := os.ReadFile(file)
	check(t, err)
	first, rest, _ := strings.Cut(string(whole), "\n")
	for name, text := range map[string]string{
		"first line removed": rest,
		"changed":            strings.Replace(first, "clerk 7", "clerk 8", 1) + "\n" + rest,
		"no JSON":            first + "\nhello\n",
	} {
		check(t, os.WriteFile(file, []byte(text), 0o600))
		out.Reset()
		if _, err := v.Export(ctx, good, &out); !errors.Is(err, ErrMalformed) || out.Len() > 0 {
			t.Errorf("%s: %d bytes exported, %v", name, out.Len(), err)
		}
	}
}

// checks is a writer that checks that the audit line was written before the export.
type checks struct {
	t    *testing.T
	to   io.Writer
	file string
}

func (c *checks) Write(p []byte) (int, error) {
	line, err := os.ReadFile(c.file)
	check(c.t, err)
	a, err := ParseAuditRecord(line)
	check(c.t, err)
	if a.SHA256 != sha256.Sum256(p) {
		c.t.Error("the audit file has another hash")
	}
	return c.to.Write(p)
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	_, err = f.WriteString(text)
	check(t, errors.Join(err, f.Close()))
}

func FuzzParseAuditRecord(f *testing.F) {
	a := &AuditRecord{By: "clerk <7> & \"co\"", Entries: []ExportEntry{{event.Digest{1}, 1}, {event.Digest{2}, 2}}, Size: 9, Time: time.Unix(1e9, 0).UTC(), To: "age1"}
	for range 2 {
		b, err := a.Bytes()
		check(f, err)
		f.Add(b)
		a.Prev = sha256.Sum256(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAuditRecord(b)
		if err != nil {
			return
		}
		if again, err := a.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q is read, and %q written", b, again)
		}
	})
}
