// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
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

// nothing is a Closer that does nothing.
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

// files holds the vault's files, for a term or for reading only. The audit file needs
// no term: each instance that may read the vault may export from it.
type files struct {
	db   *DB
	term *Term
}

var _ vault.Storage = (*files)(nil)

// Vault returns the vault's files for reading, or to create the vault.
func (db *DB) Vault() vault.Storage { return &files{db: db} }

// Vault returns the vault's files for the writer of this term.
func (t *Term) Vault() vault.Storage { return &files{t.db, t} }

// MaxVaultFile is the vault.Config.MaxFileSize to use with a database, since one
// statement writes a file.
const MaxVaultFile = 4 << 20

func (f *files) String() string { return "the " + f.db.name }

func (f *files) Path(seq uint64) string { return fmt.Sprintf("batch %d in %s", seq, f.db.name) }

// Lock checks that the term lasts. The fence of each write keeps others out.
func (f *files) Lock() (io.Closer, error) {
	return nothing, f.term.check(context.Background())
}

func (f *files) Recipients() ([]byte, error) {
	var text []byte
	err := f.db.row(context.Background(), `SELECT text FROM vasistas.recipients`, nil, &text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fs.ErrNotExist
	}
	return text, err
}

func (f *files) CreateRecipients(text []byte) error {
	n, err := f.db.exec(context.Background(), `INSERT INTO vasistas.recipients (text) VALUES ($1) ON CONFLICT DO NOTHING`, text)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if n == 0 {
		return durable.Like(fs.ErrExist, "%s has a vault already; nothing was changed", f)
	}
	return nil
}

func (f *files) List() ([]vault.BatchInfo, error) {
	out, err := column(f.db, `SELECT seq, extract(epoch FROM now() - made)::float8 FROM vasistas.batch ORDER BY seq`, func(row pgx.CollectableRow) (vault.BatchInfo, error) {
		var seq uint64
		var age float64
		err := row.Scan(&seq, &age)
		return vault.BatchInfo{Seq: seq, Age: time.Duration(age * float64(time.Second))}, err
	})
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return out, nil
}

// chunk is the least number of bytes of a batch that one statement reads.
const chunk = 256 << 10

// batch is a batch that is being read. It keeps the last bytes read, since most readers
// continue from there.
type batch struct {
	files *files
	seq   uint64
	size  int64
	at    int64
	have  []byte
}

func (f *files) Open(seq uint64) (vault.BatchFile, error) {
	b := &batch{files: f, seq: seq}
	err := f.db.row(context.Background(), `SELECT octet_length(data), substring(data FROM 1 FOR $2) FROM vasistas.batch WHERE seq = $1`, []any{seq, chunk}, &b.size, &b.have)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fs.ErrNotExist
	} else if err != nil {
		return nil, err
	}
	return b, nil
}

func (b *batch) Size() int64 { return b.size }

func (b *batch) Close() error { return nil }

func (b *batch) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		if at < b.at || at >= b.at+int64(len(b.have)) {
			if err := b.read(at, max(chunk, len(p)-n)); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], b.have[at-b.at:])
	}
	return n, nil
}

func (b *batch) read(at int64, n int) error {
	var have []byte
	err := b.files.db.row(context.Background(), `SELECT substring(data FROM $2 FOR $3) FROM vasistas.batch WHERE seq = $1`, []any{b.seq, at + 1, n}, &have)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fs.ErrNotExist // compacted since Open
	case err != nil:
		return err
	case len(have) == 0:
		return io.ErrUnexpectedEOF
	}
	b.at, b.have = at, have
	return nil
}

func (f *files) Create(seq uint64, data []byte) error {
	_, err := f.term.exec(context.Background(), `INSERT INTO vasistas.batch (seq, data) SELECT $3, $4 FROM fence`, seq, data)
	return err
}

func (f *files) Remove(seqs []uint64) error {
	_, err := f.term.exec(context.Background(), `DELETE FROM vasistas.batch WHERE seq = ANY($3) AND EXISTS (SELECT 1 FROM fence)`, seqs)
	return err
}

// Probe makes a write that changes nothing, which a database that takes none refuses.
func (f *files) Probe() error { return f.Remove([]uint64{}) }

func (f *files) LockAudit() (io.Closer, error) { return nothing, nil }

func (f *files) ReadAudit() (io.ReadCloser, error) {
	lines, err := column(f.db, `SELECT line FROM vasistas.audit ORDER BY start`, pgx.RowTo[[]byte])
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Join(lines, nil))), nil
}

// AppendAudit adds a line if the audit file has this length. Of two exports at once,
// one fails.
func (f *files) AppendAudit(length int64, line []byte) error {
	n, err := f.db.exec(context.Background(), `INSERT INTO vasistas.audit (start, line) SELECT $1::bigint, $2
		WHERE $1 = (SELECT coalesce(max(start + octet_length(line)), 0) FROM vasistas.audit) ON CONFLICT DO NOTHING`, length, line)
	if err != nil {
		return err
	}
	if n != 1 {
		return errors.New("another export is being made; try again")
	}
	return nil
}
