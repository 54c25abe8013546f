// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRottenCopy: a page that needs a damaged file of the copy says so, others stay, and it is back with the file.
func TestRottenCopy(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.story()
	b.open()
	file := filepath.Join(b.state, "copy", fmt.Sprintf("tile/entries/000.p/%d", b.Size()))
	good, err := os.ReadFile(file)
	check(t, err)
	for name, bad := range map[string][]byte{"cut": good[:len(good)/2], "empty": {}, "changed": append([]byte{good[0] ^ 1}, good[1:]...)} {
		check(t, os.WriteFile(file, bad, 0o600))
		for _, path := range []string{"entry/3?lang=en&party=" + name, "entry/3/evidence?party=" + name} {
			status, page := b.try(b.path(path))
			if status != http.StatusServiceUnavailable || !strings.Contains(page, "copy of the log is damaged here") {
				t.Errorf("%s, %s: %d\n%s", name, path, status, page)
			}
		}
		b.get(b.path("entries?party=auditor+" + name))
		b.get(b.path(""))
	}
	check(t, os.WriteFile(file, good, 0o600))
	b.says(b.path("entry/3"), "asked the custodians")
}

// TestHarmedIndex: whatever becomes of the index while the desk has it, each page is right or says what it lacks, its
// first line stands, and the index is whole again soon.
func TestHarmedIndex(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(db string) error{
		"index deleted": os.Remove,
		"index cut":     func(db string) error { return os.Truncate(db, 4096+17) },
		"index empty":   func(db string) error { return os.Truncate(db, 0) },
		"log deleted":   func(db string) error { return os.Remove(db + "-wal") },
		"log empty":     func(db string) error { return os.Truncate(db+"-wal", 0) },
		"map":           func(db string) error { return os.WriteFile(db+"-shm", nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, origin)
			b.story()
			b.open()
			pages := []string{"", "entries", "duties", "breaches", "timeline", "charts", "entry/3", "custodians/" + b.KeyID("c1"), "entries.csv"}
			var want []string
			for _, p := range pages {
				want = append(want, b.get(b.path(p)))
			}
			check(t, harm(filepath.Join(b.state, "index.db")))
			whole := 0
			eventually(t, func() error {
				for i, p := range pages {
					status, page := b.try(b.path(p) + fmt.Sprintf("?page=%d", 1))
					switch {
					case status == http.StatusServiceUnavailable && strings.Contains(page, "The lists are being made") && strings.Contains(page, `<section class="line `):
					case status != http.StatusOK:
						t.Fatalf("%s: %d\n%s", p, status, page)
					case len(page) > 200<<10 || i == 0 && !strings.Contains(page, "Nothing was overdue"):
						t.Errorf("%s:\n%s", p, page)
					case !strings.Contains(page, "lists behind this page are not complete") && len(page) > len(want[i])/2:
						whole++
						continue
					}
					whole = 0
					return fmt.Errorf("%s: %d", p, status)
				}
				if whole < 3*len(pages) {
					return fmt.Errorf("%d pages are whole", whole)
				}
				return nil
			})
		})
	}
}

// TestRebuiltPermalink: a page that is fixed to a head says if the index no longer knows the times of this head.
func TestRebuiltPermalink(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.story()
	b.open()
	at := b.path(fmt.Sprintf("entry/%d?at=%d", b.Size()-1, b.Size()))
	if said := text(b.main(at)); strings.Contains(said, "has not seen that head") || strings.Contains(said, "not known yet") {
		t.Errorf("before: %s", said)
	}
	b.anchor()
	b.publish()
	check(t, os.Remove(filepath.Join(b.state, "index.db")))
	eventually(t, func() error {
		status, page := b.try(at)
		if said := text(page); status != http.StatusOK || !strings.Contains(said, "This monitor has not seen that head, or has made its lists again since") || !strings.Contains(said, "not known yet") {
			return fmt.Errorf("%d: %s", status, said)
		}
		return nil
	})
}
