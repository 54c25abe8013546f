// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
)

// standsBy waits until an instance says that it is a standby.
func (c *cluster) standsBy(e *instance) {
	c.t.Helper()
	c.says(e, "ready again once the active instance")
}

// says waits until /readyz of an instance refuses, with this text.
func (c *cluster) says(e *instance, text string) {
	c.t.Helper()
	eventually(c.t, func() error {
		status, body := e.request("/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, text) {
			return fmt.Errorf("/readyz: %d %s", status, body)
		}
		return nil
	})
}

// term is that of the lease, and that in which the last head was recorded.
func (c *cluster) terms() (lease, head string) {
	c.t.Helper()
	lease = strings.TrimSpace(c.db.PSQL(c.t, c.dsn, "SELECT term FROM vasistas.lease"))
	return lease, strings.TrimSpace(c.db.PSQL(c.t, c.dsn, "SELECT term FROM vasistas.log"))
}

// sent are requests that were written to an instance and not answered yet.
type sent []net.Conn

// send writes requests to an instance, which may be stopped.
func (c *cluster) send(e *instance, n int) (out sent) {
	c.t.Helper()
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.at(), "http://"))
		check(c.t, err)
		c.t.Cleanup(func() { conn.Close() })
		entry := c.warrant()
		_, err = fmt.Fprintf(conn, "POST /events?wait=sequenced HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(entry), entry)
		check(c.t, err)
		out = append(out, conn)
	}
	return out
}

// refused checks that no request was acknowledged.
func (s sent) refused(t testing.TB) {
	t.Helper()
	for _, conn := range s {
		check(t, conn.SetReadDeadline(time.Now().Add(5*time.Minute)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		if err := problemOf(resp, body); !isProblem(err, "standby") {
			t.Errorf("an instance that was stopped for longer than its lease says %d %v", resp.StatusCode, err)
		}
	}
}

// TestStopLeader stops the active instance in the middle of its work for longer than
// its lease lasts, and lets it go on. It checks that the instance signs and
// acknowledges nothing more.
func TestStopLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	last := c.active(c.instances...)
	stop := c.load(c.balance(), 4)
	for range 2 {
		c.acknowledges(20)
		began := time.Now()
		check(t, last.Process.Signal(syscall.SIGSTOP))
		size := c.seen.size()
		next := c.active(c.others(last)...)
		c.at(next).append(c.warrant()) // clients may all be waiting for the one that is stopped
		c.resumed(next, size, began)
		sent := c.send(last, 5)
		check(t, last.Process.Signal(syscall.SIGCONT))
		sent.refused(t)
		c.standsBy(last)
		lease, head := c.terms()
		if lease != head {
			t.Errorf("the head was recorded in term %s, and it is term %s", head, lease)
		}
		c.acknowledges(20)
		last = next
	}
	failed := stop()
	c.resubmit(c.active(c.instances...), failed)
}

// TestKillDatabase kills the database under load. It checks that while the database is
// away nothing is acknowledged and what is published is served, and that afterwards
// everything goes on by itself.
func TestKillDatabase(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	for range 3 {
		c.launch(c.dsn)
	}
	c.active(c.instances...)
	b := c.balance()
	stopStreams := c.streams(b)
	stop := c.load(b, 4)
	for range 2 {
		c.acknowledges(20)
		c.db.Kill(t)
		for _, e := range c.instances {
			c.says(e, "can't be reached")
			c.standsBy(e)
			c.at(e).checkpoint()
		}
		size := c.seen.size()
		c.db.Start(t)
		began := time.Now()
		c.resumed(c.active(c.instances...), size, began)
	}
	c.acknowledges(20)
	failed := append(stop(), stopStreams()...)
	c.resubmit(c.active(c.instances...), failed)
}

// droppingProxy passes connections on until the test makes it drop what comes. Then the
// connections stay open, and nothing gets through, as in a network that is cut.
type droppingProxy struct {
	net.Listener
	mu      sync.Mutex
	dropped chan struct{} // nil: it passes on; else closed when it does again
}

// newDroppingProxy passes on to a Unix socket.
func newDroppingProxy(t testing.TB, to string) *droppingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	p := &droppingProxy{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				in.Close()
				continue
			}
			go p.pass(in, out)
			go p.pass(out, in)
		}
	}()
	return p
}

func (p *droppingProxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return
		}
		p.mu.Lock()
		dropped := p.dropped
		p.mu.Unlock()
		if dropped != nil { // these bytes never arrive, and neither do any after them
			<-dropped
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// drop cuts the network, or mends it.
func (p *droppingProxy) drop(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cut {
		p.dropped = make(chan struct{})
		return
	}
	close(p.dropped)
	p.dropped = nil
}

// TestCutLeader cuts the active instance from the database, under load. It checks that
// the instance stops its log by itself and still serves what it knows, that another
// takes over, and that the first takes part again when the network is back.
func TestCutLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	proxy := newDroppingProxy(t, c.db.Socket())
	host, port, err := net.SplitHostPort(proxy.Addr().String())
	check(t, err)
	through := fmt.Sprintf("postgresql://vasistas@%s/vasistas?port=%s&sslmode=disable", host, port)
	first := c.launch(through)
	c.active(first)
	for range 2 {
		c.launch(c.dsn)
	}
	b := c.balance()
	stop := c.load(b, 4)
	c.acknowledges(20)
	size := c.seen.size()
	began := time.Now()
	proxy.drop(true)
	second := c.active(c.others(first)...)
	c.resumed(second, size, began)
	c.standsBy(first)
	c.says(first, "reading the published checkpoint")
	c.at(first).checkpoint()
	if _, err := c.at(first).sequence(c.warrant()); !isProblem(err, "standby") {
		t.Errorf("an instance without a database says %v", err)
	}
	proxy.drop(false)
	c.acknowledges(20)
	for _, e := range c.others(first) {
		check(t, e.end(t, syscall.SIGTERM))
	}
	c.at(c.active(first)).append(c.warrant())
	failed := stop()
	c.resubmit(first, failed)
}

// TestRestoreDatabase restores the database, and with it Trillian's tree, from a backup
// that is older than what was published. It checks that no instance signs or
// acknowledges anything: those that ran know what they served, and a new one hears it
// from the witnesses. Then a mirror brings back what is lost, and what was acknowledged
// beyond it is found in the tiles.
func TestRestoreDatabase(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 3)
	for range 2 {
		c.launch(c.dsn)
	}
	first := c.active(c.instances...)
	c.at(first).append(c.warrant())
	backup := c.db.Backup(t)
	first = c.active(c.instances...)
	for range 5 {
		c.at(first).append(c.warrant())
	}
	for _, e := range c.instances {
		c.at(e).published(c.seen.size())
	}
	// A mirror that has everything that was published, and not everything that was
	// acknowledged.
	mirror := t.TempDir()
	check(t, os.WriteFile(filepath.Join(mirror, "checkpoint"), c.at(first).checkpoint().Bytes(), 0o644))
	check(t, os.CopyFS(filepath.Join(mirror, "tile"), os.DirFS(filepath.Join(c.dir, "tiles", "tile"))))
	for _, s := range c.witnesses {
		s.answer(down)
	}
	for range 3 {
		c.at(first).mustSequence(c.warrant())
	}
	check(t, first.Process.Signal(syscall.SIGSTOP)) // so that it does not publish them
	c.db.Restore(t, backup)
	check(t, first.Process.Signal(syscall.SIGCONT))
	const says = "restored from an older backup"
	refuses := func(e *instance) {
		t.Helper()
		c.says(e, says)
		c.says(e, "recover -from MIRROR")
		if _, err := c.at(e).sequence(c.warrant()); err == nil {
			t.Error("an event was acknowledged")
		}
	}
	published, err := tlog.ParseCheckpoint(must(os.ReadFile(filepath.Join(mirror, "checkpoint"))))
	check(t, err)
	for _, e := range c.instances {
		refuses(e)
		if cp := c.at(e).checkpoint(); cp.Size < published.Size {
			t.Errorf("the checkpoint went back to %d entries, and one of %d was seen", cp.Size, published.Size)
		}
	}
	// Until now, a request of the first instance could have given a witness a head of what was not published.
	for _, s := range c.witnesses {
		s.answer(nil)
	}
	for _, e := range c.instances {
		if err := e.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("it ended with %v\n%s", err, &e.stderr)
		}
	}
	again := c.instances[1]
	c.relaunch(again, c.dsn)
	refuses(again)
	if cp := c.at(again).checkpoint(); cp.Size < published.Size {
		t.Errorf("after a restart it serves %d entries, and served %d before", cp.Size, published.Size)
	}
	check(t, again.end(t, syscall.SIGTERM))
	fresh := c.launch(c.dsn)
	refuses(fresh)
	// A standby that has served nothing yet does not serve the old checkpoint either.
	other := c.launch(c.dsn)
	c.standsBy(other)
	eventually(t, func() error {
		if status, body := c.at(other).get("/checkpoint"); status != http.StatusServiceUnavailable {
			return fmt.Errorf("a new standby serves %d: %s", status, body)
		}
		return nil
	})
	check(t, other.end(t, syscall.SIGTERM))
	lease, head := c.terms()
	if lease == head {
		t.Errorf("a head was recorded in the present term, %s", lease)
	}
	args := c.arguments("recover", slices.Concat([]string{"-database", c.dsn, "-from", mirror, "-state", t.TempDir()}, c.options)...)
	if out, err := exec.Command(build(t, "..", "./cmd/vasistas-log"), args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "stop all instances") {
		t.Errorf("recovering while an instance runs: %v\n%s", err, out)
	}
	check(t, fresh.end(t, syscall.SIGTERM))
	out, err := exec.Command(build(t, "..", "./cmd/vasistas-log"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("recovering: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	for _, e := range c.instances {
		c.relaunch(e, c.dsn)
	}
	last := c.active(c.instances...)
	c.at(last).append(c.warrant())
	c.resubmit(last, nil)
}

// TestAuditOnStandbys checks that each instance serves the audited checkpoint, that only
// the active one knows the round, and that the next active one has what the last one had.
func TestAuditOnStandbys(t *testing.T) {
	t.Parallel()
	c := &cluster{world: prepareWorld(t, 1, 1), db: trilliantest.StartPostgres(t), lease: 2 * time.Second}
	c.profile.Round, c.profile.Stale = 600, 3600
	dog := c.newAuditor("dog")
	c.extra = c.auditors(1, dog)
	check(t, tesserax.Create(t.Context(), c.tree()))
	engine, err := tesserax.Open(t.Context(), c.tree())
	check(t, err)
	c.createIn(engine)
	for range 2 {
		c.launch(c.dsn)
	}
	first := c.active(c.instances...)
	second := c.others(first)[0]
	size := c.at(first).append(c.warrant()).Index + 1
	cp := c.at(first).vouched(size)
	eventually(t, func() error {
		if status, text := second.request("/audit/checkpoint"); status != http.StatusOK || text != string(cp.Bytes()) {
			return fmt.Errorf("the standby serves %d: %s", status, text)
		}
		return nil
	})
	if status, text := second.request("/audit/round"); status != http.StatusServiceUnavailable || !strings.Contains(text, "urn:vasistas:error:standby") {
		t.Errorf("the round on a standby: %d: %s", status, text)
	}
	dog.answer(down)
	if err := first.end(t, os.Interrupt); err != nil {
		t.Errorf("it ended with %v\n%s", err, &first.stderr)
	}
	c.active(second)
	if status, text := second.request("/audit/checkpoint"); status != http.StatusOK || text != string(cp.Bytes()) {
		t.Errorf("the next active one serves %d: %s", status, text)
	}
	dog.answer(nil)
	w := c.at(second)
	w.vouched(w.append(c.warrant()).Index + 1)
}
