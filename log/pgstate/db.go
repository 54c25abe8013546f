// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package pgstate keeps the shared state of a log's instances in one PostgreSQL
// database: the log's settings, the record of its last signed head, the published
// checkpoint, the vault's files, and the lease of the active instance.
//
// # Contract
//
// Every write is fenced: one statement reads the lease under a lock and writes only if
// the lease is still that of the writer's [Term]. An instance that lost its lease
// while it slept or was cut off writes nothing: it gets [state.ErrOusted], and its term
// is over. The record of the head moves only by such a write, as a compare-and-swap,
// before the head's signature leaves the instance. So two instances never publish
// conflicting heads.
//
// A term also ends if its holder can't renew the lease in time, by the holder's
// monotonic clock and before another instance can begin a term: see [DB.Run].
//
// A write is never a transaction of several statements, so a client that vanishes
// leaves no lock for its successor to wait for.
//
// A write is durable when it returns: [Open] and every new connection refuse a replica
// and a server with synchronous_commit, fsync or full_page_writes off.
//
// Only [Create] makes the schema, which has a version. A missing schema is an error,
// never an empty start. A lost or restored database is detected when the log asks its
// witnesses, at the latest.
//
// Users with write access to the database are trusted for the log's availability and
// for its disclosures. They reach neither the tree nor the signing keys, and the
// vault's files are encrypted.
//
// BUG(pgstate): erased files of the vault stay in dead rows until PostgreSQL vacuums
// and reuses them, in the write-ahead log until it is recycled, and in backups.
package pgstate

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/state"
)

//go:embed schema.sql
var schema string

// version is the version of the schema.
const version = 3

var (
	// ErrMissing: the database has no log.
	ErrMissing = durable.Like(fs.ErrNotExist, "the database has no log; if it had one, restore it, else create one with \"vasistas-log init -database\"")
	// ErrVersion: another version of this program made the schema.
	ErrVersion = errors.New("the database has a schema of another version; use the program that made it")
	// ErrUnsafe: the server may lose writes that it acknowledged.
	ErrUnsafe = errors.New("the database server is not safe to write to")
)

const (
	connectTimeout = 5 * time.Second
	// callTimeout bounds every call except those for the lease.
	callTimeout = 15 * time.Second
	maxConns    = 8
)

// DB is a database with the schema and, once it is created, a log. Its methods are
// safe for concurrent use.
type DB struct {
	pool     *pgxpool.Pool
	leases   *pgxpool.Pool // separate, so that no other work delays the lease
	name     string
	settings state.Settings // zero: no log yet
}

// Open opens the database of a log. The DSN is a URL or a list of settings, as for
// libpq. Open refuses a password in the DSN, which every user of the machine can
// read: use PGPASSFILE or PGPASSWORD.
func Open(ctx context.Context, dsn string) (*DB, error) {
	db, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	err = db.checkVersion(ctx)
	if err == nil {
		err = db.loadSettings(ctx)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("opening the database of the log: %w", err)
	}
	return db, nil
}

// Create makes the schema, if it is missing, and opens the database, which has no log
// yet. An earlier attempt may have left the schema without a log. If there is a log,
// the error is [fs.ErrExist].
func Create(ctx context.Context, dsn string) (_ *DB, err error) {
	db, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
			err = fmt.Errorf("creating the database of the log: %w", err)
		}
	}()
	if err := db.makeSchema(ctx); err != nil {
		return nil, err
	}
	if err := db.checkVersion(ctx); err != nil {
		return nil, err
	}
	switch err := db.loadSettings(ctx); {
	case err == nil:
		return nil, durable.Like(fs.ErrExist, "%s has the log %s already; nothing was changed", db.name, db.settings.Origin)
	case !errors.Is(err, ErrMissing):
		return nil, err
	}
	return db, nil
}

func (db *DB) makeSchema(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace('vasistas') IS NOT NULL`).Scan(&there); err != nil || there {
			return err
		}
		if _, err := tx.Exec(ctx, schema); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO vasistas.meta (version) VALUES ($1)`, version); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO vasistas.lease (holder, url, term, seconds, acquired, renewed, version) VALUES ('', '', 0, 1, now(), now(), 0)`)
		return err
	})
}

func connect(ctx context.Context, dsn string) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// The parser's error may quote a password.
		return nil, errors.New("the database's DSN is malformed; give a URL like postgresql://USER@HOST/DATABASE")
	}
	if err := refusePassword(dsn); err != nil {
		return nil, err
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	for name, value := range map[string]string{
		"application_name":                    "vasistas-log",
		"statement_timeout":                   "20s",
		"idle_in_transaction_session_timeout": "5s",
		// They make the server give up a client that vanished.
		"tcp_keepalives_idle":              "5",
		"tcp_keepalives_interval":          "2",
		"tcp_keepalives_count":             "3",
		"client_connection_check_interval": "2s",
	} {
		cfg.ConnConfig.RuntimeParams[name] = value
	}
	cfg.AfterConnect = checkServer
	cfg.MaxConns, cfg.MinConns = maxConns, 0
	db := &DB{name: fmt.Sprintf("database %s on %s", cfg.ConnConfig.Database, cfg.ConnConfig.Host)}
	if db.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg); err != nil {
		return nil, fmt.Errorf("opening %s: %w", db.name, err)
	}
	few := cfg.Copy()
	few.MaxConns = 2
	if db.leases, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), few); err != nil {
		db.pool.Close()
		return nil, fmt.Errorf("opening %s: %w", db.name, err)
	}
	return db, nil
}

// passwordSetting matches a password in a DSN, except in the user part of a URL.
var passwordSetting = regexp.MustCompile(`(^|[\s?&])(ssl)?password\s*=`)

func refusePassword(dsn string) error {
	u, err := url.Parse(dsn)
	has := false
	if err == nil {
		_, has = u.User.Password()
	}
	if has || passwordSetting.MatchString(dsn) {
		return errors.New("the database's DSN has a password, which every user of this machine can read; put it into the file that PGPASSFILE names")
	}
	return nil
}

// checkServer refuses a server that may lose acknowledged writes.
func checkServer(ctx context.Context, c *pgx.Conn) error {
	var commit, fsync, pages string
	var replica bool
	err := c.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()`).
		Scan(&commit, &fsync, &pages, &replica)
	switch {
	case err != nil:
		return err
	case replica:
		return fmt.Errorf("%w: it is a replica; name the primary", ErrUnsafe)
	case commit != "on" && commit != "remote_apply":
		return fmt.Errorf("%w: synchronous_commit is %s, and must be on", ErrUnsafe, commit)
	case fsync != "on" || pages != "on":
		return fmt.Errorf("%w: fsync is %s and full_page_writes is %s, and both must be on", ErrUnsafe, fsync, pages)
	}
	return nil
}

func (db *DB) checkVersion(ctx context.Context) error {
	var is int
	err := db.row(ctx, `SELECT version FROM vasistas.meta`, nil, &is)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000"): // no such table or schema
		return fmt.Errorf("%w (%s)", ErrMissing, db.name)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w (%s has no version)", ErrVersion, db.name)
	case err == nil && is != version:
		return fmt.Errorf("%w (%s has version %d, this program %d)", ErrVersion, db.name, is, version)
	}
	return err
}

func (db *DB) loadSettings(ctx context.Context) error {
	var charter []byte
	var origin string
	err := db.row(ctx, `SELECT origin, charter FROM vasistas.log`, nil, &origin, &charter)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w (%s has the schema, but no log)", ErrMissing, db.name)
	case err != nil:
		return err
	case len(charter) != 32:
		return fmt.Errorf("%s is damaged: the charter's hash has %d bytes", db.name, len(charter))
	}
	db.settings = state.Settings{Origin: origin, Charter: [32]byte(charter)}
	return nil
}

// row reads a row, and returns pgx.ErrNoRows if there is none.
func (db *DB) row(ctx context.Context, sql string, args []any, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return db.unreachable(db.pool.QueryRow(ctx, sql, args...).Scan(into...))
}

// column reads a column.
func column[T any](db *DB, sql string, to pgx.RowToFunc[T]) ([]T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	rows, err := db.pool.Query(ctx, sql)
	if err != nil {
		return nil, db.unreachable(err)
	}
	out, err := pgx.CollectRows(rows, to)
	return out, db.unreachable(err)
}

// exec runs a statement and returns how many rows it changed.
func (db *DB) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tag, err := db.pool.Exec(ctx, sql, args...)
	return tag.RowsAffected(), db.unreachable(err)
}

// unreachable marks a connection error. It returns other errors as they are.
func (db *DB) unreachable(err error) error {
	var pg *pgconn.PgError
	if err == nil || errors.Is(err, ErrUnsafe) || errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pg) {
		return err
	}
	return fmt.Errorf("%s can't be reached: %w", db.name, err)
}

// Name names the database, for messages.
func (db *DB) Name() string { return db.name }

// Close closes all connections. No call may follow.
func (db *DB) Close() {
	db.leases.Close()
	db.pool.Close()
}
