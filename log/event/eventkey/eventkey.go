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
