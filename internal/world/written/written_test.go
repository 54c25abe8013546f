// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package written

import (
	"testing"

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
