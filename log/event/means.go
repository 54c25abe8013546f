// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"slices"
	"strings"
)

// meanings says, by line.kind, what follows from a new value and from one that is gone.
var meanings = map[string][2]string{
	"log keys":        {"heads count if the new key signs them", "heads that only the old key signs count no more"},
	"charter, keys":   {"the new key may sign amendments", "the old key signs no more amendments"},
	"authority, keys": {"the new key may sign warrants", "later warrants of the old key have no effect"},
	"duty, keys":      {"the new key may sign emergencies", "later emergencies of the old key have no effect"},
	"provider, keys":  {"the new key may sign accesses", "later accesses of the old key have no effect"},
	"auditor, keys":   {"the new key may close breaches", "later findings of the old key have no effect"},
	"custodian, keys": {"a new chain of releases begins with the new key", "the old key answers no more accesses"},
	"custodian, gates": {"new files are escrowed to the new key",
		"files escrowed before open with this custodian's share only while its gate keeps the file of the old key"},
	"void":           {"what this key signed from that entry on counts no more", "what this key signed counts again"},
	"witness policy": {"the new line decides which heads count", "the old line no longer decides which heads count"},
	"audit policy":   {"the new line decides under which heads gates open", "the old line no longer decides under which heads gates open"},
}

// mean sets what follows from a change of a value of this kind.
func (c *Change) mean(kind string, was, is *Charter) {
	m := meanings[kind]
	switch {
	case strings.HasPrefix(kind, "group, "):
		id, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "group "), ", ")
		c.Means = means(was.Group(id), is.Group(id))
	case c.Was == "":
		c.Means = m[0]
	case c.Is == "" || m[0] == "":
		c.Means = m[1]
	default:
		c.Means = m[0] + "; " + m[1]
	}
}

// means says what becomes of files that were escrowed to a group.
func means(was, is *Group) string {
	why, left := Abandoned(was, is)
	switch {
	case was == nil:
		return "files can be escrowed to the new group"
	case why != "":
		return "files escrowed to the group before can no longer be opened: " + why
	}
	return fmt.Sprintf("of files escrowed to the group before, %d of %d shares are left, and %d open a file", left, len(was.Members), was.Threshold)
}

// Abandoned returns why an amendment of a custodian group makes the files unopenable that were
// escrowed to it before, "" if it does not, and how many of its custodians stay. A file is bound
// to its group's id, threshold and number of custodians, and to the keys of their gates. was or
// is may be nil: there was or is no such group.
func Abandoned(was, is *Group) (why string, left int) {
	switch {
	case was == nil:
		return "", 0
	case is == nil:
		return "the group is gone", 0
	}
	for _, name := range is.Members {
		if slices.Contains(was.Members, name) {
			left++
		}
	}
	switch {
	case is.Threshold != was.Threshold || len(is.Members) != len(was.Members):
		why = fmt.Sprintf("%d of %d custodians become %d of %d", was.Threshold, len(was.Members), is.Threshold, len(is.Members))
	case uint64(left) < was.Threshold:
		why = fmt.Sprintf("%d of its custodians stay, and a file takes the shares of %d", left, was.Threshold)
	}
	return why, left
}
