// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// says waits until readyz, status, metrics and log agree that the gate would open, or would not for a
// reason that contains why.
func (w *testbed) says(s *gateServer, log *lines, why string) {
	w.t.Helper()
	eventually(w.t, func() error {
		st, err := s.Running.Status(w.t.Context())
		if err != nil {
			return err
		}
		resp, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		text := strings.Split(strings.TrimSpace(log.String()), "\n")
		last := text[len(text)-1]
		for i := len(text) - 1; i >= 0 && !strings.Contains(last, "the gate would open"); i-- {
			last = text[i]
		}
		open := why == ""
		said := []bool{resp.StatusCode == http.StatusOK, st.Shut == "", strings.Contains(string(s.Running.Metrics()), "\nvasistas_gate_open 1\n"),
			!strings.Contains(last, "open nothing")}
		for _, v := range said {
			if v != open {
				return fmt.Errorf("readyz, status, metrics and log say %v, want %v; %s; %s", said, open, st.Shut, last)
			}
		}
		if !strings.Contains(st.Shut, why) {
			return fmt.Errorf("want %q: %s", why, st.Shut)
		}
		return nil
	})
}

// TestOneAnswer: /readyz, status, metrics and log agree about whether the gate would open, and so does
// what it answers.
func TestOneAnswer(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	s, log := w.gates[0], new(lines)
	s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	w.runAll()
	w.says(s, log, "")
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	w.amend(func(ch *event.Charter) { ch.Profile.Lag += 60 })
	w.says(s, log, "confirm")
	w.confirm(s)
	w.says(s, log, "")
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	w.sequence(w.sign(&event.Release{Access: event.Reference{Index: 1, Leaf: [32]byte{1}}, Seq: 1, Notices: []event.Digest{escrow.NoticeDigest([]byte("notice"))},
		Head: event.Head{Size: cp.Checkpoint.Size, Root: event.Digest(cp.Checkpoint.Root)}}, "c2"), [][]byte{[]byte("notice")})
	w.says(s, log, "breach")
}

// TestNoWitnesses: under a charter that asks for no witness no time is proven, so the gate stays shut.
func TestNoWitnesses(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) { ch.WitnessPolicy = "quorum none\n" })
	s, log := w.gates[0], new(lines)
	s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	check(t, s.Create())
	w.open(s)
	w.says(s, log, "no time is proven")
}

// TestShortGroup: custodians whose heartbeats are late bar their own group, if it has too few others, and
// no other group. A gate of that group alone says that it would open nothing; one that is in another group,
// too, opens for that one.
func TestShortGroup(t *testing.T) {
	w := newTestbed(t, 1, 3, func(ch *event.Charter) {
		ch.Profile.Heartbeat = event.Deadline{Within: 2, Grace: 3}
		ch.Groups = []event.Group{{ID: "main", Threshold: 2, Members: []string{"c1", "c3"}}, {ID: "other", Threshold: 2, Members: []string{"c1", "c2"}},
			{ID: "short", Threshold: 2, Members: []string{"c2", "c3"}}}
	})
	var logs []*lines
	for _, s := range w.gates[:2] { // c3 never runs
		log := new(lines)
		s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
		check(t, s.Create())
		w.open(s)
		logs = append(logs, log)
	}
	eventually(t, func() error {
		a, err := w.gates[0].Running.Status(t.Context())
		if err == nil && a.Custodian == "" {
			err = errors.New("no charter yet")
		}
		return err
	})
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)) // of the group main
	eventually(t, func() error {
		_, err := w.ask(w.gates[0], a.request())
		var no *refused
		if !errors.As(err, &no) || no.code != gate.CodeOverdue {
			return fmt.Errorf("want overdue: %w", err)
		}
		return nil
	})
	w.says(w.gates[0], logs[0], "")
	w.amend(func(ch *event.Charter) {
		ch.Groups = []event.Group{{ID: "main", Threshold: 2, Members: []string{"c1", "c3"}}, {ID: "other", Threshold: 1, Members: []string{"c2"}}}
	})
	for i, s := range w.gates[:2] {
		w.says(s, logs[i], "confirm")
		check(t, gate.Confirm(s.Config.Dir, w.pending(s)))
	}
	w.says(w.gates[0], logs[0], "heartbeat")
	w.says(w.gates[1], logs[1], "")
}
