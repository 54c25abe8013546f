// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// Group returns the custodian group of the access. The case must have been checked.
func (c *Case) Group() *escrow.Group { return c.group }

// Is reports whether an event is the access of the case. The case must have been checked.
func (c *Case) Is(e *event.Envelope) bool { return e.Hash() == c.request.AccessOpenings.Event }

// maxStatus bounds a gate's status, in bytes.
const maxStatus = 1 << 20

// A Standing is what a gate says of itself, whatever the access.
type Standing struct {
	Opens bool   `json:"opens"`
	Why   string `json:"why,omitempty"`  // it would open nothing, or did not say
	Ends  string `json:"ends,omitempty"` // what would end that: it follows "once"
}

// Standings asks each gate whose URL is known whether it would open, all at the same time, and
// returns what they say by the custodians' names. It asks for no share, so no gate logs a
// release.
func (c *Case) Standings(ctx context.Context, o Options) map[string]Standing {
	o.setDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	out := make(map[string]Standing)
	var mu sync.Mutex
	var asked sync.WaitGroup
	for name, url := range c.Gates {
		asked.Go(func() {
			s, err := standing(ctx, &o, url)
			if err != nil {
				s = Standing{Why: err.Error(), Ends: "it answers at " + url}
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = s
		})
	}
	asked.Wait()
	return out
}

func standing(ctx context.Context, o *Options, url string) (s Standing, err error) {
	b, err := o.fetch(ctx, strings.TrimSuffix(url, "/")+"/status", nil, maxStatus)
	if err != nil {
		return s, err
	}
	var status struct{ Shut, Ends string } // of gate.Status
	if err := json.Unmarshal(b, &status); err != nil {
		return s, fmt.Errorf("its status is not one: %w", err)
	}
	return Standing{status.Shut == "", status.Shut, status.Ends}, nil
}
