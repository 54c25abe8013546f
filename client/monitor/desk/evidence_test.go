// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// TestEvidence: vasistas verify accepts each bundle by the command that its README states, and no other entry in it.
func TestEvidence(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../../../cmd/vasistas").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"charter", "warrant", "release", "amended"} {
		for _, lang := range []string{"en", "fr", "de"} {
			dir := b.unzip(b.path(fmt.Sprintf("entry/%d/evidence?lang=%s", s[name].Index, lang)))
			readme, err := os.ReadFile(filepath.Join(dir, "README.txt"))
			check(t, err)
			if out, err := follow(bin, dir, string(readme)); err != nil || !strings.Contains(out, "PROVEN: in the log") || name != "charter" && strings.Contains(out, "NOT checked") {
				t.Errorf("%s in %s: %v\n%s\n%s", name, lang, err, out, readme)
			}
			entry, err := os.ReadFile(filepath.Join(dir, "entry.json"))
			check(t, err)
			if !bytes.Equal(entry, s[name].Envelope.Bytes()) {
				t.Errorf("entry.json of %s is not the entry", name)
			}
		}
	}
	dir := b.unzip(b.path(fmt.Sprintf("entry/%d/evidence", s["warrant"].Index)))
	proof := filepath.Join(dir, fmt.Sprintf("entry-%d.tlog-proof", s["warrant"].Index))
	text, err := os.ReadFile(proof)
	check(t, err)
	text = bytes.Replace(text, fmt.Appendf(nil, "index %d", s["warrant"].Index), fmt.Appendf(nil, "index %d", s["warrant"].Index+1), 1)
	check(t, os.WriteFile(proof, text, 0o600))
	readme, err := os.ReadFile(filepath.Join(dir, "README.txt"))
	check(t, err)
	if out, err := follow(bin, dir, string(readme)); err == nil {
		t.Errorf("a changed proof is accepted: %s", out)
	}
	dir = b.unzip(b.path(fmt.Sprintf("entry/%d/evidence", s["warrant"].Index)))
	charter := filepath.Join(dir, "charter-0.tlog-proof")
	text, err = os.ReadFile(charter)
	check(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		if extra, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "extra "); ok {
			entry, err := base64.StdEncoding.DecodeString(extra)
			check(t, err)
			env, err := event.ParseEnvelope(entry)
			check(t, err)
			env.Payload = bytes.ReplaceAll(env.Payload, []byte(`"court"`), []byte(`"crown"`))
			lines[i] = "extra " + base64.StdEncoding.EncodeToString(env.Bytes()) + "\n"
		}
	}
	check(t, os.WriteFile(charter, []byte(strings.Join(lines, "")), 0o600))
	if out, err := follow(bin, dir, string(readme)); err == nil || strings.Join(lines, "") == string(text) {
		t.Errorf("a changed charter is accepted: %s", out)
	}
}

// TestEvidenceOfASlowHead: where cosignatures lie further apart than verifiers allow by default, the README says so.
func TestEvidenceOfASlowHead(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	w := b.Warrant(b.Now + people.Day)
	b.Publish("w1", "w2", "w3")
	cp := b.Checkpoint("w1")
	for _, witness := range []string{"w2", "w3"} {
		b.Now += 400
		later := b.Checkpoint(witness)
		cp.Signatures = append(cp.Signatures, later.Signatures[len(later.Signatures)-1])
	}
	check(t, os.WriteFile(filepath.Join(b.Dir, "checkpoint"), cp.Bytes(), 0o600))
	b.open()
	dir := b.unzip(b.path(fmt.Sprintf("entry/%d/evidence", w.Index)))
	readme, err := os.ReadFile(filepath.Join(dir, "README.txt"))
	check(t, err)
	if want := fmt.Sprintf("vasistas verify --policy policy.txt --spread 800 --charter charter-0.tlog-proof entry-%d.tlog-proof charter-0.tlog-proof", w.Index); !strings.Contains(string(readme), want) {
		t.Errorf("the README does not say %q:\n%s", want, readme)
	}
}

// unzip returns a directory with the files of a bundle.
func (b *bed) unzip(path string) string {
	b.t.Helper()
	file := b.get(path)
	z, err := zip.NewReader(strings.NewReader(file), int64(len(file)))
	check(b.t, err)
	dir := b.t.TempDir()
	for _, f := range z.File {
		r, err := f.Open()
		check(b.t, err)
		content, err := io.ReadAll(r)
		check(b.t, err)
		check(b.t, os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), content, 0o600))
	}
	return dir
}

// follow runs the command that a README states in a directory, with the program of bin.
func follow(bin, dir, readme string) (string, error) {
	_, command, _ := strings.Cut(readme, "    vasistas ")
	command, _, _ = strings.Cut(command, "\n")
	c := exec.Command(filepath.Join(bin, "vasistas"), strings.Fields(command)...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}
