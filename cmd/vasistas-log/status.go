// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxMetrics bounds the metrics of a log in bytes.
const maxMetrics = 4 << 20

// runStatus shows a running log by its health and its metrics, which its operator can reach.
func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	url := fs.String("log", "", "`URL` of a running log: that of -admin-listen, if it has one (required)")
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
	line := func(format string, args ...any) { io.WriteString(stdout, command.Message(format, args...)) }
	_, err = admin.Fetch(ctx, *url+"/readyz", maxMetrics)
	if p, unready := errors.AsType[*problem.Problem](err); unready {
		line("ready      no: %s", p.Detail)
		err = errors.New("the log is not ready")
	} else if err != nil {
		return err
	} else {
		line("ready      yes")
	}
	printFigures(line, metrics)
	return err
}

// printFigures prints the metrics that say what the log has done and owes. A standby has none of
// them.
func printFigures(line func(string, ...any), text []byte) {
	figure := func(name string) (n int64, ok bool) {
		for l := range bytes.Lines(text) {
			if v, found := bytes.CutPrefix(l, []byte("vasistas_log_"+name+" ")); found {
				f, err := strconv.ParseFloat(string(bytes.TrimSpace(v)), 64)
				return int64(f), err == nil
			}
		}
		return 0, false
	}
	head := func(what, name string) {
		if at, ok := figure(name + "_timestamp_seconds"); ok && at > 0 {
			size, _ := figure(name + "_size")
			line("%-10s size %d, at %s", what, size, time.Unix(at, 0).UTC().Format(time.RFC3339))
		}
	}
	head("published", "published")
	if tree, ok := figure("tree_size"); ok {
		published, _ := figure("published_size")
		line("waiting    %d entries", tree-published)
	}
	head("named", "named")
	head("audited", "audited")
	for _, rule := range ledger.Owing() {
		label := fmt.Sprintf("{rule=%q}", rule)
		if owed, ok := figure("owed" + label); ok {
			overdue, _ := figure("overdue" + label)
			late, _ := figure("late_total" + label)
			line("owed       %d of rule %s, %d of them overdue; %d were late since the start", owed, rule, overdue, late)
		}
	}
	if lost, _ := figure("vault_lost"); lost > 0 {
		line("VAULT      has lost %d events that the log must disclose: restore the vault", lost)
	}
}
