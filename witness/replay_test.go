// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

// countSyncs counts the writes to the journal in dir.
func countSyncs(t *testing.T, dir string) *atomic.Int64 {
	var n atomic.Int64
	durabletest.Inject(t, dir, func(op durable.Op, _ string) error {
		if op.Step == durable.AppendSync && !op.After {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// TestReplayStarvesNoLog: 48 strangers replay the checkpoint that was published last. All of
// the log's own requests are cosigned, and strangers cost no write.
func TestReplayStarvesNoLog(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 40)
	c := create(t, bothSigners(), l)
	writes := countSyncs(t, c.Dir)
	c.MaxPerLog = 1
	url := serveWitness(t, open(t, c))
	var body atomic.Pointer[[]byte]
	publish := func(size uint64) { b := l.request(size, size); body.Store(&b) }
	if a := post(t, url, l.request(0, 1)); a.status != 200 {
		t.Fatal(a.status)
	}
	publish(1)
	var served, refused atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 48 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(*body.Load()))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if served.Add(1); resp.StatusCode != 200 && resp.StatusCode != 409 {
					refused.Add(1)
				}
			}
		})
	}
	begin := time.Now()
	for size := uint64(1); size <= 20; size++ {
		for before := served.Load(); served.Load() < before+48; {
			time.Sleep(time.Millisecond) // until the strangers are at work again
		}
		if a := post(t, url, l.request(size, size+1)); a.status != 200 {
			t.Errorf("the log's own request at size %d: %d %s", size, a.status, a.body)
			break
		}
		publish(size + 1)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d requests of strangers, %d refused, %d writes in %v", served.Load(), refused.Load(), writes.Load(), time.Since(begin))
	// 21 heads, and a reservation of timestamps every few seconds.
	if n := refused.Load(); n > 0 || writes.Load() > 22+int64(time.Since(begin)/time.Second) {
		t.Errorf("%d strangers were refused; %d writes", n, writes.Load())
	}
}

// TestUnchangedHead: an unchanged head is signed again with the present time, at most once a
// second, and not later than a larger one. Timestamps do not go back over a restart.
func TestUnchangedHead(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	c := create(t, bothSigners(), l)
	writes := countSyncs(t, c.Dir)
	var last uint64
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		again := func(size uint64) []byte {
			t.Helper()
			lines, err := w.AddCheckpoint(t.Context(), l.request(size, size))
			if err != nil {
				t.Fatal(err)
			}
			last = verify(t, c.Signers, l.head(size), lines)
			return lines
		}
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
		before := writes.Load()
		for range 20 {
			first := again(3)
			if last != uint64(time.Now().Unix()) {
				t.Errorf("signed at %d, and it is %d", last, time.Now().Unix())
			}
			if !bytes.Equal(first, again(3)) {
				t.Error("signed twice in a second")
			}
			m := handle(w, "GET", monitorURL("", l.origin), nil)
			if !bytes.HasSuffix(m.Body.Bytes(), first) {
				t.Errorf("monitors do not see the latest lines:\n%s", m.Body)
			}
			time.Sleep(time.Second)
		}
		if n := writes.Load() - before; n > 5 {
			t.Errorf("%d writes for 20 seconds of an unchanged head", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // 20 seconds earlier
		lines, err := open(t, c).AddCheckpoint(t.Context(), l.request(3, 5))
		if err != nil {
			t.Fatal(err)
		}
		if got := verify(t, c.Signers, l.head(5), lines); got < last {
			t.Errorf("size 5 at %d, after size 3 at %d", got, last)
		}
	})
}

// TestUnchangedHeadDuringWrite: while a larger head is being written, the smaller one is
// answered, at no later time than the larger one will have.
func TestUnchangedHeadDuringWrite(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	c := create(t, bothSigners()[:1], l)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
		blocked, release := blockSyncs(t, c.Dir)
		time.Sleep(time.Minute)
		larger := make(chan []byte, 1)
		go func() {
			lines, err := w.AddCheckpoint(t.Context(), l.request(3, 5))
			if err != nil {
				t.Error(err)
			}
			larger <- lines
		}()
		<-blocked
		time.Sleep(10 * time.Second)
		lines, err := w.AddCheckpoint(t.Context(), l.request(3, 3))
		if err != nil {
			t.Fatal(err)
		}
		small := verify(t, c.Signers, l.head(3), lines)
		release()
		if large := verify(t, c.Signers, l.head(5), <-larger); small > large || small+10 != uint64(time.Now().Unix()) {
			t.Errorf("size 3 at %d, size 5 at %d", small, large)
		}
	})
}

// TestAdvancesHaveTheirOwnSlots: unchanged heads that wait for the disk do not take the slots
// of requests that advance a log.
func TestAdvancesHaveTheirOwnSlots(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 9), newLog(t, "log.example/b", "b", 9)
	c := create(t, bothSigners()[:1], a, b)
	c.MaxRequests = 1
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		for _, l := range []*testLog{a, b} {
			if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		blocked, release := blockSyncs(t, c.Dir)
		status := make(chan int, 2)
		ask := func(body []byte) { status <- handle(w, "POST", "/add-checkpoint", body).Code }
		go ask(a.request(3, 3)) // which reserves timestamps
		<-blocked
		if got := handle(w, "POST", "/add-checkpoint", b.request(3, 3)).Code; got != 503 {
			t.Errorf("a second unchanged head: %d", got)
		}
		go ask(b.request(3, 5))
		release()
		if x, y := <-status, <-status; x != 200 || y != 200 {
			t.Errorf("%d, %d", x, y)
		}
	})
}

// TestReadyOnFullDisk: /readyz says that the disk is full, though no log asks, and heals.
func TestReadyOnFullDisk(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners()[:1], l)
	var full atomic.Bool
	durabletest.Inject(t, c.Dir, func(op durable.Op, _ string) error {
		if full.Load() && op.Step == durable.Append && !op.After {
			return syscall.ENOSPC
		}
		return nil
	})
	synctest.Test(t, func(t *testing.T) {
		w := open(t, c)
		ready := func(want int) {
			t.Helper()
			if got := handle(w, "GET", "/readyz", nil); got.Code != want || want == 503 && !strings.Contains(got.Body.String(), "once its disk takes data") {
				t.Errorf("%d %s, want %d", got.Code, got.Body, want)
			}
		}
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
		ready(200)
		full.Store(true)
		time.Sleep(10 * time.Second)
		for range 5 {
			ready(503)
			time.Sleep(2 * time.Second)
		}
		full.Store(false)
		ready(200)
		if _, err := w.AddCheckpoint(t.Context(), l.request(3, 5)); err != nil {
			t.Error(err)
		}
	})
}
