// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package linger delivers an answer to a client that is still sending its request. Most
// clients read an answer only after they have sent everything, and closing a connection
// with unread data resets it, which loses the answer. So the server ends the answer, and
// then keeps reading briefly before it closes the connection.
//
// It reads from the connection and not from the request's body: a body in chunks can't be
// read any more once a read deadline has passed.
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
	total = 10 * time.Second // in all, from the call of After on
)

// Listener returns the listener that s must serve for [After] to work. It accepts a connection
// only while fewer than conns are open.
func Listener(s *http.Server, l net.Listener, conns int) net.Listener {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	return &listener{Listener: l, slots: make(chan struct{}, conns), closed: make(chan struct{})}
}

// key is that of the connection in the context of a request.
type key struct{}

// After has the server read on, within the limits, once it has answered r. The answer must have
// the header "Connection: close".
func After(r *http.Request) {
	if c, ok := r.Context().Value(key{}).(*conn); ok {
		end := time.Now().Add(total)
		c.end.Store(&end)
		// The server reads on too, for a while, if the body has no error yet.
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

// conn is a connection with a slot of its listener.
type conn struct {
	net.Conn
	slots   chan struct{}
	end     atomic.Pointer[time.Time] // of reading after the answer; nil: Close does not read
	closing atomic.Bool
}

// Close reads what the client still sends, if it must. A second call closes at once.
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
			return // the handler may have set an earlier deadline meanwhile
		}
		n += m
	}
}

// CloseWrite tells the client that the answer is complete.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}
