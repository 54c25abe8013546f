// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package deploy_test tries the sample configurations of this directory with the programs that read
// them, which scripts/need installs.
package deploy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

func TestMain(m *testing.M) {
	world.LogTessera(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const origin = "log.example/warrants"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	check(t, err)
	return string(b)
}

func eventually(t testing.TB, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	check(t, world.Await(ctx, 20*time.Millisecond, f))
}

// program returns a program of Debian, which may be outside of an ordinary user's PATH.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%v; run scripts/need", err)
	}
	return path
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program(t, name), args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
}

// testbed is a log with a witness, a gate, and an auditor in a monitor.
type testbed struct {
	*world.World
	*people.People
	t       testing.TB
	monitor *monitor.Monitor
}

func newTestbed(t testing.TB) *testbed {
	t.Helper()
	w := &testbed{t: t, People: people.New(origin, "")}
	var err error
	w.World, err = world.New(world.Config{Dir: t.TempDir(), People: w.People, Witnesses: []string{"w1"}})
	check(t, err)
	t.Cleanup(func() {
		if w.monitor != nil {
			w.Auditors[0].Serve(nil)
			check(t, w.monitor.Close())
		}
		check(t, w.Close(context.Background()))
	})
	w.LogConfig.Interval, w.LogConfig.Provider = 10*time.Millisecond, w.Signer("messenger")
	g, err := w.NewGate("c1", event.KEMX25519)
	check(t, err)
	a, err := w.NewAuditor("a1")
	check(t, err)
	first, err := w.Signed(time.Now(), w.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = people.LongProfile(), world.WitnessPolicy(1, false, w.Witnesses...)
		c.LogKeys = []string{w.LogKeys[0].Verifier().String()}
		w.Cast(c, event.RoleCharter, "founder")
		w.Cast(c, event.RoleAuditor)
		w.Cast(c, event.RoleCustodian)
		c.Parties = append(c.Parties, a.Party(), g.Party())
		c.Groups = []event.Group{{ID: "main", Threshold: 1, Members: []string{"c1"}}}
		c.AuditPolicy = world.AuditPolicy(1, true, a)
	}), "founder")
	check(t, err)
	check(t, w.Create(t.Context(), first))
	check(t, w.Start(t.Context()))
	check(t, a.Create())
	w.monitor, err = monitor.Open(monitor.Config{Auditors: []auditor.Config{a.Config}, Metrics: a.Config.Metrics})
	check(t, err)
	w.monitor.Start()
	a.Serve(w.monitor)
	check(t, g.Create())
	check(t, g.Start())
	return w
}

func (w *testbed) warrant() []byte {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := w.Event(now, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 8, Accesses: 8, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)})
	check(w.t, err)
	open := []event.Opening{event.NewOpening("agency", event.Text("police")), event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation"))}
	check(w.t, ev.Seal(now.Add(24*time.Hour), open, []event.Opening{event.NewOpening("case", event.Text("12/26"))}))
	env, err := w.Sign(ev, "court")
	check(w.t, err)
	b, err := (&event.Submission{Envelope: env, Openings: open}).Bytes()
	check(w.t, err)
	return b
}

// TestProxies: a client reaches each daemon through Caddy and nginx, also with a stream, and the
// witness under its prefix.
func TestProxies(t *testing.T) {
	w := newTestbed(t)
	for name, start := range map[string]func(testing.TB, string, string){"Caddyfile": startCaddy, "nginx.conf": startNginx} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "proxy") // the name of a socket must be short
			check(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			text := read(t, name)
			for address, url := range map[string]string{"127.0.0.1:8080": w.LogServer.URL, "127.0.0.1:7380": w.Witnesses[0].URL, "127.0.0.1:7390": w.Gates[0].URL, "127.0.0.1:7400": w.Auditors[0].URL} {
				if strings.Count(text, address) != 1 {
					t.Fatalf("%s is not once in %s", address, name)
				}
				text = strings.ReplaceAll(text, address, strings.TrimPrefix(url, "http://"))
			}
			start(t, dir, text)
			w.reach(t, filepath.Join(dir, "socket"), name == "nginx.conf")
		})
	}
}

func startCaddy(t testing.TB, dir, text string) {
	run(t, "caddy", "adapt", "--adapter", "caddyfile", "--config", "Caddyfile")
	// Without TLS, whose certificates Caddy would ask for.
	text = regexp.MustCompile(`(?m)^([a-z]+\.example) \{`).ReplaceAllString(text, "http://$1 {\n\tbind unix/"+dir+"/socket")
	startProxy(t, dir, "{\n\tadmin off\n}\n"+text, "caddy", "run", "--adapter", "caddyfile", "--config")
}

func startNginx(t testing.TB, dir, text string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	for _, f := range []struct {
		place, name string
		block       pem.Block
	}{{"/etc/ssl/vasistas.pem", "cert", pem.Block{Type: "CERTIFICATE", Bytes: cert}}, {"/etc/ssl/private/vasistas.key", "key", pem.Block{Type: "PRIVATE KEY", Bytes: private}}} {
		file := filepath.Join(dir, f.name)
		check(t, os.WriteFile(file, pem.EncodeToMemory(&f.block), 0o600))
		text = strings.ReplaceAll(text, f.place, file)
	}
	text = strings.ReplaceAll(text, "listen 443 ssl;", "listen unix:"+dir+"/socket ssl;")
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%[1]s;\n", kind, dir)
	}
	startProxy(t, dir, fmt.Sprintf("daemon off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", dir, temp, text), "nginx", "-c")
}

// startProxy starts a program with a configuration, and waits until its socket is there.
func startProxy(t testing.TB, dir, text, name string, args ...string) {
	t.Helper()
	file := filepath.Join(dir, "config")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.Command(program(t, name), append(args, file)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s\n%s", name, text, out.Bytes())
		}
	})
	eventually(t, func() error {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", name, err)
		default:
		}
		conn, err := net.Dial("unix", filepath.Join(dir, "socket"))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func (w *testbed) reach(t *testing.T, socket string, secure bool) {
	scheme := map[bool]string{true: "https://", false: "http://"}[secure]
	through := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer through.CloseIdleConnections()
	policy, err := w.World.Policy(1)
	check(t, err)
	c, err := client.New(client.Config{URL: scheme + "log.example", Policy: policy, HTTPClient: through})
	check(t, err)
	// nginx passes each event of a stream on at once: the next one is sent once the one before is
	// answered. Caddy can do so over HTTP/2, and here it speaks HTTP/1.1.
	next := make(chan struct{}, 6)
	for range map[bool]int{true: 1, false: 3}[secure] {
		next <- struct{}{}
	}
	var events iter.Seq2[[]byte, error] = func(yield func([]byte, error) bool) {
		for range 3 {
			<-next
			if !yield(w.warrant(), nil) {
				return
			}
		}
	}
	for r, err := range c.SubmitStream(t.Context(), events, client.WaitCosigned) {
		check(t, err)
		check(t, r.Err)
		next <- struct{}{}
	}
	hash := cosigning.OriginHash(origin)
	for _, path := range []string{"log.example/tile/entries/000.p/1", "log.example/audit/round", "witness.example/w1/" + hash + "/checkpoint", "gate.example/status", "audit.example/" + hash + "/checkpoint"} {
		eventually(t, func() error { // the copy has a head soon
			resp, err := through.Get(scheme + path)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s %s %w", path, resp.Status, b, err)
			}
			return nil
		})
	}
}

// TestMetrics: Prometheus accepts rules and dashboard, and the daemons have each metric that these
// name.
func TestMetrics(t *testing.T) {
	run(t, "promtool", "check", "config", "prometheus.yml")
	run(t, "promtool", "test", "rules", "testdata/alerts.yml")
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	check(t, json.Unmarshal([]byte(read(t, "dashboard.json")), &dashboard))
	rules, ids := "groups:\n- name: dashboard\n  rules:\n", make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for i, target := range p.Targets {
			rules += fmt.Sprintf("  - record: panel:%d:%d\n    expr: %q\n", p.ID, i, target.Expr)
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	check(t, os.WriteFile(file, []byte(rules), 0o600))
	run(t, "promtool", "check", "rules", file)

	w := newTestbed(t)
	resp, err := http.Post(w.LogServer.URL+"/events?wait=sequenced", "application/json", bytes.NewReader(w.warrant()))
	check(t, err)
	resp.Body.Close()
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	eventually(t, func() error {
		resp, err := http.Get(w.Witnesses[0].URL + "/metrics")
		check(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		check(t, err)
		text = bytes.Join([][]byte{text, w.World.Log.Metrics(), w.Gates[0].Running.Metrics(), w.monitor.MetricsText()}, []byte("\n"))
		for _, name := range []string{"alerts.yml", "dashboard.json", "testdata/alerts.yml"} {
			for _, metric := range regexp.MustCompile(`vasistas_[a-z_]+`).FindAllString(read(t, name), -1) {
				if !bytes.Contains(text, []byte("# TYPE "+metric+" ")) && !bytes.Contains(text, []byte("# TYPE "+suffix.ReplaceAllString(metric, "")+" histogram\n")) {
					return fmt.Errorf("%s: no daemon has %s", name, metric)
				}
			}
		}
		return nil
	})
}
