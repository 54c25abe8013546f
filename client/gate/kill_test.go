// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
)

// process is vasistas-gate as a process of its own.
type process struct {
	*gateServer
	w   *testbed
	bin string
	dir string
	cmd *exec.Cmd
}

// newProcess builds the program, and lays out the gate's directory.
func (w *testbed) newProcess(s *gateServer) *process {
	w.t.Helper()
	p := &process{gateServer: s, w: w, bin: filepath.Join(w.t.TempDir(), "vasistas-gate"), dir: w.t.TempDir()}
	build := exec.Command("go", "build", "-o", p.bin, "../../cmd/vasistas-gate")
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	keys := filepath.Join(p.dir, "keys")
	check(w.t, os.Mkdir(keys, 0o700))
	secret, err := s.key.Bytes()
	check(w.t, err)
	joined, err := json.MarshalIndent(struct {
		Origin  string   `json:"origin"`
		URL     string   `json:"url"`
		Founded string   `json:"founded"`
		LogKeys []string `json:"logKeys"`
	}{origin, w.LogServer.URL, base64.StdEncoding.EncodeToString(w.Founded[:]), []string{w.LogKeys[0].Verifier().String()}}, "", "  ")
	check(w.t, err)
	for name, b := range map[string][]byte{"keys/event.pem": w.PEM(s.Name), "keys/x25519.key": secret, "gate.json": append(joined, '\n')} {
		check(w.t, os.WriteFile(filepath.Join(p.dir, filepath.FromSlash(name)), b, 0o600))
	}
	s.Config.Dir = filepath.Join(p.dir, "state")
	check(w.t, s.Create())
	w.t.Cleanup(p.kill)
	return p
}

// start starts the process and waits until it is ready.
func (p *process) start() {
	p.w.t.Helper()
	addr := filepath.Join(p.dir, "addr")
	check(p.w.t, os.RemoveAll(addr))
	p.cmd = exec.Command(p.bin, "serve", "-dir", p.dir, "-listen", "127.0.0.1:0", "-addr-file", addr, "-poll", "20ms")
	check(p.w.t, p.cmd.Start())
	eventually(p.w.t, func() error {
		b, err := os.ReadFile(addr)
		if err != nil {
			return err
		}
		p.URL = strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
		resp, err := http.Get(p.URL + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", resp.Status)
		}
		return nil
	})
}

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// TestKill kills a gate again and again while it is asked, at other moments each
// time. Each access gets one release, and the chain has no gap.
func TestKill(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	p := w.newProcess(w.gates[0])
	const kills = 16
	cut, warrants := 0, []*logged{w.warrant(alice), w.warrant(alice)}
	for i := range kills {
		a := w.access(warrants[i%2], accessTerms{}, w.escrow(alice))
		p.start()
		answered := make(chan error, 1)
		sealed, err := a.request().Seal(origin, p.key.Public())
		check(t, err)
		url := p.URL + escrow.RequestPath
		go func() {
			_, err := postTo(url, escrow.RequestType, sealed)
			answered <- err
		}()
		select {
		case err := <-answered:
			check(t, err)
		case <-time.After(time.Duration(i) * 4 * time.Millisecond):
			cut++
		}
		p.kill()
		if i%2 == 0 {
			continue // the next start has two releases to care for
		}
		p.start()
		w.shares(p.gateServer, a)
		p.kill()
	}
	p.start()
	eventually(t, func() error { // what was promised is posted without being asked for
		var st gate.Status
		resp, err := http.Get(p.URL + "/status")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
			return err
		}
		if st.Outbox > 0 {
			return fmt.Errorf("%d events wait", st.Outbox)
		}
		return nil
	})
	answered := make(map[event.Reference]int)
	for _, r := range w.chain(p.gateServer) {
		answered[r.Access]++
	}
	for ref, n := range answered {
		if n != 1 {
			t.Errorf("access %d has %d releases", ref.Index, n)
		}
	}
	t.Logf("%d of %d requests were cut off; %d accesses are answered", cut, kills, len(answered))
	if cut == 0 || len(answered) < kills/2 {
		t.Errorf("%d of %d requests were cut off, and %d answered", cut, kills, len(answered))
	}
}
