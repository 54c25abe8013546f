// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Trillian is a log server and a signer with one database.
type Trillian struct {
	dsn            string
	addr           string
	server, signer *process
}

// StartTrillian makes a database in the server, loads Trillian's schema into it,
// and starts a log server and a signer there.
func StartTrillian(t testing.TB, db *Postgres) *Trillian {
	t.Helper()
	bins := binaries(t)
	tr := &Trillian{dsn: db.CreateDatabase(t, fmt.Sprintf("trillian_%d", databases.Add(1)))}
	schema, err := os.ReadFile(bins.schema)
	if err != nil {
		t.Fatal(err)
	}
	psql := db.psql(tr.dsn)
	psql.Stdin = strings.NewReader("SET client_min_messages = warning;\n" + string(schema))
	if _, err := run(psql); err != nil {
		t.Fatal(err)
	}
	tr.addr = freeAddr(t)
	t.Cleanup(func() {
		for _, p := range []*process{tr.signer, tr.server} {
			if p.running() {
				p.end(t, syscall.SIGKILL)
			}
		}
	})
	tr.StartServer(t)
	tr.StartSigner(t)
	return tr
}

// databases counts the databases that this process has made.
var databases atomic.Int64

// DSN returns the URL of Trillian's database.
func (tr *Trillian) DSN() string { return tr.dsn }

// Addr returns the address of the log server, which stays the same after a restart.
func (tr *Trillian) Addr() string { return tr.addr }

// StartServer starts the log server again after KillServer, and waits until it answers.
func (tr *Trillian) StartServer(t testing.TB) {
	t.Helper()
	serve(t, "Trillian's log server", &tr.server, syscall.SIGKILL, func() *exec.Cmd {
		return exec.Command(binaries(t).server, "-rpc_endpoint", tr.addr, "-http_endpoint", "",
			"-storage_system", "postgresql", "-postgresql_uri", tr.dsn, "-quota_system", "noop",
			"-max_msg_size_bytes", "16777216", "-logtostderr")
	}, func() error {
		return tr.call(func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := trillian.NewTrillianAdminClient(conn).ListTrees(ctx, &trillian.ListTreesRequest{})
			return err
		})
	})
}

// call calls f with a connection to the log server.
func (tr *Trillian) call(f func(context.Context, *grpc.ClientConn) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+tr.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return f(ctx, conn)
}

// KillServer ends the log server at once.
func (tr *Trillian) KillServer(t testing.TB) { t.Helper(); tr.server.end(t, syscall.SIGKILL) }

// StartSigner starts the signer, the only one, without an election.
func (tr *Trillian) StartSigner(t testing.TB) {
	t.Helper()
	if tr.signer.running() {
		t.Fatal("Trillian's signer runs already")
	}
	var err error
	if tr.signer, err = start(exec.Command(binaries(t).signer, "-rpc_endpoint", "127.0.0.1:0", "-http_endpoint", "",
		"-storage_system", "postgresql", "-postgresql_uri", tr.dsn, "-quota_system", "noop", "-force_master",
		"-sequencer_interval", "20ms", "-batch_size", "2048", "-num_sequencers", "2", "-logtostderr"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// KillSigner ends the signer at once.
func (tr *Trillian) KillSigner(t testing.TB) { t.Helper(); tr.signer.end(t, syscall.SIGKILL) }

// freeAddr returns an address with a free port.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// programs are the paths of the programs that internal/interop/trillian pins.
type programs struct{ server, signer, schema string }

var build = sync.OnceValues(func() (p programs, err error) {
	dir, err := moduleDir("trillian")
	if err != nil {
		return p, err
	}
	const tags = "-tags=postgresql,etcd"
	// With -n, go tool builds the program in the build cache and prints its path.
	if p.server, err = goIn(dir, tags, "tool", "-n", "trillian_log_server"); err != nil {
		return p, err
	}
	if p.signer, err = goIn(dir, tags, "tool", "-n", "trillian_log_signer"); err != nil {
		return p, err
	}
	module, err := goIn(dir, tags, "list", "-m", "-f", "{{.Dir}}", "github.com/google/trillian")
	p.schema = filepath.Join(module, "storage", "postgresql", "schema", "storage.sql")
	return p, err
})

// moduleDir returns the directory of a module in internal/interop.
func moduleDir(name string) (string, error) {
	gomod, err := run(exec.Command("go", "env", "GOMOD"))
	return filepath.Join(filepath.Dir(strings.TrimSpace(gomod)), "internal", "interop", name), err
}

// goIn runs the go command in a directory, with an additional flag, and returns its
// output.
func goIn(dir, flag string, args ...string) (string, error) {
	flags, err := run(exec.Command("go", "env", "GOFLAGS"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{"GOFLAGS=" + strings.TrimSpace(strings.TrimSpace(flags)+" "+flag)})
	out, err := cmd.Output() // without standard error, which reports downloads
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func binaries(t testing.TB) programs {
	t.Helper()
	p, err := build()
	if err != nil {
		t.Fatalf("building Trillian: %v", err)
	}
	return p
}
