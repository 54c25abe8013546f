// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// store is the log's state, for a term or for reading only.
type store struct {
	db   *DB
	term *Term // nil: for reading only
}

var _ state.Store = (*store)(nil)

// State returns the log's state for reading only.
func (db *DB) State() state.Store { return &store{db: db} }

// State returns the log's state for the writer of this term.
func (t *Term) State() state.Store { return &store{t.db, t} }

func (s *store) Settings() state.Settings { return s.db.settings }

func (s *store) Held() error {
	if s.term == nil {
		return errReadOnly
	}
	return s.term.Held()
}

func (s *store) LoadHead(ctx context.Context) ([]byte, error) {
	var head []byte
	err := s.db.row(ctx, `SELECT head FROM vasistas.log`, nil, &head)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("%w (%s)", ErrMissing, s.db.name)
	}
	return head, err
}

func (s *store) SwapHead(ctx context.Context, old, next []byte) error {
	n, err := s.term.exec(ctx, `UPDATE vasistas.log SET head = $3, term = $2 WHERE head = $4 AND EXISTS (SELECT 1 FROM fence)`, next, old)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w (in %s)", state.ErrChanged, s.db.name)
	}
	return err
}

func (s *store) RestoreHead(ctx context.Context, next []byte) error {
	n, err := s.term.exec(ctx, `UPDATE vasistas.log SET head = $3, term = $2 WHERE EXISTS (SELECT 1 FROM fence)`, next)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w (%s)", ErrMissing, s.db.name)
	}
	return err
}

func (s *store) Published(ctx context.Context) (state.Published, error) {
	var p state.Published
	var shown [][]byte
	err := s.db.row(ctx, `SELECT checkpoint, charter, (SELECT array_agg(e.checkpoint) FROM vasistas.evidence e, vasistas.log l WHERE e.term >= l.term),
		(SELECT a.checkpoint FROM vasistas.audited a) FROM vasistas.published`, nil, &p.Checkpoint, &p.Charter, &shown, &p.Audited)
	if errors.Is(err, pgx.ErrNoRows) {
		return state.Published{}, nil
	}
	for _, b := range shown {
		if cp, err := tlog.ParseCheckpoint(b); err == nil {
			p.Shown = max(p.Shown, cp.Size)
		}
	}
	return p, err
}

func (s *store) Publish(ctx context.Context, p state.Published) error {
	cp, err := tlog.ParseCheckpoint(p.Checkpoint)
	if err != nil {
		return err
	}
	n, err := s.term.exec(ctx, `INSERT INTO vasistas.published (size, checkpoint, charter) SELECT $3, $4, $5 FROM fence
		ON CONFLICT (one) DO UPDATE SET size = excluded.size, checkpoint = excluded.checkpoint, charter = excluded.charter
		WHERE published.size <= excluded.size`, int64(cp.Size), p.Checkpoint, int64(p.Charter))
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has a published checkpoint of more than %d entries, which must not go back", s.db.name, cp.Size)
	}
	return err
}

func (s *store) PublishAudited(ctx context.Context, checkpoint []byte) error {
	if checkpoint == nil {
		_, err := s.term.exec(ctx, `DELETE FROM vasistas.audited WHERE EXISTS (SELECT 1 FROM fence)`)
		return err
	}
	cp, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return err
	}
	n, err := s.term.exec(ctx, `INSERT INTO vasistas.audited (size, checkpoint) SELECT $3, $4 FROM fence
		ON CONFLICT (one) DO UPDATE SET size = excluded.size, checkpoint = excluded.checkpoint
		WHERE audited.size <= excluded.size`, int64(cp.Size), checkpoint)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has an audited checkpoint of more than %d entries, which must not go back", s.db.name, cp.Size)
	}
	return err
}

func (s *store) KeepEvidence(ctx context.Context, name string, checkpoint []byte) (string, error) {
	where := fmt.Sprintf("%s in table vasistas.evidence of %s", name, s.db.name)
	_, err := s.term.exec(ctx, `INSERT INTO vasistas.evidence (name, checkpoint, term) SELECT $3, $4, $2 FROM fence
		ON CONFLICT (name) DO UPDATE SET checkpoint = excluded.checkpoint, term = excluded.term`, name, checkpoint)
	return where, err
}

var errReadOnly = fmt.Errorf("%w: opened for reading only", state.ErrOusted)

// exec runs a statement behind the fence and returns how many rows it changed. If the
// term is over and so no row changed, the error is state.ErrOusted.
func (t *Term) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if t == nil {
		return 0, errReadOnly
	}
	n, err := t.db.exec(ctx, fence+sql, append([]any{t.holder, t.number}, args...)...)
	if err == nil && n == 0 {
		err = t.check(ctx)
	}
	return n, err
}

// check returns state.ErrOusted if the term is over.
func (t *Term) check(ctx context.Context) error {
	var mine bool
	if err := t.db.row(ctx, `SELECT holder = $1 AND term = $2 FROM vasistas.lease`, []any{t.holder, t.number}, &mine); err != nil {
		return err
	}
	if !mine {
		t.end(state.ErrOusted)
		return state.ErrOusted
	}
	return nil
}

// creator creates the log in a database without one.
type creator struct{ db *DB }

// Creator returns the maker of a new log's state.
func (db *DB) Creator() state.Creator { return creator{db} }

// nothing is to be closed.
var nothing io.Closer = io.NopCloser(nil)

// Begin takes no lock: if two processes create a log, Create fails for one of them.
func (c creator) Begin(ctx context.Context) (io.Closer, error) {
	if err := c.db.loadSettings(ctx); err == nil {
		return nil, durable.Like(fs.ErrExist, "%s has a log already; nothing was changed", c.db.name)
	} else if !errors.Is(err, ErrMissing) {
		return nil, err
	}
	return nothing, nil
}

func (c creator) Create(ctx context.Context, set state.Settings, head []byte) error {
	n, err := c.db.exec(ctx, `INSERT INTO vasistas.log (origin, charter, head, term) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`, set.Origin, set.Charter[:], head)
	if err != nil {
		return err
	}
	if n != 1 {
		return durable.Like(fs.ErrExist, "%s has a log already; nothing was changed", c.db.name)
	}
	c.db.settings = set
	return nil
}
