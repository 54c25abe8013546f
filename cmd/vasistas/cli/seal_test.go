// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// A warrant extends an earlier one that its proof file names, of the same log.
func TestSignExtends(t *testing.T) {
	w := cases.New(t.TempDir())
	t.Cleanup(func() { w.Report(t.Error) })
	warrant := w.Warrant(w.Now + people.Day)
	head := w.Publish("w1", "w2", "w3")
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	proof, charter := w.Proof(head, warrant), w.Proof(head, w.Charter)
	for _, c := range []struct {
		origin, earlier, want string
	}{
		{written.Origin, file("w.tlog-proof", proof), ""},
		{written.Origin, file("charter.tlog-proof", charter), "charter.tlog-proof: it is a charter, and not a warrant"},
		{written.Origin, file("w.event", warrant.Envelope.Bytes()), "w.event: it is no proof file"},
		{"other.example/log", file("w.tlog-proof", proof), `w.tlog-proof: it is of the log "log.example/2026", and not of "other.example/log"`},
		{written.Origin, filepath.Join(dir, "none"), "none: no such file"},
	} {
		openings := filepath.Join(t.TempDir(), "openings")
		var out bytes.Buffer
		code := cli.Run(t.Context(), []string{"sign", "--type", "warrant", "--origin", c.origin,
			"--body", file("body.json", []byte(`{"decision":"denied","provider":"p","instrument":"search","offence":"fraud"}`)),
			"--key", file("court.pem", w.PEM("court")), "--until", "24h", "--public", "extends=@" + c.earlier, "--public", "agency=police",
			"--public", "agencyKey=" + event.Bytes(w.Public("agency").SPKI()).Text(), "--public", "grounds=investigation", "--subject", "case=1",
			"--openings", openings}, strings.NewReader(""), &out, &out)
		if c.want != "" {
			if code != 1 || !strings.Contains(out.String(), c.want) {
				t.Errorf("%s: exit code %d\n%s", c.want, code, &out)
			}
			continue
		}
		b, err := os.ReadFile(openings)
		if err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		o, err := event.ParseOpenings(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range o.Public {
			if p.Name == "extends" && p.Value.Text() != warrant.Reference.String() {
				t.Errorf("it extends %s, want %s", p.Value.Text(), warrant.Reference)
			}
		}
		if len(o.Public) != 4 {
			t.Errorf("%d values", len(o.Public))
		}
	}
}
