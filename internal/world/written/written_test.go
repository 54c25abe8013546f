// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package written

import (
	"slices"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// The first error stays, also that of a fork, and what is written later hides nothing.
func TestErr(t *testing.T) {
	w := New(t.TempDir(), nil)
	w.Live(300)
	w.Publish("w1", "w2", "w3")
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	f := w.Fork(t.TempDir())
	f.LogEvent(f.Event(&event.Anchor{Checkpoint: "none"}), "messenger")
	err := w.Err()
	if err == nil {
		t.Fatal("a malformed event was logged")
	}
	f.Warrant(f.Now)
	f.Now = 0
	f.Checkpoint("w1")
	if f.Err() != err {
		t.Errorf("the first error was %v, and is %v", err, f.Err())
	}
	for name, write := range map[string]func(w *Log){
		"no such directory":    func(w *Log) { w.Dir += "/none\x00"; w.Publish() },
		"a seal in the past":   func(w *Log) { w.Seal(w.Event(w.WarrantBody()), -1<<40) },
		"a charter of no kind": func(w *Log) { w.Amend(func(c *event.Charter) { *c = event.Charter{} }) },
	} {
		if w := New(t.TempDir(), nil); w.Err() != nil {
			t.Error(w.Err())
		} else if write(w); w.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What the law's forms say is well-formed in a log.
func TestForms(t *testing.T) {
	w := New("", nil)
	w.Amend(w.Forms)
	body := w.WarrantBody()
	body.Instrument, body.Categories = "order", []string{"content", "traffic"}
	e := w.Event(body)
	w.Seal(e, w.Now+people.Day)
	warrant := w.LogEvent(e, "court", "prosecutor")
	if got := AccessBody(warrant).Categories; !slices.Equal(got, body.Categories) {
		t.Errorf("an access to %v", got)
	}
	w.Access(warrant, w.Now+people.Day)
	w.Respond(warrant, event.Partial, "traffic")
	w.Resume(w.Revoke(warrant, event.ScopeSuspended))
	w.Revoke(warrant, event.ScopeCategories, "content")
	w.Revoke(warrant, event.ScopeAll)
	w.Report(t.Error)
}
