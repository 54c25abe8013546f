// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package importlaw

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// TestSecretsStaySecret prints what holds a secret, as a log line would, and looks for the
// secret in every spelling of its bytes.
func TestSecretsStaySecret(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	note, err := tlog.GenerateSigner("log.example", tlog.CosignatureMLDSA44)
	check(err)
	_, private, err := ed25519.GenerateKey(nil)
	check(err)
	signer, err := event.NewSigner(private)
	check(err)
	key, err := escrow.GenerateKey(event.KEMX25519)
	check(err)
	keyText, err := key.Bytes()
	check(err)
	seed := escrow.NewSeed(time.Now())
	opening := event.NewOpening("agency", event.Text("the agency that is still secret"))
	dir := t.TempDir()
	cfg := vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "key")}
	check(vault.Create(cfg))
	kept, err := vault.Open(cfg)
	check(err)
	defer kept.Close()

	text := func(s fmt.Stringer, secret []byte) {
		for _, v := range []any{s, []any{s}, struct{ Field any }{s}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				got := fmt.Sprintf(verb, v)
				for _, spelling := range []string{string(secret), fmt.Sprint(secret), fmt.Sprintf("%#v", secret), hex.EncodeToString(secret),
					base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), "AGE-SECRET-KEY"} {
					if strings.Contains(got, strings.Trim(spelling, "[]byte{}=")) {
						t.Errorf("%s of a %T shows its secret: %.80s", verb, s, got)
					}
				}
				if strings.Contains(got, " 0x") || strings.Count(got, " ") > 24 {
					t.Errorf("%s of a %T shows its inside: %.80s", verb, s, got)
				}
			}
		}
	}
	raw := func(line string) []byte { // of PRIVATE+KEY+name+hash+base64
		b, err := base64.StdEncoding.DecodeString(strings.SplitN(line, "+", 5)[4])
		check(err)
		return b[1:]
	}
	text(note, raw(note.Secret()))
	text(*note, raw(note.Secret()))
	text(signer.(fmt.Stringer), private.Seed())
	text(key, keyText)
	text(*key, keyText)
	text(seed, seed.Bytes())
	text(*seed, seed.Bytes())
	text(opening, opening.Salt[:])
	text(opening, []byte("the agency that is still secret"))
	text(kept, []byte("AGE-SECRET-KEY"))
}
