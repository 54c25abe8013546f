// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

const (
	forms   = "../../docs/forms.md"
	journey = "../../cmd/vasistas-gate/testdata/script/form.txtar"
)

func readForms(t *testing.T) string {
	text, err := os.ReadFile(forms)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The journey in docs/forms.md has the script's commands. It begins with the first
// numbered step.
func TestFormJourney(t *testing.T) {
	const first = "\n\n1. "
	before, got, ok := strings.Cut(readForms(t), first)
	if !ok {
		t.Fatal("docs/forms.md has no first step")
	}
	got, want := first+got, "\n"+steps(t)
	if *update {
		if err := os.WriteFile(forms, []byte(before+want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the journey in docs/forms.md is stale; run with -update (-want +got):\n%s", diff)
	}
}

// steps renders the script's numbered comments, each with the files, commands and refusals
// below it.
func steps(t *testing.T) string {
	var b bytes.Buffer
	script, err := txtar.ParseFile(journey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string {
		i := slices.IndexFunc(script.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("the script has no file %s", name)
		}
		return fmt.Sprintf("$ cat %s\n%s", name, script.Files[i].Data)
	}
	shown := make(map[string]bool)
	_, text, _ := strings.Cut(string(script.Comment), "\n# 1. ")
	for _, step := range strings.Split("# 1. "+strings.TrimSpace(text), "\n\n") {
		var says, does []string
		for line := range strings.Lines(step) {
			line = strings.TrimSpace(line)
			not, command := strings.CutPrefix(line, "! ")
			words := strings.Fields(not)
			switch {
			case strings.HasPrefix(line, "# "):
				says = append(says, line[2:])
			case words[0] == "expand":
				does = append(does, file(words[1]))
			case words[0] == "exec" && words[1] == "sh" && !shown[words[2]]:
				does, shown[words[2]] = append(does, file(words[2])), true
				fallthrough
			case words[0] == "exec" && (words[1] == "sh" || words[1] == "vasistas"):
				does = append(does, strings.Replace(line, "exec ", "", 1))
				if !command {
					does[len(does)-1] = "$ " + does[len(does)-1]
				}
			case words[0] == "until":
				does = append(does, "$ "+line[strings.Index(line, "vasistas"):])
			case words[0] == "stderr":
				does = append(does, "# "+strings.Trim(line[len("stderr "):], "'"))
			}
		}
		fmt.Fprintf(&b, "\n%s\n\n    ```\n", strings.Join(says, "\n    "))
		for _, d := range does {
			for line := range strings.Lines(d) {
				fmt.Fprintf(&b, "    %s\n", strings.TrimRight(line, "\n"))
			}
		}
		b.WriteString("    ```\n")
	}
	return b.String()
}

// members returns the value of each member in docs/events.md, as TYPE.MEMBER, which
// log/event renders.
func members(t *testing.T) map[string]string {
	text, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	heading, header := "", make(map[string]string)
	row := regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]*) \\|")
	for line := range strings.Lines(string(text)) {
		if h := strings.TrimLeft(line, "#"); h != line {
			heading = strings.TrimSpace(h)
		} else if m := row.FindStringSubmatch(line); m != nil {
			switch {
			case heading == "Header" || heading == "Envelope":
				header[m[1]] = m[2]
			case event.Type(heading).Valid():
				out[heading+"."+m[1]] = m[2]
			}
		}
	}
	for _, typ := range event.Types() {
		for name, kind := range header {
			out[string(typ)+"."+name] = kind
		}
		for _, n := range event.Names(typ) {
			out[fmt.Sprintf("%s.%s.%s", typ, n.Class, n.Name)] = string(n.Kind)
		}
	}
	return out
}

// codes returns the codes of the profile eu for each member that takes one.
func codes(t *testing.T) map[string][]string {
	p, err := profile.Load("eu")
	if err != nil {
		t.Fatal(err)
	}
	instruments := make([]string, len(p.Instruments))
	for i, in := range p.Instruments {
		instruments[i] = in.Code
	}
	return map[string][]string{
		"warrant.instrument": instruments, "warrant.offence": p.Offences, "warrant.categories": p.Categories,
		"warrant.public.grounds": p.Grounds, "response.ground": p.NonExecution, "access.emergency": p.Emergency.Grounds,
	}
}

// formTarget is a place where an event keeps what a field says.
var formTarget = regexp.MustCompile("^([a-z]+): `([^`]+)`(?: is `([^`]+)`)?(, sealed|, for the subject)?$")

// Each target in docs/forms.md is a member of an event, and its code one of the profile eu,
// or of the member's own list. No form's field goes where free text could stand in public.
func TestFormTargets(t *testing.T) {
	members, codes := members(t), codes(t)
	check := func(what, target string) {
		m := formTarget.FindStringSubmatch(target)
		if m == nil {
			t.Errorf("%s: %q is not a target", what, target)
			return
		}
		name, code := m[1]+"."+m[2], m[3]
		switch m[4] {
		case ", sealed":
			name = fmt.Sprintf("%s.%s.%s", m[1], event.ClassPublic, m[2])
		case ", for the subject":
			name = fmt.Sprintf("%s.%s.%s", m[1], event.ClassSubject, m[2])
		}
		kind, ok := members[name]
		one, enum := strings.CutPrefix(kind, "one of: ")
		switch {
		case !ok:
			t.Errorf("%s: no event has the member %s", what, name)
		case code == "" || slices.Contains(codes[name], code):
		case !enum || !slices.Contains(strings.Split(one, ", "), code):
			t.Errorf("%s: %s has no code %s", what, name, code)
		}
		if kind == string(event.KindText) && m[4] != ", for the subject" {
			t.Errorf("%s: %s is text that everyone may read", what, name)
		}
	}
	rows, heading := make(map[string]bool), ""
	for line := range strings.Lines(readForms(t)) {
		if strings.HasPrefix(line, "## ") {
			heading = strings.TrimSpace(line)
		}
		cells := strings.Split(line, "|")
		if n := len(cells) - 3; strings.HasPrefix(line, "| ") && !strings.HasPrefix(cells[n+1], " why, and ") {
			what := heading + strings.Join(cells[:n], "|")
			if rows[what] {
				t.Errorf("%s stands twice", what)
			}
			rows[what] = true
			if to := strings.TrimSpace(cells[n]); to != "not kept" {
				for target := range strings.SplitSeq(to, "; ") {
					check(what, target)
				}
			} else if strings.TrimSpace(cells[n+1]) == "" {
				t.Errorf("%s is not kept, for no reason", what)
			}
		}
	}
	if len(rows) < 240 {
		t.Errorf("%d rows were read", len(rows))
	}
}
