// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package eventkey makes and loads the keys that sign events.
//
// A key is a PKCS #8 PEM file or pipe, plain or encrypted (RFC 5958, section 3), or a key in an
// HSM or cloud KMS behind a sigstore plug-in: a reference NAME://KEY runs the executable
// sigstore-kms-NAME from PATH (sigstore, pkg/signature/kms/cliplugin). The plug-in makes the
// signature, and package event normalizes and verifies it.
//
// The package trusts the operator's files, PATH and plug-in. A broken plug-in causes
// an error, never a wrong signature. It is separate from event because sigstore links
// package net, which an offline verifier must not.
package eventkey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/encoding"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/youmark/pkcs8"
	"golang.org/x/term"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// Algorithms that Generate knows.
const (
	Ed25519   = "ed25519"
	ECDSAP256 = "ecdsa-p256"
)

// PublicSuffix ends the name of a public key file, after the private key's name.
const PublicSuffix = ".pub"

const (
	privateType = "PRIVATE KEY"
	maxKeyFile  = 4096
)

// Errors of key files.
var (
	ErrKeyFile     = errors.New("not a PKCS #8 PEM file with one Ed25519 or ECDSA P-256 key")
	ErrPermissions = errors.New("others may read this private key; chmod it to 0600")
	ErrReference   = errors.New("not a key reference NAME://KEY with NAME of [a-z0-9-]")
	ErrPlugin      = errors.New("plug-in failed")
)

// Generate makes a key of the algorithm and writes its private half to name
// (PKCS #8 PEM, mode 0600) and its public half to name + PublicSuffix. It
// never overwrites: for an existing file it changes nothing and returns an error that
// wraps fs.ErrExist.
func Generate(algorithm, name string) (*event.PublicKey, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case ECDSAP256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("unknown algorithm %q: want %s or %s", algorithm, Ed25519, ECDSAP256)
	}
	if err != nil {
		return nil, err
	}
	public, err := event.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der})
	if err := durable.CreateFile(name, private, 0o600); err != nil {
		return nil, err
	}
	if err := durable.CreateFile(name+PublicSuffix, public.PEM(), 0o644); err != nil {
		// The private key is unused so far, so it may go.
		return nil, errors.Join(err, os.Remove(name))
	}
	return public, nil
}

// Load returns the signer of a reference: a KMS's NAME://KEY, or the name of
// a private key file. ctx bounds the loading only.
func Load(ctx context.Context, ref string) (event.Signer, error) {
	if strings.Contains(ref, "://") {
		return loadKMS(ctx, ref)
	}
	return loadFile(ref)
}

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

const (
	// signTimeout bounds one call of a plug-in, so that a hanging KMS doesn't hang a
	// daemon. A child that keeps the plug-in's output open gets childTimeout more.
	signTimeout  = 30 * time.Second
	childTimeout = time.Second

	maxAnswer = 1 << 20
)

// plugin runs a sigstore plug-in, once for each call. Sigstore's own client waits for children
// of the plug-in without limit, keeps all that it prints, and panics at an unexpected answer.
type plugin struct {
	executable, key string
}

func loadKMS(ctx context.Context, ref string) (event.Signer, error) {
	// The name becomes part of an executable's name: it must not be a path.
	name, key, _ := strings.Cut(ref, "://")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("%w: %s", ErrReference, ref)
	}
	p := plugin{"sigstore-kms-" + name, key}
	public, err := p.public(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return event.SignerOf(public, p.sign), nil
}

func (p plugin) public(ctx context.Context) (*event.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	r, err := p.call(ctx, nil, &common.MethodArgs{
		MethodName: common.PublicKeyMethodName,
		PublicKey: &common.PublicKeyArgs{
			PublicKeyOptions: encoding.PackPublicKeyOptions([]signature.PublicKeyOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return nil, err
	}
	if r.PublicKey == nil {
		return nil, fmt.Errorf("%w: its answer has no public key", ErrPlugin)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(r.PublicKey.PublicKeyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, err)
	}
	return event.NewPublicKey(key)
}

func (p plugin) sign(msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	r, err := p.call(ctx, msg, &common.MethodArgs{
		MethodName: common.SignMessageMethodName,
		SignMessage: &common.SignMessageArgs{
			SignOptions: encoding.PackSignOptions([]signature.SignOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return nil, err
	}
	if r.SignMessage == nil {
		return nil, fmt.Errorf("%w: its answer has no signature", ErrPlugin)
	}
	return r.SignMessage.Signature, nil
}

// call runs the plug-in until ctx ends. As in sigstore's protocol, its answer counts, whatever
// exit code above 0 it has.
func (p plugin) call(ctx context.Context, stdin []byte, method *common.MethodArgs) (*common.PluginResp, error) {
	args, err := json.Marshal(common.PluginArgs{
		InitOptions: &common.InitOptions{
			ProtocolVersion: common.ProtocolVersion, KeyResourceID: p.key, HashFunc: crypto.SHA256, RPCOptions: encoding.PackRPCOptions(nil),
		},
		MethodArgs: method,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, err)
	}
	var out answer
	cmd := exec.CommandContext(ctx, p.executable, common.ProtocolVersion, string(args))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, os.Stderr
	cmd.WaitDelay = childTimeout
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ctx.Err() != nil || err != nil && (!ok || exit.ExitCode() < 1) {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, errors.Join(ctx.Err(), err))
	}
	r := new(common.PluginResp)
	switch err := json.Unmarshal(out.b, r); {
	case err != nil:
		return nil, fmt.Errorf("%w: its answer: %w", ErrPlugin, err)
	case r.ErrorMessage != "":
		return nil, fmt.Errorf("%w: %s", ErrPlugin, r.ErrorMessage)
	}
	return r, nil
}

// answer keeps what a plug-in prints, and refuses more than maxAnswer bytes. It has no other
// method of a bytes.Buffer, since ReadFrom has no bound.
type answer struct{ b []byte }

func (a *answer) Write(b []byte) (int, error) {
	if len(a.b)+len(b) > maxAnswer {
		return 0, fmt.Errorf("it printed more than %d bytes", maxAnswer)
	}
	a.b = append(a.b, b...)
	return len(b), nil
}
