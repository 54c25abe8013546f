// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestNewLogKey: a gate that was down while the log changed its key follows it by the log's entries, and
// opens once its operator has confirmed the change. A key that no logged charter names counts for
// nothing, and makes nothing look guilty.
func TestNewLogKey(t *testing.T) {
	fresh, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	rogue, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	first := w.LogKeys[0]
	check(t, w.StopLog(t.Context()))
	w.LogKeys = append(slices.Clip(w.LogKeys), fresh)
	for _, wit := range w.Witnesses {
		check(t, wit.Stop())
		wit.Config.Logs = append(wit.Config.Logs, tlog.PolicyLog{Key: fresh.Verifier(), URL: w.LogServer.URL})
	}
	check(t, w.Start(t.Context()))
	check(t, w.AwaitLog(t.Context()))
	w.policy, err = w.World.Policy(2)
	check(t, err)
	w.client, err = client.New(client.Config{URL: w.LogServer.URL, Policy: w.policy})
	check(t, err)
	w.run(s)
	old := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))

	// The log's host serves a charter that the log does not have, and a head by its key.
	p, err := tlog.ParseProof(old.proof)
	check(t, err)
	next := w.nextCharter()
	next.LogKeys = []string{rogue.Verifier().String()}
	charter := w.sign(next, "founder").Bytes()
	for _, root := range []byte{0, 1} { // of the log's tree, and a fork
		p.Checkpoint.Root[0] ^= root
		w.resign(p.Checkpoint, time.Now(), rogue, w.Witnesses...)
		forged := p.Checkpoint.Bytes()
		w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			switch r.URL.Path {
			case "/checkpoint":
				rw.Write(forged)
			case "/charter":
				rw.Write(charter)
			default:
				h.ServeHTTP(rw, r)
			}
		})
		if err := s.Running.Sync(t.Context()); err == nil {
			t.Fatal("the gate follows a key that no charter names")
		}
	}
	w.LogServer.Between(nil)
	eventually(t, s.Running.Ready)
	st, err := s.Running.Status(t.Context())
	check(t, err)
	if st.Alarm != "" || st.Stopped != "" || !strings.Contains(string(s.Running.Metrics()), "\nvasistas_gate_contradictions 0\n") {
		t.Fatalf("a stranger's key accuses the log: %+v", st)
	}

	s.stop()
	w.amend(func(ch *event.Charter) { ch.LogKeys = []string{fresh.Verifier().String()} })
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	if p, err := tlog.ParseProof(a.proof); err != nil || p.Checkpoint.Find(first.Verifier()) != nil {
		t.Fatal("the old key signs the head", err)
	}
	w.open(s)
	eventually(t, func() error {
		st, err := s.Running.Status(t.Context())
		if err == nil && (len(st.Pending) == 0 || !strings.HasPrefix(st.Shut, "trust: ") || st.Alarm != "") {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	w.confirm(s)
	w.shares(s, a)
	s.stop()
	w.run(s)
	w.refresh(a.logged)
	w.refresh(a.warrant)
	w.shares(s, a)
	if st, err := s.Running.Status(t.Context()); err != nil || st.Charter != 2 || st.Trusted != 2 {
		t.Fatal(st, err)
	}
}
