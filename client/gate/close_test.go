// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

// TestClosed: a request that is under way while the gate closes is refused. Once Close has returned,
// the request writes nothing to the state directory, which another process may have, and opens no
// share.
func TestClosed(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Poll = time.Hour // so that only requests follow the log
	w.runAll()
	var closed atomic.Bool
	durabletest.Inject(t, s.Config.Dir, func(op durable.Op, path string) error {
		if closed.Load() {
			t.Errorf("after Close: %s of %s", op.Step, path)
		}
		return nil
	})
	for _, held := range []string{http.MethodGet, http.MethodPost} { // while it follows the log, and while it posts a release
		r := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)).request()
		reached, goOn := make(chan struct{}, 100), make(chan struct{})
		w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			if r.Method == held {
				reached <- struct{}{}
				<-goOn
			}
			h.ServeHTTP(rw, r)
		})
		s.key.forget()
		answer := make(chan error, 1)
		go func() {
			_, err := w.ask(s, r)
			answer <- err
		}()
		<-reached
		s.stop()
		closed.Store(true)
		close(goOn)
		var no *refused
		if err := <-answer; !errors.As(err, &no) || no.code != gate.CodeNotReady {
			t.Errorf("a request of which a %s was under way: %v", held, err)
		}
		if n := s.key.count(escrow.ForShare); n > 0 {
			t.Errorf("the key opened %d shares after Close", n)
		}
		closed.Store(false)
		w.LogServer.Between(nil)
		w.run(s)
	}
}
