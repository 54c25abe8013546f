// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package importlaw

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// tracked returns the files of the repository whose names end in suffix, by their text.
func tracked(t *testing.T, suffix string) map[string]string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*"+suffix)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		b, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		} else if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	return files
}

// documents returns the documents that people read: not those of test data.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := tracked(t, ".md")
	for name := range docs {
		if strings.Contains(name, "/testdata/") || strings.Contains(name, "/data/") {
			delete(docs, name)
		}
	}
	if len(docs) < 12 {
		t.Fatalf("%d documents", len(docs))
	}
	return docs
}

// section returns what follows a heading, up to the next of its level.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(doc, heading+"\n")
	if !ok {
		t.Fatalf("there is no heading %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	return text
}

// TestPackageMap checks that the map in README.md has one line for each package of this
// module, and no other.
func TestPackageMap(t *testing.T) {
	text := section(t, documents(t)["README.md"], "## Packages")
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		if listed[m[1]] {
			t.Errorf("the map has %s twice", m[1])
		}
		listed[m[1]] = true
	}
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if !listed[path] {
			t.Errorf("the map lacks %s", path)
		}
		delete(listed, path)
	}
	for path := range listed {
		t.Errorf("the map has %s, which is no package", path)
	}
}

// TestLinksOfDocuments checks that each relative link leads to a file, and to a heading
// of it.
func TestLinksOfDocuments(t *testing.T) {
	docs := documents(t)
	for name, text := range docs {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if anchor != "" && !slices.Contains(anchors(docs[to]), anchor) {
				t.Errorf("%s: %s has no heading for #%s", name, to, anchor)
			}
		}
	}
}

// anchors returns the fragments under which a document's headings are found.
func anchors(doc string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(doc, -1) {
		s := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(s, " ", "-"))
	}
	return list
}

// TestNamedFiles checks that what these documents name as a file, a directory, a test or
// an exported name is one.
func TestNamedFiles(t *testing.T) {
	docs := documents(t)
	tests := make(map[string]bool)
	for _, text := range tracked(t, "_test.go") {
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w+)\(`).FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	}
	exported := make(map[string]bool) // "client", "client.Client", "client.Client.Submit"
	for _, pkg := range public(t) {
		exported[pkg.Name()] = true
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			exported[pkg.Name()+"."+name] = true
			for m := range types.NewMethodSet(types.NewPointer(obj.Type())).Methods() {
				exported[pkg.Name()+"."+name+"."+m.Obj().Name()] = true
			}
			if s, ok := obj.Type().Underlying().(*types.Struct); ok {
				for f := range s.Fields() {
					exported[pkg.Name()+"."+name+"."+f.Name()] = true
				}
			}
		}
	}
	path := regexp.MustCompile(`^(?:client|cmd|docs|deploy|internal|log|scripts|witness|\.ci)/[\w./-]+$|^[A-Z]\w*(?:\.md)?$`)
	for _, name := range []string{"CONTRIBUTING.md", "README.md", "NEWS.md", "SECURITY.md", "deploy/README.md", "docs/design.md"} {
		checked := 0
		for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(docs[name], -1) {
			word := m[1]
			pkg, selector, _ := strings.Cut(word, ".")
			switch {
			case regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z]\w*$`).MatchString(word):
				if !tests[word] {
					t.Errorf("%s: there is no %s", name, word)
				}
			case exported[pkg] && ast.IsExported(selector):
				if !exported[word] {
					t.Errorf("%s: there is no exported %s", name, word)
				}
			case path.MatchString(word) && strings.ContainsAny(word, "/."):
				if _, err := os.Stat(filepath.Join(root, word)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			default:
				continue
			}
			checked++
		}
		if checked == 0 && strings.HasSuffix(name, "NG.md") {
			t.Errorf("%s names nothing that was checked", name)
		}
	}
}

// TestGoCommands checks the go commands of all documents: the directories, and that a
// test, benchmark or flag of these names is in them.
func TestGoCommands(t *testing.T) {
	checked := 0
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)\\bgo (?:test|run|vet|build|install) ([^`\n#]+)").FindAllStringSubmatch(text, -1) {
			var dirs, patterns, flags []string
			words := strings.Fields(m[1])
			for i, w := range words {
				switch {
				case strings.HasPrefix(w, "./"):
					dirs = append(dirs, strings.TrimSuffix(strings.TrimSuffix(w, "..."), "/"))
				case (w == "-run" || w == "-bench" || w == "-fuzz") && i+1 < len(words):
					patterns = append(patterns, strings.Trim(words[i+1], "'^$"))
				case strings.Contains(w, ".") && strings.HasPrefix(w, "-") || w == "-update" || w == "-peak" || w == "-cold-entries" || w == "-peer":
					flags = append(flags, strings.TrimPrefix(w, "-"))
				}
			}
			var code strings.Builder
			for _, dir := range dirs {
				files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
				if _, serr := os.Stat(filepath.Join(root, dir)); err != nil || serr != nil {
					t.Errorf("%s: %s: %v %v", name, m[0], err, serr)
				}
				for _, f := range files {
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					code.Write(b)
				}
			}
			names := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`).FindAllStringSubmatch(code.String(), -1)
			for _, p := range patterns {
				p, _, _ = strings.Cut(p, "/")
				matches := func(m []string) bool { return regexp.MustCompile(p).MatchString(m[1]) }
				if p != "" && !slices.ContainsFunc(names, matches) {
					t.Errorf("%s: %s: no test matches %s", name, m[0], p)
				}
			}
			for _, f := range flags {
				if !strings.Contains(code.String(), strconv.Quote(f)) {
					t.Errorf("%s: %s: there is no flag -%s", name, m[0], f)
				}
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands", checked)
	}
}

// programs are our commands, with the directories in which their flags are defined.
var programs = map[string][]string{
	"vasistas":         {"cmd/vasistas/cli", "log/vault/vaultcmd"},
	"vasistas-log":     {"cmd/vasistas-log", "log/vault/vaultcmd", "internal/daemon", "internal/daemon/admin"},
	"vasistas-witness": {"witness/witnesscmd"},
	"vasistas-gate":    {"cmd/vasistas-gate", "internal/daemon", "internal/daemon/admin"},
	"vasistas-monitor": {"cmd/vasistas-monitor", "internal/daemon", "internal/daemon/admin"},
	"vasistas-demo":    {"cmd/vasistas-demo"},
}

// TestCommandLines checks that each command and flag of ours in a code block of the
// documents, of deploy and of scripts is in the program's code.
func TestCommandLines(t *testing.T) {
	literals := make(map[string]map[string]bool)
	for program, dirs := range programs {
		literals[program] = map[string]bool{"help": true, "version": true}
		for _, dir := range dirs {
			for _, s := range stringsOf(t, dir) {
				literals[program][s] = true
				literals[program][strings.Fields(s + " x")[0]] = true // Use: "sign FILE"
			}
		}
	}
	texts := tracked(t, ".service")
	for name, text := range documents(t) {
		texts[name] = strings.Join(regexp.MustCompile(`(?m)^    .*$`).FindAllString(strings.ReplaceAll(text, "\\\n", ""), -1), "\n")
	}
	for name, text := range tracked(t, "compose.yaml") {
		list := regexp.MustCompile(`command: \[((?:init|serve),[^\]]*)\]`)
		for _, m := range list.FindAllStringSubmatch(text, -1) {
			texts[name] += "vasistas-log " + regexp.MustCompile(`[,"\n]`).ReplaceAllString(m[1], "") + "\n"
		}
	}
	checked := 0
	command := regexp.MustCompile(`(?:^|[\s(]|/usr/bin/)(vasistas(?:-log|-witness|-gate|-monitor|-demo)?) +([a-z-]+[^#;|)]*)`)
	flag := regexp.MustCompile(`(?:^|\s)--?([a-z][a-z0-9-]*)`)
	for name, text := range texts {
		for line := range strings.Lines(text) {
			m := command.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil {
				continue
			}
			known := literals[m[1]]
			if word := strings.Fields(m[2])[0]; !strings.HasPrefix(word, "-") && !known[word] {
				t.Errorf("%s: %s has no command %s", name, m[1], word)
			}
			for _, f := range flag.FindAllStringSubmatch(m[2], -1) {
				if !known[f[1]] && !known[strings.TrimPrefix(f[1], "to-")] {
					t.Errorf("%s: %s has no flag %s: %s", name, m[1], f[1], strings.TrimSpace(line))
				}
			}
			checked++
		}
	}
	if checked < 60 {
		t.Errorf("only %d command lines", checked)
	}
	trillian := stringsOf(t, "internal/trilliantest") // which runs Trillian's servers with these flags
	for name, text := range tracked(t, "") {
		if !strings.HasPrefix(name, "deploy/") || !strings.Contains(text, "storage_system") {
			continue
		}
		for _, f := range regexp.MustCompile(`(?m)^[^#\n]*`).FindAllString(text, -1) {
			for _, m := range regexp.MustCompile(`\s"?-(-[a-z_]+)`).FindAllStringSubmatch(f, -1) {
				if !slices.Contains(trillian, m[1]) {
					t.Errorf("%s: Trillian runs with %s, and not so in the tests", name, m[1])
				}
			}
		}
	}
}

// stringsOf returns the constant strings of the Go files in a directory that are no
// tests. What is added to a constant string and is none becomes "%v".
func stringsOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	var fold func(e ast.Expr) string
	fold = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return s
			}
		case *ast.BinaryExpr:
			return fold(e.X) + fold(e.Y)
		}
		return "%v"
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				list = append(list, fold(n))
			case *ast.BinaryExpr:
				list = append(list, fold(n))
			}
			return true
		})
	}
	return list
}

// allStrings returns the constant strings of this module, one a line.
func allStrings(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range list(t) {
		for _, s := range stringsOf(t, strings.TrimPrefix(p.ImportPath, module)) {
			b.WriteString(s + "\n")
		}
	}
	return b.String()
}

// TestQuotedMessages checks that the tables of docs/operations.md quote what the programs
// say, and that the metrics in the documents are metrics of ours.
func TestQuotedMessages(t *testing.T) {
	code := allStrings(t)
	metrics := 0
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\bvasistas_\w+`).FindAllString(text, -1) {
			if !strings.Contains(code, m+"\n") {
				t.Errorf("%s: there is no metric %s", name, m)
			}
			metrics++
		}
	}
	messages := 0
	quotes := regexp.MustCompile(`(?m)^\| what (?:it|the log) says \|.*\n\|[-|]+\n((?:\|.*\n)+)`)
	for _, table := range quotes.FindAllStringSubmatch(documents(t)["docs/operations.md"], -1) {
		for row := range strings.Lines(table[1]) {
			said, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
			for _, part := range regexp.MustCompile(` ?\.\.\. ?|; | ?\d+ ?|: `).Split(said, -1) {
				if !strings.Contains(code, part) {
					t.Errorf("docs/operations.md: no program says %q", part)
				}
				messages++
			}
		}
	}
	if metrics < 20 || messages < 25 {
		t.Errorf("only %d metrics and %d messages", metrics, messages)
	}
}

// TestPlainWords holds documents and comments to words that name what they speak of.
func TestPlainWords(t *testing.T) {
	avoided := regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|beside|anew)\b`)
	const list = "*nobody, somebody, whoever, beside, anew*"
	look := func(name string, n int, text string) {
		for _, word := range avoided.FindAllString(strings.Replace(text, list, "", 1), -1) {
			t.Errorf("%s:%d: %q: name the subject", name, n, word)
		}
	}
	for name, text := range documents(t) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			look(name, n, line)
		}
	}
	for name, text := range tracked(t, ".go") {
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if _, comment, ok := strings.Cut(line, "//"); ok {
				look(name, n, comment)
			}
		}
	}
}

// TestSizes holds code to what fits on a screen, and files to what one sitting reads.
func TestSizes(t *testing.T) {
	for name, text := range tracked(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		line := func(p token.Pos) int { return files.Position(p).Line }
		if n := line(f.FileEnd); n > 501 {
			t.Errorf("%s has %d lines", name, n)
		}
		for _, d := range f.Decls {
			if n := line(d.End()) - line(d.Pos()) + 1; n > 60 {
				if fn, ok := d.(*ast.FuncDecl); ok {
					t.Errorf("%s: %s has %d lines", name, fn.Name.Name, n)
				}
			}
		}
	}
}

// TestRunbook checks that each metric, and each line of level ERROR that a daemon logs, has a row
// that says what to do.
func TestRunbook(t *testing.T) {
	docs := documents(t)
	var rows strings.Builder
	for _, name := range []string{"docs/operations.md", "docs/runbook.md"} {
		for _, row := range regexp.MustCompile(`(?m)^\|.*$`).FindAllString(docs[name], -1) {
			rows.WriteString(row + "\n")
		}
	}
	said := regexp.MustCompile(`(?:[lL]ogger|\bl)\.Error\("([^"]+)"`)
	metric := regexp.MustCompile(`\.(?:Counter|Gauge|Histogram)\("(vasistas_\w+)"`)
	found := make(map[bool]int)
	for name, text := range tracked(t, ".go") {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "cmd/vasistas-demo/") || strings.HasPrefix(name, "internal/interop/") {
			continue
		}
		for i, pattern := range []*regexp.Regexp{said, metric} {
			for _, m := range pattern.FindAllStringSubmatch(text, -1) {
				found[i == 1]++
				row := "| " + strings.TrimSpace(m[1])
				if i == 1 {
					row = "`" + m[1]
				}
				if !strings.Contains(rows.String(), row) {
					t.Errorf("%s: no row of docs/operations.md or docs/runbook.md has %q", name, m[1])
				}
			}
		}
	}
	if found[false] < 25 || found[true] < 40 {
		t.Errorf("only %d messages and %d metrics", found[false], found[true])
	}
}
