// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// start joins a log by its URL alone. The log is only copied, and unpinned until its founding hash,
// the leaf hash of its first charter, was compared.
type start struct {
	layout
	url, founded string
	stdin        io.Reader
	stderr       io.Writer
}

func (s *start) define(fs *flag.FlagSet) {
	s.layout.define(fs)
	fs.StringVar(&s.founded, "founded", "", "founding `hash` of that log, from its founders: the leaf hash of its first charter. Without this flag serve and pin ask on a terminal")
}

func (s *start) complete() error {
	s.url = strings.TrimRight(s.url, "/")
	if s.founded != "" && s.url == "" {
		return command.WrongUse("-founded needs -log, the URL of the log that it is of")
	}
	return s.layout.complete()
}

// join joins the log at the URL, unless it is joined already.
func (s *start) join(ctx context.Context) error {
	known, err := s.logs()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(known, func(j *joined) bool { return j.URL == s.url }); i >= 0 {
		if s.founded == "" {
			return nil
		}
		return s.pin(known[i], s.founded)
	}
	first, now, err := s.stated(ctx)
	if err != nil {
		return fmt.Errorf("the log at %s: %w", s.url, err)
	}
	ch := now.Event.Body.(*event.Charter)
	j := &joined{Origin: first.Event.Log, URL: s.url, Founded: first.LeafHash(), Unpinned: true, LogKeys: ch.LogKeys, Policy: ch.PolicyFile(ch.WitnessPolicy)}
	if i := slices.IndexFunc(known, func(k *joined) bool { return k.Origin == j.Origin }); i >= 0 {
		return s.move(known[i], j.Founded)
	}
	s.describe(first, ch)
	hash, err := s.ask(ctx)
	if err != nil {
		return err
	}
	if hash != "" {
		if err := j.compare(hash); err != nil {
			return err
		}
	}
	if err := s.create(j); err != nil {
		return err
	}
	if j.Unpinned {
		fmt.Fprintf(s.stderr, "Joined the log %s, unpinned. Once you have the founding hash from the founders, run: vasistas-monitor pin -dir %s -log %s -founded HASH\n", j.Origin, s.dir, j.URL)
	} else {
		fmt.Fprintf(s.stderr, "Joined the log %s, pinned to its founding hash.\n", j.Origin)
	}
	return nil
}

// stated fetches the log's first charter and the one that the log says is in force. The first is in a
// head that the witnesses of the latter have cosigned.
func (s *start) stated(ctx context.Context) (first, now *event.Envelope, err error) {
	c := client.Config{URL: s.url, UserAgent: "vasistas-monitor", Timeout: s.timeout}
	cl, err := client.New(c)
	if err == nil {
		now, err = cl.CharterEvent(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	ch := now.Event.Body.(*event.Charter)
	policy, err := tlog.ParsePolicy([]byte(ch.PolicyFile(ch.WitnessPolicy)))
	if err != nil {
		return nil, nil, fmt.Errorf("the policy of its charter: %w", err)
	}
	c.Origin, c.Policy = now.Event.Log, policy.WithSpread(tlog.NoSpread)
	if cl, err = client.New(c); err != nil {
		return nil, nil, err
	}
	proof, err := cl.Prove(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	first, err = event.ParseEnvelope(proof.Extra)
	if err != nil {
		return nil, nil, fmt.Errorf("entry 0: %w", err)
	}
	if body, ok := first.Event.Body.(*event.Charter); !ok || body.Version != 1 || first.Event.Log != c.Origin {
		return nil, nil, fmt.Errorf("entry 0 is not the first charter of %s", c.Origin)
	}
	return first, now, nil
}

func (s *start) describe(first *event.Envelope, now *event.Charter) {
	say := func(format string, args ...any) { fmt.Fprintf(s.stderr, format+"\n", args...) }
	ch := first.Event.Body.(*event.Charter)
	say("The log at %s states this first charter:\n  log        %s\n  profile    %s\n  leaf hash  %s", s.url, first.Event.Log, ch.Profile.ID, first.LeafHash())
	for _, p := range ch.Parties {
		if p.Role == event.RoleCharter {
			say("  founder    %s, with the key %s", p.Name, p.Keys[0].KeyID())
		}
	}
	if now.Version > 1 {
		say("The log says that version %d is in force; the monitor learns from the entries whether the founders made it.", now.Version)
	}
	for _, text := range []struct{ of, policy string }{{"witness", now.WitnessPolicy}, {"audit", now.AuditPolicy}} {
		p, err := tlog.ParsePolicy([]byte(text.policy))
		if err != nil || text.of == "audit" && !p.NeedsWitnesses() {
			continue
		}
		say("What the %s policy bears:\n  - %s", text.of, strings.Join(english.Strength(p), "\n  - "))
		if weak := english.Weak(p); weak != "" {
			say("  WARNING: %s", weak)
		}
	}
}

// ask returns the founding hash of the flag, or one that was typed on a terminal; "" if there is neither.
func (s *start) ask(ctx context.Context) (string, error) {
	f, ok := s.stdin.(*os.File)
	if s.founded != "" || !ok || !term.IsTerminal(int(f.Fd())) {
		return s.founded, nil
	}
	fmt.Fprint(s.stderr, "The founding hash, from the founders and not from above (press Enter to go on without it): ")
	typed := make(chan string, 1)
	go func() { // a signal ends join, and not this read
		line, _ := bufio.NewReader(f).ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case hash := <-typed:
		return hash, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// compare compares a founding hash with the one that the log showed first.
func (j *joined) compare(hash string) error {
	var want tlog.Hash
	if err := want.UnmarshalText([]byte(hash)); err != nil {
		return fmt.Errorf("%q is no founding hash: give the leaf hash of the first charter, as \"vasistas charter show\" prints it", hash)
	}
	if want != j.Founded {
		return fmt.Errorf("the log at %s has the first charter %s, and the founding hash that you gave is %s: this is not the log of those founders, or the hash is mistyped; nothing was changed", j.URL, j.Founded, want)
	}
	j.Unpinned = false
	return nil
}

// pin notes that a founding hash was compared.
func (s *start) pin(j *joined, hash string) error {
	if err := j.compare(hash); err != nil {
		return err
	}
	if err := durable.WriteFile(s.logFile(j.Origin), j.bytes(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "The log %s is pinned to its founding hash.\n", j.Origin)
	return nil
}

// move notes a new URL of a joined log, which has to show the same first charter there.
func (s *start) move(j *joined, founded tlog.Hash) error {
	if founded != j.Founded {
		return fmt.Errorf("the log at %s calls itself %s, which has another first charter: %s here, and %s at %s, where this monitor joined it; nothing was changed", s.url, j.Origin, founded, j.Founded, j.URL)
	}
	j.URL = s.url
	fmt.Fprintf(s.stderr, "The log %s is read at %s from now on.\n", j.Origin, s.url)
	if s.founded != "" {
		return s.pin(j, s.founded)
	}
	return durable.WriteFile(s.logFile(j.Origin), j.bytes(), 0o644)
}

// runPin pins a log that was joined by its URL alone.
func runPin(ctx context.Context, c *command.Call) error {
	s := start{stdin: c.Stdin, stderr: c.Stderr}
	s.define(c.Flags)
	c.Flags.StringVar(&s.url, "log", "", "`URL` of the log (required)")
	if err := c.Parse(s.complete); err != nil {
		return err
	}
	if s.url == "" {
		return command.WrongUse("give -log, the URL by which the log was joined")
	}
	if _, err := os.Stat(s.path("logs")); err != nil {
		return fmt.Errorf("this monitor has joined no log: %w", err)
	}
	return s.locked(func() error { return s.confirm(ctx) })
}

// confirm pins the log at the URL to the hash that it asks for.
func (s *start) confirm(ctx context.Context) error {
	known, err := s.logs()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(known, func(j *joined) bool { return j.URL == s.url })
	if i < 0 {
		return fmt.Errorf("this monitor has joined no log at %s", s.url)
	}
	hash, err := s.ask(ctx)
	if err == nil && hash == "" {
		err = command.WrongUse("give -founded, the founding hash that the founders told you")
	}
	if err != nil {
		return err
	}
	return s.pin(known[i], hash)
}
