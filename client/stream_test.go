// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
)

func envelopes(list [][]byte, end error) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

// A stream keeps the order, answers each line by itself, and a follower that
// runs at the same time sees the same.
func TestSubmitStream(t *testing.T) {
	l := newRealLog(t)
	const n = 3000
	var list [][]byte
	for i := range n {
		switch {
		case i%100 == 7:
			list = append(list, []byte("{}"))
		case i%100 == 8:
			list = append(list, list[i-8])
		default:
			list = append(list, sign(t, heartbeat(t, origin), l.signers[0]).Bytes())
		}
	}
	logged := make(map[uint64][]byte)
	type end struct {
		seen int
		err  error
	}
	ended := make(chan end)
	const want = n - 2*n/100
	go func() {
		seen := 0
		for _, err := range l.client().Follow(t.Context(), client.FollowOptions{Poll: 10 * time.Millisecond}) {
			if err != nil {
				ended <- end{seen, err}
				return
			}
			if seen++; seen == want {
				break
			}
		}
		ended <- end{seen, nil}
	}()
	i := 0
	var last uint64
	for r, err := range l.client().SubmitStream(t.Context(), envelopes(list, nil), client.WaitCosigned) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Submission, list[i]) {
			t.Fatalf("answer %d is to another event", i)
		}
		var p *client.Problem
		switch {
		case i%100 == 7:
			if !errors.As(r.Err, &p) || p.Code() != client.CodeForm {
				t.Fatalf("answer %d: %v", i, r.Err)
			}
		case r.Err != nil:
			t.Fatalf("answer %d: %v", i, r.Err)
		case i%100 == 8:
			if !r.Duplicate || !bytes.Equal(logged[r.Index], list[i]) {
				t.Fatalf("answer %d: %+v", i, r.Submitted)
			}
		default:
			if r.Duplicate || i > 0 && r.Index != last+1 {
				t.Fatalf("answer %d: %+v after %d", i, r.Submitted, last)
			}
			last = r.Index
			logged[r.Index] = r.Submission
		}
		i++
	}
	if i != n {
		t.Errorf("%d answers", i)
	}
	if e := <-ended; e.err != nil || e.seen != want {
		t.Errorf("the follower saw %d of %d entries: %v", e.seen, want, e.err)
	}
}

func TestSubmitStreamEnds(t *testing.T) {
	l := newRealLog(t)
	var list [][]byte
	for range 3 {
		list = append(list, sign(t, heartbeat(t, origin), l.signers[0]).Bytes())
	}
	// The caller's error comes after the answers to what came before it.
	stop := errors.New("the input broke")
	n := 0
	var last error
	for r, err := range l.client().SubmitStream(t.Context(), envelopes(list, stop), client.WaitSequenced) {
		if last = err; err == nil && r.Err == nil {
			n++
		}
	}
	if n != 3 || !errors.Is(last, stop) {
		t.Errorf("%d answers, then %v", n, last)
	}
	// The caller may stop.
	for range l.client().SubmitStream(t.Context(), envelopes(list, nil), client.WaitSequenced) {
		break
	}
	// A line feed would make two lines.
	for _, err := range l.client().SubmitStream(t.Context(), envelopes([][]byte{[]byte("{}\n{}")}, nil), client.WaitSequenced) {
		if err == nil {
			t.Error("a line feed was sent")
		}
	}
	for _, err := range newClient(t, client.Config{URL: t.TempDir()}).SubmitStream(t.Context(), envelopes(list, nil), client.WaitSequenced) {
		if !errors.Is(err, client.ErrReadOnly) {
			t.Errorf("to a directory: %v", err)
		}
	}
}

// A stream that is cut off goes on with what has no answer, and what was logged
// before is a duplicate then.
func TestSubmitStreamResumes(t *testing.T) {
	l := newRealLog(t)
	var list [][]byte
	for range 500 {
		list = append(list, sign(t, heartbeat(t, origin), l.signers[0]).Bytes())
	}
	target, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	cl := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := requests.Add(1); {
		case n == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case n <= 4: // the log gets all, and its answers are cut off
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			resp, err := http.Post(l.url+r.URL.RequestURI(), r.Header.Get("Content-Type"), bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			io.CopyN(w, resp.Body, 100_000)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	}, l.policy)
	i := 0
	duplicates := 0
	for r, err := range cl.SubmitStream(t.Context(), envelopes(list, nil), client.WaitCosigned) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil || !bytes.Equal(r.Submission, list[i]) || r.Index != uint64(i+1) { // after the charter
			t.Fatalf("answer %d: %+v, %v", i, r.Submitted, r.Err)
		}
		if r.Duplicate {
			duplicates++
		}
		i++
	}
	if i != len(list) || duplicates == 0 || requests.Load() < 5 {
		t.Errorf("%d answers, %d of them duplicates, in %d requests", i, duplicates, requests.Load())
	}
}

// A stream whose answers are never whole says so.
func TestSubmitStreamCutOff(t *testing.T) {
	l := newFileLog(t)
	for name, lines := range map[string]string{
		"no answer":    "",
		"half a line":  `{"index":0`,
		"one too many": "{\"index\":0,\"leaf\":\"\"}\n{\"index\":1}\n",
		"no end":       strings.Repeat("x", 2<<20),
	} {
		var requests atomic.Int32
		cl := server(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-ndjson")
			io.WriteString(w, lines)
		}, l.policy())
		var last error
		for _, err := range cl.SubmitStream(t.Context(), envelopes([][]byte{[]byte("{}")}, nil), client.WaitSequenced) {
			last = err
		}
		if last == nil || requests.Load() > 5 {
			t.Errorf("%s: %v after %d requests", name, last, requests.Load())
		}
	}
}
