// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPage: many requests of one second cost one page; another state, or another second, costs one
// more.
func TestPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p page
		made := 0
		for i, c := range []struct {
			state string
			pause time.Duration
			want  int
		}{{"a", 0, 1}, {"a", 999 * time.Millisecond, 1}, {"b", 0, 2}, {"b", time.Second, 3}, {"a", 0, 4}} {
			time.Sleep(c.pause)
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					got := p.get(c.state, func() []byte { made++; return fmt.Appendf(nil, "%s%d", c.state, made) })
					if want := fmt.Sprint(c.state, c.want); string(got) != want {
						t.Errorf("request %d gets %s; want %s", i, got, want)
					}
				})
			}
			all.Wait()
		}
	})
}
