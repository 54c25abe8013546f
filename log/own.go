// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"

	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// ownEvents is the log as its keeper uses it.
type ownEvents struct {
	*liveLedger
	sequencer *sequencer
}

var (
	_ duty.Log     = ownEvents{}
	_ duty.Feed    = (*publisher)(nil)
	_ duty.Metrics = (*metrics)(nil)
)

// Submit implements [duty.Log].
func (o ownEvents) Submit(env *event.Envelope) (wait func() error, err error) {
	ev := newAdmitted(env, env.Bytes())
	ev.signatures = []ledger.SigState{ledger.Good}
	done, err := o.sequencer.submit(ev)
	if err != nil {
		return nil, ownError(err)
	}
	return func() error { return ownError((<-done).err) }, nil
}

func ownError(err error) error {
	var rule *RuleError
	switch {
	case errors.As(err, &rule) && rule.Rule == "opening" && rule.Code == "opened":
		return duty.ErrOpened
	case errors.Is(err, ErrClosing):
		return context.Canceled
	}
	return err
}
