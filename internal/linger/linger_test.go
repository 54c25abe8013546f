// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package linger_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/linger"
)

// refuse answers without reading.
func refuse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	linger.On(http.NewResponseController(w), r.Body)
}

// TestAnswer: a client that sends all before it reads gets the answer, with and
// without an announced length.
func TestAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(refuse))
	defer s.Close()
	const size = 8 << 20
	body := strings.Repeat("x", size)
	for _, request := range []string{
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

// endless is a body that never ends, from a client that never rests.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n += len(p)
	return len(p), nil
}

// deadlines is a connection's end, as http.ResponseController sees it.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetReadDeadline(time.Time) error { return nil }

// TestBounded: On stops at each of its limits.
func TestBounded(t *testing.T) {
	var e endless
	linger.On(http.NewResponseController(deadlines{httptest.NewRecorder()}), &e)
	if e.n < 16<<20 || e.n > 17<<20 {
		t.Errorf("it read %d bytes", e.n)
	}
}
