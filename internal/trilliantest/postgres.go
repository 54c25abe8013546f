// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package trilliantest runs real servers for tests: PostgreSQL, Trillian's log server
// and signer on it, and an S3 server.
//
//	db := trilliantest.StartPostgres(t)
//	tr := trilliantest.StartTrillian(t, db)
//
// Each process can be killed and started again. All end with the test, and on Linux
// also when the test's process dies. PostgreSQL keeps fsync on, as in production.
// Several databases can share one server, see [Postgres.CreateDatabase], so a package
// needs only one.
package trilliantest

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL server with a data directory of its own. It listens on
// a Unix socket only, so that no port is taken. Its superuser needs no password.
type Postgres struct {
	bin  string // where PostgreSQL's programs are
	dir  string // holds the data and the socket
	cred *syscall.Credential
	p    *process
}

const (
	superuser = "vasistas"
	// pgPort is only a part of the socket's name.
	pgPort = "5432"
)

// StartPostgres makes a new, empty cluster and starts it.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	db := &Postgres{bin: postgresBin(t)}
	var err error
	if db.cred, err = unprivileged(); err != nil {
		t.Fatal(err)
	}
	if db.dir, err = os.MkdirTemp("", "vasistas-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(db.dir); err != nil {
			t.Error(err)
		}
	})
	if db.cred != nil {
		if err := os.Chown(db.dir, int(db.cred.Uid), int(db.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := db.command("initdb", "--pgdata", db.data(), "--username", superuser, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-instructions")
	if _, err := run(initdb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if db.p.running() {
			db.p.end(t, syscall.SIGQUIT)
		}
	})
	db.Start(t)
	return db
}

func (db *Postgres) data() string { return filepath.Join(db.dir, "data") }

// command returns one of PostgreSQL's programs, to run as a user that PostgreSQL
// accepts.
func (db *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(db.bin, name), args...)
	cmd.Dir = db.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + db.dir}
	if db.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: db.cred}
	}
	return cmd
}

// Socket returns the path of its Unix socket, for a proxy in between.
func (db *Postgres) Socket() string { return filepath.Join(db.dir, ".s.PGSQL."+pgPort) }

// DSN returns the URL of the default database, for pgx and libpq.
func (db *Postgres) DSN() string { return db.dsn("postgres") }

func (db *Postgres) dsn(database string) string {
	q := url.Values{"host": {db.dir}, "port": {pgPort}, "user": {superuser}}
	return "postgresql:///" + database + "?" + q.Encode()
}

// CreateDatabase makes an empty database and returns its URL.
func (db *Postgres) CreateDatabase(t testing.TB, name string) string {
	t.Helper()
	db.PSQL(t, db.DSN(), "CREATE DATABASE "+name)
	return db.dsn(name)
}

// PSQL runs SQL through psql in the database with this URL and returns its output: a
// line for each row, the columns separated by |.
func (db *Postgres) PSQL(t testing.TB, dsn, sql string) string {
	t.Helper()
	out, err := run(db.psql(dsn, "--command", sql))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (db *Postgres) psql(dsn string, args ...string) *exec.Cmd {
	return db.command("psql", slices.Concat([]string{"--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set", "ON_ERROR_STOP=1", "--dbname", dsn}, args)...)
}

// Start starts the server on its data and waits until it answers.
func (db *Postgres) Start(t testing.TB) {
	t.Helper()
	if db.p.running() {
		t.Fatal("PostgreSQL runs already")
	}
	// After a kill the server may have to wait for its old processes.
	serve(t, "PostgreSQL", &db.p, syscall.SIGQUIT, func() *exec.Cmd {
		return db.command("postgres", "-D", db.data(), "-k", db.dir,
			"-c", "listen_addresses=", "-c", "port="+pgPort, "-c", "max_connections=200", "-c", "shared_buffers=64MB")
	}, func() error {
		_, err := run(db.psql(db.DSN(), "--command", "SELECT 1"))
		return err
	})
}

// Stop shuts the server down: it closes its connections and writes all data.
func (db *Postgres) Stop(t testing.TB) {
	t.Helper()
	db.p.end(t, syscall.SIGINT)
}

// Kill ends the server with SIGKILL. Its processes for the connections then end too.
func (db *Postgres) Kill(t testing.TB) {
	t.Helper()
	db.p.end(t, syscall.SIGKILL)
}

// Backup stops the server, copies its data and starts it again. It returns the
// directory of the copy, for [Postgres.Restore].
func (db *Postgres) Backup(t testing.TB) string {
	t.Helper()
	db.Stop(t)
	copied, err := os.MkdirTemp(db.dir, "backup-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(exec.Command("cp", "-a", db.data(), copied)); err != nil {
		t.Fatal(err)
	}
	db.Start(t)
	return copied
}

// Restore replaces the server's data by a backup.
func (db *Postgres) Restore(t testing.TB, backup string) {
	t.Helper()
	if db.p.running() {
		db.Stop(t)
	}
	if err := os.RemoveAll(db.data()); err != nil {
		t.Fatal(err)
	}
	if _, err := run(exec.Command("cp", "-a", filepath.Join(backup, "data"), db.dir)); err != nil {
		t.Fatal(err)
	}
	db.Start(t)
}

// postgresBin finds PostgreSQL's programs: Debian keeps them outside of PATH.
func postgresBin(t testing.TB) string {
	t.Helper()
	newest, best := "", 0
	names, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // fails only for a bad pattern
	for _, name := range names {
		dir := filepath.Dir(name)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > best {
			newest, best = dir, v
		}
	}
	if newest != "" {
		return newest
	}
	name, err := exec.LookPath("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL is not installed (scripts/need installs it): %v", err)
	}
	return filepath.Dir(name)
}

// unprivileged returns the user to run PostgreSQL as, nil for the current one.
// PostgreSQL refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no other user for it")
}
