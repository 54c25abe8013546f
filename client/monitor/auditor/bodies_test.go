// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/internal/linger/lingertest"
	"github.com/vasistas/vasistas/log/event"
)

// TestSlowBodies: bodies that never end take a bounded amount of memory, and give it back.
func TestSlowBodies(t *testing.T) {
	server := lingertest.NewServer(auditor.Handler())
	defer server.Close()
	post := func(body io.Reader) (int, error) {
		resp, err := http.Post(server.URL+auditor.EventsPath, "application/json", body)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	busy, end := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	var once sync.Once
	for range 34 << 20 / event.MaxSubmissionSize {
		clients.Go(func() {
			status, err := post(io.MultiReader(bytes.NewReader(make([]byte, event.MaxSubmissionSize-1)), until(end)))
			switch {
			case status == http.StatusServiceUnavailable:
				once.Do(func() { close(busy) })
			case err == nil && status != http.StatusBadRequest:
				t.Errorf("answered %d", status)
			}
		})
	}
	select {
	case <-busy:
	case <-time.After(time.Minute):
		t.Error("no body was refused")
	}
	close(end)
	clients.Wait()
	eventually(t, func() error {
		if status, err := post(bytes.NewReader([]byte("{}"))); err != nil || status != http.StatusBadRequest {
			return errors.New("it is still busy")
		}
		return nil
	})
}

// until is a body that ends without more bytes once the channel is closed.
type until chan struct{}

func (u until) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}
