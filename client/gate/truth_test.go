// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world"
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
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		text := strings.Split(strings.TrimSpace(log.String()), "\n")
		last := text[len(text)-1]
		for i := len(text) - 1; i >= 0 && !strings.Contains(last, "the gate would open"); i-- {
			last = text[i]
		}
		open := why == ""
		said := []bool{resp.StatusCode == http.StatusOK, strings.Contains(string(body), "would open: yes"), !strings.Contains(string(body), "would open: no: "), st.Shut == "", strings.Contains(string(s.Running.Metrics()), "\nvasistas_gate_open 1\n"),
			!strings.Contains(last, "open nothing"), st.Ends == ""}
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
		_, err := gate.Confirm(s.Config.Dir, w.pending(s))
		check(t, err)
	}
	w.says(w.gates[0], logs[0], "heartbeat")
	w.says(w.gates[1], logs[1], "")
}

// auditors makes auditors, who do not run, and the charter's policy that all of them meet.
func (w *testbed) auditors(ch *event.Charter, names ...string) {
	w.t.Helper()
	w.Cast(ch, event.RoleAuditor)
	for _, name := range names {
		a, err := w.NewAuditor(name)
		check(w.t, err)
		a.Config.Poll = 20 * time.Millisecond
		ch.Parties = append(ch.Parties, a.Party())
	}
	ch.AuditPolicy = world.AuditPolicy(len(names), true, w.Auditors...)
}

// TestSilentAuditor: while an auditor that the policy needs is away, and no other head is fresh, the gate
// says that it would open nothing, who is silent, and what would end it. With the auditor it opens again.
func TestSilentAuditor(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) {
		w.auditors(ch, "dog", "cat")
		ch.Profile.Round, ch.Profile.Stale = 1, 6
	})
	dog, cat := w.Auditors[0], w.Auditors[1]
	check(t, dog.Create())
	check(t, dog.Start())
	s, log := w.gates[0], new(lines)
	s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	check(t, s.Create())
	w.open(s)
	w.says(s, log, "quorum: the policy of the auditors: the log shows no head that they vouch for")
	w.says(s, log, "quorum of the policy; auditor cat is silent")
	if st, err := s.Running.Status(t.Context()); err != nil || !strings.Contains(st.Ends, "enough auditors cosign a head") || st.Audited != "" {
		t.Errorf("%+v, %v", st, err)
	}
	check(t, cat.Create())
	check(t, cat.Start())
	w.says(s, log, "")
	eventually(t, func() error {
		st, err := s.Running.Status(t.Context())
		if err == nil && (st.Audited == "" || st.AuditedSize == 0 || strings.Contains(string(s.Running.Metrics()), "\nvasistas_gate_audited_timestamp_seconds 0\n")) {
			err = fmt.Errorf("it knows no audited head: %+v", st)
		}
		return err
	})
	check(t, cat.Stop())
	w.says(s, log, "stale: auditors have signed the head of size")
	w.says(s, log, "more than 6 seconds ago; auditor cat is silent")
	s.stop()
	w.open(s) // it asks the log again, which still shows the head
	w.says(s, log, "auditors have signed the head of size")
	check(t, cat.Start())
	w.says(s, log, "")
}

// TestTornState: a start logs what it cut off the state.
func TestTornState(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s, log := w.gates[0], new(lines)
	check(t, s.Create())
	w.open(s)
	s.stop()
	for _, name := range []string{"head", "journal"} {
		durabletest.Tear(t, filepath.Join(s.Config.Dir, name))
	}
	s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	w.open(s)
	for _, want := range []string{"file=head bytes=", "file=journal bytes="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
}
