// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// revocation logs a warrant, and returns a revocation of it, which the log lacks.
func (w *testbed) revocation() *event.Envelope {
	w.t.Helper()
	b, err := w.warrant()
	check(w.t, err)
	sub, err := event.ParseSubmission(b)
	check(w.t, err)
	at, err := w.client.Submit(w.t.Context(), sub, client.WaitCosigned)
	check(w.t, err)
	env, err := w.Signed(time.Now(), &event.Revocation{Warrant: event.Reference{Index: at.Index, Leaf: at.Leaf}, Reason: "ended", Scope: event.ScopeAll}, "court")
	check(w.t, err)
	return env
}

// hand posts an event to the auditor.
func (w *testbed) hand(env *event.Envelope) (status int) {
	w.t.Helper()
	b, err := (&event.Submission{Envelope: env}).Bytes()
	check(w.t, err)
	resp, err := http.Post(w.auditor.URL+"/events", "application/json", bytes.NewReader(b))
	if err != nil {
		return 0 // the monitor was killed
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestMonitorOnFullDisk: a monitor that can write nothing about a log says so, cosigns nothing, takes no event,
// and serves what it has. Its other logs go on, and it goes on with this one once it can write.
func TestMonitorOnFullDisk(t *testing.T) {
	w := newTestbed(t)
	l := newOther(t, "other.example/log", written.Start)
	w.start(func(c *monitor.Config) { c.Mirrors = append(c.Mirrors, l.mirrored()) })
	env := w.revocation()
	cp := w.awaitServed(1)
	var state, copied durabletest.Injector
	state.Inject(t, w.auditor.Config.Dir)
	copied.Inject(t, w.auditor.Config.CopyDir)
	state.FailFrom(0, syscall.ENOSPC)
	copied.FailFrom(0, syscall.ENOSPC)
	w.grow(300)
	eventually(t, func() error {
		if s := w.status(); !strings.Contains(s.CopyFails, syscall.ENOSPC.Error()) || s.Declines == "" {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	})
	if status, text := get(t, w.auditor.URL+"/readyz"); status != http.StatusOK || !strings.HasPrefix(text, origin+": the auditor does not cosign: ") {
		t.Errorf("/readyz is %d %s", status, text)
	}
	if status := w.hand(env); status != http.StatusServiceUnavailable {
		t.Errorf("an event that it can't keep is answered %d", status)
	}
	if s := w.status(); s.Size > s.Copied || s.Copied > cp.Size+1 {
		t.Errorf("the status is %+v", s)
	}
	if n := w.follow(); n < cp.Size {
		t.Errorf("%d entries of %d are served", n, cp.Size)
	}
	l.Live(300)
	l.publish()
	eventually(t, func() error {
		if s := w.running.Status()[1]; s.Copied != l.Size() {
			return fmt.Errorf("the other log's status is %+v", s)
		}
		return nil
	})
	state.FailAt(1<<30, nil)
	copied.FailAt(1<<30, nil)
	w.awaitServed(cp.Size + 299)
	if status := w.hand(env); status != http.StatusOK {
		t.Errorf("an event is answered %d", status)
	}
}

// TestDismissed: after an amendment that removes all auditors, a monitor says so and cosigns nothing,
// and still copies and serves the log.
func TestDismissed(t *testing.T) {
	w := newTestbed(t)
	w.start(nil)
	w.grow(1)
	cp := w.awaitServed(1)
	tree, err := w.client.Tree(client.TreeOptions{})
	check(t, err)
	_, err = tree.Update(t.Context())
	check(t, err)
	b, err := tree.Entry(t.Context(), 0)
	check(t, err)
	first, err := event.ParseEnvelope(b)
	check(t, err)
	next := *first.Event.Body.(*event.Charter)
	next.Version, next.Prev, next.AuditPolicy = 2, &event.Reference{Leaf: first.LeafHash()}, "quorum none\n"
	next.Parties = slices.DeleteFunc(slices.Clone(next.Parties), func(p event.Party) bool { return p.Role == event.RoleAuditor })
	env, err := w.Signed(time.Now(), &next, "founder")
	check(t, err)
	_, err = w.client.Submit(t.Context(), &event.Submission{Envelope: env}, client.WaitCosigned)
	check(t, err)
	w.grow(300)
	eventually(t, func() error {
		if s := w.status(); s.Copied < cp.Size+301 || s.Size != cp.Size || !strings.Contains(s.Declines, "asks for no auditors") || s.CopyFails != "" {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	})
	if status, text := get(t, w.auditor.URL+"/readyz"); status != http.StatusOK || !strings.HasPrefix(text, origin+": the auditor does not cosign: ") {
		t.Errorf("/readyz is %d %s", status, text)
	}
	w.stop()
	w.start(nil) // for two rounds it could serve the head that it has cosigned last
	eventually(t, func() error {
		now, at, err := w.served()
		if err == nil && (now.Size < cp.Size+301 || at != 0) {
			err = fmt.Errorf("size %d, cosigned at %d", now.Size, at)
		}
		return err
	})
}
