// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// binary builds the real command.
func binary(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "vasistas-witness")
	out, err := exec.Command("go", "build", "-o", name, "github.com/vasistas/vasistas/cmd/vasistas-witness").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// installation is the files that a witness process is started with.
type installation struct {
	t      testing.TB
	binary string
	dir    string
	args   []string
	keys   []*tlog.Signer
}

func install(t testing.TB, keys []*tlog.Signer, logs ...*testLog) *installation {
	t.Helper()
	in := &installation{t: t, binary: binary(t), dir: t.TempDir(), keys: keys}
	in.args = []string{"-dir", in.dir + "/state"}
	for i, k := range keys {
		name := filepath.Join(in.dir, strconv.Itoa(i)+".key")
		if err := os.WriteFile(name, []byte(k.Secret()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		in.args = append(in.args, "-key", name)
	}
	if out, err := exec.Command(in.binary, append([]string{"init"}, in.args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var policy bytes.Buffer
	for _, l := range logs {
		for _, k := range l.keys {
			policy.WriteString("log " + k.Verifier().String() + "\n")
		}
	}
	policy.WriteString("quorum none\n")
	if err := os.WriteFile(in.dir+"/logs", policy.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	in.args = append(in.args, "-logs", in.dir+"/logs", "-listen", "127.0.0.1:0", "-addr-file", in.dir+"/addr")
	return in
}

// start runs the witness until it answers.
func (in *installation) start() (p *exec.Cmd, url string) {
	in.t.Helper()
	os.Remove(in.dir + "/addr")
	p = exec.Command(in.binary, append([]string{"serve"}, in.args...)...)
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := p.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	for {
		if b, err := os.ReadFile(in.dir + "/addr"); err == nil {
			return p, "http://" + strings.TrimSpace(string(b))
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.Process.Kill()
			p.Wait()
			in.t.Fatalf("the witness does not answer: %s", stderr.String())
		}
	}
}

// ledger is what one log's witness said so far.
type ledger struct {
	mu     sync.Mutex
	log    *testLog
	evil   *testLog
	claims []claim
}

// drive asks for growing heads, and for those of a fork, until the witness is
// gone. It counts what was cosigned.
func (g *ledger) drive(t *testing.T, keys []*tlog.Signer, url string, client *http.Client, count func()) {
	size := uint64(0)
	ask := func(body []byte) (int, []byte) {
		resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(body))
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, nil // a signature that did not arrive in whole
		}
		return resp.StatusCode, b
	}
	for n := uint64(g.log.tree.Size()); size < n; {
		next := min(size+1+rand.Uint64N(3), n)
		status, body := ask(g.log.request(size, next))
		switch status {
		case 0:
			return
		case 200:
			at := verify(t, keys, g.log.head(next), body)
			g.mu.Lock()
			g.claims = append(g.claims, claim{g.log.head(next), at})
			g.mu.Unlock()
			size = next
			count()
		case 409:
			var err error
			if size, err = tlog.ParseTreeSize(body); err != nil {
				t.Error(err)
				return
			}
			continue
		default:
			t.Errorf("from %d to %d: %d %s", size, next, status, body)
			return
		}
		if status, body := ask(g.evil.request(size, n)); status == 200 {
			t.Errorf("cosigned a fork at %d: %s", size, body)
		}
	}
}

// check holds all claims against each other, and the last against the state.
func (g *ledger) check(t *testing.T, url string) {
	var last claim
	for _, c := range g.claims {
		if c.head.Root != g.log.head(c.head.Size).Root {
			t.Errorf("%s: conflicting heads were cosigned", g.log.origin)
		}
		if c.head.Size < last.head.Size || c.time < last.time {
			t.Errorf("%s: %v was cosigned after %v", g.log.origin, c, last)
		}
		last = c
	}
	got, err := tlog.ParseCheckpoint(get(t, monitorURL(url, g.log.origin)).body)
	if len(g.claims) > 0 && (err != nil || got.Size < last.head.Size || got.Root != g.log.head(got.Size).Root) {
		t.Errorf("%s: %v: the state is %v, and %v was cosigned", g.log.origin, err, got, last)
	}
}

// TestKill kills the real binary under load, again and again, and holds what it
// said against what it says after a restart.
func TestKill(t *testing.T) {
	const rounds, logs = 12, 6
	var ledgers []*ledger
	var list []*testLog
	for i := range logs {
		l := newLog(t, "log.example/"+strconv.Itoa(i), "a"+strconv.Itoa(i), 5000)
		list = append(list, l)
		ledgers = append(ledgers, &ledger{log: l, evil: l.fork("evil", 5000)})
	}
	in := install(t, bothSigners(), list...)
	total := 0
	for range rounds {
		p, url := in.start()
		for _, g := range ledgers {
			g.check(t, url)
		}
		transport := &http.Transport{MaxIdleConnsPerHost: logs}
		client := &http.Client{Transport: transport}
		var acks atomic.Int64
		killAt := 10 + rand.Int64N(150)
		var wg sync.WaitGroup
		for _, g := range ledgers {
			wg.Go(func() {
				g.drive(t, in.keys, url, client, func() {
					if acks.Add(1) == killAt {
						p.Process.Kill()
					}
				})
			})
		}
		wg.Wait()
		if err := p.Wait(); err == nil || errors.Is(err, os.ErrProcessDone) {
			t.Fatalf("the witness was not killed: %v", err)
		}
		transport.CloseIdleConnections()
		total += int(acks.Load())
	}
	_, url := in.start()
	for _, g := range ledgers {
		g.check(t, url)
	}
	t.Logf("%d cosignatures over %d kills", total, rounds)
}
