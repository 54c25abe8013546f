// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// process is vasistas-monitor as a process of its own, behind a proxy that keeps what it has promised.
type process struct {
	*testbed
	bin, dir string
	keys     *tlog.Policy // of the auditor's lines
	cmd      *exec.Cmd
	url      atomic.Pointer[string]
	round    atomic.Pointer[[]byte] // at the log's /audit/round; nil: the log's own
	left     atomic.Int64           // requests of the process to the log until it is killed; below 1: it is not
	blocked  atomic.Bool            // the log takes no event of the process
	dead     chan struct{}          // closed once the process has ended

	mu     sync.Mutex // one request for a cosignature at a time, so that answers have an order
	claims []claim
	held   []*event.Envelope
	copied uint64 // size of the copy, as last seen on disk or over HTTP
}

// claim is a head that the auditor has cosigned at a time.
type claim struct {
	tlog.Head
	time uint64
}

// newProcess builds the program, and joins the log with it.
func newProcess(t testing.TB) *process {
	t.Helper()
	p := &process{testbed: newTestbed(t), dir: t.TempDir()}
	p.bin = filepath.Join(p.dir, "vasistas-monitor")
	if out, err := exec.Command("go", "build", "-o", p.bin, "../../cmd/vasistas-monitor").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	p.keys, err = tlog.ParsePolicy([]byte("log " + p.LogKeys[0].Verifier().String() + "\n" + world.AuditPolicy(1, false, p.auditor)))
	check(t, err)
	charter, err := p.tree().Entry(t.Context(), 0)
	check(t, err)
	check(t, os.Mkdir(filepath.Join(p.dir, "keys"), 0o700))
	for name, b := range map[string][]byte{"charter": append(charter, '\n'), "keys/event.pem": p.PEM("a1"),
		"keys/ed25519.key": []byte(p.auditor.Keys[0].Secret() + "\n"), "keys/mldsa44.key": []byte(p.auditor.Keys[1].Secret() + "\n")} {
		check(t, os.WriteFile(filepath.Join(p.dir, name), b, 0o600))
	}
	out, err := exec.Command(p.bin, "join", "-dir", p.dir, "-name", "a1", "-charter", filepath.Join(p.dir, "charter"), "-log", p.LogServer.URL).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	none := "http://127.0.0.1:0"
	p.url.Store(&none)
	p.LogServer.Between(p.front)
	p.auditor.Serve(p)
	t.Cleanup(p.kill)
	return p
}

// state is a path of the auditor's state.
func (p *process) state(names ...string) string {
	return filepath.Join(append([]string{p.dir, "state", cosigning.OriginHash(origin)}, names...)...)
}

// front names heads for the test, counts the requests of the process, and kills it a moment after the
// last.
func (p *process) front(rw http.ResponseWriter, r *http.Request, h http.Handler) {
	own := strings.HasPrefix(r.UserAgent(), "vasistas-monitor")
	if own && p.left.Add(-1) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { p.cmd.Process.Kill() })
	}
	named := p.round.Load()
	switch {
	case own && r.Method == http.MethodPost && p.blocked.Load():
		http.Error(rw, "no", http.StatusServiceUnavailable)
	case r.URL.Path == "/audit/round" && named != nil:
		rw.Write(*named)
	default:
		h.ServeHTTP(rw, r)
	}
}

// ServeHTTP passes a request on to the process, and keeps the cosignatures that it gives.
func (p *process) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	cosign := r.URL.Path == "/add-checkpoint"
	if cosign {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, *p.url.Load()+r.URL.Path, bytes.NewReader(sent))
	if err != nil {
		p.t.Error(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(http.ErrAbortHandler) // the process was killed
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if cosign && resp.StatusCode == http.StatusOK {
		p.claimed(sent, b)
	}
	rw.WriteHeader(resp.StatusCode)
	rw.Write(b)
}

// claimed verifies the lines of an answer, and compares them with the last. It needs the lock.
func (p *process) claimed(sent, lines []byte) {
	r, err := tlog.ParseAddCheckpoint(sent)
	own, lerr := tlog.ParseSignatureLines(lines)
	if err := errors.Join(err, lerr); err != nil {
		p.t.Error(err)
		return
	}
	cp := &tlog.Checkpoint{Head: r.Checkpoint.Head, Signatures: append(r.Checkpoint.Signatures, own...)}
	v, err := p.keys.WithSpread(tlog.NoSpread).Verify(cp, origin)
	if err != nil || len(v.Witnesses) != 2 {
		p.t.Errorf("a cosignature does not verify: %v", err)
		return
	}
	next := claim{cp.Head, v.LoggedAfter}
	if n := len(p.claims); n > 0 && (p.claims[n-1].Size > next.Size || p.claims[n-1].time > next.time) {
		p.t.Errorf("it has cosigned %v after %v", next, p.claims[n-1])
	}
	p.claims = append(p.claims, next)
}

// start starts the process, and returns once it answers. It is killed after so many requests to the
// log; 0: it is not.
func (p *process) start(requests int64) {
	p.t.Helper()
	addr := filepath.Join(p.dir, "addr")
	check(p.t, os.RemoveAll(addr))
	p.cmd, p.dead = exec.Command(p.bin, "serve", "-dir", p.dir, "-listen", "127.0.0.1:0", "-addr-file", addr, "-poll", "20ms", "-check", "20ms", "-timeout", "2s"), make(chan struct{})
	var stderr bytes.Buffer
	p.cmd.Stderr = &stderr
	cmd, dead := p.cmd, p.dead
	check(p.t, cmd.Start())
	p.left.Store(requests)
	go func() {
		cmd.Wait() // reports the kill
		close(dead)
	}()
	eventually(p.t, func() error {
		b, err := os.ReadFile(addr)
		if err == nil {
			url := strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
			p.url.Store(&url)
		} else if p.ended() && requests > 0 {
			return nil
		} else if p.ended() {
			p.t.Fatalf("it has ended: %s", stderr.String())
		}
		return err
	})
}

func (p *process) ended() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.dead
	}
}

// tree is the log's published tree.
func (p *process) tree() *client.Tree {
	tree, err := p.client.Tree(client.TreeOptions{})
	check(p.t, err)
	_, err = tree.Update(p.t.Context())
	check(p.t, err)
	return tree
}

// post posts to the process.
func (p *process) post(path string, body []byte) (status int, answer []byte) {
	resp, err := http.Post(p.auditor.URL+path, "", bytes.NewReader(body))
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// ask names the log's head, and asks the process to cosign it.
func (p *process) ask() (status int, answer []byte) {
	tree := p.tree()
	cp := tree.Head().Checkpoint
	b := round.New(cp, time.Now(), []round.Answer{}).Bytes()
	p.round.Store(&b)
	r := tlog.AddCheckpoint{Checkpoint: &tlog.Checkpoint{Head: cp.Head}}
	for _, k := range p.LogKeys {
		r.Checkpoint.Signatures = append(r.Checkpoint.Signatures, *cp.Find(k.Verifier()))
	}
	if status, answer = p.post("/add-checkpoint", r.Bytes()); status != http.StatusConflict {
		return status, answer
	}
	var err error
	r.Old, err = strconv.ParseUint(strings.TrimSpace(string(answer)), 10, 64)
	check(p.t, err)
	if r.Old < cp.Size {
		r.Proof, err = tree.Consistency(p.t.Context(), r.Old)
		check(p.t, err)
	}
	return p.post("/add-checkpoint", r.Bytes())
}

// read reads the served copy until the process ends. All that it serves is right.
func (p *process) read() {
	for !p.ended() {
		if size, err := p.whole(p.reader()); err == nil {
			p.mu.Lock()
			p.sees(size)
			p.mu.Unlock()
		} else if _, bad := errors.AsType[*tlog.CorruptError](err); bad {
			p.t.Errorf("it has served %v", err)
		}
	}
}

// sees notes the size of the copy. It needs the lock.
func (p *process) sees(size uint64) {
	if size < p.copied {
		p.t.Errorf("the copy has the size %d, after %d", size, p.copied)
	}
	p.copied = size
}

// whole verifies a copy with each of its tiles, and returns its size.
func (p *process) whole(c *client.Client) (uint64, error) {
	tree, err := c.Tree(client.TreeOptions{Tiles: true})
	if err != nil {
		return 0, err
	}
	v, err := tree.Update(p.t.Context())
	if err != nil {
		return 0, err
	}
	for _, err := range tree.Bundles(p.t.Context(), 0) {
		if err != nil {
			return 0, err
		}
	}
	return v.Checkpoint.Size, nil
}

// judge checks what a killed process has left on disk against all that it has said.
func (p *process) judge() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := client.New(client.Config{URL: p.state("copy"), Policy: p.policy})
	check(p.t, err)
	size, err := p.whole(c)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || p.copied > 0) {
		p.t.Fatalf("the copy: %v", err)
	}
	p.sees(size)
	b := durabletest.Value(p.t, p.state("head"))
	var record struct {
		Time       uint64
		Checkpoint string
	}
	check(p.t, json.Unmarshal(b, &record))
	tree := p.tree()
	for _, said := range p.claims {
		if root, err := tree.Root(p.t.Context(), said.Size); err != nil || root != said.Root {
			p.t.Fatalf("it has cosigned %v, and the log has the root %x: %v", said, root, err)
		}
	}
	if n := len(p.claims); n > 0 {
		last := p.claims[n-1]
		head, err := tlog.ParseCheckpoint([]byte(record.Checkpoint))
		check(p.t, err)
		if head.Size < last.Size || record.Time < last.time || head.Size > size {
			p.t.Errorf("it has cosigned %v, has recorded size %d at %d, and the copy has size %d", last, head.Size, record.Time, size)
		}
	}
	for _, env := range p.held {
		if _, err := os.Stat(p.state("held", fmt.Sprintf("%x", env.LeafHash()))); err != nil {
			p.t.Errorf("a held event is lost: %v", err)
		}
	}
}

// TestMonitorKilled kills vasistas-monitor at moments of every kind while it copies, replays, cosigns and takes
// events of a log that grows. Its copy is right and does not go back, it contradicts no cosignature,
// and loses no event.
func TestMonitorKilled(t *testing.T) {
	p := newProcess(t)
	p.blocked.Store(true)
	const kills = 10
	for n := range kills {
		early := int64(0) // two are killed before they have done much
		if n%5 == 0 {
			early = 1 + rand.Int64N(4)
		}
		p.start(early)
		var reading sync.WaitGroup
		reading.Go(p.read)
		for steps := 2 + rand.IntN(8); !p.ended(); steps-- {
			if steps == 0 {
				p.left.Store(1 + rand.Int64N(12))
			}
			switch steps % 3 {
			case 0:
				p.grow(1 + rand.IntN(40))
			case 1:
				p.ask()
			default:
				env := p.revocation()
				p.ask()                                               // so that it has applied the warrant
				if len(p.held) < 30 && p.hand(env) == http.StatusOK { // it holds no more of one signer
					p.held = append(p.held, env)
				}
			}
		}
		reading.Wait()
		p.judge()
	}
	t.Logf("%d cosignatures and %d held events over %d kills", len(p.claims), len(p.held), kills)
	if len(p.claims) == 0 || len(p.held) == 0 {
		t.Error("it has done nothing")
	}
	p.blocked.Store(false)
	p.start(0)
	eventually(t, func() error {
		logged := make(map[event.Digest]bool)
		for e, err := range p.client.Follow(t.Context(), client.FollowOptions{UntilHead: true}) {
			check(t, err)
			env, err := event.ParseEnvelope(e.Bytes)
			check(t, err)
			logged[env.Hash()] = true
		}
		for _, env := range p.held {
			if !logged[env.Hash()] {
				return fmt.Errorf("the log lacks the event %x", env.Hash())
			}
		}
		return nil
	})
	eventually(t, func() error {
		if status, b := p.ask(); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, b)
		}
		return nil
	})
	p.held = nil // the log has them
	p.kill()
	p.judge()
}
