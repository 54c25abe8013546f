// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package eventkey

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

func testEvent(t *testing.T) *event.Event {
	t.Helper()
	e, err := event.New("log.example/2026", &event.Refusal{Access: event.Reference{Index: 7}, Reason: "unreadable"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// signs checks that a signer's envelope verifies as read back from its bytes.
func signs(t *testing.T, s event.Signer) {
	t.Helper()
	env, err := event.Sign(testEvent(t), s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := event.ParseEnvelope(env.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]*event.PublicKey{s.KeyID(): s.Public()}
	if err := again.Verify(func(id string) *event.PublicKey { return keys[id] }); err != nil {
		t.Fatal(err)
	}
}

func TestGenerateAndLoad(t *testing.T) {
	for _, algorithm := range []string{Ed25519, ECDSAP256} {
		t.Run(algorithm, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			public, err := Generate(algorithm, name)
			if err != nil {
				t.Fatal(err)
			}
			if n, want := len(public.SPKI()), map[string]int{Ed25519: 44, ECDSAP256: 91}[algorithm]; n != want {
				t.Errorf("the key has %d bytes, want %d", n, want)
			}
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode is %#o", info.Mode().Perm())
			}
			s, err := Load(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			fromFile, err := LoadPublic(name + PublicSuffix)
			if err != nil {
				t.Fatal(err)
			}
			if !s.Public().Equal(public) || !fromFile.Equal(public) {
				t.Error("the three public keys differ")
			}
			signs(t, s)
		})
	}
}

func TestGenerateNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	for _, taken := range []string{"a.pem", "b.pem" + PublicSuffix} {
		if err := os.WriteFile(filepath.Join(dir, taken), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a.pem", "b.pem"} {
		if _, err := Generate(Ed25519, filepath.Join(dir, name)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if b, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil || string(b) != "precious" {
			t.Errorf("%s: %q, %v", f.Name(), b, err)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d files, want 2", len(list))
	}
	if _, err := Generate("rsa", filepath.Join(dir, "c.pem")); err == nil {
		t.Error("unknown algorithm was accepted")
	}
}

func pkcs8PEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der})
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8PEM(t, p256)
	for name, tc := range map[string]struct {
		data []byte
		perm os.FileMode
		want error
	}{
		"open to others": {good, 0o604, ErrPermissions},
		"trailing data":  {append(bytes.Clone(good), "x\n"...), 0o600, ErrKeyFile},
		"leading data":   {append([]byte("x\n"), good...), 0o600, ErrKeyFile},
		"crlf":           {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), 0o600, ErrKeyFile},
		"two keys":       {append(bytes.Clone(good), good...), 0o600, ErrKeyFile},
		"wrong type":     {bytes.ReplaceAll(good, []byte("PRIVATE"), []byte("EC PRIVATE")), 0o600, ErrKeyFile},
		"rsa":            {pkcs8PEM(t, rsaKey), 0o600, ErrKeyFile},
		"p384":           {pkcs8PEM(t, p384), 0o600, ErrKeyFile},
		"empty":          {nil, 0o600, ErrKeyFile},
		"huge":           {make([]byte, maxKeyFile+1), 0o600, ErrKeyFile},
	} {
		file := filepath.Join(dir, "key")
		if err := os.WriteFile(file, tc.data, tc.perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tc.perm); err != nil { // whatever the umask
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), file); !errors.Is(err, tc.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tc.want)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error is %v", err)
	}
	if _, err := Load(t.Context(), dir); !errors.Is(err, ErrKeyFile) {
		t.Errorf("directory: error is %v", err)
	}
}

// buildPlugin builds the plug-in and puts it on PATH, alone.
func buildPlugin(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "sigstore-kms-pemtest")
	if b, err := exec.Command("go", "build", "-o", out, "./testdata/plugin").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, b)
	}
	t.Setenv("PATH", dir)
}

func TestPlugin(t *testing.T) {
	buildPlugin(t)
	for _, algorithm := range []string{Ed25519, ECDSAP256} {
		name := filepath.Join(t.TempDir(), "key.pem")
		public, err := Generate(algorithm, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"good", "high"} {
			if mode == "high" && algorithm == Ed25519 {
				continue // Ed25519 has no high S to make
			}
			t.Run(algorithm+" "+mode, func(t *testing.T) {
				s, err := Load(t.Context(), "pemtest://"+mode+":"+name)
				if err != nil {
					t.Fatal(err)
				}
				if !s.Public().Equal(public) {
					t.Error("plug-in's public key is another")
				}
				for range 3 {
					signs(t, s)
				}
			})
		}
		t.Run(algorithm+" wrong", func(t *testing.T) {
			s, err := Load(t.Context(), "pemtest://wrong:"+name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := event.Sign(testEvent(t), s); !errors.Is(err, event.ErrBadSignature) {
				t.Errorf("error is %v", err)
			}
		})
		for _, mode := range []string{"fail", "nonsense"} {
			if _, err := Load(t.Context(), "pemtest://"+mode+":"+name); !errors.Is(err, ErrPlugin) {
				t.Errorf("%s: error is %v", mode, err)
			}
		}
	}
}

// A deadline for loading must not outlive the loading.
func TestPluginDeadline(t *testing.T) {
	buildPlugin(t)
	name := filepath.Join(t.TempDir(), "key.pem")
	if _, err := Generate(Ed25519, name); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	s, err := Load(ctx, "pemtest://good:"+name)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	signs(t, s)
	if _, err := Load(ctx, "pemtest://good:"+name); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error is %v", err)
	}
}

func TestReference(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, ref := range []string{"://x", "../../bin/x://y", "a/b://c", "A://b", "a b://c"} {
		if _, err := Load(t.Context(), ref); !errors.Is(err, ErrReference) {
			t.Errorf("%s: error is %v", ref, err)
		}
	}
	if _, err := Load(t.Context(), "nowhere://key"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing plug-in: error is %v", err)
	}
}
