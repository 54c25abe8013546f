// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/escrow/charters"
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// tools are the age program of this module's go.mod and the plug-in, both built here,
// in a directory that is the PATH.
type tools struct {
	t   *testing.T
	bin string
	env []string
}

func build(t *testing.T) *tools {
	t.Helper()
	x := &tools{t: t, bin: t.TempDir()}
	for _, pkg := range []string{"filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen", "."} {
		cmd := exec.Command("go", "build", "-o", x.bin+string(filepath.Separator), pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	x.env = []string{"PATH=" + x.bin, "HOME=" + t.TempDir()}
	return x
}

// run runs a program and returns what it printed; ok says whether it must succeed.
func (x *tools) run(ok bool, stdin string, name string, args ...string) (stdout, stderr string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(x.bin, name), args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(stdin), &o, &e, x.env
	if err := cmd.Run(); (err == nil) != ok {
		x.t.Fatalf("%s %q: %v\n%s", name, args, err, &e)
	}
	return o.String(), e.String()
}

const letter = "Meet me at the bridge."

// TestAge escrows with age, as a recipient, and opens with age, as an identity.
func TestAge(t *testing.T) {
	x := build(t)
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		t.Run(string(kem), func(t *testing.T) {
			x.t = t
			testAge(t, x, kem)
		})
	}
}

// newLog returns a log. The test fails if it can't be written.
func newLog(t *testing.T) *cases.Log {
	t.Helper()
	w := cases.New(t.TempDir())
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

func testAge(t *testing.T, x *tools, kem event.KEM) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	w := newLog(t)
	write(t, file("log"+charters.Suffix), w.Charter.Envelope.Bytes())
	x.env = append(x.env, charters.Env+"="+dir)

	seed := escrow.NewSeed(time.Now())
	notice, err := seed.Key(written.Origin, seed.First, kem)
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := plugincmd.Recipient(&escrow.Address{Origin: written.Origin, Group: "main", KEM: kem, Notice: notice.Public(), Account: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if len(recipient) > 8192 {
		t.Fatalf("a recipient of %d characters", len(recipient))
	}
	write(t, file("recipients.txt"), []byte("# to be escrowed\n"+recipient+"\n"))
	x.run(true, letter, "age", "-R", file("recipients.txt"), "-o", file("letter.age"))
	x.run(true, letter, "age", "-r", recipient, "-a", "-o", file("armored.age"))

	f, err := os.Open(file("letter.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packages, err := escrow.ReadPackages(f)
	if err != nil || len(packages) != 1 {
		t.Fatalf("%d packages, %v", len(packages), err)
	}
	lc := w.NewCase(time.Hour, []string{"ada@example.org"}, packages...)
	head := w.Publish("w1", "w2", "w3")
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	gate := func(custodian string, fault cases.Fault) string {
		s := httptest.NewServer(w.Gate(custodian, fault))
		t.Cleanup(s.Close)
		return s.URL
	}
	c := &agency.Case{
		Charter: w.Charter.Envelope.Bytes(), Key: must(lc.Key.Bytes()),
		Warrant: w.Proof(head, lc.Warrant), WarrantOpenings: must(lc.WarrantOpenings.Bytes()),
		Access: w.Proof(head, lc.Access), AccessOpenings: must(lc.AccessOpenings.Bytes()),
		Packages: []string{string(packages[0].Text())},
		Gates: map[string]string{
			"c1": gate("c1", cases.Honest), "c2": gate("c2", cases.Refuses), "c3": gate("c3", cases.Honest),
		},
	}
	write(t, file("letter.case"), must(c.Bytes()))
	id, err := plugincmd.Identity(file("letter.case"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file("id.txt"), []byte(id+"\n"))
	if out, _ := x.run(true, "", "age", "-d", "-i", file("id.txt"), file("letter.age")); out != letter {
		t.Errorf("opened: %q", out)
	}

	// Another file, which the access does not name; then too few gates.
	_, said := x.run(false, "", "age", "-d", "-i", file("id.txt"), file("armored.age"))
	if !strings.Contains(said, "no identity matched") {
		t.Errorf("another file: %s", said)
	}
	c.Gates["c3"] = gate("c3", cases.Garbage)
	write(t, file("letter.case"), must(c.Bytes()))
	_, said = x.run(false, "", "age", "-d", "-i", file("id.txt"), file("letter.age"))
	for _, want := range []string{"too few gates", "c2 refuses (breach)", "c3: its answer does not hold", "c1 gave its shares"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in: %s", want, said)
		}
	}
	if err := os.Chmod(file("letter.case"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, said = x.run(false, "", "age", "-d", "-i", file("id.txt"), file("letter.age")); !strings.Contains(said, "0600") {
		t.Errorf("a case that others may read: %s", said)
	}

	// Other recipients: only post-quantum ones with a post-quantum package.
	own, _ := x.run(true, "", "age-keygen")
	write(t, file("own.txt"), []byte(own))
	public, _ := x.run(true, own, "age-keygen", "-y")
	_, said = x.run(kem == event.KEMX25519, letter, "age", "-r", recipient, "-r", strings.TrimSpace(public), "-o", file("two.age"))
	if kem == event.KEMX25519 {
		if out, _ := x.run(true, "", "age", "-d", "-i", file("own.txt"), file("two.age")); out != letter {
			t.Errorf("opened by another recipient: %q", out)
		}
	} else if !strings.Contains(said, "incompatible") && !strings.Contains(said, "post-quantum") {
		t.Errorf("a weaker recipient: %s", said)
	}
}

// TestRefusals has recipients and charters that don't fit, and wrong usage.
func TestRefusals(t *testing.T) {
	x := build(t)
	dir := t.TempDir()
	x.env = append(x.env, charters.Env+"="+dir)
	notice, err := escrow.GenerateKey(event.KEMX25519)
	if err != nil {
		t.Fatal(err)
	}
	a := &escrow.Address{Origin: written.Origin, Group: "main", KEM: event.KEMX25519, Notice: notice.Public(), Account: "ada@example.org"}
	recipient := func() string {
		s, err := plugincmd.Recipient(a)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	refused := func(s, want string) {
		t.Helper()
		if _, said := x.run(false, letter, "age", "-r", s); !strings.Contains(said, want) {
			t.Errorf("%q is not in: %s", want, said)
		}
	}
	refused(recipient(), "has no charter of the log")
	w := newLog(t)
	write(t, filepath.Join(dir, "log.charter"), w.Charter.Envelope.Bytes())
	a.Group = "none"
	refused(recipient(), `no custodian group "none"`)
	a.Group, a.Origin = "main", "other.example"
	refused(recipient(), "has no charter of the log")
	write(t, filepath.Join(dir, "broken.charter"), []byte("{}"))
	refused(recipient(), "broken.charter")

	x.run(false, "", "age-plugin-vasistas")
	if _, said := x.run(false, "", "age-plugin-vasistas", "--age-plugin=recipient-v9"); !strings.Contains(said, "unknown state machine") {
		t.Error(said)
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
