// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

const (
	origin       = "vasistas-demo.example/warrants"
	numWitnesses = 3
	// quorum is how many witnesses the log needs to publish, so that it goes on
	// while one is down. The price: two sets of two have one witness in common,
	// so a log needs one dishonest witness to show two people two histories.
	// Under the policy that asks for all, it needs all.
	quorum = 2

	// refresh is how often the idle log gathers cosignatures again, so that a
	// witness that was too slow for a head is not missing for long.
	refresh      = 2 * time.Second
	readyTimeout = 30 * time.Second
	closeTimeout = 15 * time.Second
)

// operator is the log or a witness, with its note keys in the order of keySuffixes.
type operator struct {
	file string // its keys' names begin so
	name string // in its keys
	keys []*tlog.Signer
}

var keySuffixes = []string{"-ed25519", "-mldsa44"}

// operators are the log and then the witnesses, without their keys.
func operators() []operator {
	list := []operator{{file: "log", name: origin}}
	for i := range numWitnesses {
		file := fmt.Sprintf("witness%d", i+1)
		list = append(list, operator{file: file, name: file + ".vasistas-demo.example"})
	}
	return list
}

// makeKeys makes an operator's keys.
func (o *operator) makeKeys() error {
	ed := tlog.CosignatureEd25519
	if o.name == origin {
		ed = tlog.Ed25519
	}
	for _, algorithm := range []tlog.Algorithm{ed, tlog.CosignatureMLDSA44} {
		s, err := tlog.GenerateSigner(o.name, algorithm)
		if err != nil {
			return err
		}
		o.keys = append(o.keys, s)
	}
	return nil
}

// keyFile is the file of an operator's i-th key.
func (w *world) keyFile(o *operator, i int) string {
	return w.path("keys", o.file+keySuffixes[i]+".key")
}

// world is the directory D and the servers that run in it.
type world struct {
	dir    string
	logger *slog.Logger
	file   *os.File // of the logger
	quiet  bool     // the tree's library logs there too

	log       operator
	witnesses []operator
	signers   *signers

	vault *vault.Vault // of the running log; only the seeded fault touches it

	url    string       // of the log, without a trailing slash
	urls   []string     // of the witnesses
	policy *tlog.Policy // quorum of the witnesses; what the log runs with
	all    *tlog.Policy // every witness

	closers []func(context.Context) error // in the order of starting
}

func (w *world) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

// errNotOurs is a directory that is neither new nor a demo's.
var errNotOurs = errors.New("it holds something else than a demo, or a demo whose making was cut off; give another -dir, or remove it")

// openWorld takes up the demo in dir, or makes one if dir is empty or missing.
// rows are all rows of the data: the log must know who may sign. made says which
// it was.
func openWorld(ctx context.Context, dir string, rows []row) (w *world, made bool, err error) {
	w = &world{dir: dir}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	_, err = os.Stat(w.path("log", "state", "log.json"))
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	case len(entries) > 0:
		return nil, false, fmt.Errorf("%s: %w", dir, errNotOurs)
	default:
		if err := w.make(ctx, rows); err != nil {
			if w.file != nil {
				err = errors.Join(err, w.file.Close())
			}
			return nil, false, fmt.Errorf("making the demo in %s: %w", dir, err)
		}
		return w, true, nil
	}
	if err := w.load(ctx); err != nil {
		return nil, false, fmt.Errorf("opening the demo in %s: %w", dir, err)
	}
	return w, false, nil
}

// make makes all keys, the witnesses' states, and the log, which comes last and
// says that the rest is there.
func (w *world) make(ctx context.Context, rows []row) error {
	if err := durable.MkdirAll(w.path("keys"), 0o700); err != nil {
		return err
	}
	for _, o := range operators() {
		if err := o.makeKeys(); err != nil {
			return err
		}
		for i, k := range o.keys {
			if err := durable.CreateFile(w.keyFile(&o, i), []byte(k.Secret()+"\n"), 0o600); err != nil {
				return err
			}
		}
	}
	if err := makeSigners(w.path("keys"), rows); err != nil {
		return err
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	for _, o := range w.witnesses {
		if err := witness.Create(w.path(o.file), witness.Config{Signers: o.keys}); err != nil {
			return err
		}
	}
	w.quieten()
	if err := tesserax.Create(ctx, w.path("log", "tree")); err != nil {
		return err
	}
	if err := vault.Create(w.vaultConfig()); err != nil {
		return err
	}
	charter, err := w.charter()
	if err != nil {
		return fmt.Errorf("the charter: %w", err)
	}
	engine, err := tesserax.Open(ctx, w.path("log", "tree"), log.DefaultMaxBatch)
	if err != nil {
		return err
	}
	return errors.Join(
		log.Init(ctx, log.InitConfig{StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Charter: charter.Bytes()}),
		engine.Close(ctx))
}

// quieten sends what the tree's library says to the servers' own log: it has one
// logger for the process, which would else write to the standard error. It is set
// before the first tree is made or opened.
func (w *world) quieten() {
	if !w.quiet {
		klog.SetSlogLogger(w.logger.With("part", "tessera"))
		w.quiet = true
	}
}

func (w *world) vaultConfig() vault.Config {
	return vault.Config{Dir: w.path("log", "vault"), Identity: w.path("keys", "vault.key")}
}

// load reads the keys and opens the servers' own log.
func (w *world) load(ctx context.Context) error {
	list := operators()
	for i := range list {
		o := &list[i]
		for j := range keySuffixes {
			b, err := os.ReadFile(w.keyFile(o, j))
			if err != nil {
				return err
			}
			key, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
			if err != nil {
				return fmt.Errorf("%s: %w", w.keyFile(o, j), err)
			}
			o.keys = append(o.keys, key)
		}
	}
	w.log, w.witnesses = list[0], list[1:]
	var err error
	if w.signers, err = loadSigners(ctx, w.path("keys")); err != nil {
		return err
	}
	w.file, err = os.OpenFile(w.path("servers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w.logger = slog.New(slog.NewTextHandler(w.file, nil))
	return nil
}

// start starts the log at address and the witnesses at free ports, and waits
// until the log admits events. Whatever it started, close ends.
func (w *world) start(ctx context.Context, address string, fallback bool) (err error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && fallback {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listening for the log: %w", err)
	}
	w.url = "http://" + listener.Addr().String()
	listeners := []net.Listener{listener}
	defer func() {
		for _, l := range listeners {
			if err != nil {
				l.Close() // one that serves was closed by its server
			}
		}
	}()
	for range w.witnesses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening for a witness: %w", err)
		}
		listeners = append(listeners, l)
		w.urls = append(w.urls, "http://"+l.Addr().String())
	}
	if err := w.makePolicies(); err != nil {
		return err
	}
	// The log is first, so that a witness can ask it whether its own state is
	// the latest. It admits nothing until enough witnesses have answered.
	if err := w.startLog(ctx, listener); err != nil {
		return err
	}
	for i, l := range listeners[1:] {
		if err := w.startWitness(ctx, i, l); err != nil {
			return err
		}
	}
	return w.ready(ctx)
}

// makePolicies writes down whom to believe: for the log and everyone, a quorum
// of the witnesses; and beside it, for who wants more, all of them. The keys of
// one witness are one group, so that they count once.
func (w *world) makePolicies() error {
	for _, p := range []struct {
		policy **tlog.Policy
		quorum string
	}{{&w.policy, fmt.Sprint(quorum)}, {&w.all, "all"}} {
		var b strings.Builder
		for _, k := range w.log.keys {
			fmt.Fprintf(&b, "log %s %s\n", k.Verifier(), w.url)
		}
		var err error
		if *p.policy, err = tlog.ParsePolicy([]byte(b.String() + w.witnessPolicy(p.quorum, w.urls))); err != nil {
			return err
		}
	}
	return nil
}

// witnessPolicy is the text of a policy of the witnesses; urls may be nil.
func (w *world) witnessPolicy(quorum string, urls []string) string {
	var b strings.Builder
	var groups []string
	for i, o := range w.witnesses {
		for j, k := range o.keys {
			fmt.Fprintf(&b, "witness %s %s", o.file+keySuffixes[j], k.Verifier())
			if urls != nil {
				b.WriteString(" " + urls[i])
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "group %s any %s-ed25519 %s-mldsa44\n", o.file, o.file, o.file)
		groups = append(groups, o.file)
	}
	fmt.Fprintf(&b, "group witnesses %s %s\nquorum witnesses\n", quorum, strings.Join(groups, " "))
	return b.String()
}

// startLog opens the log with its vault, which close closes too.
func (w *world) startLog(ctx context.Context, l net.Listener) error {
	kept, err := vault.Open(w.vaultConfig())
	if err != nil {
		return err
	}
	w.quieten()
	engine, err := tesserax.Open(ctx, w.path("log", "tree"), log.DefaultMaxBatch)
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	reg := prometheus.NewRegistry()
	running, err := log.Open(ctx, log.Config{
		StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Policy: w.policy,
		Vault: kept, Provider: w.signers.provider,
		Refresh: refresh, Logger: w.logger.With("part", "log"), Registry: reg,
	})
	if err != nil {
		return errors.Join(err, engine.Close(ctx), kept.Close())
	}
	w.vault = kept
	stop := w.serve(l, daemon.WithMetrics(running.Handler(), reg))
	w.closers = append(w.closers, func(ctx context.Context) error {
		return errors.Join(stop(ctx), running.Close(ctx), kept.Close())
	})
	return nil
}

// serve answers requests, until what it returns is called. The limits are those of a
// gate, which suit a log too: its streams extend their deadlines line by line.
func (w *world) serve(l net.Listener, h http.Handler) (stop func(context.Context) error) {
	server := gate.Server(h, readyTimeout)
	server.ErrorLog = slog.NewLogLogger(w.logger.Handler(), slog.LevelWarn)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}
}

func (w *world) startWitness(ctx context.Context, i int, l net.Listener) error {
	o := w.witnesses[i]
	cfg := witness.Config{Dir: w.path(o.file), Signers: o.keys, Logger: w.logger.With("part", o.file)}
	for _, k := range w.log.keys {
		cfg.Logs = append(cfg.Logs, tlog.PolicyLog{Key: k.Verifier(), URL: w.url})
	}
	wit, err := witness.Open(ctx, cfg)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- wit.Serve(serving, l) }()
	w.closers = append(w.closers, func(context.Context) error {
		stop()
		return errors.Join(<-served, wit.Close())
	})
	return nil
}

// ready waits until the log admits events and has published.
func (w *world) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return poll(ctx, "the log to get ready", func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/readyz", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
}

// close ends the log, which publishes what it has admitted, then the witnesses.
func (w *world) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var err error
	for _, c := range w.closers {
		err = errors.Join(err, c(ctx))
	}
	return errors.Join(err, w.file.Close())
}
