// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// What a log serves of its auditors is in the report and decides nothing; a mirror knows none of it.
func TestAuditors(t *testing.T) {
	w := newLog(t)
	head := w.Publish("w1", "w2", "w3")
	audited := w.Checkpoint("w1", "w2", "w3", "a1", "a2")
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	named := round.New(head, time.Unix(w.Now, 0), []round.Answer{
		{Auditor: "a1", Key: w.Witness("a1").Verifier().String(), Kind: round.Refused, Text: "it is catching up"},
	})
	var checkpoint, open []byte
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(r.URL.Path)))
		switch r.URL.Path {
		case "/audit/checkpoint":
			b = checkpoint
		case "/audit/round":
			b = open
		default:
			if err != nil {
				b = nil
			}
		}
		if b == nil {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Write(b)
	}))
	defer s.Close()
	for _, c := range []struct {
		name, url        string
		checkpoint, open []byte
		vouched, named   bool
		unknown          string
	}{
		{"a log", s.URL, audited.Bytes(), named.Bytes(), true, true, ""},
		{"nothing vouched for", s.URL, nil, named.Bytes(), false, true, "serves no audit"},
		{"too few auditors", s.URL, w.Checkpoint("w1", "w2", "w3", "a1").Bytes(), named.Bytes(), false, true, "quorum"},
		{"a wrong round", s.URL, audited.Bytes(), []byte("{}"), true, false, "audit round"},
		{"a mirror's URL", s.URL, nil, nil, false, false, "serves no audit"},
		{"a directory", w.Dir, audited.Bytes(), named.Bytes(), false, false, "URL"},
	} {
		checkpoint, open = c.checkpoint, c.open
		r := run(t, c.url, policy, audit.Config{Now: headTime(w.Dir)})
		wants(t, r, audit.Clean)
		a := r.Auditors
		if a == nil || (a.Vouched != nil) != c.vouched || (a.Round != nil) != c.named || (c.unknown == "") != (len(a.Unknown) == 0) || len(a.Unknown) > 1 {
			t.Fatalf("%s: %+v", c.name, a)
		}
		if c.unknown != "" && !strings.Contains(a.Unknown[0], c.unknown) {
			t.Errorf("%s: not known: %v", c.name, a.Unknown)
		}
		if c.vouched && (a.Vouched.Size != w.Size() || !a.Vouched.At.Equal(time.Unix(w.Now, 0))) {
			t.Errorf("%s: %+v", c.name, a.Vouched)
		}
	}

	// An auditor's breach that a quorum has closed sets the auditor aside.
	w.LogEvent(w.Event(&event.Finding{Rule: "form", State: event.FindingClosed, First: 0, Last: 1 << 30}), "a1")
	breach := w.Size() - 1
	for _, a := range []string{"a1", "a2"} {
		w.Finding(a, "reference", event.FindingClosed, breach, breach)
	}
	w.Publish("w1", "w2", "w3")
	open = named.Bytes()
	for _, cp := range []*tlog.Checkpoint{w.Checkpoint("w1", "w2", "w3", "a1", "a2"), emptyTree(t, w)} {
		checkpoint = cp.Bytes()
		r := run(t, s.URL, policy, audit.Config{Now: headTime(w.Dir)})
		if r.Auditors == nil || r.Auditors.Vouched != nil || len(r.Auditors.Unknown) != 1 {
			t.Errorf("of size %d: %+v", cp.Size, r.Auditors)
		}
	}

	lie := w.Fork(t.TempDir())
	lie.Append([]byte("another story"))
	w.Warrant(w.Now + day)
	w.Warrant(w.Now + day)
	w.Publish("w1", "w2", "w3")
	checkpoint = lie.Checkpoint("w1", "w2", "w3", "a1", "a2").Bytes()
	r := run(t, s.URL, policy, audit.Config{Now: headTime(w.Dir)})
	wants(t, r, audit.Violations)
	if r.Fork == nil || r.Fork.Small.Size != lie.Size() || r.Auditors.Vouched != nil {
		t.Errorf("auditors vouch for another tree: %+v", r)
	}
}

// emptyTree returns a head of the empty tree, with the lines of all.
func emptyTree(t testing.TB, w *written.Log) *tlog.Checkpoint {
	t.Helper()
	cp, err := w.People.Checkpoint(tlog.Head{Origin: w.Origin, Root: tiles.EmptyRoot()}, uint64(w.Now), "w1", "w2", "w3", "a1", "a2")
	if err != nil {
		t.Fatal(err)
	}
	return cp
}
