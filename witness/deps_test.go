// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDeps: a witness is what others trust, so it links little.
func TestDeps(t *testing.T) {
	allowed := []string{
		"github.com/vasistas/vasistas/internal/c2sp",
		"github.com/vasistas/vasistas/internal/weakkey", // by c2sp; standard library only
		"github.com/vasistas/vasistas/internal/durable",
		"github.com/vasistas/vasistas/witness",
		"github.com/vasistas/vasistas/witness/witnesscmd",
		"github.com/vasistas/vasistas/cmd/vasistas-witness",
		"github.com/transparency-dev/merkle",
		"github.com/transparency-dev/merkle/compact",
		"github.com/transparency-dev/merkle/proof",
		"github.com/transparency-dev/merkle/rfc6962",
		"golang.org/x/sys/cpu",
	}
	prefixes := []string{"golang.org/x/mod/", "github.com/cloudflare/circl/"}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}",
		"github.com/vasistas/vasistas/cmd/vasistas-witness").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 6 {
		t.Fatalf("only %q", deps)
	}
next:
	for _, dep := range deps {
		for _, a := range allowed {
			if dep == a {
				continue next
			}
		}
		for _, p := range prefixes {
			if strings.HasPrefix(dep, p) {
				continue next
			}
		}
		t.Errorf("the witness links %s", dep)
	}
}
