// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestAudited checks that a client verifies what the log serves of its audit rounds.
func TestAudited(t *testing.T) {
	l := newFileLog(t)
	small := l.grow(3)
	l.grow(5)
	audit := l.ParsePolicy(1, "dog")
	vouch := func(cp *tlog.Checkpoint, at uint64) *tlog.Checkpoint {
		sig, err := l.Witness("dog").Sign(&cp.Head, at)
		if err != nil {
			t.Fatal(err)
		}
		return &tlog.Checkpoint{Head: cp.Head, Signatures: append(append([]tlog.Signature{}, cp.Signatures...), sig)}
	}
	lie := l.branch(func(uint64) []byte { return []byte("other") })
	earlier := lie.grow(2)
	other := lie.grow(5)
	unwitnessed := vouch(&tlog.Checkpoint{Head: small.Head, Signatures: small.Signatures[:1]}, 7)
	named := round.New(small, time.Unix(1_700_000_009, 0), nil)
	var serve []byte
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked = r.URL.Path; {
		case r.URL.Path == "/checkpoint":
			http.ServeFile(w, r, l.Dir+"/checkpoint")
		case serve == nil:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Write(serve)
		}
	}))
	defer s.Close()
	cl := newClient(t, client.Config{URL: s.URL, Source: client.Dir(l.Dir), Policy: l.policy(), Retries: -1})
	if _, err := cl.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	serve = vouch(small, 1_700_000_020).Bytes()
	head, vouched, err := cl.Audited(t.Context(), audit)
	if err != nil || head.Checkpoint.Size != 3 || vouched.LoggedAfter != 1_700_000_020 || asked != "/audit/checkpoint" {
		t.Fatalf("the audited checkpoint: %v, asked %s", err, asked)
	}
	if _, none, err := cl.Audited(t.Context(), nil); err != nil || none != nil {
		t.Errorf("without an audit policy: %v", err)
	}
	var fork *client.ForkError
	for name, c := range map[string]struct {
		body  []byte
		wrong func(error) bool
	}{
		"no auditor":       {small.Bytes(), func(err error) bool { return errors.Is(err, tlog.ErrNoQuorum) }},
		"unwitnessed":      {unwitnessed.Bytes(), func(err error) bool { return errors.Is(err, tlog.ErrNoQuorum) }},
		"fork of the head": {vouch(other, 7).Bytes(), func(err error) bool { return errors.As(err, &fork) }},
		"earlier fork": {vouch(earlier, 7).Bytes(), func(err error) bool {
			return errors.As(err, &fork) && fork.Small.Size == 2 && fork.Large.Size == 5 && verify.Fork(l.policy(), fork, "") == nil
		}},
		"none":      {nil, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"endless":   {[]byte(strings.Repeat("x", tlog.MaxCheckpointSize+1)), func(err error) bool { return strings.Contains(err.Error(), "more than") }},
		"malformed": {[]byte("x"), func(err error) bool { return errors.Is(err, tlog.ErrMalformed) }},
	} {
		serve = c.body
		if _, _, err := cl.Audited(t.Context(), audit); err == nil || !c.wrong(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	serve = named.Bytes()
	n, err := cl.Round(t.Context())
	if err != nil || n.Size != 3 || !n.Named.Equal(named.Named) || asked != "/audit/round" {
		t.Fatalf("the round: %v, asked %s", err, asked)
	}
	serve = round.New(&tlog.Checkpoint{Head: small.Head, Signatures: small.Signatures[:1]}, named.Named, nil).Bytes()
	if _, err := cl.Round(t.Context()); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Errorf("a round of an unwitnessed head: %v", err)
	}
	serve = append(named.Bytes(), ' ')
	if _, err := cl.Round(t.Context()); !errors.Is(err, round.ErrMalformed) {
		t.Errorf("a malformed round: %v", err)
	}
	dir := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()})
	if _, err := dir.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "URL") {
		t.Errorf("a directory has a round: %v", err)
	}
}
