// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package linger lets a client see an answer that it got before it had sent all of
// its request. A connection that is closed while data is unread is reset, and the
// reset takes the answer with it; and most clients look for an answer only when they
// have sent all.
package linger

import (
	"io"
	"net/http"
	"time"
)

// What a client that was answered already may cost.
const (
	most  = 16 << 20         // bytes
	idle  = 3 * time.Second  // between two of them
	total = 10 * time.Second // in all
)

// On sends what was answered, and then reads on while the client sends.
func On(rc *http.ResponseController, body io.Reader) {
	if rc.Flush() != nil {
		return
	}
	buf := make([]byte, 16<<10)
	end := time.Now().Add(total)
	for n := 0; n < most && time.Now().Before(end); {
		if rc.SetReadDeadline(time.Now().Add(idle)) != nil {
			return
		}
		m, err := body.Read(buf)
		if err != nil {
			return
		}
		n += m
	}
}
