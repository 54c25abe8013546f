// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB, name string, a tlog.Algorithm) *tlog.Signer {
	t.Helper()
	k, err := tlog.GenerateSigner(name, a)
	check(t, err)
	return k
}

// policy returns a policy that k of the witnesses meet, of which the first n have URLs.
func policy(t testing.TB, log *tlog.Signer, witnesses []*tlog.Signer, k, n int) *tlog.Policy {
	t.Helper()
	text := fmt.Sprintf("log %s\n", log.Verifier())
	var names []string
	for i, w := range witnesses {
		names = append(names, fmt.Sprintf("w%d", i))
		text += fmt.Sprintf("witness w%d %s", i, w.Verifier())
		if i < n {
			text += fmt.Sprintf(" https://w%d.example/", i)
		}
		text += "\n"
	}
	p, err := tlog.ParsePolicy([]byte(text + fmt.Sprintf("group all %d %s\nquorum all\n", k, strings.Join(names, " "))))
	check(t, err)
	return p
}

// TestDemand checks which demands can be met, and that a checkpoint must meet every
// policy of one.
func TestDemand(t *testing.T) {
	log := newKey(t, "log.example", tlog.Ed25519)
	var keys []*tlog.Signer
	for i := range 20 {
		keys = append(keys, newKey(t, fmt.Sprintf("w%d.example", i), tlog.CosignatureEd25519))
	}
	for _, c := range []struct {
		k, n, of int
		says     string
	}{
		{2, 3, 3, ""},
		{2, 2, 3, ""},
		{3, 2, 3, "too many of its witnesses have no URL"},
		{1, 2, 3, "without a URL"},
		{15, 20, 20, ""},
		{16, 20, 20, "room for 15"},
	} {
		err := NewDemand([]*tlog.Policy{policy(t, log, keys[:c.of], c.k, c.n)}, nil).Reachable(1)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d of %d, %d with URLs: %v; want %q", c.k, c.of, c.n, err, c.says)
		}
	}
	charter, own := policy(t, log, keys[:3], 2, 0), policy(t, log, keys[2:5], 2, 3)
	d := NewDemand([]*tlog.Policy{charter}, own)
	if err := d.Reachable(1); err == nil {
		t.Error("witnesses of the charter without URLs can be asked")
	}
	head := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	sign := func(k *tlog.Signer) tlog.Signature {
		sig, err := k.Sign(&head.Head, 1000)
		check(t, err)
		return sig
	}
	head.Signatures = append(head.Signatures, sign(log))
	have := make(Lines)
	for _, c := range []struct {
		key  int
		meet bool
	}{{0, false}, {2, false}, {3, true}, {1, true}} {
		line := sign(keys[c.key])
		have[keys[c.key].Verifier().String()] = tlog.Cosignature{Time: 1000, Line: &line}
		set, err := d.window(have)
		if (err == nil) != c.meet {
			t.Fatalf("with the line of %d the demand is met: %v", c.key, err)
		}
		if err != nil {
			continue
		}
		cp := d.assemble(head, set, have)
		if len(cp.Signatures) != 1+len(have) {
			t.Errorf("%d lines of %d", len(cp.Signatures), len(have))
		}
		check(t, d.Verify(cp, "log.example"))
		for i := 1; len(have) == 3 && i <= 3; i++ { // all are needed
			less := &tlog.Checkpoint{Head: cp.Head}
			for j, s := range cp.Signatures {
				if j != i {
					less.Signatures = append(less.Signatures, s)
				}
			}
			if d.Verify(less, "log.example") == nil {
				t.Errorf("the demand is met without the line %d", i)
			}
		}
	}
}

// TestConflictByNewKey checks that a later head counts as this log's once an amendment
// has named the key that signed it, although the amendment changes no witness policy.
func TestConflictByNewKey(t *testing.T) {
	log, next := newKey(t, "log.example", tlog.Ed25519), newKey(t, "log.example", tlog.Ed25519)
	sign := func(k *tlog.Signer, size uint64) *tlog.Checkpoint {
		cp := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: size}}
		sig, err := k.Sign(&cp.Head, 1000)
		check(t, err)
		cp.Signatures = append(cp.Signatures, sig)
		return cp
	}
	later := sign(next, 9).Bytes()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusUnprocessableEntity)
		} else if _, err := w.Write(later); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	p, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s %s\nquorum w\n",
		log.Verifier(), newKey(t, "w.example", tlog.CosignatureEd25519).Verifier(), server.URL))
	check(t, err)
	w := New(Config{HTTP: server.Client(), Store: state.NewDir(t.TempDir()),
		Observe: func(string, error) {}, Logger: slog.New(slog.DiscardHandler)})
	contains := chain.ErrLogBehind
	w.Contains = func(context.Context, *tlog.Checkpoint) error { return contains }
	keys := []*tlog.VerifierKey{log.Verifier()}
	gather := func() error {
		w.SetDemand([]*tlog.Policy{p}, time.Minute, func(cp *tlog.Checkpoint) bool {
			return slices.ContainsFunc(keys, func(k *tlog.VerifierKey) bool { return cp.Find(k) != nil })
		})
		_, err := w.Gather(t.Context(), sign(log, 7), 0)
		return err
	}
	for _, want := range []error{tlog.ErrNoQuorum, chain.ErrLogBehind} {
		if err := gather(); !errors.Is(err, want) {
			t.Errorf("with %d keys of the log: %v; want %v", len(keys), err, want)
		}
		keys = append(keys, next.Verifier())
	}
	contains = nil
	if later, ok := errors.AsType[*LaterError](gather()); !ok || later.Head.Size != 9 {
		t.Errorf("with the same tree: %v", later)
	}
	contains = chain.ErrTreeUnreadable
	if err := gather(); !errors.Is(err, contains) {
		t.Errorf("with a tree that can't be read: %v", err)
	}
}

// TestDemandDespiteHungWitness checks that a witness that does not answer holds up no new demand.
func TestDemandDespiteHungWitness(t *testing.T) {
	asked, end := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-end
	}))
	defer server.Close()
	log, key := newKey(t, "log.example", tlog.Ed25519), newKey(t, "w.example", tlog.CosignatureEd25519)
	demand := func(quorum string) []*tlog.Policy {
		p, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s %s\nquorum %s\n", log.Verifier(), key.Verifier(), server.URL, quorum))
		check(t, err)
		return []*tlog.Policy{p}
	}
	w := New(Config{HTTP: server.Client(), Observe: func(string, error) {}, Logger: slog.New(slog.DiscardHandler)})
	ours := func(*tlog.Checkpoint) bool { return false }
	w.SetDemand(demand("w"), time.Hour, ours)
	head := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	w.Parties()[0].Cosign(t.Context(), head, func(Lines, error) {})
	<-asked
	set := make(chan struct{})
	go func() {
		w.SetDemand(demand("none"), time.Hour, ours)
		w.Parties()
		close(set)
	}()
	select {
	case <-set:
	case <-time.After(time.Minute):
		t.Error("the new demand waits for the witness")
	}
	close(end)
	<-set
	w.Wait()
}

// TestClockOfTheWitnesses checks that the time of the last published head counts, whatever
// the machine's clock says and whatever was counted before, and that it goes on by a
// monotonic clock. Without a witness the machine's clock counts.
func TestClockOfTheWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Clock{Logger: slog.New(slog.DiscardHandler)}
		if !c.Now().Equal(time.Now()) {
			t.Errorf("before the first head: %v", c.Now())
		}
		past := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
		for _, witnessed := range []time.Time{past, past.Add(time.Hour), past.Add(time.Minute), past.Add(-time.Minute)} {
			c.Set(uint64(witnessed.Unix()))
			time.Sleep(10 * time.Second)
			if got := c.Now().Sub(witnessed); got != 10*time.Second {
				t.Errorf("10 s after a head: %v", got)
			}
		}
		c.Set(0)
		if !c.Now().Equal(time.Now()) {
			t.Errorf("under a policy without witnesses: %v", c.Now())
		}
	})
}

// TestClockCountsSleep checks that what the machine slept counts, although the runtime's
// clock stood still.
func TestClockCountsSleep(t *testing.T) {
	if sinceBoot() == 0 {
		t.Log("this system has no clock that counts sleep")
		return
	}
	c := &Clock{Logger: slog.New(slog.DiscardHandler)}
	at := time.Now().Truncate(time.Second)
	c.Set(uint64(at.Unix()))
	c.awake -= 6 * time.Minute
	if got := c.Now().Sub(at); got < 6*time.Minute || got > 7*time.Minute {
		t.Errorf("after six minutes of sleep the clock has counted %v", got)
	}
}

// TestWindowBeforeLiars checks that a set of lines with the present time comes first in
// a checkpoint, and that a line far off neither counts nor hides the others.
func TestWindowBeforeLiars(t *testing.T) {
	log := newKey(t, "log.example", tlog.Ed25519)
	var keys []*tlog.Signer
	for i := range 4 {
		keys = append(keys, newKey(t, fmt.Sprintf("w%d.example", i), tlog.CosignatureEd25519))
	}
	p := policy(t, log, keys, 3, 4)
	head := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	sig, err := log.Sign(&head.Head, 0)
	check(t, err)
	head.Signatures = append(head.Signatures, sig)
	const now = 1_000_000
	for _, lie := range []uint64{now - 48*3600, now + 48*3600, 1} {
		d, have := NewDemand([]*tlog.Policy{p}, p), make(Lines)
		for i, at := range []uint64{lie, now, now + 7, now + 3} {
			line, err := keys[i].Sign(&head.Head, at)
			check(t, err)
			have[keys[i].Verifier().String()] = tlog.Cosignature{Witness: &p.Witnesses[i], Time: at, Line: &line}
			_, err = d.window(have)
			if (err == nil) != (i == 3) || i == 2 && !errors.Is(err, tlog.ErrNoWindow) {
				t.Errorf("a liar and %d honest witnesses: %v", i, err)
			}
		}
		set, err := d.window(have)
		check(t, err)
		cp := d.assemble(head, set, have)
		for _, s := range cp.Signatures[1:4] {
			if s.Name == "w0.example" {
				t.Error("the liar's line is among the first")
			}
		}
		ok, err := p.Verify(cp, "log.example")
		check(t, err)
		if ok.LoggedAfter != now || ok.ExistedBefore != now+7 {
			t.Errorf("the head's times are %d and %d", ok.LoggedAfter, ok.ExistedBefore)
		}
	}
}
