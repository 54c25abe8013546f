// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package eventkey

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vasistas/vasistas/log/event"
)

// Keys that OpenSSL 3.0 made and encrypted with the passphrase "correct horse", by "openssl pkcs8
// -topk8" and "openssl pkcs8 -topk8 -scrypt", with their public keys by "openssl pkey -pubout".
var encrypted = []struct{ private, public string }{
	{`-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj/MqUulK6tBgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEOY6RsYr/BRriWkfsjEaK0EQBj4
wd/S69R9eln+wLlKNNAIhf4zYjYRw9Jg6I/30qtfOD33upFtmc+5pl2uWUUgZIpm
togal7ePdu8frjzSqCo=
-----END ENCRYPTED PRIVATE KEY-----
`, `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA8gkbUPdnxKSeBXQr7nhTjcJnPrvU1Jq6Ulq3C4utgXM=
-----END PUBLIC KEY-----
`},
	{`-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjSIgMC2IDQtAICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBCY23e8Hz/cXsT5lq7GAR3tBIGQiFLxwAvTZGVk
4a4CpVsFcqWz9iBYGqlfZyMaT3K49lYJqd2XZRUG/tEqPDMJTMsVqF797oABV1P6
DV9MP8qo9O594/pnjDAUyhIMkg3Ekzqpoa64jPCM7JGE/EOyq03ZXDKNDAc025MI
HeEeXB7btGmVMzYZ80HBwJqf4Lco+wST+qjhpDWli8cUQ6Hh7sLq
-----END ENCRYPTED PRIVATE KEY-----
`, `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjcbaLWrH+0CPyatebZmz8z/4n1Kf
pWsV1Jjb6bb0iDb8TooZCIoFN/mQFI0zotizAkX8bI7vXxUHr8bNcTc4vQ==
-----END PUBLIC KEY-----
`},
}

func TestEncrypted(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, k := range encrypted {
		key, public := file("key", k.private), file("key.pub", k.public)
		for text, ok := range map[string]bool{"correct horse": true, "correct horse\n": true, "correct horse\r\n\n": true, "wrong": false, "": false} {
			t.Setenv(PassphraseEnv, file("passphrase", text))
			s, err := Load(t.Context(), key)
			if !ok {
				if !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), "does not open with this passphrase") {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			signs(t, s)
			if want, err := LoadPublic(public); err != nil || !s.Public().Equal(want) {
				t.Errorf("another key: %v", err)
			}
		}
		t.Setenv(PassphraseEnv, filepath.Join(dir, "missing"))
		if _, err := Load(t.Context(), key); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

// TestPipe: a key may come from another program, and is never on a disk.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	key, pipe := filepath.Join(dir, "key.pem"), filepath.Join(dir, "pipe")
	public, err := Generate(Ed25519, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	go func() { wrote <- os.WriteFile(pipe, b, 0) }()
	s, err := Load(t.Context(), pipe)
	if err != nil || !s.Public().Equal(public) {
		t.Error(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestOtherForms: a file that is no key file of ours is named for what it is.
func TestOtherForms(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if _, err := Generate(ECDSAP256, key); err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(key + PublicSuffix)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := pem.Decode(private)
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	bom := func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	for name, c := range map[string]struct {
		private bool
		data    []byte
		want    []string
	}{
		"bom":         {true, bom(private), []string{"byte order mark", "openssl pkey -in"}},
		"crlf":        {true, crlf(private), []string{"CR LF", "openssl pkey -in"}},
		"sec1":        {true, block("EC PRIVATE KEY", sec1), []string{"SEC1", "openssl pkey -in"}},
		"sec1 params": {true, append(block("EC PARAMETERS", []byte{6, 0}), block("EC PRIVATE KEY", sec1)...), []string{"SEC1"}},
		"pkcs1":       {true, block("RSA PRIVATE KEY", []byte("rsa")), []string{"RSA", "PKCS #1", "openssl genpkey -algorithm ed25519"}},
		"der":         {true, der.Bytes, []string{"DER", "openssl pkey -inform DER -in"}},
		"public":      {true, public, []string{"other half"}},
		"junk":        {true, []byte("junk"), []string{"exactly one PEM block"}},
		"private":     {false, private, []string{"other half"}},
		"public bom":  {false, bom(public), []string{"byte order mark", "openssl pkey -pubin -in"}},
		"public crlf": {false, crlf(public), []string{"CR LF", "openssl pkey -pubin -in"}},
		"certificate": {false, block("CERTIFICATE", []byte("x")), []string{"certificate", "openssl x509 -noout -pubkey -in"}},
	} {
		file := filepath.Join(dir, "other")
		if err := os.WriteFile(file, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		wrong, load := ErrKeyFile, func() error { _, err := Load(t.Context(), file); return err }
		if !c.private {
			wrong, load = event.ErrBadKey, func() error { _, err := LoadPublic(file); return err }
		}
		err := load()
		if !errors.Is(err, wrong) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nwant %q", name, err, want)
			}
		}
	}
}

// TestPluginChild: a plug-in's child that keeps the output open delays a call by childTimeout, and
// what a plug-in prints is bounded.
func TestPluginChild(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"child": "#!/bin/sh\necho $$ > %s/child\nsleep 600 &\necho $! > %s/child\nexit 1\n",
		"yes":   "#!/bin/sh\nexec yes 2>/dev/null\n",
	} {
		script = strings.ReplaceAll(script, "%s", dir)
		if err := os.WriteFile(filepath.Join(dir, "sigstore-kms-"+name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(dir, "child")); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
	})
	// The limit of a call is signTimeout. Without childTimeout the first call takes 600 seconds.
	for ref, want := range map[string]string{"child://k": "its answer", "yes://k": "failed: "} {
		_, err := Load(t.Context(), ref)
		if !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), want) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
