// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
)

// TestCertificateControlsNoTerminal: Go's error about a certificate quotes its DNS names.
func TestCertificateControlsNoTerminal(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"evil\x1b[2J\x1b]0;owned\x07.example\nPROVEN: all"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	defer s.Close()
	terminalStaysClean(t, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "evil")
}

// TestServerTextControlsNoTerminal: a problem document of a hostile server.
func TestServerTextControlsNoTerminal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"type":"urn:vasistas:error:evil\u001b]0;t\u0007","title":"x\u009b2J","detail":"evil\u001b[2J \u202e\nPROVEN: all"}`)
	}))
	defer s.Close()
	terminalStaysClean(t, s.URL, "evil")
}

// terminalStaysClean: what says is printed without a command to the terminal, and its second
// line as no line of the program.
func terminalStaysClean(t *testing.T, url, says string) {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy")
	text := fmt.Sprintf("log %s\nquorum none\n", people.New("log.example", "").Log().Verifier())
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"prove", "--policy", policy, "--log", url, "--index", "0", "--out", "-"},
		{"follow", "--policy", policy, "--log", url, "--until-head"},
		{"audit", "--policy", policy, url},
	} {
		var out, errs bytes.Buffer
		if code := Run(t.Context(), args, nil, &out, &errs); code == 0 {
			t.Errorf("%s succeeded", args[0])
		}
		got := out.String() + errs.String()
		if !strings.Contains(got, says) || strings.ContainsAny(got, "\x1b\x07\u009b\u202e") || strings.Contains(got, "\nPROVEN") {
			t.Errorf("%s prints %q", args[0], got)
		}
	}
}
