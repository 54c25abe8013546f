// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package lingertest serves handlers that call [linger.After], for their tests.
package lingertest

import (
	"net/http"
	"net/http/httptest"

	"github.com/vasistas/vasistas/internal/linger"
)

// NewServer is [httptest.NewServer] with a [linger.Listener].
func NewServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Listener = linger.Listener(s.Config, s.Listener, 1000)
	s.Start()
	return s
}
