// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
)

// noLeaves is a lie: reading leaves fails with this code.
func noLeaves(code codes.Code) lie {
	return func(answer proto.Message) error {
		if _, ok := answer.(*trillian.GetLeavesByRangeResponse); ok {
			return status.Error(code, "no leaves")
		}
		return nil
	}
}

// testUnread: at most MaxUnread entries have values that were not read back, and a value
// that changes in the database stops the engine, also after a restart.
func testUnread(t *testing.T, tr *trilliantest.Trillian, db *trilliantest.Postgres) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr, p.MaxUnread = l.addr, 600
	e := p.open(t)
	unavailable := noLeaves(codes.Unavailable)
	l.tell(unavailable)
	all := engines.Batch(0, 900)
	for from := 0; from < 600; from += 300 {
		_, err := add(t.Context(), e, all[from:from+300])
		check(t, err)
	}
	if _, err := add(t.Context(), e, all[600:601]); !errors.Is(err, log.ErrTreeUnreadable) {
		t.Errorf("601 values are unread: %v", err)
	}
	engines.Holds(t, e, all[:600])
	l.honest()
	_, err := add(t.Context(), e, all[600:])
	check(t, err)
	engines.Holds(t, e, all)
	_, err = add(t.Context(), e, engines.Batch(900, 700)) // more than MaxUnread
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
	if _, err := add(t.Context(), e, engines.Batch(1600, 1)); !errors.Is(err, log.ErrTreeConflict) {
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
	engines.Holds(t, e, engines.Batch(0, 1600))
}

// testUnreadLost: a row that the database loses in the middle of a bundle stops the running
// engine, with an error that names the entry, until the row is there again.
func testUnreadLost(t *testing.T, tr *trilliantest.Trillian, db *trilliantest.Postgres) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr = l.addr
	e := p.open(t)
	var all [][]byte
	for _, table := range []string{"leafdata", "sequencedleafdata"} {
		l.tell(noLeaves(codes.Unavailable)) // until the row is lost
		batch := engines.Batch(len(all), 300)
		_, err := add(t.Context(), e, batch)
		check(t, err)
		lost := len(all) + 100
		all = append(all, batch...)
		// As a replica, the database deletes no row of the other table.
		db.PSQL(t, tr.DSN(), fmt.Sprintf(`SET session_replication_role = replica; CREATE TABLE kept_%[1]s AS SELECT x.* FROM %[1]s x
			JOIN sequencedleafdata s USING (treeid, leafidentityhash) WHERE s.treeid = %[2]d AND s.sequencenumber = %[3]d;
			DELETE FROM %[1]s x USING kept_%[1]s k WHERE x.treeid = k.treeid AND x.leafidentityhash = k.leafidentityhash`, table, p.Tree, lost))
		l.honest()
		began := time.Now()
		eventually(t, func() error {
			if _, _, err = e.Tree(t.Context()); err == nil {
				return errors.New("the loss is not noticed")
			}
			return nil
		})
		t.Logf("noticed after %v", time.Since(began))
		_, aerr := add(t.Context(), e, engines.Batch(0, 1))
		for _, err := range []error{err, aerr} {
			if !errors.Is(err, log.ErrTreeConflict) || !strings.Contains(err.Error(), fmt.Sprintf("lacks the leaf %d)", lost)) {
				t.Errorf("a row of %s is lost: %v", table, err)
			}
		}
		db.PSQL(t, tr.DSN(), fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM kept_%[1]s", table))
		engines.Holds(t, e, all)
	}
}

// testUnreadOutage: while the database is down, values can't be read back. The engine reports
// no loss, and goes on when the database is up again.
func testUnreadOutage(t *testing.T, tr *trilliantest.Trillian, db *trilliantest.Postgres) {
	l := newLiar(t, tr)
	p := newPlace(t, tr)
	p.Addr = l.addr
	e := p.open(t)
	all := engines.Batch(0, 300)
	l.tell(noLeaves(codes.Unknown))
	_, err := add(t.Context(), e, all)
	check(t, err)
	read := func() { // a bundle, and then a leaf, with five attempts each
		before := l.reads.Load()
		eventually(t, func() error {
			if n := l.reads.Load() - before; n < 12 {
				return fmt.Errorf("only %d reads", n)
			}
			return nil
		})
	}
	read()
	if _, _, err := e.Tree(t.Context()); !errors.Is(err, log.ErrTreeUnreadable) {
		t.Errorf("leaves can't be read: %v", err)
	}
	db.Stop(t)
	l.honest()
	read()
	if _, _, err := e.Tree(t.Context()); !errors.Is(err, log.ErrTreeUnreadable) {
		t.Errorf("the database is down: %v", err)
	}
	db.Start(t)
	eventually(t, func() error {
		_, _, err := e.Tree(t.Context())
		if errors.Is(err, log.ErrTreeConflict) {
			t.Errorf("the database was down: %v", err)
		}
		return err
	})
	engines.Holds(t, e, all)
}
