// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

// sources makes the rows of a charter, which has room for 64. A row covers its path
// and all paths below it that have no row of their own, so the law that most figures
// below a path rest on needs one row.
func sources(figures []Figure) []event.Source {
	laws := make(map[string]string, len(figures))
	for _, f := range figures {
		laws[f.Path] = f.Law
	}
	var parents []string
	for path := range laws {
		for at := parent(path); at != ""; at = parent(at) {
			parents = append(parents, at)
		}
	}
	// The deepest paths come first, so that joined rows can be joined again.
	slices.SortFunc(parents, func(a, b string) int {
		return cmp.Or(strings.Count(b, ".")-strings.Count(a, "."), strings.Compare(a, b))
	})
	for _, at := range slices.Compact(parents) {
		join(laws, at)
	}
	var out []event.Source
	for path, law := range laws {
		out = append(out, event.Source{Figure: path, Law: law})
	}
	slices.SortFunc(out, func(a, b event.Source) int { return strings.Compare(a.Figure, b.Figure) })
	return out
}

// join replaces the rows at and below a path that name the most common law, if they
// are several, by one row at the path.
func join(laws map[string]string, at string) {
	votes := make(map[string]int)
	for _, path := range below(laws, at) {
		votes[laws[path]]++
	}
	best := ""
	for law, n := range votes {
		if n > votes[best] || n == votes[best] && law < best {
			best = law
		}
	}
	// A row at the path itself is the path's own source and must not change.
	if own, ok := laws[at]; votes[best] < 2 || ok && own != best {
		return
	}
	for _, path := range below(laws, at) {
		if laws[path] == best {
			delete(laws, path)
		}
	}
	laws[at] = best
}

// below lists the rows at and below a path without another row in between.
func below(laws map[string]string, at string) []string {
	var out []string
	for path := range laws {
		if !Covers(at, path) {
			continue
		}
		up := parent(path)
		for len(up) > len(at) && laws[up] == "" {
			up = parent(up)
		}
		if len(up) <= len(at) {
			out = append(out, path)
		}
	}
	return out
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// Covers reports whether a source row for figure covers a path: figure is that path
// or above it.
func Covers(figure, path string) bool {
	return path == figure || strings.HasPrefix(path, figure+".")
}
