// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestBadLinesHoldNoStream checks that streams of strangers, all of whose lines are bad,
// give way to honest ones, and that a stream with admitted events stays.
func TestBadLinesHoldNoStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxStreams, w.config.StreamIdle = 3, 5*time.Minute
	w.start()
	honest := w.streamConn("sequenced")
	say := func(conn net.Conn, line []byte) {
		t.Helper()
		_, err := fmt.Fprintf(conn, "%x\r\n%s\n\r\n", len(line)+1, line)
		check(t, err)
	}
	answers := make(chan string, 100)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := honest.Read(buf)
			if err != nil {
				close(answers)
				return
			}
			answers <- string(buf[:n])
		}
	}()
	await := func(text string) {
		t.Helper()
		for a := range answers {
			if strings.Contains(a, text) {
				return
			}
		}
		t.Fatalf("the stream ended before %q", text)
	}
	say(honest, w.warrant())
	await(`"index":1`)
	for n := range 5 {
		var bad []net.Conn
		for range 4 { // more than there are places
			conn := w.streamConn("sequenced")
			say(conn, []byte("x"))
			bad = append(bad, conn)
		}
		for _, conn := range bad { // none comes after the honest one, which it could displace
			_, _ = conn.Read(make([]byte, 1))
		}
		for _, r := range w.stream(w.warrants(1), "sequenced") {
			if r.Error != nil {
				t.Errorf("round %d: %v", n, r.Error)
			}
		}
	}
	say(honest, w.warrant())
	await(`"index":7`)
}

// TestSlowBodiesGiveWay checks that bodies which are not complete count, and that the
// slowest are dropped for the next event.
func TestSlowBodiesGiveWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxInFlightBytes = 400_000
	w.start()
	var slow []net.Conn
	for range 20 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		check(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n%s", bytes.Repeat([]byte(" "), 100_000))
		check(t, err)
		slow = append(slow, conn)
	}
	for range 5 {
		w.append(w.warrant())
	}
	dropped := 0
	for _, conn := range slow {
		check(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		if b, _ := io.ReadAll(conn); len(b) > 0 {
			dropped++
		}
	}
	if dropped < 10 {
		t.Errorf("%d of 20 slow bodies were dropped; there is room for 3", dropped)
	}
}

// bundleReads is an engine that counts the bundles that are read.
type bundleReads struct {
	log.Engine
	bundles atomic.Int64
}

func (c *bundleReads) wrap(e log.Engine) log.Engine {
	c.Engine = e
	return c
}

func (c *bundleReads) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level == tlog.Entries {
		c.bundles.Add(1)
	}
	return c.Engine.ReadTile(ctx, t)
}

// TestRepeatsAreRemembered checks that an event that is submitted again and again is
// searched for once.
func TestRepeatsAreRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	c := new(bundleReads)
	w.wrap = c.wrap
	w.start()
	entry := w.warrant()
	w.append(entry)
	before := c.bundles.Load()
	for range 50 {
		resp, answer := w.post("", "application/json", entry)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", resp.Status, answer)
		}
	}
	if n := c.bundles.Load() - before; n > 2 {
		t.Errorf("50 repetitions read %d bundles", n)
	}
}

// TestRepeatsLeaveRoom checks that an honest party, whose answer was lost, gets it again
// while strangers repeat so many events that each is searched for.
func TestRepeatsLeaveRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxStreams = 8
	w.start()
	logged := w.warrants(600) // more than are remembered
	for _, r := range w.stream(logged, "sequenced") {
		if r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	var repeated atomic.Int64
	for range w.config.MaxStreams {
		conn := w.streamConn("sequenced")
		go io.Copy(io.Discard, conn)
		go func() {
			for {
				for _, line := range logged {
					if _, err := fmt.Fprintf(conn, "%x\r\n%s\n\r\n", len(line)+1, line); err != nil {
						return
					}
					repeated.Add(1)
				}
			}
		}()
	}
	eventually(t, func() error {
		if n := repeated.Load(); n < 5000 {
			return fmt.Errorf("%d repetitions", n)
		}
		return nil
	})
	refused := 0
	for i := range 40 {
		if resp, _ := w.post("", "application/json", logged[15*i]); resp.StatusCode != http.StatusOK {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 40 honest repetitions were refused", refused)
	}
}
