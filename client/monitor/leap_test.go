// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/world/written"
)

// said keeps what is logged.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestOneReplay: an auditor that is far behind takes over the state of the monitor's own replay. If that
// replay stands still, because its listener does, the auditor replays the log by itself.
func TestOneReplay(t *testing.T) {
	for _, stands := range []bool{false, true} {
		t.Run(fmt.Sprintf("stands=%t", stands), func(t *testing.T) {
			t.Parallel()
			l := newOther(t, written.Origin, time.Now().Unix())
			l.Live(2000)
			l.publish()
			a, log, hold := l.audited(), new(said), make(chan struct{})
			a.Logger = slog.New(slog.NewTextHandler(log, nil))
			m, err := monitor.Open(monitor.Config{Auditors: []auditor.Config{a}, Tell: func(_ string, f *facts.Fact) error {
				if stands && f.Entry != nil && f.Entry.Index == 1000 {
					<-hold
				}
				return nil
			}})
			check(t, err)
			m.Start()
			t.Cleanup(func() {
				close(hold)
				check(t, m.Close())
			})
			eventually(t, func() error {
				if s := m.Status()[0]; s.Applied != l.Size() {
					return fmt.Errorf("%d of %d entries are applied", s.Applied, l.Size())
				}
				return nil
			})
			if took := strings.Contains(log.String(), "started with another replay"); took == stands {
				t.Errorf("the auditor took over the other replay: %t\n%s", took, log)
			}
		})
	}
}
