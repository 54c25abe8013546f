// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package eventkey makes and loads the keys that sign events.
//
// A key is a PKCS #8 PEM file, or a key in an HSM or cloud KMS behind a sigstore
// plug-in: a reference NAME://KEY runs the executable sigstore-kms-NAME from PATH
// (sigstore, pkg/signature/kms/cliplugin). Sigstore makes the signature, and package
// event normalizes and verifies it.
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
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

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

	// signTimeout bounds one call of a plug-in, so that a hanging KMS doesn't hang a
	// daemon.
	signTimeout = 30 * time.Second
)

// Errors of key files.
var (
	ErrKeyFile     = errors.New("eventkey: not a PKCS #8 PEM file with one Ed25519 or ECDSA P-256 key")
	ErrPermissions = errors.New("eventkey: private key is accessible to others; chmod it to 0600")
	ErrReference   = errors.New("eventkey: not a key reference NAME://KEY with NAME of [a-z0-9-]")
	ErrPlugin      = errors.New("eventkey: plug-in failed")
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
		return nil, fmt.Errorf("eventkey: unknown algorithm %q: want %s or %s", algorithm, Ed25519, ECDSAP256)
	}
	if err != nil {
		return nil, fmt.Errorf("eventkey: %w", err)
	}
	public, err := event.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("eventkey: %w", err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der})
	if err := durable.CreateFile(name, private, 0o600); err != nil {
		return nil, fmt.Errorf("eventkey: %w", err)
	}
	if err := durable.CreateFile(name+PublicSuffix, public.PEM(), 0o644); err != nil {
		// The private key is unused so far, so it may go.
		return nil, fmt.Errorf("eventkey: %w", errors.Join(err, os.Remove(name)))
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

// LoadPublic reads a public key file (SubjectPublicKeyInfo PEM).
func LoadPublic(name string) (*event.PublicKey, error) {
	b, _, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	k, err := event.ParsePublicKeyPEM(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// readSmall reads a file of at most maxKeyFile bytes.
func readSmall(name string) ([]byte, os.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("eventkey: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("eventkey: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, 0, fmt.Errorf("%w: %s: not a regular file of at most %d bytes", ErrKeyFile, name, maxKeyFile)
	}
	b := make([]byte, info.Size())
	n, err := f.ReadAt(b, 0)
	if n != len(b) {
		return nil, 0, fmt.Errorf("eventkey: %s: %w", name, err)
	}
	return b, info.Mode().Perm(), nil
}

func loadFile(name string) (event.Signer, error) {
	b, perm, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	if perm&0o007 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %#o", ErrPermissions, name, perm)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != privateType || len(block.Headers) > 0 || len(rest) > 0 ||
		!bytes.Equal(pem.EncodeToMemory(block), b) {
		return nil, fmt.Errorf("%w: %s: want exactly one PEM block %q", ErrKeyFile, name, privateType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	s, err := signature.LoadSigner(key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	out, err := newSigner(context.Background(), s)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	return out, nil
}

func loadKMS(ctx context.Context, ref string) (event.Signer, error) {
	// The name becomes part of an executable's name: it must not be a path.
	name, _, _ := strings.Cut(ref, "://")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("%w: %s", ErrReference, ref)
	}
	// kms.Get would apply the context's deadline to every later call too.
	s, err := kms.Get(context.WithoutCancel(ctx), ref, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrPlugin, ref, err)
	}
	out, err := newSigner(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return out, nil
}

// A signer is an event.Signer on a sigstore signer.
type signer struct {
	s      signature.Signer
	public *event.PublicKey
}

var _ event.Signer = (*signer)(nil)

// String and GoString name the key, so that no message leaks the private key.
func (s signer) String() string   { return "signer " + s.public.KeyID() }
func (s signer) GoString() string { return s.String() }

func newSigner(ctx context.Context, s signature.Signer) (*signer, error) {
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	key, err := guard(func() (crypto.PublicKey, error) { return s.PublicKey(options.WithContext(ctx)) })
	if err != nil {
		return nil, err
	}
	public, err := event.NewPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &signer{s, public}, nil
}

func (s *signer) KeyID() string            { return s.public.KeyID() }
func (s *signer) Public() *event.PublicKey { return s.public }

func (s *signer) Sign(msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	sig, err := guard(func() ([]byte, error) { return s.s.SignMessage(bytes.NewReader(msg), options.WithContext(ctx)) })
	if err != nil {
		return nil, err
	}
	return s.public.Normalize(msg, sig)
}

// guard calls sigstore and turns a panic into an error. Sigstore's plug-in client
// follows a nil pointer if the plug-in answers with unexpected JSON, for example in
// another version; that must not stop a daemon.
func guard[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: unexpected answer: %v", ErrPlugin, p)
		}
	}()
	if out, err = f(); err != nil {
		err = fmt.Errorf("%w: %w", ErrPlugin, err)
	}
	return out, err
}
