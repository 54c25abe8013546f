// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// daemon is a process of vasistas-log over a world's directories.
type daemon struct {
	*exec.Cmd
	stderr bytes.Buffer
	exited chan error
}

// spawn starts a process, and returns once it serves. The world's url is then
// that of the process.
func (w *world) spawn(options ...string) *daemon {
	w.t.Helper()
	d := w.command(options...)
	w.serves(d)
	return d
}

// command starts a process.
func (w *world) command(options ...string) *daemon {
	w.t.Helper()
	dir := w.t.TempDir()
	args := w.arguments("serve", append([]string{"-listen", "127.0.0.1:0", "-addr-file", filepath.Join(dir, "addr"),
		"-identity", w.vaultConfig().Identity, "-interval", "10ms", "-shutdown-timeout", "10s"}, options...)...)
	if w.binary == "" {
		w.binary = build(w.t, "..", "./cmd/vasistas-log")
	}
	return launch(w.t, filepath.Join(dir, "addr"), w.binary, args...)
}

// launch starts a process that writes where it listens into the file addr.
func launch(t testing.TB, addr, binary string, args ...string) *daemon {
	t.Helper()
	d := &daemon{Cmd: exec.Command(binary, args...), exited: make(chan error, 1)}
	d.Env = append(os.Environ(), "ADDR="+addr)
	d.Stderr = &d.stderr
	check(t, d.Start())
	go func() { d.exited <- d.Wait() }()
	t.Cleanup(func() { d.Process.Kill() })
	return d
}

// arguments are those of a command over the world's directories, with its keys and
// its policy.
func (w *world) arguments(command string, options ...string) []string {
	w.t.Helper()
	dir := w.t.TempDir()
	args := []string{command, "-dir", w.dir, "-policy", filepath.Join(dir, "policy")}
	check(w.t, os.WriteFile(filepath.Join(dir, "policy"), w.policy.Bytes(), 0o644))
	for i, k := range w.keys {
		name := filepath.Join(dir, fmt.Sprintf("key%d", i))
		check(w.t, os.WriteFile(name, []byte(k.Secret()+"\n"), 0o600))
		args = append(args, "-key", name)
	}
	return append(args, options...)
}

// serves waits until the process listens, and makes its address the world's url.
func (w *world) serves(d *daemon) {
	w.t.Helper()
	w.url = w.listens(d)
}

// listens waits until the process listens, and returns where.
func (w *world) listens(d *daemon) (url string) {
	w.t.Helper()
	_, addr, _ := strings.Cut(d.Env[len(d.Env)-1], "=")
	eventually(w.t, func() error {
		select {
		case err := <-d.exited:
			w.t.Fatalf("%s: %v\n%s", filepath.Base(d.Path), err, &d.stderr)
		default:
		}
		b, err := os.ReadFile(addr)
		url = strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
		return err
	})
	return url
}

// end tells the process to stop, and returns how it ended.
func (d *daemon) end(t testing.TB, s os.Signal) error {
	t.Helper()
	check(t, d.Process.Signal(s))
	select {
	case err := <-d.exited:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("it goes on after %v:\n%s", s, &d.stderr)
		return nil
	}
}

// busy submits from several clients until ctx ends. The next call with the same queue
// submits again what failed.
func (w *world) busy(ctx context.Context, queue chan []byte, clients int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				var entry []byte
				select {
				case entry = <-queue:
				default:
					entry = w.warrant()
				}
				var err error
				if c%2 == 0 {
					_, err = w.sequence(entry)
				} else {
					_, err = w.submit(entry)
				}
				if err == nil {
					continue
				}
				var p *problem
				if errors.As(err, &p) && p.status < 500 {
					w.t.Errorf("refused: %v", err)
				}
				select {
				case queue <- entry:
				default:
				}
				if p == nil {
					return // the process is gone
				}
			}
		})
	}
	return &wg
}

// TestKill kills a busy process at random moments, many times. It checks that no
// acknowledged event is missing, none is logged twice, and no two heads conflict.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	queue := make(chan []byte, 100)
	const kills = 100
	serving := 0
	for range kills {
		d := w.command()
		ctx, cancel := context.WithCancel(t.Context())
		var wg *sync.WaitGroup
		delay := rand.N(200 * time.Millisecond) // into its start
		if rand.IntN(8) > 0 {
			w.serves(d)
			serving++
			wg = w.busy(ctx, queue, 4)
			delay = rand.N(40 * time.Millisecond)
			enough := w.seen.count() + rand.IntN(8)
			eventually(t, func() error {
				if w.seen.count() < enough {
					return errors.New("nothing is acknowledged")
				}
				return nil
			})
		}
		select {
		case <-time.After(delay):
		case err := <-d.exited:
			t.Fatalf("it ended by itself: %v\n%s", err, &d.stderr)
		}
		if err := d.end(t, os.Kill); err == nil {
			t.Fatal("it ended well")
		}
		cancel()
		if wg != nil {
			wg.Wait()
		}
	}
	w.spawn()
	w.ready()
	for len(queue) > 0 {
		w.mustSequence(<-queue)
	}
	entries := w.audit()
	seen := make(map[string]bool)
	for i, e := range entries {
		if seen[string(e)] {
			t.Errorf("entry %d is in the log twice", i)
		}
		seen[string(e)] = true
	}
	t.Logf("%d kills, %d of them of a serving process; %d entries, %d acknowledged, %d heads seen", kills, serving, len(entries), len(w.seen.clone().acked), len(w.seen.clone().heads))
	if len(w.seen.acked) < kills {
		t.Errorf("only %d events were acknowledged: the test has not tried much", len(w.seen.acked))
	}
}

// TestTerminate checks that a busy process that gets a signal publishes what it
// acknowledged, and ends well.
func TestTerminate(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, 3)
			d := w.spawn()
			w.ready()
			ctx, cancel := context.WithCancel(t.Context())
			wg := w.busy(ctx, make(chan []byte, 100), 8)
			conn := w.streamConn("cosigned") // which stays open
			check(t, writeChunk(conn, string(w.warrant())+"\n"))
			w.published(20)
			if err := d.end(t, signal); err != nil {
				t.Fatalf("it ended with %v\n%s", err, &d.stderr)
			}
			cancel()
			wg.Wait()
			cp, err := tlog.ParseCheckpoint(must(os.ReadFile(filepath.Join(w.state(), "checkpoint"))))
			check(t, err)
			if size := w.seen.size(); cp.Size < size {
				t.Errorf("published are %d entries, and %d were seen", cp.Size, size)
			}
			w.start()
			w.audit()
		})
	}
}

// TestTerminateWithoutQuorum checks that without witnesses the process ends in time,
// says what is not published, and publishes it after its next start.
func TestTerminateWithoutQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	d := w.spawn("-shutdown-timeout", "2s")
	w.ready()
	w.append(w.warrant())
	w.witnesses[0].answer(down)
	w.mustSequence(w.warrant())
	began := time.Now()
	err := d.end(t, syscall.SIGTERM)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(d.stderr.String(), "will be published after the next start") {
		t.Errorf("it ended with %v after %v:\n%s", err, time.Since(began), &d.stderr)
	}
	w.witnesses[0].answer(nil)
	w.start()
	if n := len(w.audit()); n != 3 {
		t.Errorf("the log has %d entries", n)
	}
}

// TestSecondProcess checks that a second process over the same directory ends at once,
// and says which is the first.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	first := w.spawn()
	w.ready()
	second := w.command()
	err := <-second.exited
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(second.stderr.String(), fmt.Sprintf("process %d", first.Process.Pid)) {
		t.Errorf("the second process: %v\n%s", err, &second.stderr)
	}
	w.append(w.warrant())
	if status, b := w.get("/metrics"); status != http.StatusOK || !bytes.Contains(b, []byte("vasistas_log_published_size 2")) {
		t.Errorf("metrics: %d\n%s", status, b)
	}
	for _, path := range []string{"/tile/../metrics", "/metrics/", "/debug/pprof/"} {
		req := request{"GET", path, "", ""}
		if resp, _ := req.send(t, w.url); resp.StatusCode < 400 {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
	}
}
