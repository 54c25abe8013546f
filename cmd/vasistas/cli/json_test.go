// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/witness"
)

var update = flag.Bool("update", false, "write docs/json.md")

// outputs are what each command prints for --json: one of these objects, or one a line.
var outputs = map[string][]any{
	"append":          {appended{}},
	"audit":           {audit.Report{}},
	"charter check":   {checkReport{}},
	"charter new":     {charterReport{}},
	"charter recover": {charterReport{}},
	"charter show":    {charterShown{}},
	"due":             {audit.Due{}},
	"escrow show":     {packageReport{}},
	"finding close":   {foundJSON{}},
	"finding new":     {foundJSON{}},
	"follow": {entryJSON{}, struct {
		Fork          *client.ForkError `json:"fork,omitempty"`
		Contradiction *client.ForkError `json:"contradiction,omitempty"`
	}{}},
	"keygen":                  {madeEventKey{}, madeNoteKey{}},
	"mirror":                  {mirrored{}},
	"open":                    {agency.Answer{}},
	"open status":             {caseStatus{}},
	"policy check":            {policyJSON{}},
	"policy explain":          {english.StrengthJSON{}},
	"scan":                    {english.ScanReport{}},
	"show":                    {envelopeJSON{}, proofJSON{}, openingsJSON{}, checkpointJSON{}, policyJSON{}},
	"vasistas-gate status":    {gate.Status{}},
	"vasistas-log status":     {log.Status{}},
	"vasistas-monitor status": {monitor.Status{}},
	"vasistas-witness status": {witness.Status{}},
	"verify":                  {verifiedJSON{}, english.VerifiedNotice{}, forkJSON{}},
}

// TestJSONReference checks that docs/json.md has each member that a command prints, by the types.
func TestJSONReference(t *testing.T) {
	var b strings.Builder
	types := make(map[string]string)
	b.WriteString("\n## Commands\n\n| command | members |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		for _, v := range outputs[name] {
			fmt.Fprintf(&b, "| %s | %s |\n", name, members(reflect.TypeOf(v), types))
		}
	}
	b.WriteString("\n## Types\n\n| type | members |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, types[name])
	}
	const name = "../../../docs/json.md"
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	intro, tables, _ := strings.Cut(string(doc), "\n## ")
	if *update {
		if err := os.WriteFile(name, []byte(strings.TrimRight(intro, "\n")+"\n"+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if "\n## "+tables != b.String() {
		t.Error("docs/json.md is not that of the types; see go test ./cmd/vasistas/cli -run TestJSONReference -update")
	}
	if !strings.Contains(intro, fmt.Sprintf("`version`, now %d", command.JSONVersion)) {
		t.Error("docs/json.md has another version")
	}
	// Each command with the flag is there.
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "vasistas ")
		if c.Flags().Lookup("json") != nil && outputs[path] == nil {
			t.Errorf("outputs lacks %s", path)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}))
	for _, word := range []string{"leafHash", "log` text"} {
		if strings.Contains(b.String(), "`"+word) {
			t.Errorf("a member is called %s, and leaf or origin elsewhere", word)
		}
	}
}

// members returns the members of the JSON of a struct, each with its kind, and adds the structs
// in it to types. Members of embedded structs are its own, unless it has one of the same name.
func members(t reflect.Type, types map[string]string) string {
	list := make(map[string]string)
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Anonymous && f.Tag.Get("json") == "" {
				add(value(f.Type))
			}
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
				continue
			}
			name = cmp.Or(name, strings.ToLower(f.Name))
			list[name] = kind(f.Type, types)
			if strings.Contains(options, "omit") {
				list[name] += "?"
			}
		}
	}
	add(value(t))
	var all []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		all = append(all, fmt.Sprintf("`%s` %s", name, list[name]))
	}
	return strings.Join(all, ", ")
}

func value(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// kind returns the kind of the JSON of a type.
func kind(t reflect.Type, types map[string]string) string {
	t = value(t)
	text := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]())
	marshals := reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]())
	switch {
	case text, marshals && t.Kind() != reflect.Struct, t == reflect.TypeFor[[]byte](), t.Kind() == reflect.String:
		if t == reflect.TypeFor[json.RawMessage]() {
			return "any"
		}
		return "text"
	case marshals, t.Kind() == reflect.Interface:
		return "any"
	case t.Kind() == reflect.Bool:
		return "bool"
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		return kind(t.Elem(), types) + "[]"
	case t.Kind() == reflect.Map:
		return kind(t.Elem(), types) + "{}"
	case t.Kind() == reflect.Struct:
		if _, ok := types[t.String()]; !ok {
			types[t.String()] = ""
			types[t.String()] = members(t, types)
		}
		return t.String()
	}
	return "number"
}
