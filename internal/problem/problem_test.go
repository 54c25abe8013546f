// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse reads Go files that are no tests.
func parse(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// constants returns the codes of this package by their identifiers.
func constants(t *testing.T) map[string]Code {
	t.Helper()
	codes := make(map[string]Code)
	for _, f := range parse(t, "problem.go") {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(v.Type) == "Code" {
				codes[v.Names[0].Name] = Code(strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
			}
			return true
		})
	}
	return codes
}

// TestList: each constant has one code of its own, and each code one status.
func TestList(t *testing.T) {
	names := make(map[Code]string)
	for name, code := range constants(t) {
		if names[code] != "" {
			t.Errorf("%s and %s are both %q", name, names[code], code)
		}
		names[code] = name
	}
	listed := make(map[Code]int)
	for status, codes := range list {
		for _, c := range codes {
			if listed[c] != 0 || names[c] == "" || http.StatusText(status) == "" {
				t.Errorf("%s has the constant %q and the statuses %d and %d", c, names[c], listed[c], status)
			}
			listed[c] = status
		}
	}
	for c, name := range names {
		if listed[c] == 0 || c.Status() != listed[c] {
			t.Errorf("%s has the status %d, and in the list %d", name, c.Status(), listed[c])
		}
	}
	if len(names) < 40 {
		t.Errorf("only %d codes", len(names))
	}
	gate := OfGate()
	slices.Sort(gate)
	if n := len(slices.Compact(gate)); n != len(OfGate()) {
		t.Errorf("a gate has %d codes, %d of them different", len(OfGate()), n)
	}
}

// TestAnswered: log, gate and auditor answer with codes of this list only, and with all of
// them; and docs/operations.md explains each to the callers of the one that does.
func TestAnswered(t *testing.T) {
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	all := constants(t)
	answered := make(map[Code]bool)
	for _, server := range []struct {
		files, section string
		steps          []Code
	}{
		{"../../log/*.go", "## Submitting", nil}, {"../../client/gate/*.go", "**What a gate's refusals mean**", OfGate()},
		{"../../client/monitor/auditor/*.go", "**What an auditor's refusals mean**", OfAuditor()},
	} {
		_, section, ok := strings.Cut(string(docs), server.section)
		if !ok {
			t.Fatalf("the documentation has no section %q", server.section)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		named := codesIn(t, server.files, all)
		for code := range named {
			answered[code] = true
			status := code.Status()
			if strings.Contains(server.files, "auditor") && slices.Contains(OfAuditor(), code) {
				status = http.StatusServiceUnavailable
			}
			row := fmt.Sprintf(`(?m)^\| [^|]*\b%d\b[^|]*\| ([a-z-]+, )*%s(, [a-z-]+)* \|`, status, code)
			if !regexp.MustCompile(row).MatchString(section) {
				t.Errorf("the section %q has no row for %d %s", server.section, status, code)
			}
		}
		for _, c := range server.steps {
			if !named[c] {
				t.Errorf("%s does not answer with %s", server.files, c)
			}
		}
	}
	for name, code := range all {
		if !answered[code] {
			t.Errorf("neither log, gate nor auditor answers with %s", name)
		}
	}
}

// codesIn returns the codes that a server's files name by their constants here. To
// name one by a literal is an error.
func codesIn(t *testing.T, pattern string, all map[string]Code) map[Code]bool {
	t.Helper()
	named := make(map[Code]bool)
	literal := func(where string, e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok {
			t.Errorf("%s: %s names the code %s by a literal", pattern, where, lit.Value)
		}
	}
	takers := []string{"refuse", "Code", "problem.New", "problem.Code"}
	for _, f := range parse(t, pattern) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if code := all[n.Sel.Name]; types.ExprString(n.X) == "problem" && code != "" {
					named[code] = true
				}
			case *ast.CallExpr:
				if taker := types.ExprString(n.Fun); slices.Contains(takers, taker) {
					literal(taker, n.Args[0])
				}
			case *ast.CompositeLit:
				if i := codeField(n); i >= 0 {
					for _, row := range n.Elts {
						literal("a table", row.(*ast.CompositeLit).Elts[i])
					}
				}
			case *ast.BasicLit:
				if strings.Contains(n.Value, urn) {
					t.Errorf("%s has %s", pattern, n.Value)
				}
			}
			return true
		})
	}
	return named
}

// codeField returns which field of a table's rows is a code; -1: none is.
func codeField(table *ast.CompositeLit) int {
	if list, ok := table.Type.(*ast.ArrayType); ok {
		if row, ok := list.Elt.(*ast.StructType); ok {
			return slices.IndexFunc(row.Fields.List, func(f *ast.Field) bool { return types.ExprString(f.Type) == "problem.Code" })
		}
	}
	return -1
}

// TestWire: an answer has these bytes, and is read as it was written.
func TestWire(t *testing.T) {
	index := uint64(7)
	p := New(Rule, "Against the rules", "<late>")
	p.Index, p.Rule, p.Way, p.Cure, p.Reference, p.RetryAfter = &index, "r", "w", "c", &Reference{3, "bGVhZg=="}, 5*time.Second
	for _, c := range []struct {
		p    *Problem
		want string
	}{
		{p, `{"type":"urn:vasistas:error:rule","title":"Against the rules","status":409,"detail":"\u003clate\u003e","index":7,` +
			`"rule":"r","way":"w","cure":"c","reference":{"index":3,"leaf":"bGVhZg=="}}` + "\n"},
		{New(Busy, "Service Unavailable", ""), `{"type":"urn:vasistas:error:busy","title":"Service Unavailable","status":503}` + "\n"},
	} {
		rec := httptest.NewRecorder()
		c.p.Answer(rec)
		if got := rec.Body.String(); got != c.want || rec.Code != c.p.Status {
			t.Errorf("%d %s; want %s", rec.Code, got, c.want)
		}
		if h := rec.Header(); h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" ||
			(h.Get("Retry-After") == "5") != (c.p.RetryAfter > 0) {
			t.Errorf("headers: %v", h)
		}
		if got := Read(rec.Result()); got.Error() != c.p.Error() || got.Code() != c.p.Code() || got.RetryAfter != c.p.RetryAfter {
			t.Errorf("read back: %+v", got)
		}
	}
}

// TestRead: answers of servers and proxies are read within bounds.
func TestRead(t *testing.T) {
	read := func(status int, kind, body string) *Problem {
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Type", kind)
		rec.Header().Set("Retry-After", "99999999999")
		rec.WriteHeader(status)
		rec.WriteString(body)
		return Read(rec.Result())
	}
	for _, c := range []struct {
		name, kind, body string
		want             string
	}{
		{"a proxy's page", "text/html", `{"type":"urn:vasistas:error:form"}`, "502: Bad Gateway"},
		{"no JSON", mediaType, `{`, "502: Bad Gateway"},
		{"without end", mediaType, `{"detail":"` + strings.Repeat("x", MaxSize) + `"}`, "502: Bad Gateway"},
		{"another status in the body", mediaType, `{"type":"urn:vasistas:error:form","status":200,"detail":"d"}`, "502 (form): d"},
		{"another type", mediaType, `{"type":"about:blank","title":"t"}`, "502: t"},
	} {
		p := read(http.StatusBadGateway, c.kind, c.body)
		if p.Error() != c.want || p.RetryAfter != 0 || !p.Temporary() || errors.Is(p, fs.ErrNotExist) {
			t.Errorf("%s: %v", c.name, p)
		}
	}
	if p := read(http.StatusGone, mediaType, `{}`); !errors.Is(p, fs.ErrNotExist) || p.Temporary() {
		t.Errorf("gone: %v", p)
	}
	now := time.Now().UTC().Truncate(time.Second)
	if d := retryAfter(now.Add(time.Minute).Format(http.TimeFormat), now); d != time.Minute {
		t.Errorf("Retry-After as a date: %v", d)
	}
}
