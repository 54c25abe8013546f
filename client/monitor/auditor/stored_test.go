// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestCopyFollowsAmendment: while an auditor was off, the log replaced its witnesses, so that the
// policy that the auditor's copy knew accepts no present head. The copy catches up.
func TestCopyFollowsAmendment(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	policy, err := w.World.Policy(2)
	check(t, err)
	a.Config.Policy = policy
	w.run(a)
	w.grow(1)
	old := w.head()
	w.name(old)
	_, err = w.ask(a, old).cosigned(old)
	check(t, err)
	check(t, a.Stop())
	amended := w.amend(func(c *event.Charter) { c.WitnessPolicy = world.WitnessPolicy(1, false, w.Witnesses[0]) })
	for _, s := range w.Witnesses[1:] {
		check(t, s.Stop())
	}
	w.reads(1)
	w.grow(1)
	cp := w.head()
	if _, err := policy.Verify(cp, origin); err == nil || cp.Size <= amended.Size {
		t.Fatalf("the policy before accepts the head of size %d", cp.Size)
	}
	w.name(cp)
	check(t, a.Start())
	eventually(t, func() error {
		_, err := w.ask(a, cp).cosigned(cp)
		return err
	})
	check(t, a.Running.Copy().Holds(t.Context(), &cp.Head))
}

// TestCopyBeforeCosignature: whatever durable step of the copy fails, the auditor cosigns no head
// that the copy does not have.
func TestCopyBeforeCosignature(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	a.Config.Poll = time.Hour // so that only requests update the copy
	w.run(a)
	w.grow(1)
	cp := w.head()
	w.name(cp)
	_, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	in := new(durabletest.Injector)
	in.Inject(t, a.Config.CopyDir)
	for n := 0; ; n++ {
		w.grow(1)
		cp := w.head()
		w.name(cp)
		body := w.request(a.Running.Status().Size, cp)
		in.FailAt(n, errors.New("not today"))
		got := w.post(a, body)
		hit := in.Hit()
		in.FailAt(1<<30, nil)
		b, err := os.ReadFile(filepath.Join(a.Config.CopyDir, "checkpoint"))
		check(t, err)
		copied, err := tlog.ParseCheckpoint(b)
		check(t, err)
		if _, err := got.cosigned(cp); (err == nil) != (copied.Size == cp.Size) && !(err != nil && copied.Size == cp.Size) {
			t.Fatalf("step %d: the copy has the size %d of %d, and the answer is %d", n, copied.Size, cp.Size, got.status)
		}
		if !hit {
			if n < 4 {
				t.Fatalf("%d steps", n)
			}
			return
		}
	}
}

// TestTornState: a start logs what it cut off the recorded head.
func TestTornState(t *testing.T) {
	w := newTestbed(t, 1, nil)
	a := w.Auditors[0]
	w.run(a)
	check(t, a.Stop())
	durabletest.Tear(t, filepath.Join(a.Config.Dir, "head"))
	var out bytes.Buffer
	a.Config.Logger = slog.New(slog.NewTextHandler(&out, nil))
	check(t, a.Start())
	check(t, a.Stop())
	if want := "file=head bytes="; !strings.Contains(out.String(), want) {
		t.Errorf("the log lacks %q: %s", want, &out)
	}
}
