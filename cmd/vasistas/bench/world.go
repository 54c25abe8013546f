// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	origin    = "bench.example/log"
	witnesses = 3

	tesseraPackage = "github.com/transparency-dev/tessera/cmd/conformance/posix@v1.0.4"
)

// world is the processes that are measured.
type world struct {
	cfg        Config
	interval   time.Duration
	authority  event.Signer
	custodian  event.Signer
	processes  []*process
	logURL     string // with a trailing slash
	tesseraURL string
}

func startWorld(ctx context.Context, cfg Config) (_ *world, err error) {
	w := &world{cfg: cfg, interval: 200 * time.Millisecond}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := w.build(ctx); err != nil {
		return nil, err
	}
	for _, s := range []*event.Signer{&w.authority, &w.custodian} {
		if *s, err = newSigner(); err != nil {
			return nil, err
		}
	}
	if err := w.startLog(ctx); err != nil {
		return nil, err
	}
	if !cfg.NoTessera {
		if err := w.startTessera(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) path(elem ...string) string {
	return filepath.Join(append([]string{w.cfg.Dir}, elem...)...)
}

// build makes the binaries that were not given.
func (w *world) build(ctx context.Context) error {
	for _, b := range []struct {
		binary *string
		pkg    string
	}{
		{&w.cfg.LogBinary, "github.com/vasistas/vasistas/cmd/vasistas-log"},
		{&w.cfg.WitnessBinary, "github.com/vasistas/vasistas/cmd/vasistas-witness"},
	} {
		if *b.binary == "" {
			*b.binary = w.path("bin", filepath.Base(b.pkg))
			if err := w.command(ctx, "go", "build", "-o", *b.binary, b.pkg); err != nil {
				return fmt.Errorf("%w; run this in the source tree, or name the binary", err)
			}
		}
	}
	if w.cfg.TesseraBinary == "" && !w.cfg.NoTessera {
		bin := w.path("bin")
		if abs, err := filepath.Abs(bin); err == nil {
			bin = abs
		}
		fmt.Fprintln(w.cfg.Progress, "building Tessera's conformance server")
		if err := w.command(ctx, "env", "GOBIN="+bin, "go", "install", tesseraPackage); err != nil {
			return fmt.Errorf("%w; name the binary, or leave Tessera out", err)
		}
		w.cfg.TesseraBinary = filepath.Join(bin, "posix")
	}
	return nil
}

// command runs a program to its end.
func (w *world) command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (w *world) startLog(ctx context.Context) error {
	if err := w.command(ctx, w.cfg.LogBinary, "keygen", "-dir", w.path("log"), "-origin", origin); err != nil {
		return err
	}
	var vkeys []string
	logs := ""
	for _, name := range []string{"ed25519.key", "mldsa.key"} {
		key, err := readSigner(w.path("log", "keys", name))
		if err != nil {
			return err
		}
		vkeys = append(vkeys, key.Verifier().String())
		logs += "log " + key.Verifier().String() + "\n"
	}
	logsFile := w.path("logs.policy")
	if err := os.WriteFile(logsFile, []byte(logs+"quorum none\n"), 0o644); err != nil {
		return err
	}
	policy := ""
	var names []string
	for i := range witnesses {
		name := fmt.Sprintf("w%d", i+1)
		line, err := w.startWitness(ctx, name, logsFile)
		if err != nil {
			return err
		}
		policy += line
		names = append(names, name)
	}
	policy += fmt.Sprintf("group quorate all %s\nquorum quorate\n", strings.Join(names, " "))
	charter, err := w.charter(vkeys, policy)
	if err != nil {
		return err
	}
	charterFile := w.path("charter.event")
	if err := os.WriteFile(charterFile, charter, 0o644); err != nil {
		return err
	}
	if err := w.command(ctx, w.cfg.LogBinary, "init", "-dir", w.path("log"), "-charter", charterFile); err != nil {
		return err
	}
	return w.serveLog(ctx, "vasistas-log")
}

// serveLog starts the log, as a process of this name.
func (w *world) serveLog(ctx context.Context, name string) error {
	addr := w.path("log.url")
	if err := os.Remove(addr); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := w.start(name, w.cfg.LogBinary, "serve", "-dir", w.path("log"),
		"-event-key", w.path("provider.key"), "-listen", "127.0.0.1:0", "-interval", w.interval.String(), "-addr-file", addr)
	if err != nil {
		return err
	}
	if w.logURL, err = w.awaitURL(ctx, addr); err != nil {
		return err
	}
	return w.awaitStatus(ctx, w.logURL+"readyz")
}

// restartLog ends the log and starts it again, as a process of another name.
func (w *world) restartLog(ctx context.Context, name string) error {
	i := slices.IndexFunc(w.processes, func(p *process) bool { return p.name == "vasistas-log" })
	p := w.processes[i]
	w.processes = slices.Delete(w.processes, i, i+1)
	if err := p.end(); err != nil {
		return err
	}
	return w.serveLog(ctx, name)
}

// charter is that of the benchmark's log: one authority, one provider, whose key the
// log has, one custodian, and a founder whose key is not kept.
func (w *world) charter(logKeys []string, policy string) ([]byte, error) {
	p, err := profile.Load("demo")
	if err != nil {
		return nil, err
	}
	// A log remembers the ids of events for as long as their claims may be old; where
	// so many come at once, a minute has as many as elsewhere a month.
	p.Seal.Longest, p.Lag = sealFor, 60
	founder, err := newSigner()
	if err != nil {
		return nil, err
	}
	provider, err := eventkey.Generate(eventkey.Ed25519, w.path("provider.key"))
	if err != nil {
		return nil, err
	}
	gate, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ev, err := event.New(origin, &event.Charter{
		Version: 1, Rules: 1, Profile: p, LogKeys: logKeys, WitnessPolicy: policy, AuditPolicy: "quorum none\n",
		Thresholds: event.Thresholds{Amend: 1, Recover: 1},
		Parties: []event.Party{
			{Name: "founder", Role: event.RoleCharter, Keys: []*event.PublicKey{founder.Public()}},
			{Name: "court", Role: event.RoleAuthority, Keys: []*event.PublicKey{w.authority.Public()}},
			{Name: "keeper", Role: event.RoleCustodian, Keys: []*event.PublicKey{w.custodian.Public()},
				Gates: []event.HPKEKey{{KEM: event.KEMX25519, Public: gate.PublicKey().Bytes()}}},
			{Name: "messenger", Role: event.RoleProvider, Keys: []*event.PublicKey{provider}},
		},
	})
	if err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, founder)
	if err != nil {
		return nil, err
	}
	return env.Bytes(), nil
}

// sealFor is how long the benchmark's warrants are sealed, in seconds.
const sealFor = 90 * 86400

func newSigner() (event.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return event.NewSigner(private)
}

// startWitness makes a witness with an Ed25519 key and returns its policy line.
func (w *world) startWitness(ctx context.Context, name, logs string) (line string, err error) {
	key, err := tlog.GenerateSigner(name+".example", tlog.CosignatureEd25519)
	if err != nil {
		return "", err
	}
	keyFile, dir, addr := w.path(name+".key"), w.path(name), w.path(name+".url")
	if err := os.WriteFile(keyFile, []byte(key.Secret()+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := w.command(ctx, w.cfg.WitnessBinary, "init", "-dir", dir, "-key", keyFile); err != nil {
		return "", err
	}
	if err := w.start(name, w.cfg.WitnessBinary, "serve", "-dir", dir, "-key", keyFile, "-logs", logs, "-listen", "127.0.0.1:0", "-addr-file", addr); err != nil {
		return "", err
	}
	url, err := w.awaitURL(ctx, addr)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("witness %s %s %s\n", name, key.Verifier(), url), nil
}

func readSigner(name string) (*tlog.Signer, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return tlog.ParseSigner(strings.TrimSpace(string(b)))
}

// startTessera starts the conformance server on a port that was free a moment
// ago, since it can't choose one.
func (w *world) startTessera(ctx context.Context) error {
	skey, _, err := note.GenerateKey(rand.Reader, "tessera.example")
	if err != nil {
		return err
	}
	keyFile := w.path("tessera.key")
	if err := os.WriteFile(keyFile, []byte(skey), 0o600); err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	w.tesseraURL = "http://" + addr
	if err := w.start("tessera", w.cfg.TesseraBinary, "--storage_dir", w.path("tessera"), "--private_key", keyFile, "--listen", addr); err != nil {
		return err
	}
	return w.awaitStatus(ctx, w.tesseraURL+"/checkpoint")
}

// awaitURL waits for a file with the address of a server.
func (w *world) awaitURL(ctx context.Context, name string) (url string, err error) {
	err = w.poll(ctx, func() bool {
		b, err := os.ReadFile(name)
		// The log writes a URL, the witness an address.
		url = "http://" + strings.Trim(strings.TrimPrefix(string(b), "http://"), "/\n") + "/"
		return err == nil
	})
	if err != nil {
		return "", fmt.Errorf("waiting for %s: %w", name, err)
	}
	return url, nil
}

func (w *world) awaitStatus(ctx context.Context, url string) error {
	err := w.poll(ctx, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", url, err)
	}
	return nil
}

// countEntries reads how many entries the log has.
func (w *world) countEntries(ctx context.Context, r *Report) error {
	// Once one more event is published, so are all before it.
	last, err := w.makeEntries(1)
	if err != nil {
		return err
	}
	if _, err := w.driveLog(ctx, 1, "cosigned", last); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.logURL+"checkpoint", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(http.MaxBytesReader(nil, resp.Body, tlog.MaxCheckpointSize)); err != nil {
		return err
	}
	cp, err := tlog.ParseCheckpoint(b.Bytes())
	if err != nil {
		return err
	}
	r.Entries = cp.Size
	return nil
}
