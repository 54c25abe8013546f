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

var update = flag.Bool("update", false, "write docs/profiles.md")

const docs = "../../docs/profiles.md"

const intro = `# Profiles

This page is rendered from the files in ` + "`log/profile/data`" + `. To change it, change the files and run
` + "`go test ./log/profile -run TestDocs -update`" + `.

A profile holds a legislator's decisions. A charter carries a whole profile, so every reader of the log reads it.
` + "`vasistas charter new --profile NAME`" + ` takes one of these, or a file of your own in the same format. See
[events.md](events.md) for the meaning of each figure. A profile is no legal advice: the founders of a log answer for
the profile in its charter.

Each figure has a source of one of three kinds:

- a **citation**: the law states this figure, or gives this permission;
- **design, citation**: the law demands a figure, but states none, or one that can't be counted in seconds (court days,
  "without undue delay"); the figure is ours, and must serve the cited law;
- **design**: no law demands it; the system needs it.

*none* is a decision too: no deferral without end, no emergencies, or no limit of all deferrals together.

Months and years have no fixed length, so they are rounded in favour of disclosure: limits of secrecy, and the ages
from which a stricter rule holds, to the shortest such period (6 months: 181 days; 12 months: 365); ages from which a
rule allows more, to the longest (6 months: 184 days; 12 months: 366; 5 years: 1,827).

"Read" means that the text of the law was read when the profile was written; "not read again" that its figures come
from knowledge of the law and must still be checked.
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
