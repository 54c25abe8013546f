// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package importlaw

import (
	"bytes"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// public loads the packages that others may import, out of what the compiler says
// of their exported names.
func public(t *testing.T) []*types.Package {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}\t{{.DepOnly}}",
		module+"log/...", module+"witness/...", module+"client/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	var paths []string
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		files[f[0]] = f[1]
		if f[2] == "false" && !strings.Contains(f[0], "/internal/") {
			paths = append(paths, f[0])
		}
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		b, err := os.ReadFile(files[path])
		return io.NopCloser(bytes.NewReader(b)), err
	})
	var pkgs []*types.Package
	for _, p := range paths {
		pkg, err := imp.Import(p)
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg)
	}
	if len(pkgs) < 20 {
		t.Fatalf("%d public packages", len(pkgs))
	}
	return pkgs
}

// TestPublicAPI checks that no exported name needs a type of an internal package that
// others could not name: one without an alias in a public package.
func TestPublicAPI(t *testing.T) {
	pkgs := public(t)
	named := make(map[*types.TypeName]bool)
	for _, pkg := range pkgs {
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			if alias, ok := obj.Type().(*types.Alias); ok && obj.Exported() && alias.Obj() == obj {
				if to, ok := types.Unalias(alias).(*types.Named); ok {
					named[to.Obj()] = true
				}
			}
		}
	}
	for _, pkg := range pkgs {
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			if !obj.Exported() {
				continue
			}
			w := walker{named: named, seen: make(map[types.Type]bool), report: func(internal string) {
				t.Errorf("%s.%s mentions %s", pkg.Path(), name, internal)
			}}
			if named, ok := obj.Type().(*types.Named); ok && named.Obj() == obj {
				w.walk(named.Underlying())
				for m := range named.Methods() {
					if m.Exported() {
						w.walk(m.Type())
					}
				}
				continue
			}
			w.walk(obj.Type())
		}
	}
}

// TestPrintable checks that hashes and ids print as text: an array of bytes in the public
// API is of a type that has a String method, or stands in one that has.
func TestPrintable(t *testing.T) {
	for _, pkg := range public(t) {
		for _, name := range pkg.Scope().Names() {
			obj, ok := pkg.Scope().Lookup(name).(*types.TypeName)
			if !ok || !obj.Exported() || prints(obj.Type()) {
				continue
			}
			if byteArray(obj.Type()) {
				t.Errorf("%s.%s prints as numbers", pkg.Path(), name)
			}
			s, ok := obj.Type().Underlying().(*types.Struct)
			if !ok {
				continue
			}
			for f := range s.Fields() {
				if f.Exported() && byteArray(f.Type()) && !prints(f.Type()) {
					t.Errorf("%s.%s.%s prints as numbers", pkg.Path(), name, f.Name())
				}
			}
		}
	}
}

func byteArray(t types.Type) bool {
	a, ok := t.Underlying().(*types.Array)
	return ok && types.Identical(a.Elem(), types.Typ[types.Byte])
}

func prints(t types.Type) bool {
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, "String")
	return m != nil
}

// walker visits all types that a user of a type can see in its declaration.
type walker struct {
	named  map[*types.TypeName]bool // internal types that have a public name
	seen   map[types.Type]bool
	report func(internal string)
}

func (w *walker) walk(t types.Type) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		w.name(t.Obj())
		w.walk(t.Rhs())
	case *types.Named:
		w.name(t.Obj())
		for arg := range t.TypeArgs().Types() {
			w.walk(arg)
		}
	case *types.Map:
		w.walk(t.Key())
		w.walk(t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			w.walk(v.Type())
		}
	case *types.Signature:
		w.walk(t.Params())
		w.walk(t.Results())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				w.walk(f.Type())
			}
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			w.walk(m.Type())
		}
		for e := range t.EmbeddedTypes() {
			w.walk(e)
		}
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		w.walk(t.Elem())
	}
}

func (w *walker) name(obj *types.TypeName) {
	if obj.Pkg() != nil && !w.named[obj] && strings.Contains(obj.Pkg().Path(), "/internal/") {
		w.report(obj.Pkg().Path() + "." + obj.Name())
	}
}
