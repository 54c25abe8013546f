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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"

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

	// refresh is how often the idle log gathers cosignatures anew, so that a
	// witness that was too slow for a head is not missing for long.
	refresh      = 2 * time.Second
	readyTimeout = 30 * time.Second
	closeTimeout = 15 * time.Second
)

// operator is the note keys of a log or witness, the Ed25519 key first.
type operator struct {
	name string // of its files
	keys []*tlog.Signer
}

// keyFiles are an operator's key files and the algorithms in them.
func keyFiles(isLog bool) []struct {
	suffix    string
	algorithm tlog.Algorithm
} {
	ed := tlog.CosignatureEd25519
	if isLog {
		ed = tlog.Ed25519
	}
	return []struct {
		suffix    string
		algorithm tlog.Algorithm
	}{{"-ed25519.key", ed}, {"-mldsa44.key", tlog.CosignatureMLDSA44}}
}

func witnessName(i int) string { return fmt.Sprintf("witness%d", i+1) }

// eachOperator calls f for the log and each witness, with its note key's name.
func eachOperator(f func(file, name string, isLog bool) error) error {
	if err := f("log", origin, true); err != nil {
		return err
	}
	for i := range numWitnesses {
		if err := f(witnessName(i), witnessName(i)+".vasistas-demo.example", false); err != nil {
			return err
		}
	}
	return nil
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
	err := eachOperator(func(file, name string, isLog bool) error {
		for _, k := range keyFiles(isLog) {
			if err := makeNoteKey(w.path("keys", file+k.suffix), name, k.algorithm); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := makeSigners(w.path("keys"), rows); err != nil {
		return err
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	for _, o := range w.witnesses {
		if err := witness.Create(w.path(o.name), witness.Config{Signers: o.keys}); err != nil {
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
	return w.found(ctx)
}

// found makes the charter and, of it, the log.
func (w *world) found(ctx context.Context) (err error) {
	charter, err := w.charter()
	if err != nil {
		return fmt.Errorf("the charter: %w", err)
	}
	engine, err := w.openTree(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	return log.Init(ctx, log.InitConfig{StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Charter: charter.Bytes()})
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

// openTree opens the log's tree.
func (w *world) openTree(ctx context.Context) (log.Engine, error) {
	w.quieten()
	return tesserax.Open(ctx, w.path("log", "tree"), log.DefaultMaxBatch)
}

func (w *world) vaultConfig() vault.Config {
	return vault.Config{Dir: w.path("log", "vault"), Identity: w.path("keys", "vault.key")}
}

// load reads the keys and opens the servers' own log.
func (w *world) load(ctx context.Context) error {
	w.witnesses = nil
	err := eachOperator(func(file, name string, isLog bool) error {
		o := operator{name: file}
		for _, k := range keyFiles(isLog) {
			key, err := loadNoteKey(w.path("keys", file+k.suffix), name, k.algorithm)
			if err != nil {
				return err
			}
			o.keys = append(o.keys, key)
		}
		if isLog {
			w.log = o
		} else {
			w.witnesses = append(w.witnesses, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
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
			fmt.Fprintf(&b, "witness %s %s", o.name+[]string{"-ed25519", "-mldsa44"}[j], k.Verifier())
			if urls != nil {
				b.WriteString(" " + urls[i])
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "group %s any %s-ed25519 %s-mldsa44\n", o.name, o.name, o.name)
		groups = append(groups, o.name)
	}
	fmt.Fprintf(&b, "group witnesses %s %s\nquorum witnesses\n", quorum, strings.Join(groups, " "))
	return b.String()
}

func (w *world) startLog(ctx context.Context, l net.Listener) error {
	kept, err := vault.Open(w.vaultConfig())
	if err != nil {
		return err
	}
	if err := w.openLog(ctx, kept, l); err != nil {
		return errors.Join(err, kept.Close())
	}
	w.vault = kept
	return nil
}

// openLog opens the log with its vault, which close closes too.
func (w *world) openLog(ctx context.Context, kept *vault.Vault, l net.Listener) error {
	engine, err := w.openTree(ctx)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	running, err := log.Open(ctx, log.Config{
		StateDir: w.path("log", "state"), Engine: engine, Keys: w.log.keys, Policy: w.policy,
		Vault: kept, Provider: w.signers.provider,
		Refresh: refresh, Logger: w.logger.With("part", "log"), Registry: reg,
	})
	if err != nil {
		return errors.Join(err, engine.Close(ctx))
	}
	mux := http.NewServeMux()
	mux.Handle("/", running.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // streams extend it line by line
		WriteTimeout:      90 * time.Second, // more than a submitter may wait
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(w.logger.Handler(), slog.LevelWarn),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.logger.Error("the log's server ended", "err", err)
		}
	})
	w.closers = append(w.closers, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		wg.Wait()
		return errors.Join(err, running.Close(ctx), kept.Close())
	})
	return nil
}

func (w *world) startWitness(ctx context.Context, i int, l net.Listener) error {
	o := w.witnesses[i]
	cfg := witness.Config{Dir: w.path(o.name), Signers: o.keys, Logger: w.logger.With("part", o.name)}
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
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body, err := get(ctx, w.url+"/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the log does not get ready: %s: %w", body, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
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

// maxAnswer is more than any answer that the demo reads by itself.
const maxAnswer = tlog.MaxCheckpointSize

func get(ctx context.Context, url string) (status int, body []byte, err error) {
	return call(ctx, http.MethodGet, url, "", nil)
}

func call(ctx context.Context, method, url, mediaType string, send io.Reader) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, send)
	if err != nil {
		return 0, nil, err
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}
