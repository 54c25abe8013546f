// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestMemory loads the real binary with 1,000 logs from 32 connections, and
// reads the largest resident size that it ever had.
func TestMemory(t *testing.T) {
	const n, workers, limit = 1000, 32, 40 << 10 // KiB
	shared := newLog(t, "x", "x", 8)
	var logs []*testLog
	for i := range n {
		l := newLog(t, fmt.Sprintf("log.example/%04d", i), "", 0)
		l.tree = shared.tree
		logs = append(logs, l)
	}
	in := install(t, bothSigners(), logs...)
	p, url := in.start()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	garbage := bytes.Repeat([]byte("x"), 64<<10)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for size := uint64(1); size <= 4; size++ {
				for i := k; i < n; i += workers {
					bodies := [][]byte{logs[i].request(size-1, size)}
					if i%4 == 0 {
						bodies = append(bodies, garbage)
					}
					for _, b := range bodies {
						resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(b))
						if err != nil {
							t.Error(err)
							return
						}
						resp.Body.Close()
						if want := map[bool]int{true: 400, false: 200}[len(b) == len(garbage)]; resp.StatusCode != want {
							t.Errorf("%d, want %d", resp.StatusCode, want)
							return
						}
					}
				}
			}
		})
	}
	wg.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil || kib > limit {
				t.Errorf("%v: it took %d KiB, and %d are allowed", err, kib, limit)
			}
			t.Logf("%d KiB at most", kib)
			return
		}
	}
	t.Fatal("no VmHWM")
}
