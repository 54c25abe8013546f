// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/log/profile"
)

var update = flag.Bool("update", false, "write docs/profiles.md, and the journey in docs/forms.md")

const docs = "../../docs/profiles.md"

const intro = `# Profiles

This page is rendered from the files in ` + "`log/profile/data`" + `. To change it, change the files and run
` + "`go test ./log/profile -run TestDocs -update`" + `.

A profile is what a legislator decides. A charter contains a whole profile, so every reader of the log reads it too.
` + "`vasistas charter new --profile NAME`" + ` takes one of these, or a file of your own in the same format. What each
figure means is in [events.md](events.md). A profile is no legal advice: the founders of a log answer for the one in their
charter.

Each figure has its source, which is one of three:

- a **citation**: the law states this figure, or gives this permission;
- **design, citation**: the law asks for it, but states no figure, or one that can't be counted in seconds (court days,
  "without undue delay"); the figure is ours, and serves the law that is cited;
- **design**: no law states it, and the rules need it.

*none* is a decision too: no authority may say never, there are no emergencies, deferrals have no limit in all, no event
states categories of data, or no provider may answer that it does not execute.

Months and years have no fixed length, so they are rounded towards disclosure. Limits of secrecy, and ages from which a
stricter rule holds, become the shortest such period (6 months: 181 days; 12 months: 365). Ages from which more is allowed
become the longest (6 months: 184 days; 12 months: 366; 5 years: 1,827).

"Read" means that the text of the law was read when the profile was written; where only a text about the law was read, the
line says so. "Not read again" means that the figures come from knowledge of the law: a lawyer must still check them.
`

func render(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, name := range profile.Names() {
		f, err := profile.LoadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", name, f.Title)
		for _, r := range f.Basis {
			fmt.Fprintf(&b, "- %s: %s\n", r.Law, r.Text)
		}
		b.WriteString("\nWhat it does not cover:\n\n")
		for _, text := range f.Omits {
			fmt.Fprintf(&b, "- %s\n", text)
		}
		b.WriteString("\n| figure | value | source | note |\n|---|---|---|---|\n")
		for _, fig := range f.Figures {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", fig.Path, fig.Value, fig.Law, fig.Note)
		}
	}
	return bytes.ReplaceAll(b.Bytes(), []byte(" |  |\n"), []byte(" | |\n"))
}

// The documentation says what the files say.
func TestDocs(t *testing.T) {
	want := render(t)
	if *update {
		if err := os.WriteFile(docs, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("docs/profiles.md is stale; run with -update (-want +got):\n%s", diff)
	}
}
