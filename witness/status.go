// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/tlog"
)

// Status is the state of a witness, in JSON.
type Status struct {
	Name string   `json:"name"`
	Keys []string `json:"keys"` // vkeys
	// Unready says why the witness cosigns nothing, and what ends that; "": it cosigns.
	Unready string      `json:"unready,omitempty"`
	Logs    []LogStatus `json:"logs"` // configured, by origin
}

// LogStatus is the latest head that a witness has cosigned of a log; size 0 if there is none.
type LogStatus struct {
	Origin   string     `json:"origin"`
	Hash     string     `json:"hash"` // of the origin: the path of the head is /HASH/checkpoint
	Size     uint64     `json:"size"`
	Root     *tlog.Hash `json:"root,omitempty"`
	Cosigned *time.Time `json:"cosigned,omitempty"` // the time of the latest cosignature
	Answers  uint64     `json:"answers"`            // with cosignatures, since the start
}

// Status returns the witness's state.
func (w *Witness) Status() *Status {
	s := &Status{Name: w.config.Name(), Keys: []string{}, Logs: w.logs()}
	for _, k := range w.Keys() {
		s.Keys = append(s.Keys, k.String())
	}
	if err := w.ready(); err != nil {
		s.Unready = err.Error()
	}
	return s
}

// logs returns the state of the configured logs.
func (w *Witness) logs() []LogStatus {
	logs := []LogStatus{} // not nil: JSON
	for origin, known := range w.view.Load().byOrigin {
		l := LogStatus{Origin: origin, Hash: cosigning.OriginHash(origin), Answers: known.state.told.Count()}
		if a := known.state.last.Load(); a != nil && a.time > 0 {
			a = known.state.newest(a)
			at := time.Unix(int64(a.time), 0).UTC()
			l.Size, l.Root, l.Cosigned = a.head.Size, &a.head.Root, &at
		}
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b LogStatus) int { return cmp.Compare(a.Origin, b.Origin) })
	return logs
}

// status is asked by strangers, too, if the operator has no address of its own.
func (w *Witness) status() ([]byte, error) {
	if err := enter(w.slots); err != nil {
		return nil, err
	}
	defer leave(w.slots)
	b, err := json.Marshal(w.Status())
	return append(b, '\n'), err
}

// newest returns a recorded head as it was signed last.
func (l *logState) newest(a *accepted) *accepted {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again != nil && l.again.head.Size == a.head.Size && l.again.time >= a.time {
		return l.again
	}
	return a
}

// ready returns why the witness cosigns nothing, and what ends that. A stranger reads it, so it
// has no paths.
func (w *Witness) ready() error {
	err := w.store.ready()
	var behind *ClockError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &behind):
		return fmt.Errorf("%w; it cosigns again once the clock is right, or, if the clock was ahead before, in %d seconds", err, behind.Behind)
	case errors.Is(err, errChanged):
		return fmt.Errorf("%w: %w; stop the other process, and resume the lost state by name", ErrNotDurable, errChanged)
	case errors.Is(err, ErrNotDurable):
		return fmt.Errorf("%w (the log of the witness says why); it cosigns again, without a restart, once its disk takes data", ErrNotDurable)
	}
	return err
}
