// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log"
)

// maxMetrics bounds the metrics of a log in bytes.
const maxMetrics = 4 << 20

// runStatus shows a running log by its health and its metrics, which its operator can reach.
func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	url := fs.String("log", "", "`URL` of a running log: that of -admin-listen, if it has one (required)")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := command.Parse(fs, args, stderr); err != nil {
		return err
	}
	if *url == "" {
		return command.WrongUse("give the -log that runs")
	}
	*url = strings.TrimSuffix(*url, "/")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	metrics, err := admin.Fetch(ctx, *url+"/metrics", maxMetrics)
	if _, none := errors.AsType[*problem.Problem](err); none {
		return fmt.Errorf("%s has no metrics (%w); if the log has an -admin-listen, give that address", *url, err)
	} else if err != nil {
		return err
	}
	status := log.ReadStatus(metrics)
	_, err = admin.Fetch(ctx, *url+"/readyz", maxMetrics)
	if p, unready := errors.AsType[*problem.Problem](err); unready {
		status.Unready = p.Detail
	} else if err != nil {
		return err
	}
	if *asJSON {
		err = command.PrintJSON(stdout, status)
	} else {
		printStatus(stdout, status)
	}
	if err == nil && status.Unready != "" {
		err = errors.New("the log is not ready")
	}
	return err
}

// printStatus prints a status as lines.
func printStatus(out io.Writer, s *log.Status) {
	line := command.Lines(out)
	head := func(what string, h *log.StatusHead) {
		if h != nil {
			line("%-10s size %d, at %s", what, h.Size, h.At.Format(time.RFC3339))
		}
	}
	if s.Unready == "" {
		line("ready      yes")
	} else {
		line("ready      no: %s", s.Unready)
	}
	head("published", s.Published)
	if s.Waiting != nil {
		line("waiting    %d entries", *s.Waiting)
	}
	head("named", s.Named)
	head("audited", s.Audited)
	for _, o := range s.Owed {
		line("owed       %d of rule %s, %d of them overdue; %d were late since the start", o.Owed, o.Rule, o.Overdue, o.Late)
	}
	if s.Lost > 0 {
		line("VAULT      has lost %d events that the log must disclose: restore the vault", s.Lost)
	}
}
