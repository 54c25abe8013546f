// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package linger delivers an answer to a client that is still sending its request. Most
// clients read an answer only after they have sent everything, and closing a connection
// with unread data resets it, which loses the answer. So after a call of [After] the server
// ends the answer, and then keeps reading briefly before it closes the connection.
//
// The server then reads from the connection and not from the request's body: a body in chunks
// can't be read any more once a read deadline has passed.
//
// [Listener] also bounds the open connections. A connection counts until the reading ends.
package linger

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of reading after the answer.
const (
	most  = 16 << 20         // bytes
	idle  = 3 * time.Second  // without a byte
	total = 10 * time.Second // in all, since the call of After
)

// Listener returns the listener that s must serve, so that [After] works. The listener accepts a
// connection only while fewer than conns are open. Listener sets s.ConnContext.
func Listener(s *http.Server, l net.Listener, conns int) net.Listener {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	return &listener{Listener: l, slots: make(chan struct{}, conns), closed: make(chan struct{})}
}

// key is the key of the connection in a request's context.
type key struct{}

// After makes the server read on, within the limits, once it has answered r. The answer must have
// the header "Connection: close".
func After(r *http.Request) {
	if c, ok := r.Context().Value(key{}).(*conn); ok {
		end := time.Now().Add(total)
		c.end.Store(&end)
		// net/http, too, reads on for a while, unless reading the body has failed.
		_ = c.SetReadDeadline(time.Now().Add(idle))
	}
}

type listener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &conn{Conn: c, slots: l.slots}, nil
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection. It holds a slot of its listener until Close returns.
type conn struct {
	net.Conn
	slots   chan struct{}
	end     atomic.Pointer[time.Time] // when reading after the answer must end; nil: Close does not read
	closing atomic.Bool
}

// Close reads what the client still sends, if After was called. A second call of Close does not read.
func (c *conn) Close() error {
	if !c.closing.CompareAndSwap(false, true) {
		return c.Conn.Close()
	}
	defer func() { <-c.slots }()
	if end := c.end.Load(); end != nil {
		c.read(*end)
	}
	return c.Conn.Close()
}

func (c *conn) read(end time.Time) {
	_ = c.CloseWrite()
	buf := make([]byte, 16<<10)
	for n, now := 0, time.Now(); n < most && now.Before(end); now = time.Now() {
		deadline := now.Add(idle)
		if end.Before(deadline) {
			deadline = end
		}
		if c.SetReadDeadline(deadline) != nil {
			return
		}
		m, err := c.Read(buf)
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline)) {
			return // but go on after an earlier deadline, which the handler may have set
		}
		n += m
	}
}

// CloseWrite tells the client that the answer is complete. net/http calls it, too.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}
