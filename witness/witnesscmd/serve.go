// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witnesscmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

type state struct {
	dir   *string
	keys  *[]string
	logs  *[]string
	level slog.Level
}

func (c *call) stateFlags() *state {
	s := &state{
		dir:  c.flags.String("dir", "", "state `directory`"),
		keys: command.List(c.flags, "key", "`file` of a key of the witness; may be repeated"),
	}
	return s
}

func (c *call) logFlags(s *state) {
	s.logs = command.List(c.flags, "logs", "`file` of at most 1,024 logs, a policy with \"quorum none\"; may be repeated")
	c.flags.TextVar(&s.level, "log-level", slog.LevelInfo, "least severe messages to log: debug, info, warn or error")
}

func (c *call) config(s *state) (witness.Config, error) {
	config := witness.Config{Dir: *s.dir}
	config.Logger = slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: s.level}))
	var err error
	if config.Signers, err = readSigners(*s.keys); err != nil {
		return config, err
	}
	if s.logs != nil {
		config.Logs, err = readLogs(*s.logs)
	}
	return config, err
}

// readLogs reads files of logs. It refuses a policy with witnesses, which would have no
// meaning here.
func readLogs(files []string) ([]tlog.PolicyLog, error) {
	var logs []tlog.PolicyLog
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := tlog.ParsePolicy(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if p.NeedsWitnesses() || len(p.Witnesses) > 0 {
			return nil, fmt.Errorf("%s: a file of logs may have only lines \"log <vkey> [<url>]\" and \"quorum none\"", name)
		}
		logs = append(logs, p.Logs...)
	}
	return logs, nil
}

func initState(_ context.Context, c *call) error {
	s := c.stateFlags()
	if err := c.parse("dir", "key"); err != nil {
		return err
	}
	config, err := c.config(s)
	if err != nil {
		return err
	}
	if err := witness.Create(config.Dir, config); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "created an empty state for %s in %s\n", config.Name(), config.Dir)
	return err
}

func resumeLost(ctx context.Context, c *call) error {
	s := c.stateFlags()
	c.logFlags(s)
	name := c.flags.String("name", "", "the exact `name` of the witness, to confirm")
	skip := command.List(c.flags, "skip", "`origin` of a log whose state stays as it is; may be repeated")
	if err := c.parse("dir", "key", "logs", "name"); err != nil {
		return err
	}
	config, err := c.config(s)
	if err != nil {
		return err
	}
	done, err := witness.ResumeLost(ctx, config, *name, *skip)
	for _, r := range done {
		note := ""
		if !r.Cosigned {
			note = " (not cosigned by this witness, which may have cosigned larger heads)"
		}
		fmt.Fprintf(c.stdout, "%s: from size %d to size %d%s\n", r.Origin, r.From, r.To, note)
	}
	return err
}

func serve(ctx context.Context, c *call) error {
	s := c.stateFlags()
	c.logFlags(s)
	listen := c.flags.String("listen", "127.0.0.1:7380", "`address` to listen on; port 0 takes a free port")
	addrFile := c.flags.String("addr-file", "", "`file` for the bound address, written once the witness accepts requests")
	require := c.flags.Bool("require-log-check", false, "refuse to start if the checkpoint of a log with a URL can't be read;\notherwise only warn")
	maxBody := c.flags.Int64("max-body", 0, "largest body of a request in `bytes` (default 65536)")
	maxRequests := c.flags.Int("max-requests", 0, "`number` of requests under way at a time (default 256)")
	maxConns := c.flags.Int("max-connections", 0, "`number` of open connections (default 512)")
	if err := c.parse("dir", "key", "logs"); err != nil {
		return err
	}
	config, err := c.config(s)
	if err != nil {
		return err
	}
	config.RequireLogCheck = *require
	config.MaxBody, config.MaxRequests, config.MaxConnections = *maxBody, *maxRequests, *maxConns

	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	w, err := witness.Open(ctx, config)
	if err != nil {
		return err
	}
	reloading, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { reload(reloading, w, config.Logger, hup, *s.logs) })
	err = listenAndServe(ctx, w, config.Logger, *listen, *addrFile)
	cancel()
	wg.Wait()
	return errors.Join(err, w.Close())
}

func listenAndServe(ctx context.Context, w *witness.Witness, logger *slog.Logger, address, addrFile string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for _, k := range w.Keys() {
		logger.Info("cosigning", "key", fmt.Sprintf("%s+%08x", k.Name, k.ID), "type", k.Algorithm)
	}
	logger.Info("listening", "address", l.Addr().String())
	if addrFile != "" {
		// The listener queues connections until Serve accepts them.
		if err := durable.WriteFile(addrFile, []byte(l.Addr().String()+"\n"), 0o644); err != nil {
			l.Close()
			return err
		}
		defer os.Remove(addrFile)
	}
	err = w.Serve(ctx, l)
	logger.Info("stopped")
	return err
}

// reload reads the files of logs at each SIGHUP. An error leaves the logs unchanged.
func reload(ctx context.Context, w *witness.Witness, logger *slog.Logger, hup <-chan os.Signal, files []string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		logs, err := readLogs(files)
		if err == nil {
			err = w.SetLogs(ctx, logs)
		}
		if err != nil {
			logger.Error("reading the logs again failed; the logs stay as they were", "error", err)
			continue
		}
		logger.Info("read the logs again", "keys", len(logs))
	}
}
