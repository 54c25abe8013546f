// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package forms_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/forms"
	"github.com/vasistas/vasistas/log/profile"
)

var update = flag.Bool("update", false, "write docs/forms.md")

const (
	docs    = "../../docs/forms.md"
	journey = "../../cmd/vasistas-gate/testdata/script/form.txtar"
)

const intro = `# Forms

This page is rendered from the tables in ` + "`log/forms`" + ` and from a script that runs. To change it, change these and run
` + "`go test ./log/forms -run TestDocs -update`" + `.

An order reaches a provider as a form of Regulation (EU) 2023/1543, or as a message of ETSI TS 103 120. The tables say what
becomes of each field: a member of an event, with its code if the field is a box, or nothing. Members are in
[events.md](events.md), codes in the profile ` + "`eu`" + ` of [profiles.md](profiles.md). *Sealed* members are public once the seal ends;
those *for the subject* never are.

Three rules decide what is kept. No member takes free text, because a log can't erase it. Case numbers and identifiers are
sealed for the subject. What a log can't know (costs, arrests) is in no event.

A warrant also says what no form asks for: how many accesses it allows, and the agency's key. One order is one warrant, even
if it asks for several categories or accounts, or has several tasks in TS 103 120.

The text of the annexes was not read when these tables were written. They come from knowledge of the annexes, from a
provider's rendering of form 3, and from implementations of ETSI TS 104 144, which puts the forms into TS 103 120: a lawyer
must still check them. The tables of objects have a row for each element of the XML schema of TS 103 120, or for one above
it.
`

const dictionaryIntro = `
## Dictionary entries

Dictionaries of TS 103 120 are open lists of entries: owner, name, value. ` + "`forms.Lookup`" + ` takes an entry and the element in
which it stands, and refuses an entry that this table lacks, by its name. An unknown entry is never skipped: a flag may say
that a task is a test, and a status may end an order.

TS 103 120 has no action to cancel. An authority cancels, suspends or resumes by an UPDATE of the desired status. The provider's
answer is the status, with a reason.

The entries of ` + "`3GPP`" + `, ` + "`Invalid`" + ` of authorisations and LI tasks, and ` + "`IRIandCC`" + ` stand in the examples of the schema. The
others come from open implementations and from knowledge of the standards, whose lists were not read: an operator must
compare the table with the lists of the version that the messages state.

| element | owner/name/value | becomes | why, and when |
|---|---|---|---|
`

const journeyIntro = `
## A form's journey

` + "`cmd/vasistas-gate/testdata/script/form.txtar`" + ` runs these commands with a log, a witness and two gates as processes, under the
profile ` + "`eu`" + `. All names are invented. A prosecutor investigates fraud with non-cash means of payment. Two accounts matter, and
the second is a lawyer's. A line with ` + "`!`" + ` is refused, for the reason below it.
`

// becomes renders targets.
func becomes(list []forms.Target) string {
	var out []string
	for _, t := range list {
		name, sealed := t.Member, ""
		switch class, rest, _ := strings.Cut(t.Member, "."); event.Class(class) {
		case event.ClassPublic:
			name, sealed = rest, ", sealed"
		case event.ClassSubject:
			name, sealed = rest, ", for the subject"
		}
		s := fmt.Sprintf("%s: `%s`", t.Type, name)
		if t.Code != "" {
			s += " is `" + t.Code + "`"
		}
		s += sealed
		out = append(out, s)
	}
	if out == nil {
		return "not kept"
	}
	return strings.Join(out, "; ")
}

func render(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	form := ""
	for _, f := range forms.Fields() {
		section := ""
		if f.Section != "" {
			section = f.Section + ": "
		}
		if f.Form != form {
			form = f.Form
			fmt.Fprintf(&b, "\n## %s\n\n| field | becomes | why, and how |\n|---|---|---|\n", form)
		}
		fmt.Fprintf(&b, "| %s%s | %s | %s |\n", section, f.Name, becomes(f.To), f.Why)
	}
	b.WriteString(dictionaryIntro)
	for _, e := range forms.Entries() {
		m, err := forms.Lookup(e)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "| %s | %s/%s/%s | %s | %s |\n", e.Element, e.Owner, e.Name, e.Value, becomes(m.To), m.Why)
	}
	b.WriteString(journeyIntro)
	steps(t, &b)
	return bytes.ReplaceAll(b.Bytes(), []byte(" |  |\n"), []byte(" | |\n"))
}

// steps writes the script's numbered comments, each with the files, commands and refusals
// below it.
func steps(t *testing.T, b *bytes.Buffer) {
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
		fmt.Fprintf(b, "\n%s\n\n    ```\n", strings.Join(says, "\n    "))
		for _, d := range does {
			for line := range strings.Lines(d) {
				fmt.Fprintf(b, "    %s\n", strings.TrimRight(line, "\n"))
			}
		}
		b.WriteString("    ```\n")
	}
}

// The documentation says what the tables and the script say.
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
		t.Errorf("docs/forms.md is stale; run with -update (-want +got):\n%s", diff)
	}
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

// Each target is a member of an event, and its code one of the profile eu, or of the
// member's own list. No form's field goes where free text could stand in public.
func TestTargets(t *testing.T) {
	members, codes := members(t), codes(t)
	check := func(what string, list []forms.Target, why string) {
		t.Helper()
		for _, to := range list {
			name, _, _ := strings.Cut(to.String(), "=")
			kind, ok := members[name]
			one, enum := strings.CutPrefix(kind, "one of: ")
			switch {
			case !ok:
				t.Errorf("%s: no event has the member %s", what, name)
			case to.Code == "" || slices.Contains(codes[name], to.Code):
			case !enum || !slices.Contains(strings.Split(one, ", "), to.Code):
				t.Errorf("%s: %s has no code %s", what, name, to.Code)
			}
			if kind == string(event.KindText) && !strings.HasPrefix(to.Member, "subject.") {
				t.Errorf("%s: %s is text that everyone may read", what, name)
			}
		}
		if len(list) == 0 && why == "" {
			t.Errorf("%s is not kept, for no reason", what)
		}
	}
	fields := make(map[string]bool)
	for _, f := range forms.Fields() {
		what := fmt.Sprintf("%s %s: %s", f.Form, f.Section, f.Name)
		if fields[what] {
			t.Errorf("%s stands twice", what)
		}
		fields[what] = true
		check(what, f.To, f.Why)
	}
	for _, e := range forms.Entries() {
		m, err := forms.Lookup(e)
		if err != nil {
			t.Error(err)
		}
		check(e.String(), m.To, m.Why)
	}
}

// What a word means depends on who writes it. An unknown entry is refused.
func TestLookup(t *testing.T) {
	cancel := forms.Entry{Element: "DesiredStatus", Owner: "ETSI", Name: "LDTaskStatus", Value: "Cancelled"}
	m, err := forms.Lookup(cancel)
	want := []forms.Target{{Type: event.TypeRevocation, Member: "scope", Code: string(event.ScopeAll)}}
	if err != nil || !slices.Equal(m.To, want) {
		t.Errorf("Lookup(%v): %v, %v", cancel, m.To, err)
	}
	confirmed := cancel
	confirmed.Element = "Status"
	if m, err := forms.Lookup(confirmed); err != nil || len(m.To) != 0 {
		t.Errorf("Lookup(%v): %v, %v", confirmed, m.To, err)
	}
	seen := make(map[forms.Entry]bool)
	for _, e := range forms.Entries() {
		if seen[e] {
			t.Errorf("%v stands twice", e)
		}
		seen[e] = true
	}
	for _, e := range []forms.Entry{
		{}, {Element: "DesiredStatus", Owner: "ETSI", Name: "LDTaskStatus", Value: "cancelled"},
		{Element: "DesiredStatus", Owner: "XX", Name: "LDTaskStatus", Value: "Cancelled"},
		{Element: "DesiredStatus", Owner: "ETSI", Name: "LPTaskStatus", Value: "Cancelled"},
		{Element: "TaskFlag", Owner: "ETSI", Name: "TaskFlag", Value: "IsTest"},
	} {
		m, err := forms.Lookup(e)
		if !errors.Is(err, forms.ErrUnknownEntry) || !strings.Contains(err.Error(), e.String()) || !strings.Contains(err.Error(), "add") || m.To != nil {
			t.Errorf("Lookup(%v): %v, %v", e, m, err)
		}
	}
}
