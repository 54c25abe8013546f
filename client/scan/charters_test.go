// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// run scans the head as it is published, as the command does: the charter says which spread counts.
func (w *world) run(edit func(*scan.Config)) *scan.Report {
	w.t.Helper()
	c := w.config(edit)
	var err error
	c.Client, err = client.New(client.Config{URL: w.Dir, Policy: c.Policy.WithSpread(tlog.NoSpread), Retries: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := scan.Run(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// apart publishes the tree with cosignatures that lie so many seconds apart.
func (w *world) apart(seconds int64) {
	w.t.Helper()
	head := w.Publish("w1", "w2")
	late, err := w.Witness("w3").Sign(&head.Head, uint64(w.Now+seconds))
	if err != nil {
		w.t.Fatal(err)
	}
	head.Signatures = append(head.Signatures, late)
	if err := os.WriteFile(filepath.Join(w.Dir, "checkpoint"), head.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// What a charter after the release says counts for a case: the keys that it voids, and that
// auditors whom it replaced vouch for nothing.
func TestScanCountsLaterCharters(t *testing.T) {
	w := newWorld(t)
	c := w.release([]string{me}, w.key(0, kems[0]))
	w.disclose(c)
	w.Amend(func(ch *event.Charter) {
		ch.Void = append(ch.Void, event.Void{Key: w.KeyID("court"), From: c.Warrant.Index})
		for _, name := range []string{"a1", "a2"} {
			ch.Party(event.RoleAuditor, name).Cosigners = []string{w.Witness("new-" + name).Verifier().String()}
		}
		ch.AuditPolicy = w.Policy(2, "new-a1", "new-a2")
	})
	w.Publish("w1", "w2", "w3", "a1", "a2")
	r := w.run(nil)
	wants(t, r, scan.Found, 1)
	n := r.Cases[0].Notices[0]
	if n.Version != 2 || len(n.Auditors) > 0 {
		t.Errorf("version %d, auditors %v: a replaced quorum vouches", n.Version, n.Auditors)
	}
	if !slices.ContainsFunc(n.Warnings, func(w notice.Warning) bool { return w.Code == notice.WarnVoid }) {
		t.Errorf("a voided key is not warned of: %v", n.Warnings)
	}
	w.Publish("w1", "w2", "w3", "new-a1", "new-a2")
	if r = w.run(nil); len(r.Cases[0].Notices[0].Auditors) != 2 {
		t.Error(text(t, r))
	}
}

// The spread of a case's head is that of the charter in force.
func TestScanTakesTheSpreadInForce(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{me}, w.key(0, kems[0])))
	w.Amend(func(c *event.Charter) { c.Profile.Spread, c.Profile.Skew = 600, 1000 })
	w.apart(400)
	wants(t, w.run(func(c *scan.Config) { c.Now = c.Now.Add(400 * time.Second) }), scan.Found, 1)
}

// A head that has no times yet, since its cosignatures lie too far apart, makes a scan forget
// no notice.
func TestScanForgetsNothingUnderAWideHead(t *testing.T) {
	was := scan.SetMaxHits(4)
	t.Cleanup(func() { scan.SetMaxHits(was) })
	w := newWorld(t)
	mine := w.release([]string{me}, w.key(0, kems[0]))
	w.disclose(mine)
	for i := range 8 {
		n := w.Notice(mine.Case, "c1", 0)
		n.Seq += uint64(i)
		b, err := n.Seal(w.key(0, kems[0]))
		if err != nil {
			t.Fatal(err)
		}
		w.LogEvent(w.Event(&event.Disclosure{Event: mine.Access.Reference, Notices: [][]byte{b}}), "messenger")
	}
	w.apart(4000)
	var state []byte
	r := w.run(func(c *scan.Config) { c.Save = func(b []byte) error { state = slices.Clone(b); return nil } })
	wants(t, r, scan.Undecided, 0)
	r = w.scan(func(c *scan.Config) { c.Snapshot = state })
	if r.Audit.Resumed == 0 {
		t.Error("the state was not used")
	}
	wants(t, r, scan.Found, 1)
}

// The report does not say of a release without effect that it had its place in the chain.
func TestScanShowsReleasesWithoutEffect(t *testing.T) {
	w := newWorld(t)
	c := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[0]), me))}
	n := w.Notice(c.Case, "c1", 0)
	n.Seq += 3
	b, err := n.Seal(w.key(0, kems[0]))
	if err != nil {
		t.Fatal(err)
	}
	e := w.ReleaseEvent(c.Access, "c1", b)
	body := e.Body.(*event.Release)
	body.Seq, body.Prev = n.Seq, event.Digest{1}
	early := w.LogEvent(e, "c1")
	early.Notices = [][]byte{b}
	c.releases = append(c.releases, early)
	w.disclose(c)
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if got := r.Cases[0].Breaches; len(got) != 1 || got[0].Index != early.Index || !got[0].NoEffect || r.Unlisted != 0 {
		t.Errorf("%+v\n%s", got, text(t, r))
	}
}

// The word of an auditor whose key is set aside counts for nothing.
func TestScanAsksNoAuditorThatIsSetAside(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{me}, w.key(0, kems[0])))
	auditors := func() []string {
		w.Publish("w1", "w2", "w3", "a1", "a2")
		r := w.run(nil)
		wants(t, r, scan.Found, 1)
		return r.Cases[0].Notices[0].Auditors
	}
	if got := auditors(); len(got) != 2 {
		t.Errorf("before: %v", got)
	}
	bad := w.Finding("a1", "form", event.FindingOpen, 0, 99)
	w.Finding("a1", "reference", event.FindingClosed, bad.Index, bad.Index)
	w.Finding("a2", "reference", event.FindingClosed, bad.Index, bad.Index)
	if got := auditors(); len(got) != 0 {
		t.Errorf("after: %v", got)
	}
}
