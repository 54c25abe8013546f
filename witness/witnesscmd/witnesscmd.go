// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witnesscmd is the command vasistas-witness, as a function that tests call in
// process. It only reads flags and files: package witness keeps all promises.
package witnesscmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

const usage = `vasistas-witness cosigns the checkpoints of transparency logs (c2sp.org/tlog-witness).

Usage:
	vasistas-witness <command> [flags]

Commands:
	keygen       create the witness's keys
	vkey         print the public keys, for policies
	init         create an empty state, once, for keys that never signed
	serve        answer requests (the default)
	status       show what a running witness has cosigned
	resume-lost  replace a lost state by the heads that the logs publish
	version      print the version
	help         print this text, or the flags of a command

To set up a witness:
	vasistas-witness keygen -name witness.example/w1 -out keys
	vasistas-witness init -dir state -key keys/ed25519.key -key keys/mldsa44.key
	vasistas-witness serve -dir state -key keys/ed25519.key -key keys/mldsa44.key -logs logs.txt

A file of logs has the form of a trust policy (c2sp.org/tlog-policy):
	log <vkey> [<url>]
	quorum none
The URL is the one under which a log serves /checkpoint. The witness reads it at
the start, and refuses to start if it shows that the witness's state is old.
`

var commands = map[string]struct {
	summary string
	run     command.Command
}{
	"keygen":      {"Create an Ed25519 and an ML-DSA-44 cosignature key, each in a file of mode 0600,\nand print the public keys and the lines for a policy.", keygen},
	"vkey":        {"Print the verifier keys of key files.", vkey},
	"init":        {"Create an empty state, in a directory that has none.\nOnly for keys that never signed: after the loss of a state use resume-lost.", initState},
	"serve":       {"Answer requests until SIGINT or SIGTERM. SIGHUP reads the files of logs again.", serve},
	"status":      {"Show the state of a running witness. Exit status 1 if it cosigns nothing.", status},
	"resume-lost": {"Replace a lost state by the heads that the logs publish, under the same keys.\nIf the witness has cosigned more than is published, this breaks its promise, so\nconfirm it with the exact name in the witness's keys. Every log must answer or be\nskipped. Retiring the keys is the safe way.", resumeLost},
}

// Run runs the command with args, which do not include its name, and returns its exit
// status: 0, 1 for a failure, 2 for a mistake in the arguments. It returns when ctx ends.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 2 && args[0] == "help":
		args, stderr = []string{args[1], "-help"}, stdout
	case len(args) == 0, strings.HasPrefix(args[0], "-") && !slices.Contains([]string{"h", "help", "version"}, strings.TrimLeft(args[0], "-")):
		args = append([]string{"serve"}, args...)
	}
	p := command.Program{Name: "vasistas-witness", Usage: usage, Commands: make(map[string]command.Command)}
	for name, cmd := range commands {
		p.Commands[name] = func(ctx context.Context, c *command.Call) error {
			err := cmd.run(ctx, c)
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprintf(c.Stderr, "\n%s\n", cmd.summary)
			}
			return err
		}
	}
	return p.Run(ctx, args, stdin, stdout, stderr)
}

// parse parses the flags, of which those in required must be given.
func parse(c *command.Call, required ...string) error {
	return c.Parse(func() error {
		given := make(map[string]bool)
		c.Flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for _, name := range required {
			if !given[name] {
				return command.WrongUse("-%s is missing", name)
			}
		}
		return nil
	})
}

type algorithm struct {
	short string
	tlog.Algorithm
}

// algorithms are those of keygen, with the names of the key files.
var algorithms = []algorithm{{"ed25519", tlog.CosignatureEd25519}, {"mldsa44", tlog.CosignatureMLDSA44}}

func keygen(_ context.Context, c *command.Call) error {
	name := c.Flags.String("name", "", "`name` of the witness: a URL without scheme, like witness.example/w1")
	out := c.Flags.String("out", "", "`directory` for the keys; it is created if it is missing")
	url := c.Flags.String("url", "", "submission `prefix` for the policy lines, like https://witness.example/w1")
	if err := parse(c, "name", "out"); err != nil {
		return err
	}
	signers, err := command.Each(algorithms, func(a algorithm) (*tlog.Signer, error) { return tlog.GenerateSigner(*name, a.Algorithm) })
	if err != nil {
		return err
	}
	lines := policyLines(signers, *url)
	if _, err := tlog.ParsePolicy([]byte(lines + "quorum " + *name + "\n")); err != nil {
		return fmt.Errorf("a policy can't have this name or URL: %w", err)
	}
	if err := durable.MkdirAll(*out, 0o700); err != nil {
		return err
	}
	for i, a := range algorithms {
		file := filepath.Join(*out, a.short+".key")
		err := durable.CreateFile(file, []byte(signers[i].Secret()+"\n"), 0o600)
		if err != nil {
			return err
		}
	}
	return printKeys(c.Stdout, signers, *url)
}

func vkey(_ context.Context, c *command.Call) error {
	keys := c.List("key", "`file` of a key; may be repeated")
	url := c.Flags.String("url", "", "submission `prefix` for the policy lines")
	if err := parse(c, "key"); err != nil {
		return err
	}
	signers, err := command.Each(*keys, command.ReadSigner)
	if err != nil {
		return err
	}
	return printKeys(c.Stdout, signers, *url)
}

func printKeys(w io.Writer, signers []*tlog.Signer, url string) error {
	var b strings.Builder
	b.WriteString("# verifier keys\n")
	for _, s := range signers {
		fmt.Fprintf(&b, "# %s\n", s.Verifier())
	}
	b.WriteString("# lines for a policy\n")
	b.WriteString(policyLines(signers, url))
	_, err := io.WriteString(w, b.String())
	return err
}

// policyLines puts the keys of one operator into one group, which counts once.
func policyLines(signers []*tlog.Signer, url string) string {
	var b strings.Builder
	name := signers[0].Verifier().Name
	group := "group " + name + " any"
	for _, s := range signers {
		k := s.Verifier()
		short := fmt.Sprintf("%s-%08x", name, k.ID)
		for _, a := range algorithms {
			if a.Algorithm == k.Algorithm && len(signers) <= len(algorithms) {
				short = name + "-" + a.short
			}
		}
		b.WriteString(strings.TrimSuffix(fmt.Sprintf("witness %s %s %s", short, k, url), " ") + "\n")
		group += " " + short
	}
	return b.String() + group + "\n"
}

type state struct {
	dir   *string
	keys  *[]string
	logs  *[]string
	level slog.Level
}

func stateFlags(c *command.Call) *state {
	return &state{
		dir:  c.Flags.String("dir", "", "state `directory`"),
		keys: c.List("key", "`file` of a key of the witness; may be repeated"),
	}
}

func (s *state) logFlags(c *command.Call) {
	s.logs = c.List("logs", "`file` of at most 1,024 logs, a policy with \"quorum none\"; may be repeated")
	c.Flags.TextVar(&s.level, "log-level", slog.LevelInfo, "least severe messages to log: debug, info, warn or error")
}

func (s *state) config(c *command.Call) (witness.Config, error) {
	config := witness.Config{Dir: *s.dir}
	config.Logger = slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: s.level}))
	var err error
	if config.Signers, err = command.Each(*s.keys, command.ReadSigner); err != nil {
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

func initState(_ context.Context, c *command.Call) error {
	s := stateFlags(c)
	if err := parse(c, "dir", "key"); err != nil {
		return err
	}
	config, err := s.config(c)
	if err != nil {
		return err
	}
	if err := witness.Create(config.Dir, config); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "created an empty state for %s in %s\n", config.Name(), config.Dir)
	return err
}

func resumeLost(ctx context.Context, c *command.Call) error {
	s := stateFlags(c)
	s.logFlags(c)
	name := c.Flags.String("name", "", "the exact `name` of the witness, to confirm")
	skip := c.List("skip", "`origin` of a log whose state stays as it is; may be repeated")
	if err := parse(c, "dir", "key", "logs", "name"); err != nil {
		return err
	}
	config, err := s.config(c)
	if err != nil {
		return err
	}
	done, err := witness.ResumeLost(ctx, config, *name, *skip)
	for _, r := range done {
		note := ""
		if !r.Cosigned {
			note = " (not cosigned by this witness, which may have cosigned larger heads)"
		}
		fmt.Fprintf(c.Stdout, "%s: from size %d to size %d%s\n", r.Origin, r.From, r.To, note)
	}
	return err
}

func serve(ctx context.Context, c *command.Call) error {
	s := stateFlags(c)
	s.logFlags(c)
	listen := c.Flags.String("listen", "127.0.0.1:7380", "`address` to listen on; port 0 takes a free port")
	addrFile := c.Flags.String("addr-file", "", "`file` for the bound address, written once the witness accepts requests;\nits second line is that of -admin-listen")
	require := c.Flags.Bool("require-log-check", false, "refuse to start if the checkpoint of a log with a URL can't be read;\notherwise only warn")
	var operator admin.Listener
	operator.Define(c.Flags)
	maxBody := c.Flags.Int64("max-body", 0, "largest body of a request in `bytes` (default 65536)")
	maxRequests := c.Flags.Int("max-requests", 0, "`number` of requests under way at a time (default 256)")
	maxConns := c.Flags.Int("max-connections", 0, "`number` of open connections (default 512)")
	if err := parse(c, "dir", "key", "logs"); err != nil {
		return err
	}
	config, err := s.config(c)
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
	err = listenAndServe(ctx, w, config.Logger, *listen, &operator, *addrFile)
	cancel()
	wg.Wait()
	return errors.Join(err, w.Close())
}

func listenAndServe(ctx context.Context, w *witness.Witness, logger *slog.Logger, address string, operator *admin.Listener, addrFile string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer operator.Close()
	if err := operator.Listen(); err != nil {
		l.Close()
		return err
	}
	for _, k := range w.Keys() {
		logger.Info("cosigning", "key", fmt.Sprintf("%s+%08x", k.Name, k.ID), "type", k.Algorithm)
	}
	logger.Info("listening", "address", l.Addr().String())
	if addrFile != "" {
		// The listener queues connections until Serve accepts them.
		earlier := func(old []byte) bool {
			first, _, _ := strings.Cut(string(old), "\n")
			_, _, err := net.SplitHostPort(first)
			return len(old) == 0 || err == nil
		}
		addresses := strings.TrimSuffix(l.Addr().String()+"\n"+operator.Addr(), "\n") + "\n"
		if err := durable.ReplaceFile(addrFile, []byte(addresses), 0o644, earlier); err != nil {
			l.Close()
			return err
		}
		defer os.Remove(addrFile)
	}
	err = w.Serve(ctx, l, operator.Serve(w.Handler(), logger, "/status"))
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

// maxStatus bounds the answer in bytes: 1,024 logs of at most some hundred bytes each.
const maxStatus = 4 << 20

func status(ctx context.Context, c *command.Call) error {
	url := c.Flags.String("witness", "", "`URL` of a running witness: that of -admin-listen, if it has one")
	asJSON := c.Flags.Bool("json", false, "print JSON")
	if err := parse(c, "witness"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var s witness.Status
	err := admin.FetchStatus(ctx, "witness", *url, maxStatus, &s)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; if the witness has an -admin-listen, give that address", err)
	} else if err != nil {
		return err
	}
	if *asJSON {
		err = command.PrintJSON(c.Stdout, &s)
	} else {
		printStatus(c.Stdout, &s)
	}
	if err == nil && s.Unready != "" {
		err = errors.New("the witness cosigns nothing")
	}
	return err
}

func printStatus(out io.Writer, s *witness.Status) {
	line := command.Lines(out)
	line("witness    %s", s.Name)
	for _, k := range s.Keys {
		line("key        %s", k)
	}
	if s.Unready == "" {
		line("cosigns    yes")
	} else {
		line("cosigns    no: %s", s.Unready)
	}
	for i := range s.Logs {
		if l := &s.Logs[i]; l.Cosigned == nil {
			line("log        %s: nothing cosigned yet", l.Origin)
		} else {
			line("log        %s: size %d, last cosigned at %s; %d answers since the start", l.Origin, l.Size, l.Cosigned.Format(time.RFC3339), l.Answers)
		}
	}
}
