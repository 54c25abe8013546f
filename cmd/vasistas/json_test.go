// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
)

// jsonDir is the variable that names the directory to which a script's commands copy their JSON.
const jsonDir = "VASISTAS_TEST_JSON"

// recorded is main, and copies what is printed for --json, after a line with the arguments.
func recorded() {
	dir := os.Getenv(jsonDir)
	if dir == "" || !slices.Contains(os.Args, "--json") {
		main()
		return
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, strings.Join(os.Args[1:], " "))
	code := cli.Run(context.Background(), os.Args[1:], os.Stdin, io.MultiWriter(os.Stdout, f), os.Stderr)
	if err := f.Close(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// reference is docs/json.md: the members of each command and type, and their kinds. A member that
// has several kinds has all.
type reference map[string]map[string]string

func readReference() (reference, error) {
	doc, err := os.ReadFile("../../docs/json.md")
	r := make(reference)
	for _, row := range regexp.MustCompile(`(?m)^\| ([\w. -]+) \| (.*) \|$`).FindAllStringSubmatch(string(doc), -1) {
		if r[row[1]] == nil {
			r[row[1]] = map[string]string{"version": "number"}
		}
		for _, m := range regexp.MustCompile("`(\\w+)` ([^,?]+)").FindAllStringSubmatch(row[2], -1) {
			r[row[1]][m[1]] += m[2] + "|"
		}
	}
	return r, err
}

// checkJSON checks that docs/json.md has each member that the scripts' commands printed, and that
// each command of it was run.
func checkJSON(t *testing.T, dir string) {
	known, err := readReference()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, out, _ := bytes.Cut(b, []byte("\n"))
		words := append(strings.Fields(string(first)), "", "")
		name := words[0] + " " + words[1]
		if known[name] == nil {
			name = words[0]
		}
		for line := range bytes.Lines(out) {
			var v map[string]any
			if err := json.Unmarshal(line, &v); err != nil {
				t.Errorf("vasistas %s: %v", first, err)
				continue
			}
			seen[name] = true
			if v["version"] != 1.0 {
				t.Errorf("vasistas %s: no version: %s", first, line)
			}
			known.conform(t, string(first), name, v)
		}
	}
	if flag.Lookup("test.run").Value.String() != "" {
		return // some of the scripts
	}
	for name := range known {
		// These need gates or are daemons, or print each line without a flag. Types have a dot.
		if !seen[name] && !strings.HasPrefix(name, "vasistas-") && !strings.Contains(name, ".") && name != "command" && name != "type" && !slices.Contains([]string{"open", "open status", "scan", "escrow show", "follow"}, name) {
			t.Errorf("no script runs vasistas %s --json", name)
		}
	}
}

// conform reports each member of an object that the document lacks, or has with another kind. of is
// the command or type.
func (r reference) conform(t *testing.T, args, of string, object map[string]any) {
	for name, v := range object {
		kinds := strings.Split(r[of][name], "|")
		if !slices.ContainsFunc(kinds, func(kind string) bool { return r.is(t, args, kind, v) }) {
			t.Errorf("vasistas %s: docs/json.md has %q for the member %s of %s, which is %v", args, r[of][name], name, of, v)
		}
	}
}

func (r reference) is(t *testing.T, args, kind string, v any) bool {
	list, isList := strings.CutSuffix(kind, "[]")
	named, isMap := strings.CutSuffix(kind, "{}")
	switch v := v.(type) {
	case nil:
		return kind != ""
	case []any:
		return kind == "any" || isList && !slices.ContainsFunc(v, func(e any) bool { return !r.is(t, args, list, e) })
	case map[string]any:
		if isMap {
			for _, e := range v {
				if !r.is(t, args, named, e) {
					return false
				}
			}
		} else if r[kind] != nil {
			r.conform(t, args, kind, v)
		}
		return isMap || r[kind] != nil || kind == "any"
	case string:
		return kind == "text" || kind == "any"
	case float64:
		return kind == "number" || kind == "any"
	case bool:
		return kind == "bool" || kind == "any"
	}
	return false
}
