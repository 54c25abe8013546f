// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/daemon"
)

// open takes up a gate that does not serve.
func (l *layout) open(ctx context.Context, stderr io.Writer) (*gate.Gate, error) {
	c, err := l.config(ctx)
	if err != nil {
		return nil, err
	}
	c.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return gate.Open(c)
}

func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var l layout
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	l.defineRun(flags)
	url := flags.String("gate", "", "`URL` of a gate that runs, in place of -dir")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := daemon.Parse(flags, args, stderr); err != nil {
		return err
	}
	s := new(gate.Status)
	if *url != "" {
		var err error
		if s, err = fetchStatus(ctx, *url, l.timeout); err != nil {
			return err
		}
	} else if err := l.localStatus(ctx, stderr, s); err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	printStatus(stdout, s)
	return nil
}

// localStatus reads the state, and looks at the log once; what it can't see is no
// reason to say nothing.
func (l *layout) localStatus(ctx context.Context, stderr io.Writer, s *gate.Status) (err error) {
	if err := l.complete(); err != nil {
		return err
	}
	g, err := l.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := g.Sync(ctx); err != nil {
		fmt.Fprintf(stderr, "vasistas-gate status: following the log: %v\n", err)
	}
	got, err := g.Status(ctx)
	if err == nil {
		*s = *got
	}
	return err
}

const maxStatus = 1 << 20

func fetchStatus(ctx context.Context, url string, timeout time.Duration) (*gate.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gate answers %s", resp.Status)
	}
	s := new(gate.Status)
	return s, json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(s)
}

func printStatus(w io.Writer, s *gate.Status) {
	name := s.Custodian
	if name == "" {
		name = "nobody (the charter in force does not name the key)"
	}
	fmt.Fprintf(w, "log        %s\ncustodian  %s\ngroups     %s\nkey        %s\n", s.Origin, name, strings.Join(s.Groups, " "), s.Key)
	fmt.Fprintf(w, "head       size %d, cosigned after %s\ncharter    version %d, trusted %d\nreleases   %d, of which the log lacks %d\n",
		s.Size, s.LoggedAfter, s.Charter, s.Trusted, s.Seq, len(s.Releases))
	for _, c := range s.Pending {
		fmt.Fprintf(w, "confirm    %q: %s\n", c.Name, c.Text)
	}
	if s.Stopped != "" {
		fmt.Fprintf(w, "STOPPED    %s\n", s.Stopped)
	}
}

func runConfirm(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var l layout
	var names []string
	flags := flag.NewFlagSet("confirm", flag.ContinueOnError)
	l.defineRun(flags)
	flags.Func("name", "`name` of a change to confirm, as status prints it; all of them must be named", func(s string) error {
		names = append(names, s)
		return nil
	})
	if err := daemon.Parse(flags, args, stderr); err != nil {
		return err
	}
	if err := l.complete(); err != nil {
		return err
	}
	g, err := l.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := g.Confirm(ctx, names); err != nil {
		return err
	}
	s, err := g.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The charter of version %d is trusted.\n", s.Trusted)
	return nil
}

func runResume(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var l layout
	flags := flag.NewFlagSet("resume", flag.ContinueOnError)
	l.defineRun(flags)
	confirm := flags.Bool("confirm", false, "confirm that no other gate runs with this key, and that the journal is lost (required)")
	if err := daemon.Parse(flags, args, stderr); err != nil {
		return err
	}
	if err := l.complete(); err != nil {
		return err
	}
	if !*confirm {
		return daemon.WrongUse("it takes the chain up from the log, and the log's readers will see that; if no other gate runs with this key, and its journal is lost, say -confirm")
	}
	g, err := l.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	seq, err := g.Resume(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The chain goes on after release %d. The next heartbeat says that it was resumed.\n", seq)
	return nil
}
