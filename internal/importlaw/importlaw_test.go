// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package importlaw

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vasistas/vasistas/"

// layers orders our packages, the lowest first. A package imports packages of
// lower layers only; those of an inner layer import each other, too.
var layers = []struct {
	name     string
	prefixes []string
	inner    bool // may import its own layer
}{
	{"key checks, problems and JSON", []string{"internal/weakkey", "internal/edverify", "internal/problem", "internal/strictjson"}, false},
	{"formats", []string{"log/tlog"}, false},
	{"internal", []string{"internal/"}, true},
	{"event", []string{"log/event"}, true},
	{"what tests write", []string{"internal/world/people", "internal/world/written"}, true},
	{"what entries mean", []string{"log/ledger", "log/profile", "log/vault"}, false},
	{"what a log remembers", []string{"log/state", "log/round"}, false},
	{"what a log signs", []string{"log/internal/chain"}, false},
	{"what a log reads, asks and owes", []string{"log/internal/entries", "log/internal/cosign", "log/duty"}, false},
	{"verify", []string{"client/verify"}, false},
	{"escrow", []string{"client/escrow"}, false},
	{"client", []string{"client", "client/notice", "client/escrow/charters"}, false},
	{"replica and mirror", []string{"client/replica", "client/monitor/mirror"}, false},
	{"roles", []string{"log", "witness", "client/audit", "client/escrow/agency", "client/gate", "client/monitor/auditor"}, false},
	{"what reads audits", []string{"client/scan", "client/monitor/facts"}, false},
	{"what pages read", []string{"client/monitor/index"}, false},
	{"what runs auditors", []string{"client/monitor"}, false},
	{"the desk", []string{"client/monitor/desk"}, false},
	{"role commands, engines and states", []string{"log/recover", "log/tesserax", "log/trillianx", "log/pgstate", "log/vault/vaultcmd", "witness/witnesscmd", "client/escrow/plugincmd"}, false},
	{"worlds", []string{"internal/world"}, true},
	{"buckets", []string{"log/trillianx/s3store"}, false},
	{"cmd", []string{"cmd/", "deploy"}, true},
}

// world is what only tests, benchmarks and the demo import.
const world = "internal/world"

// layerOf returns the place of a package of ours in layers: that of the longest
// prefix which it has.
func layerOf(t *testing.T, path string) int {
	best, length := -1, 0
	for i, l := range layers {
		for _, p := range l.prefixes {
			if match := path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/"); match && len(p) > length {
				best, length = i, len(p)
			}
		}
	}
	if best < 0 {
		t.Fatalf("%s is in no layer: add it", path)
	}
	return best
}

// engines are the modules that only the package with the x may import, and the
// one that runs Trillian for tests; and what only tests import.
var engines = map[string][]string{
	"github.com/transparency-dev/tessera":   {"log/tesserax"},
	"github.com/google/trillian":            {"log/trillianx", "internal/trilliantest"},
	"github.com/jackc/pgx":                  {"log/pgstate"},
	"github.com/minio/minio-go":             {"log/trillianx/s3store"},
	"modernc.org":                           {"client/monitor/index"},
	"github.com/prometheus":                 nil,
	"github.com/chromedp":                   {"internal/browser"},
	module + "internal/browser":             nil,
	module + "internal/durable/durabletest": nil,
}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

func list(t *testing.T) []pkg {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list knows %d packages", len(pkgs))
	}
	return pkgs
}

func TestDownwardOnly(t *testing.T) {
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		from := layerOf(t, path)
		for _, i := range p.Imports {
			if in, ok := strings.CutPrefix(i, module); ok {
				to := layerOf(t, in)
				if to > from || to == from && !layers[from].inner {
					t.Errorf("%s (%s) imports %s (%s)", path, layers[from].name, in, layers[to].name)
				}
			}
			if strings.HasPrefix(i, module+world) && !strings.HasPrefix(path, world) && path != "cmd/vasistas-demo" {
				t.Errorf("%s imports %s, which is for tests and the demo", path, i)
			}
			if i == "text/template" && !strings.HasPrefix(path, "cmd/") {
				t.Errorf("%s imports %s: what people read is made in cmd", path, i)
			}
			for engine, only := range engines {
				if (i == engine || strings.HasPrefix(i, engine+"/")) && !slices.Contains(only, path) {
					t.Errorf("%s imports %s, which only %q may", path, i, only)
				}
			}
		}
	}
}

// TestLinks checks what is linked into a package or command at all.
func TestLinks(t *testing.T) {
	network := []string{"net", "net/http", "crypto/tls", "os/exec", "plugin"}
	pure := append([]string{"crypto/x509"}, network...)
	bare := []string{"filippo.io/edwards25519", "golang.org/x/mod/", "golang.org/x/sys/", "github.com/transparency-dev/merkle", "github.com/cloudflare/circl/", module}
	ages := append([]string{"filippo.io/age", "filippo.io/hpke", "filippo.io/nistec", "github.com/bwesterb/go-ristretto", "golang.org/x/crypto/"}, bare...)
	rules := []struct {
		path string
		not  []string // no dependency may be one of these
		only []string // dependencies outside the standard library begin with one of these
	}{
		{"log/tlog", pure, []string{"filippo.io/edwards25519", "golang.org/x/sys/cpu", "github.com/cloudflare/circl/", module + "log/tlog", module + "internal/edverify", module + "internal/weakkey", module + "internal/strictjson"}},
		{"internal/problem", []string{"os/exec", "plugin"}, nil},
		{"internal/strictjson", network, nil},
		{"internal/metrics", network, []string{module + "internal/metrics"}},
		{"log/event", pure, []string{"filippo.io/edwards25519", "golang.org/x/sys/cpu", "github.com/cloudflare/circl/", module + "log/", module + "internal/edverify", module + "internal/weakkey", module + "internal/strictjson"}},
		{"log/ledger", network, bare},
		{"log/state", network, bare},
		{"log/internal/chain", append([]string{module + "log/event", module + "log/ledger"}, network...), append([]string{"github.com/hashicorp/golang-lru/"}, bare...)},
		{"log/internal/entries", network, append([]string{"github.com/hashicorp/golang-lru/"}, bare...)},
		{"log/duty", append([]string{module + "log/internal/chain", module + "log/state"}, network...), ages},
		{"log/pgstate", []string{module + "log", "net/http"}, []string{""}},
		{"log/recover", []string{module + "log/tesserax", module + "log/trillianx", module + "log/pgstate"}, []string{""}},
		{"client/verify", network, bare},
		{"client/escrow", network, ages},
		{"client/notice", network, ages},
		{"client/replica", []string{"os/exec", "plugin"}, append([]string{"github.com/hashicorp/golang-lru/"}, bare...)},
		{"witness", nil, bare},
		{"cmd/vasistas-witness", nil, bare},
		// They would make the demo slow to build.
		{"cmd/vasistas-demo", []string{module + "log/event/eventkey", module + "internal/daemon", "github.com/sigstore/sigstore/pkg/signature",
			"github.com/prometheus/client_golang/prometheus", "google.golang.org/protobuf/proto", "expvar"}, []string{""}},
		{"cmd/vasistas-monitor", []string{module + "log", module + "witness", module + "log/vault", module + "log/tesserax"}, []string{""}},
		{"cmd/vasistas-gate", []string{module + "log", module + "witness", module + "log/vault", module + "log/tesserax"}, []string{""}},
	}
	pkgs := list(t)
	for _, r := range rules {
		i := slices.IndexFunc(pkgs, func(p pkg) bool { return p.ImportPath == module+r.path })
		if i < 0 {
			t.Errorf("there is no package %s", r.path)
			continue
		}
		for _, dep := range pkgs[i].Deps {
			if slices.Contains(r.not, dep) {
				t.Errorf("%s links %s", r.path, dep)
			}
			foreign := strings.Contains(strings.Split(dep, "/")[0], ".")
			allowed := slices.ContainsFunc(r.only, func(p string) bool { return strings.HasPrefix(dep, p) })
			if foreign && !allowed {
				t.Errorf("%s links %s", r.path, dep)
			}
		}
	}
}
