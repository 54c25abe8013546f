// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestSlowReaders: a thousand readers who take a byte a second of pages and downloads, or never end their request, keep
// no other from a page or a download, and cost no memory without bound.
func TestSlowReaders(t *testing.T) {
	b := newBed(t, "log.example/slow")
	b.Live(3000)
	b.anchor()
	b.Publish("w1", "w2", "w3")
	b.open()
	server := httptest.NewUnstartedServer(b.desk)
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew { // else the kernel takes whole downloads
			_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	whole := b.get(b.path("entries.csv"))
	before := heap()
	ask := []string{b.path(""), b.path("entries"), b.path("duties?lang=fr"), b.path("timeline"), b.path("charts")}
	for i := range 1000 {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		check(t, err)
		defer c.Close()
		check(t, c.(*net.TCPConn).SetReadBuffer(1))
		path := ask[i%len(ask)]
		if i%25 == 0 { // more than there are places for what is being made
			path = b.path("entries.csv")
		}
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: desk\r\n", path)
		if i%8 != 1 {
			request += "\r\n" // the others never end their request
		}
		_, err = io.WriteString(c, request)
		check(t, err)
		go func() { // until the connection is closed
			tick, one := time.NewTicker(time.Second), make([]byte, 1)
			defer tick.Stop()
			for range tick.C {
				if _, err := c.Read(one); err != nil {
					return
				}
			}
		}()
	}
	begun := time.Now()
	if body := page(t, server.URL+b.path("")+"?lang=en"); !strings.Contains(body, `<strong class="verdict">`) {
		t.Error(body)
	}
	first := time.Since(begun)
	resp, got := get(t, server.URL+b.path("entries.csv"))
	rows := func(csv string) string { return exportedAt.ReplaceAllString(csv, "") } // it names address and time
	if resp.StatusCode != http.StatusOK || rows(got) != rows(whole) {
		t.Errorf("a download: %d, %d bytes of %d", resp.StatusCode, len(got), len(whole))
	}
	more := int64(heap()) - int64(before)
	t.Logf("the first screen after %v, a download of %d bytes after %v; %d MiB more on the heap", first, len(whole), time.Since(begun), more>>20)
	if more > 256<<20 {
		t.Errorf("the heap has %d bytes more", more)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
