// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
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
	maxConns     = 256 // of one server
)

// The group of custodians whose gates run here.
const (
	gateGroup     = "gates"
	numGates      = 3
	gateThreshold = 2
)

func gateName(i int) string { return fmt.Sprintf("custodian%d", i+1) }

// operator is the log or a witness, with its Ed25519 and its ML-DSA-44 key.
type operator struct {
	file string // its keys' names begin so
	name string // in its keys
	keys []*tlog.Signer
}

var keySuffixes = []string{"-ed25519", "-mldsa44"}

// operators are the log and then the witnesses; key makes or finds the key of a file.
func operators(key func(file, name string, a tlog.Algorithm) *tlog.Signer) (list []operator) {
	for i := range numWitnesses + 1 {
		o, algorithms := operator{file: "log", name: origin}, []tlog.Algorithm{tlog.Ed25519, tlog.CosignatureMLDSA44}
		if i > 0 {
			o.file = fmt.Sprintf("witness%d", i)
			o.name, algorithms[0] = o.file+".vasistas-demo.example", tlog.CosignatureEd25519
		}
		for j, a := range algorithms {
			o.keys = append(o.keys, key(o.file+keySuffixes[j]+".key", o.name, a))
		}
		list = append(list, o)
	}
	return list
}

// world is the directory D and the servers that run in it.
type world struct {
	dir     string
	logger  *slog.Logger
	file    *os.File // of the logger
	quieten func()   // sends what the tree's library says there; before the first tree is made or opened

	log       operator
	witnesses []operator
	signers   *signers

	vault *vault.Vault // of the running log; only the seeded fault touches it

	url    string       // of the log, without a trailing slash
	urls   []string     // of the witnesses
	policy *tlog.Policy // quorum of the witnesses; what the log runs with
	all    *tlog.Policy // every witness

	closers []func(context.Context) error // in their order
}

func (w *world) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

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
	made = errors.Is(err, fs.ErrNotExist)
	doing := "opening"
	switch {
	case made && len(entries) > 0:
		return nil, false, fmt.Errorf("%s: it holds something else than a demo, or a demo whose making was cut off; "+
			"give another -dir, or remove it", dir)
	case made:
		doing, err = "making", caught(func() { w.make(ctx, rows) })
	case err == nil:
		err = caught(func() { w.load(ctx) })
	}
	if err != nil {
		w.file.Close() // also if it is nil
		return nil, false, fmt.Errorf("%s the demo in %s: %w", doing, dir, err)
	}
	return w, made, nil
}

// make makes all keys, the witnesses' states, and the log, which comes last and
// says that the rest is there.
func (w *world) make(ctx context.Context, rows []row) {
	try(durable.MkdirAll(w.path("keys"), 0o700))
	operators(func(file, name string, a tlog.Algorithm) *tlog.Signer {
		k := must(tlog.GenerateSigner(name, a))
		try(durable.CreateFile(w.path("keys", file), []byte(k.Secret()+"\n"), 0o600))
		return k
	})
	makeSigners(w.path("keys"), rows)
	w.load(ctx)
	for _, o := range w.witnesses {
		try(witness.Create(w.path(o.file), witness.Config{Signers: o.keys}))
	}
	w.quieten()
	try(tesserax.Create(ctx, w.path("log", "tree")))
	try(vault.Create(w.vaultConfig()))
	charter := w.charter()
	engine := must(tesserax.Open(ctx, w.path("log", "tree"), log.DefaultMaxBatch))
	try(errors.Join(
		log.Init(ctx, log.InitConfig{StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Charter: charter.Bytes()}),
		engine.Close(ctx)))
}

func (w *world) vaultConfig() vault.Config {
	return vault.Config{Dir: w.path("log", "vault"), Identity: w.path("keys", "vault.key")}
}

// load reads the keys and opens the servers' own log.
func (w *world) load(ctx context.Context) {
	list := operators(func(file, _ string, _ tlog.Algorithm) *tlog.Signer {
		key, err := tlog.ParseSigner(strings.TrimSuffix(string(must(os.ReadFile(w.path("keys", file)))), "\n"))
		if err != nil {
			try(fmt.Errorf("%s: %w", w.path("keys", file), err))
		}
		return key
	})
	w.log, w.witnesses = list[0], list[1:]
	w.signers = loadSigners(ctx, w.path("keys"))
	w.file = must(os.OpenFile(w.path("servers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	w.logger = slog.New(slog.NewTextHandler(w.file, nil))
	// The library has one logger for the process, which would else write to the
	// standard error.
	w.quieten = sync.OnceFunc(func() { klog.SetSlogLogger(w.logger.With("part", "tessera")) })
}

// start starts the log at address and the witnesses at free ports, and waits
// until the log admits events. Whatever it started, close ends.
func (w *world) start(ctx context.Context, address string, fallback bool) error {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && fallback {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listening for the log: %w", err)
	}
	w.url = "http://" + listener.Addr().String()
	listeners := []net.Listener{listener}
	err = caught(func() {
		for range w.witnesses {
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			listeners = append(listeners, l)
			w.urls = append(w.urls, "http://"+l.Addr().String())
		}
		w.policy, w.all = w.makePolicy(fmt.Sprint(quorum)), w.makePolicy("all")
		// The log is first, so that a witness can ask it whether its own state is
		// the latest. It admits nothing until enough witnesses have answered.
		w.startLog(ctx, listener)
		for i, l := range listeners[1:] {
			w.startWitness(ctx, i, l)
		}
		w.ready(ctx)
	})
	if err != nil {
		for _, l := range listeners {
			l.Close() // one that serves was closed by its server
		}
	}
	return err
}

// makePolicy says whom to believe: the log, with this quorum of the witnesses.
func (w *world) makePolicy(quorum string) *tlog.Policy {
	var b strings.Builder
	for _, k := range w.log.keys {
		fmt.Fprintf(&b, "log %s %s\n", k.Verifier(), w.url)
	}
	return must(tlog.ParsePolicy([]byte(b.String() + w.witnessPolicy(quorum, w.urls))))
}

// witnessPolicy is the text of a policy of the witnesses; urls may be nil. The keys of
// one witness are one group, so that they count once.
func (w *world) witnessPolicy(quorum string, urls []string) string {
	var b strings.Builder
	groups := ""
	for i, o := range w.witnesses {
		for j, k := range o.keys {
			url := ""
			if urls != nil {
				url = " " + urls[i]
			}
			fmt.Fprintf(&b, "witness %s%s %s%s\n", o.file, keySuffixes[j], k.Verifier(), url)
		}
		fmt.Fprintf(&b, "group %s any %s-ed25519 %s-mldsa44\n", o.file, o.file, o.file)
		groups += " " + o.file
	}
	fmt.Fprintf(&b, "group witnesses %s%s\nquorum witnesses\n", quorum, groups)
	return b.String()
}

func (w *world) logKeys() (keys []*tlog.VerifierKey) {
	for _, k := range w.log.keys {
		keys = append(keys, k.Verifier())
	}
	return keys
}

// startLog opens the log with its vault, which close closes too.
func (w *world) startLog(ctx context.Context, l net.Listener) {
	kept := must(vault.Open(w.vaultConfig()))
	w.quieten()
	engine, err := tesserax.Open(ctx, w.path("log", "tree"), log.DefaultMaxBatch)
	if err != nil {
		try(errors.Join(err, kept.Close()))
	}
	reg := prometheus.NewRegistry()
	running, err := log.Open(ctx, log.Config{
		StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Policy: w.policy,
		Vault: kept, Provider: w.signers.provider,
		Refresh: refresh, Logger: w.logger.With("part", "log"), Registry: reg,
	})
	if err != nil {
		try(errors.Join(err, engine.Close(ctx), kept.Close()))
	}
	w.vault = kept
	w.closers = append(w.closers, serve(ctx, w.service(l, daemon.WithMetrics(running.Handler(), reg)), func(ctx context.Context) error {
		return errors.Join(running.Close(ctx), kept.Close())
	}))
}

// service answers requests. The limits are those of a gate, which suit a log too: its
// streams extend their deadlines line by line.
func (w *world) service(l net.Listener, h http.Handler) func(context.Context) error {
	s := daemon.Service{Server: gate.Server(h, readyTimeout), Listener: l, MaxConns: maxConns, Shutdown: closeTimeout, Logger: w.logger}
	return func(ctx context.Context) error { return s.Run(ctx, io.Discard) }
}

// serve runs a server until what it returns is called, which then closes the server.
func serve(ctx context.Context, run, end func(context.Context) error) (stop func(context.Context) error) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- run(serving) }()
	return func(ctx context.Context) error {
		cancel()
		return errors.Join(<-served, end(ctx))
	}
}

func (w *world) startWitness(ctx context.Context, i int, l net.Listener) {
	o := w.witnesses[i]
	cfg := witness.Config{Dir: w.path(o.file), Signers: o.keys, Logger: w.logger.With("part", o.file)}
	for _, k := range w.logKeys() {
		cfg.Logs = append(cfg.Logs, tlog.PolicyLog{Key: k, URL: w.url})
	}
	wit := must(witness.Open(ctx, cfg))
	w.closers = append(w.closers, serve(ctx, func(ctx context.Context) error { return wit.Serve(ctx, l) },
		func(context.Context) error { return wit.Close() }))
}

// ready waits until the log admits events and has published.
func (w *world) ready(ctx context.Context) {
	try(poll(ctx, readyTimeout, "the log to get ready", func() bool {
		resp := must(http.DefaultClient.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/readyz", nil))))
		try(resp.Body.Close())
		return resp.StatusCode == http.StatusOK
	}))
}

// poll asks until it is done or the time is over.
func poll(ctx context.Context, timeout time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// gateServer is a custodian's gate with its server.
type gateServer struct {
	name string
	key  *escrow.SecretKey
	g    *gate.Gate
	url  string
}

// gateKey loads the key of a custodian's gate, or makes it.
func (w *world) gateKey(name string) *escrow.SecretKey {
	file := w.path("keys", custodians, name+".gate")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b = must(must(escrow.GenerateKey(event.KEMMLKEMX25519)).Bytes())
		err = durable.CreateFile(file, b, 0o600)
	}
	try(err)
	return must(escrow.ParseSecretKey(b))
}

// startGates starts the gates, and waits until they are ready.
func (w *world) startGates(ctx context.Context, charter *event.Envelope) (out []*gateServer) {
	for i := range numGates {
		out = append(out, w.startGate(ctx, gateName(i), charter))
	}
	try(poll(ctx, readyTimeout, "all gates to get ready", func() bool {
		return !slices.ContainsFunc(out, func(s *gateServer) bool { return s.g.Ready() != nil })
	}))
	return out
}

// startGate starts a gate. It knows the log's keys and the first charter, and nothing
// else.
func (w *world) startGate(ctx context.Context, name string, charter *event.Envelope) *gateServer {
	key := w.gateKey(name)
	c := gate.Config{Dir: w.path("gates", name), URL: w.url, Origin: origin, Founded: charter.LeafHash(), LogKeys: w.logKeys(),
		Signer: w.signers.keys[custodians][name], Keys: []gate.KeyHolder{key},
		Poll: 250 * time.Millisecond, Timeout: 10 * time.Second, Logger: w.logger.With("part", "gate")}
	if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
		try(gate.Create(c))
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	g, err := gate.Open(c)
	if err != nil {
		try(fmt.Errorf("the gate of %s: %w", name, errors.Join(err, l.Close())))
	}
	g.Start()
	stop := serve(ctx, w.service(l, g.Handler()), func(context.Context) error { return g.Close() })
	w.closers = slices.Insert(w.closers, 0, stop)
	return &gateServer{name, key, g, "http://" + l.Addr().String()}
}

// close ends the gates, the log, which publishes what it has admitted, and then the
// witnesses.
func (w *world) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var err error
	for _, c := range w.closers {
		err = errors.Join(err, c(ctx))
	}
	return errors.Join(err, w.file.Close())
}
