// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package eventkey

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/youmark/pkcs8"
	"golang.org/x/term"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// PassphraseEnv names the environment variable with the name of a file: its first line is the
// passphrase of encrypted private keys. Without it, Load asks on the terminal.
const PassphraseEnv = "VASISTAS_PASSPHRASE_FILE"

const encryptedType = "ENCRYPTED PRIVATE KEY"

func loadFile(name string) (event.Signer, error) {
	b, perm, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != privateType && block.Type != encryptedType || len(block.Headers) > 0 || len(rest) > 0 ||
		!bytes.Equal(pem.EncodeToMemory(block), b) {
		return nil, durable.Like(ErrKeyFile, "%s %s", name, other(b, name, "pkey"))
	}
	if perm&0o007 != 0 {
		return nil, fmt.Errorf("%s has mode %#o: %w", name, perm, ErrPermissions)
	}
	key, err := parse(block, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %s: it is a %T", ErrKeyFile, name, key)
	}
	s, err := event.NewSigner(signer)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	return s, nil
}

// parse returns the private key of a PKCS #8 block.
func parse(block *pem.Block, name string) (any, error) {
	if block.Type == privateType {
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	secret, err := passphrase(name)
	if err != nil {
		return nil, err
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, secret)
	if err != nil {
		return nil, fmt.Errorf("it is encrypted, and does not open with this passphrase: %w", err)
	}
	return key, nil
}

func passphrase(name string) ([]byte, error) {
	if file := os.Getenv(PassphraseEnv); file != "" {
		b, err := durable.ReadFile(file, maxKeyFile)
		b, _, _ = bytes.Cut(b, []byte("\n"))
		return bytes.TrimSuffix(b, []byte("\r")), err
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("it is encrypted, and there is no terminal to ask for its passphrase; name a file with it in $%s", PassphraseEnv)
	}
	defer tty.Close()
	fmt.Fprintf(tty, "Passphrase of %s: ", name)
	defer fmt.Fprintln(tty)
	return term.ReadPassword(int(tty.Fd()))
}

// other says what a file is, that is no PEM file of ours, and how to make one of it. command
// is "pkey" for a private key and "pkey -pubin" for a public one.
func other(b []byte, name, command string) string {
	convert := func(what, options string) string {
		return fmt.Sprintf("is %s; convert it with 'openssl %s%s -in %s -out NEW'", what, command, options, name)
	}
	has := func(s string) bool { return bytes.Contains(b, []byte("-----BEGIN "+s+"-----")) }
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return convert("a file with a byte order mark at its start", "")
	case bytes.Contains(b, []byte("\r\n")):
		return convert("a file whose lines end with CR LF", "")
	case has("EC PRIVATE KEY"):
		return convert("a key in SEC1 form", "")
	case has("RSA PRIVATE KEY") || has("RSA PUBLIC KEY"):
		return "is an RSA key in PKCS #1 form, and no RSA key signs events; make another one with 'openssl genpkey -algorithm ed25519 -out NEW'"
	case has("CERTIFICATE"):
		return fmt.Sprintf("is a certificate; take its key with 'openssl x509 -noout -pubkey -in %s -out NEW'", name)
	case has(privateType) != has("PUBLIC KEY") && has(privateType) != (command == "pkey"):
		return "is the other half of a key pair: give the private key to sign, and the public key, in the .pub file, to name the signer"
	case bytes.HasPrefix(b, []byte{0x30}):
		return convert("a key in DER form", " -inform DER")
	}
	return "has not exactly one PEM block as openssl and 'vasistas keygen' write it"
}

// readSmall reads a file, or a pipe, of at most maxKeyFile bytes.
func readSmall(name string) ([]byte, os.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if mode := info.Mode().Type(); mode != 0 && mode != os.ModeNamedPipe {
		return nil, 0, fmt.Errorf("%w: %s is neither a file nor a pipe", ErrKeyFile, name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrKeyFile, maxKeyFile)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	return b, info.Mode().Perm(), nil
}

// LoadPublic reads a public key file (SubjectPublicKeyInfo PEM).
func LoadPublic(name string) (*event.PublicKey, error) {
	b, _, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	k, err := event.ParsePublicKeyPEM(b)
	if errors.Is(err, event.ErrBadKey) && !bytes.HasPrefix(b, []byte("-----BEGIN PUBLIC KEY-----\n")) || bytes.Contains(b, []byte("\r")) {
		return nil, durable.Like(event.ErrBadKey, "%s %s", name, other(b, name, "pkey -pubin"))
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}
