// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestNewLogKey: an auditor follows the log to a new key by the log's entries, though the log did not
// name the head that both keys sign. A key that no logged charter names counts for nothing.
func TestNewLogKey(t *testing.T) {
	fresh, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	rogue, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w := newTestbed(t, 1, nil)
	check(t, w.StopLog(t.Context()))
	first := w.LogKeys
	w.LogKeys = append(slices.Clip(w.LogKeys), fresh)
	for _, s := range w.Witnesses {
		check(t, s.Stop())
		s.Config.Logs = append(s.Config.Logs, tlog.PolicyLog{Key: fresh.Verifier(), URL: w.LogServer.URL})
	}
	check(t, w.Start(t.Context()))
	policy, err := w.World.Policy(2)
	check(t, err)
	w.client, err = client.New(client.Config{URL: w.LogServer.URL, Policy: policy})
	check(t, err)
	a := w.Auditors[0]
	a.Config.URL, a.Config.Founded = w.LogServer.URL, w.Founded
	for _, k := range first {
		a.Config.LogKeys = append(a.Config.LogKeys, k.Verifier())
	}
	w.run(a)
	w.grow(1)
	cp := w.head()
	applied := func() error {
		if n := a.Running.Status().Applied; n != cp.Size {
			return fmt.Errorf("%d of %d entries are applied", n, cp.Size)
		}
		return nil
	}
	w.name(cp)
	eventually(t, applied)

	in := w.ledger().Charter()
	next := func(key *tlog.Signer) *event.Envelope {
		c := *in.Charter
		c.Version, c.Prev = in.Version+1, &event.Reference{Index: in.Index, Leaf: in.Leaf}
		c.LogKeys = []string{key.Verifier().String()}
		return w.sign(&c, "founder")
	}
	// The log's host serves a charter that the log does not have.
	sig, err := rogue.Sign(&cp.Head, 0)
	check(t, err)
	forged := &tlog.Checkpoint{Head: cp.Head, Signatures: []tlog.Signature{sig}}
	for _, s := range cp.Signatures {
		if s.Name != origin {
			forged.Signatures = append(forged.Signatures, s)
		}
	}
	charter := next(rogue).Bytes()
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.URL.Path == "/charter" && r.Header.Get("User-Agent") == "vasistas-monitor" {
			rw.Write(charter)
			return
		}
		w.front(rw, r, h)
	})
	w.name(forged)
	eventually(t, func() error {
		if s := a.Running.Status(); !strings.Contains(s.Declines, "quorum: the policy of the witnesses") {
			return errors.New(s.Declines)
		}
		return nil
	})
	w.LogServer.Between(w.front)

	w.submit(next(fresh), nil)
	w.grow(1)
	w.LogKeys = []*tlog.Signer{fresh}
	cp = w.head()
	if cp.Find(first[0].Verifier()) != nil {
		t.Fatal("the old key signs the head")
	}
	w.name(cp)
	eventually(t, applied)
	audited, err := w.ask(a, cp).cosigned(cp)
	check(t, err)
	l := w.ledger()
	_, err = l.VerifyAudit(l.Charter(), audited)
	check(t, err)
	check(t, a.Stop())
	check(t, a.Start())
	_, err = w.ask(a, cp).cosigned(cp)
	check(t, err)

	// A thief of the old key convicts no log.
	for _, by := range []*tlog.Signer{first[0], fresh} {
		other := &tlog.Checkpoint{Head: cp.Head}
		other.Root[0] ^= 1
		line, err := by.Sign(&other.Head, 0)
		check(t, err)
		other.Signatures = []tlog.Signature{line}
		if got := w.post(a, (&tlog.AddCheckpoint{Old: cp.Size, Checkpoint: other}).Bytes()); got.status != http.StatusUnprocessableEntity || a.Running.Forked() != (by == fresh) {
			t.Errorf("the key is the old one: %v; %d %s; evidence: %v", by != fresh, got.status, got.body, a.Running.Forked())
		}
	}
}
