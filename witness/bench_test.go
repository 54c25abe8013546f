// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// peer is the binary of internal/interop/tdwitness. If given, it is measured
// next to ours.
var peer = flag.String("peer", "", "`binary` of tdwitness, to measure it too")

// BenchmarkAddCheckpoint is over HTTP on the loopback, with every fsync, over
// 1,000 logs that grow in turn. The client and the server share the machine;
// the client's requests are made and signed beforehand.
func BenchmarkAddCheckpoint(b *testing.B) {
	both := bothSigners()
	for _, keys := range []struct {
		name    string
		signers []*tlog.Signer
	}{{"Ed25519", both[:1]}, {"both", both}} {
		for _, conns := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/conns=%d", keys.name, conns), func(b *testing.B) { benchmark(b, keys.signers, conns, startOurs) })
			if *peer != "" {
				b.Run(fmt.Sprintf("%s/conns=%d/peer", keys.name, conns), func(b *testing.B) { benchmark(b, keys.signers, conns, startPeer) })
			}
		}
	}
}

const benchmarkLogs = 1000

// startOurs and startPeer start a witness of the given logs as a process, and
// return its address.
func startOurs(b *testing.B, signers []*tlog.Signer, logs []*testLog) string {
	dir := b.TempDir()
	binary := filepath.Join(dir, "vasistas-witness")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/vasistas-witness").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	keys := []string{"-dir", filepath.Join(dir, "state")}
	for i, s := range signers {
		name := fmt.Sprintf("%s/%d.key", dir, i)
		if err := os.WriteFile(name, []byte(s.Secret()+"\n"), 0o600); err != nil {
			b.Fatal(err)
		}
		keys = append(keys, "-key", name)
	}
	policy := ""
	for _, l := range logs {
		policy += fmt.Sprintf("log %s\n", l.keys[0].Verifier())
	}
	list, addrFile := filepath.Join(dir, "logs"), filepath.Join(dir, "addr")
	if err := os.WriteFile(list, []byte(policy+"quorum none\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command(binary, append([]string{"init"}, keys...)...).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, append([]string{"serve", "-listen", "127.0.0.1:0", "-addr-file", addrFile, "-logs", list}, keys...)...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		if addr, err := os.ReadFile(addrFile); err == nil {
			return strings.TrimSpace(string(addr))
		}
		if time.Now().After(end) {
			b.Fatal("the witness does not start")
		}
	}
}

func startPeer(b *testing.B, signers []*tlog.Signer, logs []*testLog) string {
	dir := b.TempDir()
	args := []string{"-db", dir + "/db", "-logs", dir + "/logs"}
	for i, s := range signers {
		name := fmt.Sprintf("%s/%d.key", dir, i)
		if err := os.WriteFile(name, []byte(s.Secret()), 0o600); err != nil {
			b.Fatal(err)
		}
		args = append(args, "-key", name)
	}
	var vkeys []string
	for _, l := range logs {
		vkeys = append(vkeys, l.keys[0].Verifier().String())
	}
	if err := os.WriteFile(dir+"/logs", []byte(strings.Join(vkeys, "\n")), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(*peer, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

func benchmark(b *testing.B, signers []*tlog.Signer, conns int, start func(*testing.B, []*tlog.Signer, []*testLog) string) {
	logs := benchmarkedLogs(b)
	addr := start(b, signers, logs)
	requests := make([][]string, conns) // of one connection, each log in order
	for i := range b.N {
		c := i % benchmarkLogs % conns
		requests[c] = append(requests[c], requestFor(logs, i))
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, list := range requests {
		wg.Go(func() {
			if err := drive(addr, list); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkRatio is BenchmarkAddCheckpoint from one connection to ours and one to the
// peer, request by request in turn, so that what else runs on the machine slows both.
func BenchmarkRatio(b *testing.B) {
	if *peer == "" {
		b.Fatal("name the peer: -args -peer FILE")
	}
	both := bothSigners()
	for _, keys := range []struct {
		name    string
		signers []*tlog.Signer
	}{{"Ed25519", both[:1]}, {"both", both}} {
		b.Run(keys.name, func(b *testing.B) {
			logs := benchmarkedLogs(b)
			var clients [2]*client
			// A server closes a connection on which no request begins in time.
			for i, addr := range []string{startOurs(b, keys.signers, logs), startPeer(b, keys.signers, logs)} {
				var err error
				if clients[i], err = dial(addr); err != nil {
					b.Fatal(err)
				}
				defer clients[i].conn.Close()
			}
			var took [2]time.Duration
			b.ResetTimer()
			for i := range b.N {
				req := requestFor(logs, i)
				for n, c := range clients {
					began := time.Now()
					if err := c.send(req); err != nil {
						b.Fatalf("%s: %v", [...]string{"ours", "the peer"}[n], err)
					}
					took[n] += time.Since(began)
				}
			}
			b.ReportMetric(float64(b.N)/took[0].Seconds(), "ours/s")
			b.ReportMetric(float64(b.N)/took[1].Seconds(), "peer/s")
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
		})
	}
}

// benchmarkedLogs are logs that have one tree.
func benchmarkedLogs(b *testing.B) []*testLog {
	shared := newLog(b, "x", "x", b.N/benchmarkLogs+2)
	var logs []*testLog
	for i := range benchmarkLogs {
		l := newLog(b, fmt.Sprintf("log.example/%04d", i), "", 0)
		l.tree = shared.tree
		logs = append(logs, l)
	}
	return logs
}

// requestFor is the i-th request, each of the logs in turn.
func requestFor(logs []*testLog, i int) string {
	size := uint64(i / benchmarkLogs)
	body := logs[i%benchmarkLogs].request(size, size+1)
	return fmt.Sprintf("POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// client is one connection to a witness.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

// send sends a request until it is answered well.
func (c *client) send(req string) error {
	for {
		if _, err := io.WriteString(c.conn, req); err != nil {
			return err
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		resp.Body.Close()
		switch resp.StatusCode {
		case 200:
			return nil
		case http.StatusTooManyRequests: // the peer's way to say: again
		default:
			return fmt.Errorf("status %d", resp.StatusCode)
		}
	}
}

// drive sends requests over one connection, one after the other.
func drive(addr string, requests []string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for _, req := range requests {
		if err := c.send(req); err != nil {
			return err
		}
	}
	return nil
}
