// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package linger delivers an answer to a client that is still sending its request. Most
// clients read an answer only after they have sent everything, and closing a connection
// with unread data resets it, which loses the answer. So the server keeps reading
// briefly after the answer.
package linger

import (
	"io"
	"net/http"
	"time"
)

// Limits of reading after the answer.
const (
	most  = 16 << 20         // bytes
	idle  = 3 * time.Second  // without a byte
	total = 10 * time.Second // in all
)

// On flushes the answer and then reads while the client sends, within the limits.
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
