// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// The command is a sigstore KMS plug-in for tests: its keys are PEM files. A
// reference NAME://MODE:FILE chooses how it behaves:
//
//	good      signs as it should
//	high      makes the S of ECDSA signatures high, as many a KMS does
//	wrong     signs another message
//	fail      answers every call with an error
//	nonsense  answers with JSON that lacks the answer
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	parsed, err := handler.GetPluginArgs(args)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	mode, file, _ := strings.Cut(parsed.InitOptions.KeyResourceID, ":")
	if mode == "nonsense" {
		fmt.Fprint(stdout, "{}")
		return 0
	}
	sv, err := signature.LoadSignerVerifierFromPEMFile(file, crypto.SHA256, nil)
	if mode == "fail" {
		err = errors.New("the HSM is on fire")
	}
	if err != nil {
		if err := handler.WriteErrorResponse(stdout, err); err != nil {
			fmt.Fprintln(stderr, err)
		}
		return 1
	}
	if _, err := handler.Dispatch(stdout, stdin, parsed, &key{sv, mode}); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// A key is what a plug-in has to implement.
type key struct {
	signature.SignerVerifier
	mode string
}

func (k *key) SignMessage(msg io.Reader, opts ...signature.SignOption) ([]byte, error) {
	if k.mode == "wrong" {
		msg = bytes.NewReader([]byte("another message"))
	}
	sig, err := k.SignerVerifier.SignMessage(msg, opts...)
	if err != nil || k.mode != "high" {
		return sig, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		return nil, err
	}
	n := elliptic.P256().Params().N
	if high := new(big.Int).Sub(n, rs.S); high.Cmp(rs.S) > 0 {
		rs.S = high
	}
	return asn1.Marshal(rs)
}

func (k *key) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, errors.New("this plug-in makes no keys")
}

func (k *key) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.New("this plug-in has no crypto.Signer")
}

func (k *key) SupportedAlgorithms() []string { return []string{"ecdsa-p256-sha256", "ed25519"} }
func (k *key) DefaultAlgorithm() string      { return "ecdsa-p256-sha256" }
