// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/trillian"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
)

// testUnread: at most MaxUnread entries have values that were not read back, and a value
// that changes in the database stops the engine, also after a restart.
func testUnread(t *testing.T, tr *trilliantest.Trillian, db *trilliantest.Postgres) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr, p.MaxUnread = l.addr, 600
	e := p.open(t)
	unavailable := func(answer proto.Message) error {
		if _, ok := answer.(*trillian.GetLeavesByRangeResponse); ok {
			return status.Error(codes.Unavailable, "no leaves")
		}
		return nil
	}
	l.tell(unavailable)
	all := engines.Batch(0, 900)
	for from := 0; from < 600; from += 300 {
		_, err := e.Add(t.Context(), all[from:from+300])
		check(t, err)
	}
	if _, err := e.Add(t.Context(), all[600:601]); !errors.Is(err, log.ErrTreeUnreadable) {
		t.Errorf("601 values are unread: %v", err)
	}
	holds(t, e, all[:600])
	l.honest()
	_, err := e.Add(t.Context(), all[600:])
	check(t, err)
	holds(t, e, all)
	_, err = e.Add(t.Context(), engines.Batch(900, 700)) // more than MaxUnread
	check(t, err)
	set := func(value string) {
		db.PSQL(t, tr.DSN(), fmt.Sprintf(`UPDATE leafdata SET leafvalue = '%s' FROM sequencedleafdata s
			WHERE s.treeid = %d AND s.sequencenumber = 1300 AND leafdata.treeid = s.treeid AND leafdata.leafidentityhash = s.leafidentityhash`, value, p.Tree))
	}
	check(t, e.Close(t.Context()))
	set("forged")
	e = p.open(t)
	eventually(t, func() error {
		_, _, err := e.Tree(t.Context())
		if !errors.Is(err, log.ErrTreeConflict) {
			return fmt.Errorf("a value was changed: %w", err)
		}
		if !strings.Contains(err.Error(), "the leaf 1300 in Trillian was changed") {
			t.Errorf("it says %q", err)
		}
		return nil
	})
	if _, err := e.Add(t.Context(), engines.Batch(1600, 1)); !errors.Is(err, log.ErrTreeConflict) {
		t.Errorf("adding upon a changed value: %v", err)
	}
	l.tell(unavailable)
	if _, _, err := e.Tree(t.Context()); !errors.Is(err, log.ErrTreeUnreadable) {
		t.Errorf("the changed value can't be read again: %v", err)
	}
	l.honest()
	if _, _, err := e.Tree(t.Context()); !errors.Is(err, log.ErrTreeConflict) {
		t.Errorf("the changed value can be read again: %v", err)
	}
	set("entry 1300")
	holds(t, e, engines.Batch(0, 1600))
}
