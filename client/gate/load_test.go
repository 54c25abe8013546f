// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
)

// requestInfo is what a request is bound to: an independent reading of it.
func requestInfo(to event.HPKEKey) []byte {
	hash, err := escrow.KeyHash(to)
	if err != nil {
		panic(err) // of a key that was made
	}
	var info []byte
	for _, part := range [][]byte{[]byte("vasistas request v1"), []byte(origin), hash[:]} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part)))
		info = append(info, part...)
	}
	return info
}

// sealTo is HPKE alone.
func sealTo(t testing.TB, to event.HPKEKey, info, plain []byte) []byte {
	t.Helper()
	pub, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(to.Public)
	check(t, err)
	sealed, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
	check(t, err)
	return sealed
}

// sealRaw seals any bytes as a request.
func sealRaw(t testing.TB, to event.HPKEKey, plain []byte) []byte {
	t.Helper()
	hash, err := escrow.KeyHash(to)
	check(t, err)
	return append(hash[:], sealTo(t, to, requestInfo(to), plain)...)
}

// TestMutations changes a request at many places: the gate refuses each, and uses its key for none.
func TestMutations(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice, bob), accessTerms{}, w.escrow(alice), w.escrow(alice))
	plain, err := a.request().Bytes()
	check(t, err)
	mutants := map[string][]byte{"cut off": plain[:len(plain)-1], "one more": append(bytes.Clone(plain), ' ')}
	for _, member := range []string{"access", "accessOpenings", "packages", "warrant", "warrantOpenings"} {
		mutants["without "+member] = bytes.Replace(plain, []byte(`"`+member+`":`), []byte(`"x":`), 1)
		mutants["twice "+member] = bytes.Replace(plain, []byte(`{"access":`), []byte(`{"`+member+`":"AA","access":`), 1)
	}
	for i := 0; i < len(plain); i += 1 + len(plain)/400 {
		m := bytes.Clone(plain)
		switch c := m[i]; {
		case c == 'A':
			m[i] = 'B'
		default:
			m[i] = 'A'
		}
		mutants[fmt.Sprintf("byte %d", i)] = m
	}
	codes := make(map[gate.Code]int)
	for name, m := range mutants {
		_, err := postTo(s.URL+escrow.RequestPath, escrow.RequestType, sealRaw(t, s.key.Public(), m))
		var no *refused
		if !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		codes[no.code]++
	}
	untouched(t, s)
	t.Logf("%d mutants: %v", len(mutants), codes)
	w.refresh(a.logged)
	w.refresh(a.warrant)
	if _, err := postTo(s.URL+escrow.RequestPath, escrow.RequestType, sealRaw(t, s.key.Public(), mustBytes(t, a.request()))); err != nil {
		t.Fatalf("what is not changed: %v", err)
	}
}

func mustBytes(t testing.TB, r *escrow.Request) []byte {
	t.Helper()
	b, err := r.Bytes()
	check(t, err)
	return b
}

// TestCrowd: while 10,000 requests are under way, most of which never end, memory is bounded, and
// an honest request is served.
func TestCrowd(t *testing.T) {
	const crowd = 10_000
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	h := s.Running.Handler()
	pipes := newPipeListener()
	server := gate.Server(h, time.Minute)
	go server.Serve(pipes)
	defer server.Close()
	before := heap()
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gate\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", escrow.RequestPath, escrow.RequestType, escrow.MaxRequestSize)
	var conns []net.Conn
	var wg sync.WaitGroup
	for i := range crowd {
		c, err := pipes.dial()
		check(t, err)
		conns = append(conns, c)
		wg.Go(func() {
			// Half an opened connection, a header without end, a body without end.
			text := []string{"", head[:30], head + strings.Repeat("x", 20_000)}[i%3]
			c.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.WriteString(c, text) // the gate may have had enough
		})
	}
	wg.Wait()
	r := a.request()
	b, err := r.Seal(origin, s.key.Public())
	check(t, err)
	eventually(t, func() error {
		c, err := pipes.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		req, err := http.NewRequest(http.MethodPost, "http://gate"+escrow.RequestPath, bytes.NewReader(b))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", escrow.RequestType)
		if err := req.Write(c); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return errors.Join(err, errors.New(resp.Status))
		}
		w.openAnswer(s, a, answer)
		return nil
	})
	grown := heap() - before
	for _, c := range conns {
		c.Close()
	}
	t.Logf("%d requests took %d MiB", crowd, grown>>20)
	if grown > 768<<20 {
		t.Errorf("%d requests took %d MiB", crowd, grown>>20)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pipeListener takes connections in memory: so many need no descriptors.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// TestSideBySide: many accesses at a time, each with a release of its own, in one
// chain without gaps.
func TestSideBySide(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	const n = 24
	warrants := []*logged{w.warrant(alice), w.warrant(alice), w.warrant(alice)}
	var list []*asked
	for i := range n {
		list = append(list, w.access(warrants[i%3], accessTerms{}, w.escrow(alice)))
	}
	var wg sync.WaitGroup
	for _, a := range list {
		for range 2 { // each of them twice at once
			wg.Go(func() {
				if _, err := w.ask(s, a.request()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if got := len(w.chain(s)); got != n {
		t.Fatalf("%d releases for %d accesses", got, n)
	}
}

// TestShutdown: a request that waits for its publication is answered before the
// gate ends.
func TestShutdown(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	under, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			once.Do(func() { close(under) })
			<-held
		}
		h.ServeHTTP(rw, r)
	})
	got := make(chan error, 1)
	go func() {
		_, err := w.ask(s, a.request())
		got <- err
	}()
	<-under
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		down <- s.Server.Close(ctx)
	}()
	eventually(t, func() error {
		if _, err := http.Get(s.URL + "/healthz"); err == nil {
			return errors.New("the server still takes connections")
		}
		return nil
	})
	close(held)
	check(t, <-got)
	check(t, <-down)
	s.stop()
}
